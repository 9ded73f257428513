"""Who may send orders, and in which words: one client is one FIX session of an EMS or OMS.

What a client may use is data. Its config says which accounts, order types and times in force are allowed, and with
which tags it names a strategy and its parameters; everything else in an order is refused with a reason.
"""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import msgspec

from domain.fields import WORKED_ORD_TYPES, WORKED_TIMES_IN_FORCE, ExecInst, OrderCapacity, OrdType, Side, TimeInForce
from fix.addresses import networks
from fix.credentials import Credential
from fix.directory import is_pattern
from gateway.dialect import DIALECTS

# All that the router can work; a config can only take away from it.
EXEC_INSTS = (
    ExecInst.NOT_HELD,
    ExecInst.POST_ONLY,
    ExecInst.MID_PRICE_PEG,
    ExecInst.MARKET_PEG,
    ExecInst.PRIMARY_PEG,
    ExecInst.REINSTATE_ON_TRADING_HALT,
    ExecInst.CANCEL_ON_TRADING_HALT,
)
SIDES = (Side.BUY, Side.SELL, Side.SELL_SHORT)
Name = Annotated[str, msgspec.Meta(min_length=1)]
Tag = Annotated[int, msgspec.Meta(ge=1)]


class ClientConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One client. ValueError, which msgspec reports with the path of the key, where the keys contradict each other.

    A client that can't send StrategyParametersGrp(957) names a tag for each parameter in `parameter_tags`, as in
    `{duration_s = 9101, slices = 9102}`.
    """

    name: Name  # the client's CompID; with * or ?, every client whose CompID is like that has a session of its own
    begin_string: str = "FIX.4.4"
    accounts: tuple[Name, ...] = ()  # that the client may trade for
    drop_copy: bool = False  # it sends nothing and gets a copy of every report on its accounts, whosever they are
    default_account: str = ""  # of an order without Account(1); "" where the client has to send it
    session: str = ""  # how to talk with it: one of the config's `sessions`; "" for what holds without any
    credentials: tuple[Credential, ...] = ()  # of which its Logon(A) needs one; (): it needs none
    allow: tuple[str, ...] = ()  # addresses and networks that it may come from; (): any
    max_sessions: Annotated[int, msgspec.Meta(ge=1)] = 100  # of a pattern
    on_disconnect: Literal["work", "cancel"] = "work"
    disconnect_grace_s: Annotated[float, msgspec.Meta(ge=0)] = 10.0  # before its orders are canceled, if they are
    strategy_tag: Tag = 847  # TargetStrategy
    parameter_tags: dict[Name, Tag] = {}
    # TargetStrategy(847) is an int in FIX 4.4, and 1000 upwards is for the two sides to agree on. A value that is not
    # here is taken as the strategy's name.
    strategy_codes: dict[str, str] = msgspec.field(default_factory=lambda: {"1000": "sweep", "1001": "twap"})
    default_strategy: Name = "sweep"
    ord_types: tuple[OrdType, ...] = (OrdType.MARKET, OrdType.LIMIT)
    time_in_forces: tuple[TimeInForce, ...] = (TimeInForce.DAY, TimeInForce.IMMEDIATE_OR_CANCEL)
    sides: tuple[Side, ...] = SIDES
    exec_insts: tuple[ExecInst, ...] = (ExecInst.NOT_HELD,)
    order_capacities: tuple[OrderCapacity, ...] = tuple(OrderCapacity)
    min_qty: bool = False  # whether it may send MinQty(110)
    display_qty: bool = False  # whether it may send MaxFloor(111), DisplayQty(1138)
    locate_required: bool = False  # whether its short sales have to say LocateReqd(114)
    time_zone: str = "UTC"  # in which its ExpireDate(432) ends

    def __post_init__(self) -> None:
        if self.begin_string not in DIALECTS:
            raise ValueError(f"begin_string {self.begin_string!r} is none of {', '.join(DIALECTS)}")
        networks(self.allow)
        if not self.accounts:
            raise ValueError(f"accounts of client {self.name!r} is empty: it could not send any order")
        if self.default_account and self.default_account not in self.accounts:
            raise ValueError(f"default_account {self.default_account!r} is none of {', '.join(self.accounts)}")
        for key, allowed, built in (
            ("ord_types", self.ord_types, WORKED_ORD_TYPES),
            ("time_in_forces", self.time_in_forces, WORKED_TIMES_IN_FORCE),
            ("exec_insts", self.exec_insts, EXEC_INSTS),
            ("sides", self.sides, SIDES),
        ):
            if unknown := [item.value for item in allowed if item not in built]:
                raise ValueError(f"{key} {unknown[0]!r} is none that the router works: {', '.join(built)}")
        try:
            ZoneInfo(self.time_zone)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"time_zone {self.time_zone!r} is no time zone such as 'America/New_York'") from None
        tags = [self.strategy_tag, *self.parameter_tags.values()]
        if len(set(tags)) < len(tags):
            raise ValueError(f"a tag is used twice: strategy_tag {self.strategy_tag}, parameter_tags {tags[1:]}")

    @property
    def is_template(self) -> bool:
        return is_pattern(self.name)


def client_named(clients: Iterable[ClientConfig], name: str) -> ClientConfig | None:
    """The client's own config, or else that of the first pattern that it matches, in its name."""
    clients = tuple(clients)
    for client in clients:
        if client.name == name:
            return client
    for client in clients:
        if client.is_template and fnmatchcase(name, client.name):
            return msgspec.structs.replace(client, name=name)
    return None
