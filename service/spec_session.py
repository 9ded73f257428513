"""What the rules of engagement say of a client's session: who may connect and when, its limits, its copies, changes.

All of it is looked up in the config and in the options that the session is really made with.
"""

from domain.facts import ParentAccepted
from domain.fields import OrdType, Side, TimeInForce
from domain.orders import ParentOrder
from fix.dictionary import dictionary
from fix.errors import BusinessRejectReason
from fix.store import MESSAGES_KEPT
from gateway.clients import ClientConfig
from gateway.outbound import drop_copies
from service.config import ServiceConfig
from service.document import Code, Section, Table, Text
from service.reload import NOT_CLIENT
from service.session_settings import client_session
from service.spec_examples import AT_NS, application, example_frame, shown

EXCESS = {
    "queue": "waits until the second is over; nothing is lost",
    "reject": "is refused: BusinessMessageReject(j), BusinessRejectReason(380)={reason}; administrative ones never",
    "disconnect": "ends the session, with a Logout(5) that says so",
}
WORDS = {  # the keys of `NOT_CLIENT`
    "on_disconnect": "what becomes of an order whose session is lost",
    "disconnect_grace_s": "how long it may be lost before that",
}
RESETS = {
    "reset_on_logon": "with a Logon(A) that has MsgSeqNum(34)=1",
    "reset_on_logout": "after a Logout(5)",
    "reset_on_disconnect": "after each disconnect",
}


def session(config: ServiceConfig, client: ClientConfig) -> Section:
    made, tls = client_session(config, client), config.listen.tls
    resets = [text for key, text in RESETS.items() if getattr(made, key)]
    begins = ["with ResetSeqNumFlag(141)=Y in the Logon(A)", *resets]
    encrypted = "no" if tls is None else "1.2 or later"
    if tls is not None and tls.authorities:
        encrypted += "; the client shows a certificate of an authority that we have agreed on"
    rows = [
        ("BeginString(8)", client.begin_string),
        ("SenderCompID(49) of the client", f"as in {client.name}" if client.is_template else client.name),
        ("TargetCompID(56) of the client", config.service.comp_id),
        ("Address", f"{config.listen.host}, port {config.listen.port}; the client connects"),
        ("Addresses of the client", _addresses(config, client)),
        ("TLS", encrypted),
        ("HeartBtInt(108)", "the Logon(A)'s own"),
        ("EncryptMethod(98)", "0"),
        ("Sequence numbers", f"go on over logons and restarts; both begin at 1 {', and '.join(begins)}"),
        ("Accounts", ", ".join(client.accounts)),
    ]
    if client.credentials:
        rows.append(("Username(553), Password(554)", "in the Logon(A); NewPassword(925) there changes the password"))
    if client.begin_string == "FIXT.1.1":
        rows.insert(1, ("DefaultApplVerID(1137)", "9, FIX.5.0SP2"))
    if not client.drop_copy:
        ends = "goes on" if client.on_disconnect == "work" else f"is canceled after {client.disconnect_grace_s:g} s"
        rows.append(("Account where an order has none", client.default_account or "none: it is rejected"))
        rows.append(("An order whose session is lost", ends))
    blocks: list[Text | Table | Code] = [
        Text("All messages are between the CompIDs of this table; a client sees and touches only its own orders."),
        Table(("", ""), tuple(rows)),
    ]
    if client.is_template:
        blocks.append(
            Text(
                f"Each SenderCompID(49) like `{client.name}` (* is any letters, ? any one) has a session of its own, "
                f"with its own numbers and orders, made at its first Logon(A); {client.max_sessions} of them at most. "
                f"What this page says holds for each."
            )
        )
    return Section("Session", blocks)


def _addresses(config: ServiceConfig, client: ClientConfig) -> str:
    both = [", ".join(allowed) for allowed in (config.listen.allow, client.allow) if allowed]
    return ", and of these ".join(both) or "any"


def times(config: ServiceConfig, client: ClientConfig) -> Section:
    schedule = client_session(config, client).schedule
    rows = [("Open", str(schedule or "always"))]
    if schedule is None or (schedule.start is None and schedule.reset_at is None):
        rows.append(("Numbers", "never begin anew by themselves"))
    elif schedule.start is not None:
        rows.append(("Numbers", "begin at 1 with each session of this schedule"))
        rows.append(("At its end", "we send a Logout(5)"))
        rows.append(("Until the next one", "nobody is let in: a connection is closed without an answer"))
    if schedule is not None and schedule.reset_at is not None:
        at = f"{schedule.reset_at:%H:%M:%S} {schedule.zone}"
        rows.append((f"At {at}", "the client sends a Logon(A) with ResetSeqNumFlag(141)=Y: numbers begin at 1"))
    text = "Times are those of the clock on the wall in the time zone that is named, summer and winter."
    return Section("Session times", [Text(text), Table(("", ""), tuple(rows))])


