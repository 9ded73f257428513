"""What an operator sees of the venues."""

from router.state import State
from service.venue_health import listing
from tests.router.test_health import Desk


def test_the_rows_have_what_was_said_and_what_was_found():
    desk, state = Desk(), State()
    for number in range(60):
        desk.order(0.8, number % 2 == 0, said_bps=0.5, found_bps=2.0)
    state.health = desk.health
    state.venues_up.add("V1")
    known, unknown = listing(state, ["V1", "V2"])
    assert (known["venue"], known["up"], known["orders"], known["alarm"]) == ("V1", True, 60, "")
    assert known["fill_said"] == 0.8
    assert 0.45 < known["fill_found"] < 0.55
    assert (known["markout_said_bps"], known["markout_found_bps"]) == (0.5, 2.0)
    assert unknown == {
        "venue": "V2", "up": False, "orders": 0, "fill_said": None, "fill_found": None, "markout_said_bps": None,
        "markout_found_bps": None, "alarm": "",
    }  # fmt: skip
