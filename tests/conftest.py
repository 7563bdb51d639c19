"""How long a generated example takes is the machine's affair: property tests set no limit."""

from hypothesis import HealthCheck, settings

settings.register_profile("callsim", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("callsim")
