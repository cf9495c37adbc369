"""Settings of the property tests."""

from hypothesis import settings

# A busy machine is no failure; the tests' own assertions are.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")
