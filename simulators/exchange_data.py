"""Market data of one simulated venue: what its subscriber is told of the market's updates.

A lit venue sends a snapshot of each book and then its changes, a dark one its prints, a dealer a stream of quotes. All
that happens at one instant goes into one message, so that nobody sees half of a trade.
"""

from collections.abc import Iterable

import msgspec

from domain.fields import Side
from domain.market import AuctionIndicated, BookSnapshot, DealerQuoted, LevelChange, MarketUpdate, TradePrinted
from fix.market_messages import (
    MarketDataIncrementalRefresh,
    MarketDataRequest,
    MarketDataRequestReject,
    MarketDataSnapshotFullRefresh,
    MdEntry,
    Quote,
)

SNAPSHOT, SUBSCRIBE, UNSUBSCRIBE = "0", "1", "2"  # SubscriptionRequestType(263)
_UNKNOWN_SYMBOL, _DUPLICATE_MD_REQ_ID, _UNSUPPORTED_REQUEST = "0", "1", "4"  # MDReqRejReason(281)
_BID, _OFFER, _TRADE = "0", "1", "2"  # MDEntryType(269)
_IMBALANCE, _CLEARING_PRICE = "A", "Q"  # the second since FIX.5.0; venues use it with earlier versions too
_MORE_BUYERS, _MORE_SELLERS = "P", "Q"  # TradeCondition(277)
_NEW, _CHANGE, _DELETE = "0", "1", "2"  # MDUpdateAction(279)
_ENTRY_TYPE = {Side.BUY: _BID, Side.SELL: _OFFER}
_AGGRESSOR = {None: "", Side.BUY: "1", Side.SELL: "2", Side.SELL_SHORT: "2"}  # TradeCondition(277), by agreement

DataMessage = MarketDataSnapshotFullRefresh | MarketDataIncrementalRefresh | Quote | MarketDataRequestReject


class Subscription:
    """One MarketDataRequest(V) under way. `shown` are the price levels that the subscriber knows."""

    __slots__ = ("has_auctions", "is_alive", "md_req_id", "shown", "symbols")

    def __init__(self, md_req_id: str, symbols: frozenset[str], entry_types: Iterable[str] = ()) -> None:
        self.has_auctions = _CLEARING_PRICE in entry_types  # asked for what auctions would do
        self.md_req_id = md_req_id
        self.symbols = symbols
        self.shown: set[tuple[str, str, int]] = set()
        self.is_alive = True  # what is on its way when a subscription ends is not sent

    def snapshot(self, update: MarketUpdate) -> DataMessage | None:
        """What a new subscriber is told first; None where there is nothing to tell."""
        if isinstance(update, DealerQuoted):
            return quote(update)
        assert isinstance(update, BookSnapshot)
        entries = [MdEntry(md_entry_type=_BID, md_entry_px=px, md_entry_size=qty) for px, qty in update.bids]
        entries += [MdEntry(md_entry_type=_OFFER, md_entry_px=px, md_entry_size=qty) for px, qty in update.asks]
        self.shown.update((update.symbol, entry.md_entry_type, entry.md_entry_px) for entry in entries)
        if not entries:
            return None
        return MarketDataSnapshotFullRefresh(md_req_id=self.md_req_id, symbol=update.symbol, entries=tuple(entries))

    def changes(self, updates: Iterable[MarketUpdate]) -> list[DataMessage]:
        """The updates of one instant, in one incremental refresh; each quote is a message of its own."""
        messages: list[DataMessage] = []
        entries: list[MdEntry] = []
        for update in updates:
            if update.symbol not in self.symbols:
                continue
            if isinstance(update, DealerQuoted):
                messages.append(quote(update))
            elif isinstance(update, LevelChange):
                entries.append(self._level(update))
            elif isinstance(update, TradePrinted):
                entries.append(_trade(update))
            elif isinstance(update, AuctionIndicated):
                entries += _indicated(update) if self.has_auctions else ()
            elif (snapshot := self.snapshot(update)) is not None:
                messages.append(snapshot)
        if entries:
            messages.append(MarketDataIncrementalRefresh(md_req_id=self.md_req_id, entries=tuple(entries)))
        return messages

    def news(self, updates: Iterable[MarketUpdate]) -> list[MarketUpdate]:
        """Without levels that came and went while nothing was shown."""
        shown = self.shown
        return [
            update
            for update in updates
            if not isinstance(update, LevelChange)
            or update.qty
            or (update.symbol, _ENTRY_TYPE[update.side], update.px) in shown
        ]

    def _level(self, update: LevelChange) -> MdEntry:
        entry_type = _ENTRY_TYPE[update.side]
        level = (update.symbol, entry_type, update.px)
        if not update.qty:
            self.shown.discard(level)
            action = _DELETE
        elif level in self.shown:
            action = _CHANGE
        else:
            self.shown.add(level)
            action = _NEW
        return MdEntry(
            md_entry_type=entry_type,
            md_entry_px=update.px,
            md_entry_size=update.qty,
            symbol=update.symbol,
            md_update_action=action,
        )


