"""What all tests share."""

from hypothesis import HealthCheck, settings

# A busy machine is no fault of a strategy: only what is found counts, not how long it took.
settings.register_profile("project", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("project")
