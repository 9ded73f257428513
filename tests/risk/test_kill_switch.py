import pytest

from risk.kill_switch import KillSwitch, valid_scope

ORDER = {"client": "EMS1", "account": "ACC", "venue": "LIT1", "strategy": "twap", "symbol": "ALFA"}


@pytest.mark.parametrize("scope", ["firm", *(f"{kind}:{name}" for kind, name in ORDER.items())])
def test_a_scope_blocks_what_it_names_until_it_is_released(scope):
    kill_switch = KillSwitch()
    assert kill_switch.blocks(**ORDER) is None
    kill_switch.apply_set(scope, "ops", "drill")
    assert kill_switch.blocks(**ORDER).text == f"kill switch {scope} set by ops: drill"
    others = dict.fromkeys(ORDER, "OTHER")
    assert (kill_switch.blocks(**others) is None) == (scope != "firm")
    kill_switch.apply_released(scope)
    assert kill_switch.blocks(**ORDER) is None
    kill_switch.apply_released(scope)  # twice is no harm


@pytest.mark.parametrize(
    ("scope", "valid"),
    [
        ("firm", True),
        ("client:EMS1", True),
        ("symbol:BRK:B", True),
        ("client:", False),
        ("client", False),
        ("firm:x", False),
        ("desk:EQ", False),
        ("", False),
    ],
)
def test_which_scopes_an_operator_may_name(scope, valid):
    assert valid_scope(scope) is valid
