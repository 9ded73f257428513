"""Why an order was worked as it was: its story and every decision's candidates, from the journal alone.

Nothing is computed again. What the router knew, expected and chose stands in the decision records; what came of it
stands in the facts that followed.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from domain.facts import (
    AnyFact,
    CandidateRecord,
    ChildFillBusted,
    ChildFillCorrected,
    ChildFilled,
    ChildRejected,
    ChildRiskRejected,
    ChildSubmitted,
    DecisionMade,
    ExecutionDisputed,
    ParentAccepted,
    ParentCancelRequested,
    ParentDone,
    ParentDoneForDay,
    ParentReinstated,
    ParentRejected,
    ParentReplaced,
    ParentReplaceRequested,
    ParentRequestRejected,
    ParentRestated,
    ParentSuspended,
    ParentTriggered,
)
from domain.fields import OrdStatus, Side
from domain.orders import ChildOrder, ParentOrder
from domain.parent import Executions, apply_execution
from domain.prices import avg_px_to_text, bps, px_to_text


class UnknownOrder(LookupError):  # noqa: N818 - not a fault of the program
    """The journal has no order of this ClOrdID(11)."""

    def __init__(self, cl_ord_id: str) -> None:
        super().__init__(f"no order with ClOrdID(11) {cl_ord_id!r} in the journal")


@dataclass
class _Story:
    parent: ParentOrder
    events: list[tuple[int, str]] = field(default_factory=list)  # (at_ns, what happened)
    decisions: list[DecisionMade] = field(default_factory=list)
    children: dict[str, ChildOrder] = field(default_factory=dict)
    fills: list[ChildFilled] = field(default_factory=list)
    executions: Executions = field(default_factory=dict)
    rejects: dict[str, str] = field(default_factory=dict)  # child_id -> text of the venue
    risk_rejects: list[ChildRiskRejected] = field(default_factory=list)
    answers_to: set[str] = field(default_factory=set)  # every ClOrdID(11) that means this order


def explain(facts: Iterable[AnyFact], cl_ord_id: str) -> RenderableType:
    """What is known of the orders that had this ClOrdID(11) (clients may use the same one); UnknownOrder if none did.

    The ids of cancel and replace requests find the order too, and so does its OrderID(37).
    """
    stories: dict[str, _Story] = {}
    story_of_child: dict[str, _Story] = {}
    refused: list[RenderableType] = []
    for fact in facts:
        match fact:
            case ParentAccepted():
                stories[fact.parent_id] = story = _Story(ParentOrder(fact))
                story.answers_to |= {fact.cl_ord_id, fact.parent_id}
                story.events.append((fact.at_ns, _accepted(fact)))
            case ParentRejected() if cl_ord_id in (fact.cl_ord_id, fact.parent_id):
                refused.append(_refused(fact))
            case ParentRequestRejected(parent_id="") if fact.cl_ord_id == cl_ord_id:
                refused.append(_line(fact.at_ns, f"{fact.client} {fact.cl_ord_id}: request refused: {fact.text}"))
            case ChildSubmitted() if story := stories.get(fact.parent_id):
                story.children[fact.child_id] = ChildOrder(fact)
                story_of_child[fact.child_id] = story
            case _:
                child_id, parent_id = getattr(fact, "child_id", ""), getattr(fact, "parent_id", "")
                if story := story_of_child.get(child_id) or stories.get(parent_id):
                    _tell(story, fact)
                    if isinstance(fact, ParentDone) and cl_ord_id not in story.answers_to:
                        del stories[fact.parent_id]  # a day's decisions don't fit into memory
                        for child_id in story.children:
                            del story_of_child[child_id]
    told = [_rendered(story) for story in stories.values() if cl_ord_id in story.answers_to]
    if not told and not refused:
        raise UnknownOrder(cl_ord_id)
    return Group(*refused, *told)


def _tell(story: _Story, fact: AnyFact) -> None:
    if child := story.children.get(getattr(fact, "child_id", "")):
        child.apply(fact)
    said = ""
    match fact:
        case DecisionMade():
            story.decisions.append(fact)
        case ChildFilled():
            story.fills.append(fact)
        case ChildFillBusted():
            said = f"{fact.venue} took back {fact.last_qty} @ {px_to_text(fact.last_px)} ({fact.exec_ref_id})"
        case ChildFillCorrected():
            was, now = f"{fact.was_qty} @ {px_to_text(fact.was_px)}", f"{fact.last_qty} @ {px_to_text(fact.last_px)}"
            said = f"{fact.venue} corrected {was} ({fact.exec_ref_id}) to {now}"
        case ExecutionDisputed():
            said = f"the client does not know {fact.exec_id}: DKReason(127)={fact.dk_reason} {fact.text}".rstrip()
        case ParentDoneForDay():
            said = "done for the day"
        case ParentSuspended() | ParentReinstated():
            said = fact.text
        case ChildRejected():
            story.rejects[fact.child_id] = fact.text
        case ChildRiskRejected():
            story.risk_rejects.append(fact)
        case ParentCancelRequested():
            said = f"{fact.cl_ord_id or fact.by} asks to cancel{_why(fact.text)}"
        case ParentReplaceRequested():
            wanted = _qty_and_limit(fact.order_qty, fact.limit_px)
            said = f"{fact.cl_ord_id or fact.by} asks to replace: {wanted}{_why(fact.text)}"
        case ParentReplaced():
            said = f"replaced, is now {fact.cl_ord_id}: {_qty_and_limit(fact.order_qty, fact.limit_px)}"
        case ParentRequestRejected():
            said = f"{fact.cl_ord_id} is refused: {fact.text}"
        case ParentRestated():
            said = fact.text or fact.reason.name.lower().replace("_", " ")
            if fact.order_qty:
                said += f", is now {_qty_and_limit(fact.order_qty, fact.limit_px)}"
        case ParentTriggered():
            said = fact.text
        case ParentDone():
            said = f"done: {fact.ord_status.name.lower()}{_why(fact.text)}"
    if said:
        if cl_ord_id := getattr(fact, "cl_ord_id", ""):
            story.answers_to.add(cl_ord_id)
        story.events.append((fact.at_ns, said))
    if isinstance(fact, ChildFilled | ChildFillBusted | ChildFillCorrected):
        apply_execution(story.parent, fact, story.executions)
    else:
        story.parent.apply(fact)


def _why(text: str) -> str:
    return f" ({text})" if text else ""


def _rendered(story: _Story) -> RenderableType:
    parent, order = story.parent, story.parent.accepted
    average = f" @ {avg_px_to_text(parent.notional_px, parent.cum_qty)}" if parent.cum_qty else ""
    heading = (
        f"{order.client} {parent.cl_ord_id} ({parent.parent_id}): {_side(order.side)} {parent.order_qty} "
        f"{order.symbol}, filled {parent.cum_qty}{average}, {parent.ord_status.name.lower()}"
    )
    parts: list[RenderableType] = [Text(heading, style="bold"), *(_line(at_ns, said) for at_ns, said in story.events)]
    if story.fills:
        parts += [Text(), _fills(story)]
    for decision in story.decisions:
        parts += [Text(), _decision(story, decision)]
    return Group(*parts, Text())


def _fills(story: _Story) -> Table:
    table = Table(title="Fills by venue", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("venue")
    for heading in ("fills", "shares", "avg px", "bps vs arrival"):
        table.add_column(heading, justify="right")
    order = story.parent.accepted
    for venue in sorted({fill.venue for fill in story.fills}):
        fills = [fill for fill in story.fills if fill.venue == venue]
        shares = sum(fill.last_qty for fill in fills)
        notional_px = sum(fill.last_qty * fill.last_px for fill in fills)
        arrival_px = order.arrival_mid2_px / 2
        worse = order.side.sign * bps(notional_px / shares - arrival_px, arrival_px)
        table.add_row(
            Text(venue),
            str(len(fills)),
            str(shares),
            avg_px_to_text(notional_px, shares),
            f"{worse:+.2f}" if arrival_px else "-",
        )
    return table


def _decision(story: _Story, decision: DecisionMade) -> RenderableType:
    title = (
        f"Decision {decision.decision_id} at {_clock(decision.at_ns)}: {decision.slice_qty} shares, urgency "
        f"{decision.urgency:.2f}, {decision.symbol} {_px(decision.bid_px)} / {_px(decision.ask_px)}, "
        f"model {decision.model_id}"
    )
    if not decision.candidates:
        return Text(f"{title}: nothing could be done")
    table = Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("venue")
    table.add_column("action")
    for heading in ("px", "max qty", "P(fill)", "part", "price", "fee", "markout", "no fill", "cost bps", "qty"):
        table.add_column(heading, justify="right")
    table.add_column("what came of it, or why not")
    ranked = sorted(range(len(decision.candidates)), key=lambda index: decision.candidates[index].cost_bps)
    for index in ranked:
        c = decision.candidates[index]
        table.add_row(
            Text(c.venue),
            c.action.value,
            _px(c.px),
            str(c.max_qty),
            _expected_fill(c),
            f"{c.filled_fraction:.2f}",
            *(f"{part:.2f}" for part in (c.price_bps, c.fee_bps, c.markout_bps, c.no_fill_bps, c.cost_bps)),
            str(c.chosen_qty or ""),
            Text(_outcome(story, decision, index, c)),
            style="bold" if c.chosen_qty else "dim",
        )
    return table


def _expected_fill(candidate: CandidateRecord) -> str:
    """What the model said, and what the venue's latest orders made of it."""
    said = f"{candidate.fill_probability:.3f}"
    return said if abs(candidate.fill_factor - 1.0) < 0.005 else f"{said} x{candidate.fill_factor:.2f}"


