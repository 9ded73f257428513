"""Whether a venue trades, and whether a dealer quotes when asked.

TradingSessionStatus(h) and SecurityStatus(f) become one word of our own for each symbol.

The codes are the specification's; a venue that uses one of them in its own way says so in its config. A code that only
informs (an imbalance, a price indication, a fast market) changes nothing.
"""

from collections.abc import Mapping

from domain.facts import QuoteRefused, TradingStatusChanged
from domain.fields import TradingStatus
from fix.market_messages import SecurityStatusRequest, TradingSessionStatusRequest
from fix.message import Message

SNAPSHOT_AND_UPDATES = "1"  # SubscriptionRequestType(263)
REJECTED = "5"  # QuoteStatus(297)
SECURITY, SESSION = "security", "session"  # what may be asked for
# TradSesStatus(340). Before the opening and the close orders are taken and crossed later.
SESSION_CODES = {
    "1": TradingStatus.HALTED,
    "2": TradingStatus.OPEN,
    "3": TradingStatus.CLOSED,
    "4": TradingStatus.AUCTION,
    "5": TradingStatus.AUCTION,
}
SECURITY_CODES = {  # SecurityTradingStatus(326)
    "1": TradingStatus.HALTED,  # opening delay
    "2": TradingStatus.HALTED,
    "3": TradingStatus.OPEN,  # resume
    "4": TradingStatus.HALTED,  # no open, no resume
    "17": TradingStatus.OPEN,  # ready to trade
    "18": TradingStatus.CLOSED,  # not available
    "19": TradingStatus.CLOSED,  # not traded on this market
    "21": TradingStatus.AUCTION,  # pre-open
    "22": TradingStatus.AUCTION,  # opening rotation
    "24": TradingStatus.AUCTION,  # pre-cross
    "25": TradingStatus.AUCTION,  # cross
    "26": TradingStatus.CLOSED,  # post-close
    "27": TradingStatus.AUCTION,  # no cancels any more
}


def subscriptions(
    wanted: tuple[str, ...], symbols: tuple[str, ...], req_id: str
) -> list[TradingSessionStatusRequest | SecurityStatusRequest]:
    """What asks a venue for its status now and for each change of it; "session", "security" or both are `wanted`."""
    requests: list[TradingSessionStatusRequest | SecurityStatusRequest] = []
    if SESSION in wanted:
        requests.append(TradingSessionStatusRequest(f"{req_id}-session", SNAPSHOT_AND_UPDATES))
    if SECURITY in wanted:
        requests += [SecurityStatusRequest(f"{req_id}-{symbol}", symbol, SNAPSHOT_AND_UPDATES) for symbol in symbols]
    return requests


def quote_refusal(message: Message, venue: str, now_ns: int) -> QuoteRefused | None:
    """That there is no quote, or no longer one, for our request; None for other messages.

    QuoteRequestReject(AG), QuoteCancel(Z) that names the request, or the QuoteAcknowledgement(b) of FIX.4.2.
    """
    req_id, text = message.get(131), message.get(58)
    refused = message.msg_type == "b" and message.get(297) == REJECTED
    if not req_id or not (refused or message.msg_type in ("AG", "Z")):
        return None
    if message.msg_type == "Z":
        text = text or "withdrawn"
    text = text or f"reason {message.get(658) or message.get(300) or 'not given'}"
    return QuoteRefused(at_ns=now_ns, quote_req_id=req_id, venue=venue, text=text)


def status_change(
    message: Message, venue: str, own_codes: Mapping[str, TradingStatus], now_ns: int
) -> TradingStatusChanged | None:
    """The status in an h or f; None for one that only informs, and for other messages. Without Symbol(55): of all."""
    match message.msg_type:
        case "h":
            code, status = message.get(340) or "", SESSION_CODES.get(message.get(340) or "")
        case "f":
            code, status = message.get(326) or "", SECURITY_CODES.get(message.get(326) or "")
        case _:
            return None
    status = own_codes.get(code, status)
    if status is None:
        return None
    text = (
        message.get(58) or f"{'TradSesStatus(340)' if message.msg_type == 'h' else 'SecurityTradingStatus(326)'}={code}"
    )
    return TradingStatusChanged(at_ns=now_ns, venue=venue, symbol=message.get(55) or "", status=status, text=text)
