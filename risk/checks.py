"""The gate before every order: first the client's order as a whole, then each child before it leaves.

Each function returns None or the first Reject that applies, and looks without changing anything. It fails closed: an
unknown instrument or account, or a missing reference price, refuses. Amounts compare as exact integers; a value equal
to its limit passes. Cancels never come here. The controls are those that SEC rule 15c3-5 (c)(1) and MiFID II RTS 6
(article 15) ask for before an order enters a market.
"""

from domain.commands import NewParent, ReplaceParent
from domain.facts import ChildSubmitted
from domain.fields import Action, OrdRejReason, OrdType, Side, TimeInForce
from domain.instructions import Instructions
from domain.instruments import Instrument
from domain.orders import ChildOrder, ParentOrder
from domain.prices import PX_SCALE, px_to_text
from risk.exposure import Exposure
from risk.kill_switch import KillSwitch
from risk.limits import AccountLimits, RiskLimits
from risk.locates import Locates
from risk.rate import MessageRate
from risk.reject import Reject

# Orders whose limit has to be near a price of the market.
COLLARED = (OrdType.LIMIT, OrdType.STOP_LIMIT, OrdType.LIMIT_ON_CLOSE)


def check_parent(
    command: NewParent,
    instrument: Instrument | None,
    reference_mid2_px: int,
    now_ns: int,
    limits: RiskLimits,
    exposure: Exposure,
    kill_switch: KillSwitch,
    duplicate: bool,
    locates: Locates,
) -> Reject | None:
    """Whether a client's new order may be accepted. `reference_mid2_px` is twice the mid, 0 where there is none."""
    if duplicate:
        text = f"duplicate ClOrdID(11) {command.cl_ord_id}"
        return Reject("duplicate_order", text, OrdRejReason.DUPLICATE_ORDER)
    if instrument is None:
        return _unknown_symbol(command.symbol)
    return (
        kill_switch.blocks(
            client=command.client, account=command.account, strategy=command.strategy, symbol=command.symbol
        )
        or _check_market(instrument, now_ns, limits, before_hours=command.time_in_force is TimeInForce.AT_THE_OPENING)
        or _check_order(
            command,
            command.account,
            command.order_qty,
            instrument,
            reference_mid2_px,
            limits,
            exposure,
            command.instructions.stop_px,
        )
        or _check_short(
            command.side,
            command.instructions,
            command.account,
            command.symbol,
            command.order_qty,
            limits,
            locates,
            now_ns,
        )
    )


def check_replace(
    command: ReplaceParent,
    parent: ParentOrder,
    instrument: Instrument | None,
    reference_mid2_px: int,
    now_ns: int,
    limits: RiskLimits,
    exposure: Exposure,
    kill_switch: KillSwitch,
    locates: Locates,
    stop_px: int = 0,
) -> Reject | None:
    """Whether an order may become what a replace request asks for; only the shares that it adds ask for exposure.

    `stop_px` is its stop price then, 0 where it has none.
    """
    accepted = parent.accepted
    if instrument is None:
        return _unknown_symbol(accepted.symbol)
    added_qty = max(command.order_qty - parent.order_qty, 0)
    return (
        kill_switch.blocks(
            client=accepted.client, account=accepted.account, strategy=accepted.strategy, symbol=accepted.symbol
        )
        or _check_market(instrument, now_ns, limits)
        or _check_order(command, accepted.account, added_qty, instrument, reference_mid2_px, limits, exposure, stop_px)
        or _check_short(
            accepted.side,
            parent.instructions,
            accepted.account,
            accepted.symbol,
            added_qty,
            limits,
            locates,
            now_ns,
        )
    )


