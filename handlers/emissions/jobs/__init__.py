"""The job types of the domain, one module each. Each has a ``JOB_TYPE`` and an async ``run``.

:func:`handlers.emissions.registry.register` finds them; none has to be listed anywhere.
"""
