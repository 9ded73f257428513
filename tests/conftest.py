"""What holds for all tests.

Hypothesis draws the same examples in every run, so that what passed passes again; HYPOTHESIS_PROFILE=explore draws new
ones, many more, to look for what nobody has seen yet.
"""

import os

from hypothesis import settings

settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("explore", max_examples=2_000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))