def check_child(
    child: ChildSubmitted,
    parent_leaves_unallocated: int,
    client: str,
    strategy: str,
    instrument: Instrument | None,
    reference_mid2_px: int,
    limits: RiskLimits,
    exposure: Exposure,
    rate: MessageRate,
    kill_switch: KillSwitch,
    now_ns: int,
) -> Reject | None:
    """Whether a child may leave the house.

    `parent_leaves_unallocated` is the parent's quantity less what is filled and less its open children: the shares that
    no other order accounts for.
    """
    qty = child.order_qty
    if qty > parent_leaves_unallocated:
        text = f"conservation: order_qty {qty} exceeds the parent's unallocated {parent_leaves_unallocated}"
        return Reject("conservation", text, OrdRejReason.INCORRECT_QUANTITY)
    if instrument is None:
        return _unknown_symbol(child.symbol)
    if qty > limits.max_child_qty:
        return _exceeded("max_child_qty", limits.max_child_qty, f"order_qty {qty}")
    allowed = limits.messages_per_second(child.venue)
    if rate.count(child.venue, now_ns) >= allowed:
        return _exceeded("max_messages_per_second", allowed, f"venue {child.venue} already got {allowed}")
    account = limits.accounts.get(child.account)
    if account is None:
        return _unknown_account(child.account)
    # What is left of a whole-lot order after odd fills can't be a whole lot: it may leave only as the last of it.
    lot_qty = 1 if qty == parent_leaves_unallocated else instrument.lot_qty
    tick_px = 1 if child.action is Action.MID_PEG else instrument.tick_px
    return (
        kill_switch.blocks(
            client=client, account=child.account, venue=child.venue, strategy=strategy, symbol=child.symbol
        )
        or _check_market(instrument, now_ns, limits, before_hours=child.action is Action.AUCTION)
        or _check_quantity(qty, lot_qty)
        or _check_px(child.px, tick_px, reference_mid2_px, limits.price_collar_bps)
        or _check_notional(qty * child.px, limits, account)
        or _check_exposure(child.account, child.symbol, child.side, qty, child.px, limits, account, exposure)
    )


def check_reprice(
    child: ChildOrder,
    px: int,
    instrument: Instrument | None,
    reference_mid2_px: int,
    limits: RiskLimits,
    rate: MessageRate,
    now_ns: int,
) -> Reject | None:
    """Whether a resting child may be moved to another price; its quantity stays what was checked before."""
    order = child.submitted
    if instrument is None:
        return _unknown_symbol(order.symbol)
    allowed = limits.messages_per_second(order.venue)
    if rate.count(order.venue, now_ns) >= allowed:
        return _exceeded("max_messages_per_second", allowed, f"venue {order.venue} already got {allowed}")
    account = limits.accounts.get(order.account)
    if account is None:
        return _unknown_account(order.account)
    return _check_px(px, instrument.tick_px, reference_mid2_px, limits.price_collar_bps) or _check_notional(
        child.leaves_qty * px, limits, account
    )


