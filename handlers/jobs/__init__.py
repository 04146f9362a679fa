"""The gateway's own durable jobs, on the one engine that the domain's jobs run on too.

``cron_work_order`` makes the work order of one tick of a cron trigger; ``run_statistics_sweep``
finds the workflows and days whose runs have moved and chains one deduplicated ``run_statistics``
for each; ``retention_wipe`` wipes dataclips as projects ask for it. What is about liveness in
seconds (lost runs, unheard claims) stays on timers: ``docs/decisions`` says why.
"""
