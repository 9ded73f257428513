"""Market data: what a venue or a dealer shows becomes updates of the market view.

This is the hottest way into the process, so it reads the fields of the message itself and builds nothing in between.
A bad entry raises FieldError and the whole message counts for nothing: half an update would leave a book that never
was.
"""

from domain.fields import Side
from domain.market import AuctionIndicated, BookSnapshot, DealerQuoted, LevelChange, MarketUpdate, TradePrinted
from fix.errors import FieldError, SessionRejectReason
from fix.market_messages import MarketDataRequest
from fix.message import Message
from fix.values import read_px, read_qty, read_timestamp

SNAPSHOT_AND_UPDATES = "1"  # SubscriptionRequestType(263)
FULL_BOOK = 0  # MarketDepth(264)
INCREMENTAL = "1"  # MDUpdateType(265)
BID, OFFER, TRADE = "0", "1", "2"  # MDEntryType(269)
IMBALANCE, CLEARING_PRICE = "A", "Q"
MORE_SELLERS = "Q"  # TradeCondition(277) of an imbalance; "P" is more buyers
NEW, CHANGE, DELETE = "0", "1", "2"  # MDUpdateAction(279)
SIDES = {BID: Side.BUY, OFFER: Side.SELL}
AGGRESSORS = {"": None, "1": Side.BUY, "2": Side.SELL}  # TradeCondition(277), as the venues here use it

# A streamed quote is replaced many times a second: one that names no end is believed for this long.
QUOTE_LIFE_NS = 1_000_000_000
NAMES = {
    55: "Symbol",
    62: "ValidUntilTime",
    117: "QuoteID",
    132: "BidPx",
    133: "OfferPx",
    134: "BidSize",
    135: "OfferSize",
    269: "MDEntryType",
    270: "MDEntryPx",
    271: "MDEntrySize",
    277: "TradeCondition",
    279: "MDUpdateAction",
}

# NoMDEntries(268) and what is read of an entry: MDEntryType, Symbol, MDEntryPx, MDEntrySize, MDUpdateAction and
# TradeCondition.
_CHANGE_ROW = ("268", "269", "55", "270", "271", "279", "277")
_LEVEL_ROW = _CHANGE_ROW[:2] + _CHANGE_ROW[3:5]


def subscription(symbols: tuple[str, ...], md_req_id: str, auctions: bool = False) -> MarketDataRequest:
    """Books, quotes and trades of `symbols`: all there is now, and from then on what changes.

    With `auctions` also what an auction would do: not every venue knows what that is.
    """
    return MarketDataRequest(
        md_req_id=md_req_id,
        subscription_request_type=SNAPSHOT_AND_UPDATES,
        market_depth=FULL_BOOK,
        md_update_type=INCREMENTAL,
        md_entry_types=(BID, OFFER, TRADE, IMBALANCE, CLEARING_PRICE) if auctions else (BID, OFFER, TRADE),
        symbols=symbols,
    )


def to_updates(message: Message, venue: str, now_ns: int) -> list[MarketUpdate]:
    """The updates in a MarketDataIncrementalRefresh(X), -SnapshotFullRefresh(W), Quote(S), QuoteCancel(Z); else []."""
    match message.msg_type:
        case "X":
            return [_change(row, venue) for row in message.rows(_CHANGE_ROW)]
        case "W":
            return [_snapshot(message, venue)]
        case "S":
            return [_quote(message, venue, now_ns)]
        case "Z":
            return _withdrawals(message, venue, now_ns)
    return []


def _change(row: tuple[str, ...], venue: str) -> MarketUpdate:
    entry_type, symbol, px_text, qty_text, action, condition = row
    if not symbol:
        raise _missing(55)
    side = SIDES.get(entry_type)
    if entry_type == IMBALANCE:
        more_qty = _qty(qty_text or "0", 271)
        return AuctionIndicated(venue, symbol, imbalance_qty=-more_qty if condition == MORE_SELLERS else more_qty)
    px = _px(px_text, 270)
    if side is not None:
        if action == DELETE:
            return LevelChange(venue, symbol, side, px, 0)
        if action not in (NEW, CHANGE):
            raise _incorrect(279, action)
        return LevelChange(venue, symbol, side, px, _qty(qty_text, 271))
    if entry_type == CLEARING_PRICE:
        return AuctionIndicated(venue, symbol, px, _qty(qty_text or "0", 271))
    if entry_type != TRADE:
        raise _incorrect(269, entry_type)
    if condition not in AGGRESSORS:
        raise _incorrect(277, condition)
    return TradePrinted(venue, symbol, px, _qty(qty_text, 271), AGGRESSORS[condition])