def crossed(update: MarketUpdate, by_px: int) -> MarketUpdate:
    """What a venue showed, with its best bid moved `by_px` above its best offer."""
    replace = msgspec.structs.replace
    if isinstance(update, DealerQuoted) and update.ask_px:
        return replace(update, bid_px=update.ask_px + by_px)
    if isinstance(update, BookSnapshot) and update.bids and update.asks:
        return replace(update, bids=((update.asks[0][0] + by_px, update.bids[0][1]), *update.bids[1:]))
    return update


def refusal(
    message: MarketDataRequest, symbols: frozenset[str], subscriptions: dict[str, Subscription]
) -> MarketDataRequestReject | None:
    """Why a request can't be served, or None."""
    kind, md_req_id = message.subscription_request_type, message.md_req_id
    unknown = [symbol for symbol in message.symbols if symbol not in symbols]
    if kind not in (SNAPSHOT, SUBSCRIBE, UNSUBSCRIBE):
        reason, text = _UNSUPPORTED_REQUEST, f"SubscriptionRequestType(263) {kind!r} is not 0, 1 or 2"
    elif unknown:
        reason, text = _UNKNOWN_SYMBOL, f"symbol {unknown[0]!r} is not traded here"
    elif kind == SUBSCRIBE and md_req_id in subscriptions:
        reason, text = _DUPLICATE_MD_REQ_ID, f"MDReqID(262) {md_req_id!r} is in use"
    else:
        return None
    return MarketDataRequestReject(md_req_id=md_req_id, md_req_rej_reason=reason, text=text)


def _trade(update: TradePrinted) -> MdEntry:
    return MdEntry(
        md_entry_type=_TRADE,
        md_entry_px=update.px,
        md_entry_size=update.qty,
        symbol=update.symbol,
        md_update_action=_NEW,
        trade_condition=_AGGRESSOR[update.aggressor],
    )


def _indicated(update: AuctionIndicated) -> tuple[MdEntry, MdEntry]:
    """The price with the shares that would trade at it, and the imbalance with its side in TradeCondition(277)."""
    imbalance_qty = update.imbalance_qty or 0
    symbol = update.symbol
    return (
        MdEntry(_CLEARING_PRICE, update.px or 0, update.paired_qty or 0, symbol, _NEW),
        MdEntry(
            md_entry_type=_IMBALANCE,
            md_entry_size=abs(imbalance_qty),
            symbol=symbol,
            md_update_action=_NEW,
            trade_condition=(_MORE_BUYERS if imbalance_qty > 0 else _MORE_SELLERS) if imbalance_qty else "",
        ),
    )


def quote(update: DealerQuoted) -> Quote:
    """What a client is told of a quote, streamed or made on request."""
    return Quote(
        quote_id=update.quote_id,
        symbol=update.symbol,
        bid_px=update.bid_px,
        offer_px=update.ask_px,
        bid_size=update.bid_qty,
        offer_size=update.ask_qty,
        valid_until_time_ns=update.valid_until_ns,
        quote_req_id=update.quote_req_id,
    )
