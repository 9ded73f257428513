"""The rules of engagement of one client: what a broker gives those who connect to it.

Everything that can change is taken from where it works: the client's config, the tables that refuse an order
(`gateway.instructions`), the parameters of the strategies, the dictionary of the version, and the codec for the
examples. What is written here is only what ties them together.
"""

import re
from collections.abc import Iterable

from domain.fields import CxlRejReason, OrdRejReason
from fix.dictionary import Dictionary, dictionary
from fix.messages import BY_MSG_TYPE
from gateway.clients import ClientConfig
from gateway.inbound import TAKEN
from router.strategies import STRATEGIES
from service import spec_session
from service.config import ServiceConfig
from service.document import Code, Document, Section, Table, Text
from service.spec_examples import (
    TARGET_STRATEGY,
    application,
    can_send,
    examples,
    has_group,
    shown,
    strategies_of,
    wire_value,
)
from service.spec_fields import contradictions, fields

TOLD = {"8": "what becomes of an order", "9": "a cancel or replace that can't be", "j": "a message that is not taken"}
TOLD |= {"3": "a message that breaks the rules of FIX", "B": "a notice of the desk", "r": "the answer to a mass cancel"}
PURPOSES = {
    "D": "a new order",
    "F": "cancel of an order",
    "G": "replace of an order",
    "H": "status of an order",
    "q": "cancel of many orders",
    "AF": "status of many orders",
    "Q": "a trade that the client doesn't know",
}
REJECTS = {
    OrdRejReason.BROKER_OPTION: "a kill switch, a restricted symbol, a missing reference price, a shutdown",
    OrdRejReason.UNKNOWN_SYMBOL: "a symbol that is not traded here",
    OrdRejReason.EXCHANGE_CLOSED: "outside the symbol's trading hours",
    OrdRejReason.ORDER_EXCEEDS_LIMIT: "a risk limit; Text(58) names it, its value and the order's",
    OrdRejReason.TOO_LATE_TO_ENTER: "an auction that is over, an expiry that is past",
    OrdRejReason.UNKNOWN_ORDER: "a status request for an order that is not known",
    OrdRejReason.DUPLICATE_ORDER: "a ClOrdID(11) that was used before",
    OrdRejReason.UNSUPPORTED_ORDER_CHARACTERISTIC: "a value that this client may not use, a price off the tick",
    OrdRejReason.INCORRECT_QUANTITY: "a quantity that is not above 0, no multiple of the lot, or larger than the order",
    OrdRejReason.UNKNOWN_ACCOUNT: "an Account(1) that this client may not use",
    OrdRejReason.OTHER: "fields that contradict each other or lack each other",
}
CANCEL_REJECTS = {
    CxlRejReason.TOO_LATE: "the order has ended",
    CxlRejReason.UNKNOWN_ORDER: "no such order of this client",
    CxlRejReason.BROKER_OPTION: "the replace would break a limit or change what can't be changed",
    CxlRejReason.ALREADY_PENDING: "a cancel or replace of the order is under way",
    CxlRejReason.DUPLICATE_CL_ORD_ID: "a ClOrdID(11) that was used before",
    CxlRejReason.OTHER: "anything else",
}


def rules_of_engagement(config: ServiceConfig, client: ClientConfig) -> Document:
    known = dictionary(client.begin_string, application(client))
    messages = [msg_type for msg_type in TAKEN if msg_type in known.messages]
    sections = [
        spec_session.session(config, client),
        spec_session.times(config, client),
        spec_session.limits(config, client),
        spec_session.resends(),
        spec_session.copies(config, client),
        spec_session.changes(client),
    ]
    if client.drop_copy:
        return Document(f"Rules of engagement: {client.name}, {_version(client)}, drop copy", sections)
    sections += [
        _messages(client, messages),
        *[fields(client, msg_type) for msg_type in messages],
        contradictions(client),
        _strategies(client),
        _symbols(config),
        _rejects(known),
        _examples(config, client),
    ]
    return Document(f"Rules of engagement: {client.name}, {_version(client)}", sections)


