"""Writes the page of all scenarios: `python -m tests.scenarios`."""

from tests.scenarios.page import PAGE, index

PAGE.write_text(index())