def limits(config: ServiceConfig, client: ClientConfig) -> Section:
    made = client_session(config, client)
    rows = [("Messages that the client may send in a second", f"{made.max_messages_per_s or 'any number'}")]
    if made.max_messages_per_s:
        reason = _reason(client, BusinessRejectReason.THROTTLE_LIMIT_EXCEEDED)
        rows.append(("One beyond them", EXCESS[made.on_excess].format(reason=reason)))
    told = ", announced as MaxMessageSize(383) in our Logon(A)" if made.announce_max_message_size else ""
    clock = f"{made.sending_time_tolerance_s:g} s" if made.sending_time_tolerance_s else "not compared"
    rows += [
        ("Bytes of a message", f"{made.max_message_bytes:,}{told}; a longer one counts as garbled"),
        ("Time for the Logon(A) of a connection", f"{made.logon_timeout_s:g} s"),
        ("Time for the answer to our Logout(5)", f"{made.logout_timeout_s:g} s"),
        ("SendingTime(52) off our clock, at most", clock),
        ("Messages beyond a gap that are kept", f"{made.max_held_messages:,}; later ones are asked for again"),
        ("ResendRequest(2)s that may wait for their answer", f"{made.max_pending_resends}; one more ends the session"),
        ("Messages of a resend that go out at once", f"{made.resend_burst:,}"),
    ]
    return Section("Limits", [Table(("limit", "value"), tuple(rows))])


def _reason(client: ClientConfig, reason: BusinessRejectReason) -> int:
    """As `fix.core.Core.business_reject` says it."""
    known = dictionary(client.begin_string, application(client)).fields["380"].values
    return reason.value if str(reason.value) in known else BusinessRejectReason.OTHER.value


def resends() -> Section:
    return Section(
        "Resends and duplicates",
        [
            Text(
                f"On a ResendRequest(2) the application messages of the session are sent again with PossDupFlag(43)=Y "
                f"and their first SendingTime(52) as OrigSendingTime(122), the last {MESSAGES_KEPT:,} of them; "
                f"administrative messages are filled by SequenceReset(4) with GapFillFlag(123)=Y. What is missing from "
                f"the client is asked for in the same way, and what comes after a gap waits for it."
            ),
            Text(
                "A ClOrdID(11) is used once: a second order or request with it is refused. ExecID(17) is unique; a "
                "report that comes again, by a resend, has the one that it had."
            ),
        ],
    )


def copies(config: ServiceConfig, client: ClientConfig) -> Section:
    if client.drop_copy:
        return Section("Drop copy", [*_what_is_copied(client), *_copied(config, client)])
    hearing = {
        account: [other.name for other in config.clients if other.drop_copy and account in other.accounts]
        for account in client.accounts
    }
    text = (
        "A drop copy is a further session, which sends nothing and gets a copy of each ExecutionReport(8) on its "
        "accounts, whichever client the order is from. It has its own sequence, so that what it missed is resent."
    )
    rows = tuple((account, ", ".join(names) or "nobody") for account, names in hearing.items())
    return Section("Drop copies", [Text(text), Table(("Account(1)", "copies go to"), rows)])


def _what_is_copied(client: ClientConfig) -> list[Text]:
    tags = dictionary(client.begin_string, application(client)).messages["8"].tags
    marks = "has CopyMsgIndicator(797)=Y and " if "797" in tags else ""
    party = "ClientID(109)" if "109" in tags else "PartyID(448), with PartyRole(452)=3"
    return [
        Text(
            f"This session is a drop copy: it gets a copy of each ExecutionReport(8) on its accounts, whichever client "
            f"the order is from, in {application(client)}, whatever the client speaks. A copy {marks}names the client "
            f"in {party}; its ExecID(17) is that of the client's report."
        ),
        Text(
            f"It has a sequence of its own: what it missed is sent again on its ResendRequest(2), also after a restart "
            f"of ours. Any application message that it sends is refused with BusinessMessageReject(j), "
            f"BusinessRejectReason(380)={_reason(client, BusinessRejectReason.NOT_AUTHORIZED)}."
        ),
    ]


def _copied(config: ServiceConfig, client: ClientConfig) -> list[Text | Code]:
    """A copy as the gateway makes it."""
    from_client = next((other for other in config.clients if not other.drop_copy), client)
    order = ParentAccepted(
        at_ns=AT_NS,
        parent_id="P1",
        client=from_client.name,
        cl_ord_id="A-1",
        account=client.accounts[0],
        symbol=config.instruments[0].symbol,
        side=Side.BUY,
        order_qty=1000,
        ord_type=OrdType.MARKET,
        limit_px=0,
        time_in_force=TimeInForce.DAY,
        strategy=from_client.default_strategy,
        params={},
        arrival_mid2_px=0,
        tape_qty=0,
        tape_notional_px=0,
    )
    (report,) = drop_copies(order, ParentOrder(order), from_client.name, client)
    raw = example_frame(client, report, (config.service.comp_id, client.name), 2)
    return [Text("A copy of the report on a new order. Each field ends with SOH, written | here."), Code(shown(raw))]


def changes(client: ClientConfig) -> Section:
    """Of `service.reload`: what can change without a restart, and when it does."""
    fixed = ", ".join(WORDS[key] for key in NOT_CLIENT) if not client.drop_copy else ""
    texts = [
        "What is on this page can change while the service runs. A change of the session, its limits, its accounts or "
        "what its orders may be holds from the next Logon(A) of a session that is connected, and at once for one that "
        "is not. A session that is taken away gets a Logout(5).",
        "Only a restart changes the symbols and their hours, the limits of risk"
        + (f", {fixed}" if fixed else "")
        + ". Sequence numbers and open orders outlast both a change and a restart.",
    ]
    if client.credentials:
        texts.append("A password that the client has changed holds until the desk gives it another.")
    return Section("Changes of these rules", [Text(text) for text in texts])