def _version(client: ClientConfig) -> str:
    version = application(client)
    return version if version == client.begin_string else f"{version} over {client.begin_string}"


def _messages(client: ClientConfig, messages: list[str]) -> Section:
    known = dictionary(client.begin_string, application(client)).messages
    taken = [(f"{BY_MSG_TYPE[m].__name__}({m})", "client to us", PURPOSES.get(m, "")) for m in messages]
    told = [(f"{known[m].name}({m})", "us to client", text) for m, text in TOLD.items() if m in known]
    return Section("Messages", [Table(("message", "direction", "for"), tuple(taken + told))])


def _strategies(client: ClientConfig) -> Section:
    blocks: list[Text | Table | Code] = []
    where = f"tag {client.strategy_tag}"
    if has_group(client):
        where = f"TargetStrategy({TARGET_STRATEGY}), its parameters in NoStrategyParameters(957)"
    blocks.append(Text(f"An order names its strategy in {where}; without one it is {client.default_strategy}."))
    for name in strategies_of(client):
        strategy = STRATEGIES[name]
        what = re.sub(r"\s+", " ", (strategy.__doc__ or "").split("\n\n")[0]).strip()
        types = ", ".join(code.value for code in strategy.ORD_TYPES if code in client.ord_types)
        times = ", ".join(code.value for code in strategy.TIMES_IN_FORCE if code in client.time_in_forces)
        text = f"`{name}`, sent as {wire_value(client, name)}. {what} OrdType(40): {types}. TimeInForce(59): {times}."
        blocks.append(Text(text))
        rows = [
            (
                p.name,
                str(client.parameter_tags.get(p.name, "in the group")),
                "required" if p.required else "optional",
                f"a whole number from {p.low} to {p.high}",
                p.help + (f"; {p.default} where it is absent" if p.default else ""),
            )
            for p in strategy.PARAMETERS
            if can_send(client, p)
        ]
        if rows:
            blocks.append(Table(("parameter", "tag", "presence", "values", "meaning"), tuple(rows)))
    return Section("Strategies", blocks)


def _symbols(config: ServiceConfig) -> Section:
    by_rules: dict[tuple[str, str, str], list[str]] = {}
    for item in config.instruments:
        key = (f"{item.tick / 10_000:g}", str(item.lot), str(item.instrument.hours))
        by_rules.setdefault(key, []).append(item.symbol)
    rows = tuple((", ".join(symbols), *key) for key, symbols in by_rules.items())
    return Section("Symbols and hours", [Table(("Symbol(55)", "tick", "lot", "trading hours"), rows)])


def _rejects(known: Dictionary) -> Section:
    orders, cancels = known.fields["103"].values, known.fields["102"].values
    order_rows = _by_code((r.value if r.value in orders else "0", text) for r, text in REJECTS.items())
    cancel_rows = _by_code((r.value if r.value in cancels else "2", text) for r, text in CANCEL_REJECTS.items())
    return Section(
        "Rejects",
        [
            Text(
                "A message that breaks FIX is answered with Reject(3); one that is not taken, with "
                "BusinessMessageReject(j). An order that is not taken is answered with an ExecutionReport(8), 150=8, "
                "and one of these reasons; Text(58) says what it was, with the tag, the value and what is allowed."
            ),
            Table(("OrdRejReason(103)", "why"), order_rows),
            Text("A cancel or replace that can't be is answered with OrderCancelReject(9)."),
            Table(("CxlRejReason(102)", "why"), cancel_rows),
        ],
    )


def _by_code(reasons: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """One row a code: a version that lacks one says it with its most general."""
    rows: dict[str, list[str]] = {}
    for code, text in reasons:
        rows.setdefault(code, []).append(text)
    return tuple((code, "; ".join(texts)) for code, texts in rows.items())


def _examples(config: ServiceConfig, client: ClientConfig) -> Section:
    blocks: list[Text | Table | Code] = [Text("Each field ends with SOH, written | here.")]
    for example in examples(client, config.service.comp_id, config.instruments[0].instrument):
        blocks += [Text(example.title), Code(shown(example.raw))]
    return Section("Examples", blocks)
