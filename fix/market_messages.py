"""The messages around orders: market data, quotes and requests for them, and whether a market trades at all.

As in `fix.messages`, which has the codec for them: prices are Px, quantities shares, times UTC ns, and a default means
"not sent". Codes that only a venue's terms can explain are kept as the text that came.
"""

from typing import ClassVar

import msgspec

from domain.fields import OrdType, Side


class MarketDataRequest(msgspec.Struct, frozen=True, gc=False):
    """`subscription_request_type`: "0" snapshot, "1" snapshot and updates, "2" unsubscribe. `market_depth`: 0 full."""

    MSG_TYPE: ClassVar[str] = "V"
    md_req_id: str
    subscription_request_type: str
    market_depth: int
    md_entry_types: tuple[str, ...]
    symbols: tuple[str, ...]
    md_update_type: str = ""


class MdEntry(msgspec.Struct, frozen=True, gc=False):
    """`md_entry_type`: "0" bid, "1" offer, "2" trade. `md_update_action`: "0" new, "1" change, "2" delete (only in X).

    `trade_condition`: "1" or "2", the Side(54) that took, where the venue says so. FIX has no field for the aggressor
    before 5.0 SP2; TradeCondition(277) takes values by agreement.
    """

    md_entry_type: str
    md_entry_px: int = 0
    md_entry_size: int = 0
    symbol: str = ""
    md_update_action: str = ""
    md_entry_id: str = ""
    trade_condition: str = ""
    text: str = ""


class MarketDataSnapshotFullRefresh(msgspec.Struct, frozen=True, gc=False):
    MSG_TYPE: ClassVar[str] = "W"
    symbol: str
    entries: tuple[MdEntry, ...]
    md_req_id: str = ""


class MarketDataIncrementalRefresh(msgspec.Struct, frozen=True, gc=False):
    MSG_TYPE: ClassVar[str] = "X"
    entries: tuple[MdEntry, ...]
    md_req_id: str = ""


class MarketDataRequestReject(msgspec.Struct, frozen=True, gc=False):
    MSG_TYPE: ClassVar[str] = "Y"
    md_req_id: str
    md_req_rej_reason: str = ""
    text: str = ""


class Quote(msgspec.Struct, frozen=True, gc=False):
    MSG_TYPE: ClassVar[str] = "S"
    quote_id: str
    symbol: str
    bid_px: int = 0
    offer_px: int = 0
    bid_size: int = 0
    offer_size: int = 0
    valid_until_time_ns: int = 0
    quote_req_id: str = ""
    transact_time_ns: int = 0


class QuoteRequestEntry(msgspec.Struct, frozen=True, gc=False):
    """One symbol of a QuoteRequest(R); FIX.4.4 calls the group QuotReqGrp. Without a side both are asked for."""

    symbol: str
    side: Side | None = None
    order_qty: int = 0
    account: str = ""


class QuoteRequest(msgspec.Struct, frozen=True, gc=False):
    MSG_TYPE: ClassVar[str] = "R"
    quote_req_id: str
    related: tuple[QuoteRequestEntry, ...]


class QuoteRequestReject(msgspec.Struct, frozen=True, gc=False):
    """FIX.4.2 has none: a dealer there answers with a QuoteAcknowledgement(b) that names the request."""

    MSG_TYPE: ClassVar[str] = "AG"
    quote_req_id: str
    quote_request_reject_reason: str  # "1" unknown symbol, "2" closed, "3" too much, "99" other...
    related: tuple[QuoteRequestEntry, ...]
    text: str = ""


class QuoteCancelEntry(msgspec.Struct, frozen=True, gc=False):
    symbol: str


class QuoteCancel(msgspec.Struct, frozen=True, gc=False):
    """`quote_cancel_type`: "1" for the symbols named, "4" all quotes. `quote_id` "*" where no single quote is meant."""

    MSG_TYPE: ClassVar[str] = "Z"
    quote_id: str
    quote_cancel_type: str
    quote_entries: tuple[QuoteCancelEntry, ...] = ()
    quote_req_id: str = ""


class QuoteResponse(msgspec.Struct, frozen=True, gc=False):
    """`quote_resp_type`: "1" hit or lift, which is an order on the quote. From FIX.4.4 on."""

    MSG_TYPE: ClassVar[str] = "AJ"
    quote_resp_id: str
    quote_resp_type: str
    symbol: str
    side: Side
    order_qty: int
    cl_ord_id: str = ""
    quote_id: str = ""
    account: str = ""
    ord_type: OrdType | None = None
    price: int = 0
    transact_time_ns: int = 0


class TradingSessionStatusRequest(msgspec.Struct, frozen=True, gc=False):
    MSG_TYPE: ClassVar[str] = "g"
    trad_ses_req_id: str
    subscription_request_type: str
    trading_session_id: str = ""


class TradingSessionStatus(msgspec.Struct, frozen=True, gc=False):
    """`trad_ses_status`: "1" halted, "2" open, "3" closed, "4" pre-open, "5" pre-close."""

    MSG_TYPE: ClassVar[str] = "h"
    trading_session_id: str
    trad_ses_status: str
    trad_ses_req_id: str = ""
    text: str = ""


class SecurityStatusRequest(msgspec.Struct, frozen=True, gc=False):
    MSG_TYPE: ClassVar[str] = "e"
    security_status_req_id: str
    symbol: str
    subscription_request_type: str
    trading_session_id: str = ""


class SecurityStatus(msgspec.Struct, frozen=True, gc=False):
    """`security_trading_status`: "2" halt, "3" resume, "17" ready to trade, "18" not available, "21" pre-open..."""

    MSG_TYPE: ClassVar[str] = "f"
    symbol: str
    security_status_req_id: str = ""
    trading_session_id: str = ""
    security_trading_status: str = ""
    text: str = ""
