"""Orders of every kind through the whole platform: simulated venues, router and EMS agree on each to the share."""

import pytest
from msgspec.structs import replace

from domain.facts import ChildReplaceRequested, ChildSubmitted, ParentAccepted, ParentRejected, ParentTriggered
from domain.fields import WORKED_ORD_TYPES, WORKED_TIMES_IN_FORCE, Action, Side
from domain.prices import px_to_text
from gateway.clients import EXEC_INSTS
from simulators.client import PlannedOrder
from tests.service.platform import MS, SECOND_NS, START_NS, Platform, small_config, small_market

START_PX = {symbol.symbol: symbol.start_px for symbol in small_market(1).config.symbols}


def config():
    base = small_config()
    clients = tuple(
        replace(
            client,
            ord_types=WORKED_ORD_TYPES,
            time_in_forces=WORKED_TIMES_IN_FORCE,
            exec_insts=EXEC_INSTS,
            min_qty=True,
            display_qty=True,
        )
        for client in base.clients
    )
    venues = tuple(replace(venue, can_replace=venue.name == "ARGO", has_min_qty=True) for venue in base.venues)
    return replace(base, clients=clients, venues=venues)


def stop_px(side: Side, ticks: int) -> str:
    return px_to_text(START_PX["ALFA"] // 100 * 100 + side.sign * ticks * 100)


# Fields beside a plain order at `ticks` through the market, None: without a limit.
KINDS = {
    "stop": (None, {"40": "3", "99": stop_px(Side.BUY, 1)}),
    "stop limit": (5, {"40": "4", "99": stop_px(Side.BUY, 1)}),
    "primary peg": (10, {"40": "P", "18": "R"}),
    "market peg": (10, {"40": "P", "18": "P", "211": "-0.01"}),
    "market peg that takes": (10, {"40": "P", "18": "P"}),
    "midpoint peg": (10, {"40": "P", "18": "M"}),
    "post only": (2, {"18": "6"}),
    "reserve": (0, {"111": "200"}),
    "smallest fill": (3, {"110": "200"}),
    "fill or kill": (5, {"59": "4"}),
    "too large to fill or kill": (5, {"59": "4"}),
    "good till date": (-30, {"59": "6", "126": "20231114-22:13:30"}),
}


@pytest.mark.parametrize("seed", [1, 2])
def test_all_books_agree_on_orders_of_every_kind(seed: int) -> None:
    settings = config()
    plan = []
    for number, (name, (ticks, fields)) in enumerate(KINDS.items()):
        qty = 90_000 if name.startswith("too large") else 1_000
        order = PlannedOrder(name, "ACC1", "ALFA", Side.BUY, qty, ticks, 100, "", {}, fields)
        plan.append((START_NS + 2 * SECOND_NS + number * 200 * MS, order))
    platform = Platform(seed=seed, config=settings, plans={"EMS1": plan})
    platform.run(20)
    platform.finish()
    platform.check()
    facts = platform.facts
    assert not [fact for fact in facts if isinstance(fact, ParentRejected)]
    accepted = {fact.parent_id: fact.cl_ord_id for fact in facts if isinstance(fact, ParentAccepted)}
    assert sorted(accepted.values()) == sorted(KINDS)
    sent: dict[str, list[ChildSubmitted]] = {name: [] for name in KINDS}
    for fact in facts:
        if isinstance(fact, ChildSubmitted):
            sent[accepted[fact.parent_id]].append(fact)
    assert {child.action for child in sent["post only"]} <= {Action.POST, Action.IMPROVE}
    assert {child.action for child in sent["midpoint peg"]} == {Action.MID_PEG}
    assert not sent["too large to fill or kill"]
    assert len(sent["fill or kill"]) <= 1
    for name in ("stop", "stop limit"):
        triggered = any(accepted[fact.parent_id] == name for fact in facts if isinstance(fact, ParentTriggered))
        assert triggered or not sent[name]
    moves = [fact for fact in facts if isinstance(fact, ChildReplaceRequested) and fact.reason == "peg"]
    assert 0 < len(moves) + len(sent["primary peg"]) < 400  # at its pace, for at most 45 seconds at two venues