def _check_order(
    command: NewParent | ReplaceParent,
    account_name: str,
    added_qty: int,
    instrument: Instrument,
    reference_mid2_px: int,
    limits: RiskLimits,
    exposure: Exposure,
    stop_px: int,
) -> Reject | None:
    account = limits.accounts.get(account_name)
    if account is None:
        return _unknown_account(account_name)
    qty, limit_px = command.order_qty, command.limit_px
    if reject := _check_quantity(qty, instrument.lot_qty):
        return reject
    if qty > limits.max_order_qty:
        return _exceeded("max_order_qty", limits.max_order_qty, f"order_qty {qty}")
    if not reference_mid2_px:
        return _no_reference()
    if reject := _check_prices(command, instrument, reference_mid2_px, limits, stop_px):
        return reject
    # A buy limit bounds what is paid; otherwise the market may pay more than the limit says.
    mid_px = max((reference_mid2_px + 1) // 2, stop_px)
    px = limit_px if limit_px and command.side is Side.BUY else max(limit_px, mid_px)
    return _check_notional(qty * px, limits, account) or _check_exposure(
        account_name, instrument.symbol, command.side, added_qty, px, limits, account, exposure
    )


def _check_prices(
    command: NewParent | ReplaceParent, instrument: Instrument, reference_mid2_px: int, limits: RiskLimits, stop_px: int
) -> Reject | None:
    """A stop is meant to be away from the market, and its limit is for the market as it will be then; the limit of a
    peg only bounds how far it follows.
    """
    limit_px, tick_px, collar_bps = command.limit_px, instrument.tick_px, limits.price_collar_bps
    if stop_px and (reject := _check_px(stop_px, tick_px, 2 * stop_px, collar_bps)):
        return reject
    if command.ord_type in COLLARED:
        return _check_px(limit_px, tick_px, 2 * stop_px or reference_mid2_px, collar_bps)
    return _check_px(limit_px, tick_px, 2 * limit_px, collar_bps) if limit_px else None


def _check_market(
    instrument: Instrument, now_ns: int, limits: RiskLimits, *, before_hours: bool = False
) -> Reject | None:
    if instrument.symbol in limits.restricted:
        return Reject("restricted", f"restricted: symbol {instrument.symbol}", OrdRejReason.BROKER_OPTION)
    if not before_hours and not instrument.hours.is_open(now_ns):
        text = f"market closed: symbol {instrument.symbol} trades {instrument.hours}"
        return Reject("hours", text, OrdRejReason.EXCHANGE_CLOSED)
    return None


def _check_quantity(qty: int, lot_qty: int) -> Reject | None:
    if qty <= 0:
        return Reject("order_qty", f"order_qty {qty} is not positive", OrdRejReason.INCORRECT_QUANTITY)
    if qty % lot_qty:
        text = f"lot_qty {lot_qty}: order_qty {qty} is not a multiple"
        return Reject("lot_qty", text, OrdRejReason.INCORRECT_QUANTITY)
    return None


def _check_px(px: int, tick_px: int, reference_mid2_px: int, collar_bps: int) -> Reject | None:
    if px <= 0:
        return Reject("price", f"price {px_to_text(px)} is not positive", OrdRejReason.UNSUPPORTED_ORDER_CHARACTERISTIC)
    if px % tick_px:
        text = f"tick_px {px_to_text(tick_px)}: price {px_to_text(px)} is not a multiple"
        return Reject("tick_px", text, OrdRejReason.UNSUPPORTED_ORDER_CHARACTERISTIC)
    if not reference_mid2_px:
        return _no_reference()
    distance2_px = abs(2 * px - reference_mid2_px)
    if distance2_px * 10_000 > collar_bps * reference_mid2_px:
        distance_bps = distance2_px * 10_000 / reference_mid2_px
        value = f"price {px_to_text(px)} is {distance_bps:.1f} bps from {px_to_text(reference_mid2_px // 2)}"
        return _exceeded("price_collar_bps", collar_bps, value)
    return None


def _check_short(
    side: Side,
    asked: Instructions,
    account_name: str,
    symbol: str,
    added_qty: int,
    limits: RiskLimits,
    locates: Locates,
    now_ns: int,
) -> Reject | None:
    if side is not Side.SELL_SHORT:
        return None
    account = limits.accounts[account_name]
    if not account.short_sales:
        return Reject("short_sales", f"account {account_name} may not sell short", OrdRejReason.BROKER_OPTION)
    if not asked.locate_reqd:
        return None
    located_qty, used_qty = account.locates.get(symbol, 0), locates.used_qty(account_name, symbol, now_ns)
    if used_qty + added_qty > located_qty:
        return _exceeded("locates", located_qty, f"{symbol} has {used_qty} in use, {added_qty} more asked for")
    return None


def _check_notional(notional_px: int, limits: RiskLimits, account: AccountLimits) -> Reject | None:
    allowed = limits.max_order_notional
    if account.max_order_notional is not None:
        allowed = min(allowed, account.max_order_notional)
    if notional_px > allowed * PX_SCALE:
        return _exceeded("max_order_notional", allowed, f"order notional {px_to_text(notional_px)}")
    return None


def _check_exposure(
    account_name: str,
    symbol: str,
    side: Side,
    qty: int,
    px: int,
    limits: RiskLimits,
    account: AccountLimits,
    exposure: Exposure,
) -> Reject | None:
    added_px = exposure.added_px(account_name, symbol, side, qty, px)
    if not added_px:
        return None
    for whose, gross_px, allowed in (
        (f"account {account_name}", exposure.gross_px(account_name), account.max_gross_exposure),
        ("firm", exposure.firm_gross_px, limits.max_gross_exposure),
    ):
        if gross_px + added_px > allowed * PX_SCALE:
            value = f"{whose} {px_to_text(gross_px)} plus {px_to_text(added_px)}"
            return _exceeded("max_gross_exposure", allowed, value)
    return None


def _exceeded(limit: str, allowed: int, value: str) -> Reject:
    return Reject(limit, f"{limit} {allowed} exceeded: {value}", OrdRejReason.ORDER_EXCEEDS_LIMIT)


def _unknown_symbol(symbol: str) -> Reject:
    return Reject("symbol", f"unknown symbol {symbol!r}", OrdRejReason.UNKNOWN_SYMBOL)


def _unknown_account(account: str) -> Reject:
    return Reject("account", f"unknown account {account!r}", OrdRejReason.UNKNOWN_ACCOUNT)


def _no_reference() -> Reject:
    return Reject("reference_price", "no reference price", OrdRejReason.BROKER_OPTION)
