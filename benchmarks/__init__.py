"""What a message costs: echo, fan-out, idle connections, whole runs.

``python -m benchmarks`` starts each server as a process of its own, pinned to the first core, and
drives it from this process, pinned to the last one.
"""