def _snapshot(message: Message, venue: str) -> BookSnapshot:
    """The book alone: a trade in a snapshot is one that was printed before."""
    symbol = message.get(55)
    if not symbol:
        raise _missing(55)
    levels: dict[str, list[tuple[int, int]]] = {BID: [], OFFER: [], TRADE: []}
    for entry_type, px, qty in message.rows(_LEVEL_ROW):
        if entry_type not in levels:
            raise _incorrect(269, entry_type)
        levels[entry_type].append((_px(px, 270), _qty(qty, 271)))
    return BookSnapshot(venue, symbol, tuple(sorted(levels[BID], reverse=True)), tuple(sorted(levels[OFFER])))


def _quote(message: Message, venue: str, now_ns: int) -> DealerQuoted:
    """A side without a price or a size is not quoted."""
    symbol, quote_id, valid_until = message.get(55), message.get(117), message.get(62)
    if not symbol:
        raise _missing(55)
    if not quote_id:
        raise _missing(117)
    try:
        valid_until_ns = read_timestamp(valid_until) if valid_until else now_ns + QUOTE_LIFE_NS
    except ValueError:
        raise _malformed(62, valid_until, "a UTC timestamp") from None
    bid_px, bid_qty = _quoted(message, 132, 134)
    ask_px, ask_qty = _quoted(message, 133, 135)
    req_id = message.get(131) or ""
    return DealerQuoted(venue, symbol, quote_id, bid_px, bid_qty, ask_px, ask_qty, valid_until_ns, req_id)


def _withdrawals(message: Message, venue: str, now_ns: int) -> list[MarketUpdate]:
    """A QuoteCancel(Z) of what a dealer streams for the symbols that it names."""
    if message.get(131):
        return []  # of the answer to a request, which is no market data
    symbols = [entry.get("55", "") for entry in message.entries(295)]
    return [DealerQuoted(venue, symbol, message.get(117) or "*", 0, 0, 0, 0, now_ns) for symbol in symbols if symbol]


def _quoted(message: Message, px_tag: int, qty_tag: int) -> tuple[int, int]:
    px = _px(message.get(px_tag) or "0", px_tag)
    qty = _qty(message.get(qty_tag) or "0", qty_tag)
    return (px, qty) if px and qty else (0, 0)


def _px(text: str, tag: int) -> int:
    if not text:
        raise _missing(tag)
    try:
        px = read_px(text)
    except ValueError:
        raise _malformed(tag, text, "a price with at most 4 decimals") from None
    if px < 0:
        raise _incorrect(tag, text)
    return px


def _qty(text: str, tag: int) -> int:
    if not text:
        raise _missing(tag)
    try:
        return read_qty(text)
    except ValueError:
        raise _malformed(tag, text, "a whole number of shares, 0 or above") from None


def _missing(tag: int) -> FieldError:
    return FieldError(tag, None, SessionRejectReason.REQUIRED_TAG_MISSING, f"{NAMES[tag]}({tag}) is missing")


def _malformed(tag: int, value: str | None, expected: str) -> FieldError:
    text = f"{NAMES[tag]}({tag})={value} is not {expected}"
    return FieldError(tag, value, SessionRejectReason.INCORRECT_DATA_FORMAT, text)


def _incorrect(tag: int, value: str) -> FieldError:
    if not value:
        return _missing(tag)
    text = f"{NAMES[tag]}({tag})={value} is not one of the values understood here"
    return FieldError(tag, value, SessionRejectReason.VALUE_INCORRECT, text)
