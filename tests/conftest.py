"""What holds for all tests.

Hypothesis draws the same examples in every run, so that what passed passes again; HYPOTHESIS_PROFILE=explore draws new
ones, many more, to look for what nobody has seen yet.
"""

import os
from functools import cache
from types import ModuleType

import pytest
from hypothesis import settings

settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("explore", max_examples=2_000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that wait for real processes come first: while one worker waits, the other computes."""
    items.sort(key=lambda item: not _waits(item.module))


@cache
def _waits(module: ModuleType) -> bool:
    return any(getattr(value, "__module__", "") == "tests.service.processes" for value in vars(module).values())