def _outcome(story: _Story, decision: DecisionMade, index: int, candidate: CandidateRecord) -> str:
    notes = [candidate.note] if candidate.note else []
    if abs(candidate.markout_shift_bps) >= 0.005:
        notes.append(f"markout {candidate.markout_shift_bps:+.2f} by the venue's latest fills")
    said = [
        _fate(child, story.rejects.get(child.child_id, ""))
        for child in story.children.values()
        if child.submitted.decision_id == decision.decision_id and child.submitted.candidate == index
    ]
    if candidate.chosen_qty and not said:
        said = [
            f"stopped by risk: {reject.text}"
            for reject in story.risk_rejects
            if (reject.decision_id, reject.venue, reject.px) == (decision.decision_id, candidate.venue, candidate.px)
        ]
    return "; ".join([*said, *notes])


def _fate(child: ChildOrder, rejected: str) -> str:
    filled = f"filled {child.cum_qty} @ {avg_px_to_text(child.notional_px, child.cum_qty)}" if child.cum_qty else ""
    unfilled_qty = child.order_qty - child.cum_qty
    match child.ord_status:
        case OrdStatus.FILLED:
            rest = ""
        case OrdStatus.REJECTED:
            rest = f"rejected: {rejected}"
        case OrdStatus.CANCELED if child.cancel_reason:
            rest = f"{unfilled_qty} canceled ({child.cancel_reason})"
        case OrdStatus.CANCELED:
            rest = f"{unfilled_qty} not filled"
        case OrdStatus.EXPIRED:
            rest = f"{unfilled_qty} expired"
        case _:
            rest = f"{unfilled_qty} {'uncertain' if child.uncertain else 'open'}"
    return ", ".join(part for part in (filled, rest) if part)


