"""Every scenario in every version, and the page that lists them."""

from pathlib import Path

import pytest

from tests.scenarios.page import PAGE, SCRIPTS, index, versions_of
from tests.scenarios.scenario import Scenario

RUNS = [
    pytest.param(script, version, id=f"{script.stem}-{version}")
    for script in SCRIPTS
    for version in versions_of(script)
]


@pytest.mark.parametrize(("script", "version"), RUNS)
def test_scenario(script: Path, version: str) -> None:
    Scenario(version).run(script.read_text())


def test_the_page_lists_the_scripts() -> None:
    assert PAGE.read_text() == index(), "python -m tests.scenarios"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("> D (X)\n", "EMS also heard"),
        ("> D (X)\n< 8 (X) 150=0 39=0 qty=10000/0/9999 6=0\n", "151 is 10000, expected 9999"),
        ("> D (X)\n< 8 (X) 150=0 39=0 qty=10000/0/10000 6=0 58=more\n", "58 is None, expected more"),
        ("> D (X)\n< 8 (X) 150=0 39=0 qty=10000/0/10000\n", "6 is 0, expected None"),
    ],
)
def test_a_script_that_is_wrong_fails(text: str, error: str) -> None:
    with pytest.raises(AssertionError, match=error):
        Scenario("4.4").run(text)
