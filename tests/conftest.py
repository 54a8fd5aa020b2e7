"""What holds for every suite."""

import os

from hypothesis import settings

# A busy machine is no failure.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# libpq would take settings meant for another server.
for variable in [name for name in os.environ if name.startswith("PG")]:
    del os.environ[variable]
