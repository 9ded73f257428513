"""A venue as its operator describes it: where it is, how it is connected, what it costs.

The router sees only `terms()`: how a venue is reached must not change a decision.
"""

from decimal import Decimal, InvalidOperation
from typing import Annotated, Literal

import msgspec

from domain.fields import TimeInForce, TradingStatus, VenueKind
from domain.instruments import VenueTerms
from domain.prices import PX_SCALE
from fix.tls import ConnectorTls

AUCTIONS = (TimeInForce.AT_THE_OPENING, TimeInForce.AT_THE_CLOSE)
Name = Annotated[str, msgspec.Meta(min_length=1)]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]


class VenueConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One venue, with a session for orders and one for market data. ValueError where a fee is no decimal number.

    Fees are currency units a share as text ("0.0030"), because a float of TOML has already lost what was written; a
    negative one is a rebate. An empty CompID is filled in: the venue's name, and that with MD for its market data.
    """

    name: Name
    kind: VenueKind
    mic: Annotated[str, msgspec.Meta(min_length=4, max_length=4)]  # LastMkt(30), ISO 10383
    host: Name
    port: Port
    maker_fee: str = "0"
    taker_fee: str = "0"
    min_qty: Annotated[int, msgspec.Meta(ge=1)] = 1
    fill_prior: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.3
    symbols: tuple[Name, ...] = ()  # empty: all of them
    auctions: tuple[TimeInForce, ...] = ()
    has_icebergs: bool = False
    has_min_qty: bool = False
    can_replace: bool = False
    can_mass_cancel: bool = False  # OrderMassCancelRequest(q), for the kill switch
    rfq: bool = False
    takes_quotes_by: Literal["order", "response"] = "order"  # QuoteID(117) on an order, or QuoteResponse(AJ)
    status_requests: tuple[Literal["security", "session"], ...] = ()  # what it is asked for after a logon
    status_codes: dict[Name, TradingStatus] = {}  # where it means something of its own by a code
    sender_comp_id: Name = "FAIRLEAD"
    target_comp_id: str = ""
    md_target_comp_id: str = ""
    begin_string: Literal["FIX.4.2", "FIX.4.4", "FIXT.1.1"] = "FIX.4.4"  # FIXT.1.1 carries FIX.5.0SP2
    session: str = ""  # how to talk with it: one of the config's `sessions`; "" for what holds without any
    fallbacks: tuple[str, ...] = ()  # HOST:PORT of other addresses, tried in turn
    username: str = ""
    password_file: str = ""
    tls: ConnectorTls | None = None
    enabled: bool = True

    def __post_init__(self) -> None:
        _fee_px("maker_fee", self.maker_fee)
        _fee_px("taker_fee", self.taker_fee)
        if other := [item.value for item in self.auctions if item not in AUCTIONS]:
            raise ValueError(f"auctions {other[0]!r} is neither '2', opening, nor '7', closing")
        _ = self.addresses
        if not self.target_comp_id:
            msgspec.structs.force_setattr(self, "target_comp_id", self.name)
        if not self.md_target_comp_id:
            msgspec.structs.force_setattr(self, "md_target_comp_id", f"{self.name}MD")

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """In the order in which they are tried."""
        found = [(self.host, self.port)]
        for text in self.fallbacks:
            host, _, port = text.rpartition(":")
            if not host or not port.isdecimal() or not 0 < int(port) < 65536:
                raise ValueError(f"fallbacks {text!r} is not HOST:PORT")
            found.append((host.strip("[]"), int(port)))
        return found

    def terms(self) -> VenueTerms:
        return VenueTerms(
            name=self.name,
            kind=self.kind,
            mic=self.mic,
            maker_fee_px=_fee_px("maker_fee", self.maker_fee),
            taker_fee_px=_fee_px("taker_fee", self.taker_fee),
            min_qty=self.min_qty,
            fill_prior=self.fill_prior,
            symbols=self.symbols,
            auctions=self.auctions,
            has_icebergs=self.has_icebergs,
            has_min_qty=self.has_min_qty,
            can_replace=self.can_replace,
            rfq=self.rfq,
        )


def _fee_px(key: str, text: str) -> float:
    """Px a share: "0.0030" -> 30.0."""
    try:
        fee = Decimal(text)
    except InvalidOperation:
        raise ValueError(f'{key} {text!r} is not a decimal number such as "0.0030"') from None
    if not fee.is_finite() or abs(fee) >= 1:
        raise ValueError(f"{key} {text!r} is not between -1 and 1 currency unit a share")
    return float(fee * PX_SCALE)
