"""Enumerations whose values are the FIX codes, so that the wire and the journal say the same thing."""

from enum import StrEnum


class Side(StrEnum):
    """Side(54). What a client may use of it is in its config."""

    BUY = "1"
    SELL = "2"
    BUY_MINUS = "3"
    SELL_PLUS = "4"
    SELL_SHORT = "5"
    SELL_SHORT_EXEMPT = "6"
    UNDISCLOSED = "7"
    CROSS = "8"
    CROSS_SHORT = "9"
    CROSS_SHORT_EXEMPT = "A"
    AS_DEFINED = "B"
    OPPOSITE = "C"
    SUBSCRIBE = "D"
    REDEEM = "E"
    LEND = "F"
    BORROW = "G"

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell: cost = sign * (paid - reference)."""
        return 1 if self is Side.BUY else -1


class OrdType(StrEnum):
    """OrdType(40). What a client may use of it is in its config."""

    MARKET = "1"
    LIMIT = "2"
    STOP = "3"
    STOP_LIMIT = "4"
    MARKET_ON_CLOSE = "5"
    WITH_OR_WITHOUT = "6"
    LIMIT_OR_BETTER = "7"
    LIMIT_WITH_OR_WITHOUT = "8"
    ON_BASIS = "9"
    ON_CLOSE = "A"
    LIMIT_ON_CLOSE = "B"
    FOREX_MARKET = "C"
    PREVIOUSLY_QUOTED = "D"
    PREVIOUSLY_INDICATED = "E"
    FOREX_LIMIT = "F"
    FOREX_SWAP = "G"
    FOREX_PREVIOUSLY_QUOTED = "H"
    FUNARI = "I"
    MARKET_IF_TOUCHED = "J"
    MARKET_WITH_LEFT_OVER_AS_LIMIT = "K"
    PREVIOUS_FUND_VALUATION_POINT = "L"
    NEXT_FUND_VALUATION_POINT = "M"
    PEGGED = "P"
    COUNTER_ORDER_SELECTION = "Q"


class TimeInForce(StrEnum):
    """TimeInForce(59). What a client may use of it is in its config."""

    DAY = "0"
    GOOD_TILL_CANCEL = "1"
    AT_THE_OPENING = "2"
    IMMEDIATE_OR_CANCEL = "3"
    FILL_OR_KILL = "4"
    GOOD_TILL_CROSSING = "5"
    GOOD_TILL_DATE = "6"
    AT_THE_CLOSE = "7"
    GOOD_THROUGH_CROSSING = "8"
    AT_CROSSING = "9"


# What an order may ask for here; the rest is refused by name.
WORKED_ORD_TYPES = (
    OrdType.MARKET,
    OrdType.LIMIT,
    OrdType.STOP,
    OrdType.STOP_LIMIT,
    OrdType.MARKET_ON_CLOSE,
    OrdType.LIMIT_ON_CLOSE,
    OrdType.PEGGED,
)
WORKED_TIMES_IN_FORCE = (
    TimeInForce.DAY,
    TimeInForce.GOOD_TILL_CANCEL,
    TimeInForce.AT_THE_OPENING,
    TimeInForce.IMMEDIATE_OR_CANCEL,
    TimeInForce.FILL_OR_KILL,
    TimeInForce.GOOD_TILL_DATE,
    TimeInForce.AT_THE_CLOSE,
)


class ExecInst(StrEnum):
    """ExecInst(18). What a client may use of it is in its config."""

    NOT_HELD = "1"
    POST_ONLY = "6"  # participate, don't initiate
    ALL_OR_NONE = "G"
    REINSTATE_ON_TRADING_HALT = "J"
    CANCEL_ON_TRADING_HALT = "K"
    MID_PRICE_PEG = "M"
    MARKET_PEG = "P"
    PRIMARY_PEG = "R"


class OrderCapacity(StrEnum):
    """OrderCapacity(528)."""

    AGENCY = "A"
    INDIVIDUAL = "I"
    PRINCIPAL = "P"
    RISKLESS_PRINCIPAL = "R"


class TradingStatus(StrEnum):
    """Whether a venue trades a symbol: SecurityTradingStatus(326) and TradSesStatus(340) in our own words."""

    OPEN = "open"
    AUCTION = "auction"  # orders are taken and crossed later: opening, closing or volatility auction
    HALTED = "halted"
    CLOSED = "closed"


class ExecType(StrEnum):
    """ExecType(150) of FIX 4.4; FIX 4.2 says PARTIAL_FILL and FILL where 4.4 says TRADE."""

    NEW = "0"
    PARTIAL_FILL = "1"
    FILL = "2"
    DONE_FOR_DAY = "3"
    CANCELED = "4"
    REPLACED = "5"
    PENDING_CANCEL = "6"
    STOPPED = "7"
    REJECTED = "8"
    SUSPENDED = "9"
    PENDING_NEW = "A"
    CALCULATED = "B"
    EXPIRED = "C"
    RESTATED = "D"
    PENDING_REPLACE = "E"
    TRADE = "F"
    TRADE_CORRECT = "G"
    TRADE_CANCEL = "H"
    ORDER_STATUS = "I"
    TRIGGERED = "L"  # from FIX 5.0 on


class OrdStatus(StrEnum):
    """OrdStatus(39)."""

    NEW = "0"
    PARTIALLY_FILLED = "1"
    FILLED = "2"
    DONE_FOR_DAY = "3"
    CANCELED = "4"
    REPLACED = "5"
    PENDING_CANCEL = "6"
    STOPPED = "7"
    REJECTED = "8"
    SUSPENDED = "9"
    PENDING_NEW = "A"
    CALCULATED = "B"
    EXPIRED = "C"
    PENDING_REPLACE = "E"


class OrdRejReason(StrEnum):
    """OrdRejReason(103)."""

    BROKER_OPTION = "0"
    UNKNOWN_SYMBOL = "1"
    EXCHANGE_CLOSED = "2"
    ORDER_EXCEEDS_LIMIT = "3"
    TOO_LATE_TO_ENTER = "4"
    UNKNOWN_ORDER = "5"
    DUPLICATE_ORDER = "6"
    UNSUPPORTED_ORDER_CHARACTERISTIC = "11"
    INCORRECT_QUANTITY = "13"
    UNKNOWN_ACCOUNT = "15"
    OTHER = "99"


class ExecRestatementReason(StrEnum):
    """ExecRestatementReason(378): why an order changed or ended without its client having asked."""

    GT_RENEWAL = "1"
    VERBAL_CHANGE = "2"
    BROKER_OPTION = "4"
    PARTIAL_DECLINE = "5"
    TRADING_HALT = "6"  # from FIX 4.3 on, as the next one
    MARKET_OPTION = "8"


class CxlRejReason(StrEnum):
    """CxlRejReason(102)."""

    TOO_LATE = "0"
    UNKNOWN_ORDER = "1"
    BROKER_OPTION = "2"
    ALREADY_PENDING = "3"
    DUPLICATE_CL_ORD_ID = "6"
    OTHER = "99"


class CxlRejResponseTo(StrEnum):
    """CxlRejResponseTo(434)."""

    ORDER_CANCEL_REQUEST = "1"
    ORDER_CANCEL_REPLACE_REQUEST = "2"


class LastCapacity(StrEnum):
    """LastCapacity(29): as what we dealt."""

    AGENT = "1"
    PRINCIPAL = "4"


class LastLiquidityInd(StrEnum):
    """LastLiquidityInd(851)."""

    ADDED = "1"
    REMOVED = "2"
    ROUTED_OUT = "3"


class VenueKind(StrEnum):
    """How a venue trades; decides which candidates it offers and which connector speaks to it."""

    LIT = "lit"
    DARK = "dark"
    DEALER = "dealer"


class Action(StrEnum):
    """What a child order does at its venue."""

    POST = "post"  # join the queue at the near touch
    IMPROVE = "improve"  # a new best price, one tick inside the spread
    TAKE = "take"  # immediate-or-cancel against displayed size
    MID_PEG = "mid_peg"  # rest in the dark at the midpoint
    TAKE_QUOTE = "take_quote"  # a dealer's streamed quote
    AUCTION = "auction"  # into an opening or closing auction, as the client asked
