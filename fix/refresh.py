"""MarketDataIncrementalRefresh(X) of FIX.4.4 as it nearly always is, written out by hand.

Market data is most of what a venue sends, thousands of messages a second of one kind. The encoder made from the
dictionary asks of each field whether it is there; here only what may really be missing is looked at, and a message that
is anything else goes to the one from the dictionary. The bytes are the same.
"""

from fix.codec import Encoder
from fix.market_messages import MarketDataIncrementalRefresh
from fix.values import write_px


def encode_refresh(otherwise: Encoder, message: MarketDataIncrementalRefresh) -> bytes:
    """The fields after the header. `otherwise` writes what is unusual, and says why something can't be sent."""
    entries = message.entries
    text = f"262={message.md_req_id}\x01268={len(entries)}\x01"
    count = 2
    for entry in entries:
        action, symbol, px, size = entry.md_update_action, entry.symbol, entry.md_entry_px, entry.md_entry_size
        if not (action and symbol and px) or entry.md_entry_id or entry.text:
            return otherwise(message)
        text += f"279={action}\x01269={entry.md_entry_type}\x0155={symbol}\x01270={write_px(px)}\x01"
        count += 4
        if size:
            text += f"271={size}\x01"
            count += 1
        if entry.trade_condition:
            text += f"277={entry.trade_condition}\x01"
            count += 1
    if not (message.md_req_id and entries) or text.count("\x01") != count or "=\x01" in text:
        return otherwise(message)
    return text.encode("latin-1", "replace")