def _accepted(fact: ParentAccepted) -> str:
    params = "".join(f", {name}={value}" for name, value in sorted(fact.params.items()))
    price = f"limit {px_to_text(fact.limit_px)}" if fact.limit_px else "at market"
    mid = f"mid {avg_px_to_text(fact.arrival_mid2_px, 2)}" if fact.arrival_mid2_px else "no mid"
    return (
        f"{fact.client} {fact.cl_ord_id} accepted: {_side(fact.side)} {fact.order_qty} {fact.symbol} {price} "
        f"for {fact.account}, {fact.strategy}{params}, {mid}"
    )


def _refused(fact: ParentRejected) -> Text:
    limit = f" [{fact.limit}]" if fact.limit else ""
    what = f"{_side(fact.side)} {fact.order_qty} {fact.symbol}"
    return _line(fact.at_ns, f"{fact.client} {fact.cl_ord_id} refused: {what}: {fact.text}{limit}")


def _line(at_ns: int, said: str) -> Text:
    return Text(f"{_clock(at_ns)}  {said}")


def _qty_and_limit(order_qty: int, limit_px: int) -> str:
    return f"{order_qty} limit {px_to_text(limit_px)}" if limit_px else str(order_qty)


def _side(side: Side) -> str:
    return side.name.lower().replace("_", " ")


def _px(px: int) -> str:
    return px_to_text(px) if px else "-"


def _clock(at_ns: int) -> str:
    moment = datetime.fromtimestamp(at_ns // 1_000_000_000, UTC)
    return f"{moment:%H:%M:%S}.{at_ns // 1_000_000 % 1000:03d}"
