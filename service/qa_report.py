"""What came of a run of scenarios: a table for people, JUnit XML for build servers."""

from pathlib import Path
from xml.etree import ElementTree

from rich.table import Table

from service.qa import Outcome


def table(outcomes: list[Outcome]) -> Table:
    """A line for each scenario; what failed stands below it."""
    shown = Table(title="scenarios", expand=True)
    shown.add_column("", width=4)
    shown.add_column("scenario", no_wrap=True)
    shown.add_column("what it is", ratio=1)
    shown.add_column("virtual", justify="right")
    shown.add_column("took", justify="right")
    for outcome in outcomes:
        verdict = "[red]FAIL" if outcome.failures else "[green]ok"
        text = "\n".join([outcome.title, *(f"- {failure}" for failure in outcome.failures)])
        shown.add_row(verdict, outcome.name, text, f"{outcome.virtual_s:.0f} s", f"{outcome.real_s:.2f} s")
    return shown


def junit(outcomes: list[Outcome]) -> bytes:
    """One test suite with a case for each scenario, as Jenkins, GitLab and the others read it."""
    suite = ElementTree.Element(
        "testsuite",
        name="fairlead qa",
        tests=str(len(outcomes)),
        failures=str(sum(1 for outcome in outcomes if outcome.failures)),
        time=f"{sum(outcome.real_s for outcome in outcomes):.3f}",
    )
    for outcome in outcomes:
        case = ElementTree.SubElement(
            suite, "testcase", classname="scenarios", name=outcome.name, time=f"{outcome.real_s:.3f}"
        )
        if outcome.failures:
            failure = ElementTree.SubElement(case, "failure", message=outcome.failures[0])
            failure.text = "\n".join(outcome.failures)
    return ElementTree.tostring(suite, "utf-8", xml_declaration=True)


def write(outcomes: list[Outcome], path: Path) -> None:
    path.write_bytes(junit(outcomes))
