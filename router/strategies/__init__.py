"""When and how much of an order to send. Each strategy is a module that declares its parameters and makes slices."""

from collections.abc import Mapping

from domain.commands import NewParent, ReplaceParent
from domain.orders import ParentOrder
from router.strategies import sweep, twap
from router.strategies.schema import Parameter, Slice, Strategy, convert

__all__ = [
    "STRATEGIES",
    "Parameter",
    "Slice",
    "is_late",
    "is_over",
    "next_slice",
    "next_wake_ns",
    "parse",
    "parse_replace",
]

STRATEGIES: Mapping[str, Strategy] = {"sweep": sweep, "twap": twap}


def parse(command: NewParent, now_ns: int) -> dict[str, int | float]:
    """The parameters of a new order; ValueError, with what was expected, for anything that the strategy can't do."""
    strategy = STRATEGIES.get(command.strategy)
    if strategy is None:
        raise ValueError(f"unknown strategy {command.strategy!r}: expected {', '.join(STRATEGIES)}")
    if command.ord_type not in strategy.ORD_TYPES:
        expected = ", ".join(strategy.ORD_TYPES)
        raise ValueError(f"OrdType(40) {command.ord_type}: {command.strategy} expects {expected}")
    if command.time_in_force not in strategy.TIMES_IN_FORCE:
        expected = ", ".join(strategy.TIMES_IN_FORCE)
        raise ValueError(f"TimeInForce(59) {command.time_in_force}: {command.strategy} expects {expected}")
    return strategy.parse(convert(strategy.PARAMETERS, command.params), now_ns)


def parse_replace(command: ReplaceParent, parent: ParentOrder, now_ns: int) -> dict[str, int | float]:
    """The parameters after a replace: what the client sent over what it had, with the start where it was."""
    strategy = STRATEGIES[parent.accepted.strategy]
    kept = {p.name: str(parent.params[p.name]) for p in strategy.PARAMETERS if p.name in parent.params}
    params = strategy.parse(convert(strategy.PARAMETERS, kept | command.params), int(parent.params["start_ns"]))
    if params.get("end_ns", now_ns + 1) <= now_ns:
        raise ValueError(f"duration_s {params['duration_s']}: that end is already past")
    return params


def next_slice(parent: ParentOrder, open_qty: int, now_ns: int, lot_qty: int) -> Slice | None:
    return STRATEGIES[parent.accepted.strategy].next_slice(parent, open_qty, now_ns, lot_qty)


def next_wake_ns(parent: ParentOrder, now_ns: int) -> int | None:
    return STRATEGIES[parent.accepted.strategy].next_wake_ns(parent, now_ns)


def is_late(parent: ParentOrder, now_ns: int) -> bool:
    return STRATEGIES[parent.accepted.strategy].is_late(parent, now_ns)


def is_over(parent: ParentOrder, now_ns: int) -> bool:
    return STRATEGIES[parent.accepted.strategy].is_over(parent, now_ns)
