"""Runs the scripts of this directory: an EMS and scripted venues around a whole node, at virtual time.

The first line of a script is `# IDS: what happens`, with the matrices of the specification that it plays: D1 to D37 of
FIX.4.2, A.1.a to L.1.b of FIX.4.4 and 5.0SP2; "own" is what no matrix has. Then one line a step:

    > D (X)                         the EMS sends; (ClOrdID,OrigClOrdID) as in the matrices; what is left out is
                                    filled in: ALFA, buy 10000 at 49.98, which is the best bid of ARGO, day
    >dup                            its last message again, PossDupFlag(43)=Y with the same MsgSeqNum(34)
    < 8 (X) 150=0 39=0 qty=1000/0/1000 6=0    what it hears next, every field; qty is OrderQty/CumQty/LeavesQty
                                    trade=200@50.00,ARGO,V1 is all that a fill carries; so correct=..., bust=ARGO,V1
    ARGO< D c1 38=1000              a venue is sent an order, called c1 from here on: the fields given are compared
    ARGO< F c1                      or the cancel of it, or G, the replace
    ARGO> new c1                    what it says: new, fill c1 200 50.00 [V1], canceled, expired, rejected, replaced,
                                    cancel-rejected (also of a replace), bust c1 V1, correct c1 V1 100 50.00; 8 ... raw
    book ARGO 49.99x500 50.01x500   the best bid and offer that a venue shows: ARGO or BRIG, both lit
    up BRIG, down ARGO, restart     a venue's connections are made (ARGO's are from the start), are lost; the node is
                                    made anew from its journal
    ctl {"command": ...}            an operator, as over the control socket
    fact ExecutionUnknown text=...  the last step made such a fact; $X is the OrderID(37) of the order X
    @ +30 or @ 2 09:30:00           time passes: seconds, or until that time on that day (the first is 1), New York
    config clients.accounts = [...] a key of the config, of every such table, before the first step

`a/b` is a value of FIX.4.2 and of later versions, `a/b/c` of 4.2, 4.4 and 5.0SP2; a line that begins with [4.2] or
[4.4 5.0] is of those only; fields that a version lacks are taken out. `*` is any value, `-44` no field. A capital
ExecID(17) such as E1 is bound where it comes first, for ExecRefID(19). What an order's reports repeat (Account(1),
Price(44)...) stays as it was until a line says otherwise. All that is heard must be expected before the next step.
"""

import re
import shlex
from typing import NamedTuple

from domain.facts import decode_batch
from fix.dictionary import typed_dictionary
from fix.framing import frame
from fix.message import Message, parse
from fix.values import write_timestamp
from service import control
from tests.scenarios.world import APPLICATIONS, VENUE_NAMES, VERSIONS, World
from tests.service.platform import picture

MICS = {"ARGO": "XARG", "BRIG": "XBRG"}
# Of a message: what the session fills in, and what belongs to one report and not to the order.
HEADER = {"8", "9", "10", "34", "35", "43", "49", "52", "56", "97", "122"}
OF_ONE_REPORT = {"6", "11", "14", "17", "19", "20", "29", "30", "31", "32", "37", "39", "41", "58", "60", "102", "103"}
OF_ONE_REPORT |= {"150", "151", "378", "434", "527", "584", "790", "851", "911", "912"}
# Of the client's order, in every report on it.
REPEATED = ("1", "18", "38", "40", "44", "47", "54", "55", "59", "99", "110", "111", "126", "211", "528", "1138")
OF_A_REJECT = ("1", "38", "54", "55")
DEFAULTS = {
    "D": "1=ACC 21=1 55=ALFA 54=1 38=10000 40=2 44=49.98 59=0",
    "G": "1=ACC 21=1 55=ALFA 54=1 38=10000 40=2 44=49.98 59=0",
    "F": "55=ALFA 54=1",
    "H": "55=ALFA 54=1",
}
TIMED = ("D", "G", "F", "q")
_EXEC_NAME = re.compile(r"E\d+")


class Child(NamedTuple):
    """An order at a scripted venue, or a request about one, as it was sent."""

    cl_ord_id: str
    fields: dict[str, str]


class Scenario(World):
    """One run of a script in one version ("4.2", "4.4" or "5.0")."""

    def __init__(self, version: str) -> None:
        super().__init__(version)
        self.children: dict[str, Child] = {}
        self.cum: dict[str, tuple[int, float]] = {}
        self.exec_ids: dict[str, str] = {}  # names of the script
        self.seen_exec_ids: set[str] = set()
        self.sent_orders: dict[str, dict[str, str]] = {}  # ClOrdID(11) -> what the EMS asked for
        self.orders: dict[str, dict[str, str]] = {}  # OrderID(37) -> what its reports repeat
        self.order_ids: dict[str, str] = {}  # ClOrdID(11) -> OrderID(37)
        self.execs = 0
        self._facts_before = 0  # batches of the journal before the last step

    def run(self, text: str) -> None:
        for number, line in enumerate(text.splitlines(), 1):
            try:
                self._line(line.strip())
            except AssertionError as error:
                raise AssertionError(f"FIX {self.version}, line {number}: {line}\n{error}") from None
        self._nothing_left()
        assert picture(self.fresh().state) == picture(self.node.state), "the journal alone gives another state"

    def _line(self, line: str) -> None:
        if line.startswith("["):
            versions, _, line = line[1:].partition("]")
            line = line.strip()
            if self.version not in versions.split():
                return
        if not line or line.startswith(("#", "versions ")):
            return
        line = re.sub(r"\$([A-Z]\w*)", lambda match: self.order_ids[match[1]], line)
        command, _, rest = line.partition(" ")
        if command == "config":
            self.configure(rest)
            return
        if self.node is None:
            self.start()
        if command == "fact":
            self._expect_fact(*shlex.split(rest))
            return
        self._facts_before = len(self.journal) if not command.endswith("<") else self._facts_before
        if command.endswith("<"):
            self._expect(command[:-1] or "EMS", rest)
            return
        self._nothing_left()
        match command:
            case ">dup":
                self._send_again()
            case "book":
                self.show(*rest.split())
            case "up":
                self.connect(rest)
            case "down":
                self.disconnect(rest)
            case "restart":
                self.restart()
            case "ctl":
                self.perform(self.node.operator(control.parse(rest.encode()), self.now_ns))
            case "@":
                self.pass_time(rest)
            case _ if command.endswith(">"):
                name = command[:-1] or "EMS"
                words = shlex.split(rest)
                if name in VENUE_NAMES and hasattr(self, f"_say_{words[0].replace('-', '_')}"):
                    getattr(self, f"_say_{words[0].replace('-', '_')}")(name, *words[1:])
                else:
                    self._send(name, words[0], self._fields(words[1:], words[0]))
            case _:
                raise AssertionError(f"no such step: {command}")

    # --- what is said ---

    def _value(self, text: str) -> str:
        parts = text.split("/")
        if len(parts) == 1 or text == "[N/A]":
            return text
        return parts[min(list(VERSIONS).index(self.version), len(parts) - 1)]

    def _fields(self, words: list[str], msg_type: str) -> dict[str, str | None]:
        """By tag; None where the script wants no such field."""
        fields: dict[str, str | None] = {}
        for word in words:
            tag, equals, value = word.partition("=")
            if word.startswith("("):
                ids = word.strip("()").split(",")
                fields.update(zip(("11", "41"), ids, strict=False))
            elif word.startswith("-"):
                fields[word[1:]] = None
            elif tag in ("trade", "correct", "bust"):
                fields.update(_traded(tag, value))
            elif tag == "qty":
                fields.update(zip(("38", "14", "151"), value.split("/"), strict=True))
            else:
                assert equals and tag.isdecimal(), f"{word!r} is no field"
                value = value if tag == "58" else self._value(value)
                fields[tag] = self.exec_ids.get(value, value) if tag in ("17", "19") else value
        return fields

    def _send(self, name: str, msg_type: str, given: dict[str, str | None]) -> None:
        peer = self.peers[name]
        defaults = dict(pair.split("=") for pair in DEFAULTS.get(msg_type, "").split()) if name == "EMS" else {}
        if msg_type in TIMED:
            defaults["60"] = write_timestamp(self.now_ns)
        fields = {tag: value for tag, value in {**defaults, **given}.items() if value is not None}
        if msg_type in ("D", "G") and name == "EMS":
            self.sent_orders[fields["11"]] = fields
        in_order = sorted(fields.items(), key=lambda pair: pair[0] not in ("97",))
        peer.last = peer.session.send_fields(msg_type, in_order, self.now_ns)
        self.deliver(peer)

    def _send_again(self) -> None:
        peer = self.peers["EMS"]
        again = parse(peer.last.raw)
        fields = [
            f"{tag}={value}\x01"
            for tag, value in zip(again.tags, again.values, strict=True)
            if tag not in ("8", "9", "10", "52")
        ]
        stamp = write_timestamp(self.now_ns)
        fields.insert(4, f"43=Y\x0152={stamp}\x01122={stamp}\x01")
        raw = frame(VERSIONS[self.version], "".join(fields).encode())
        self.perform(self.node.receive(peer.link, raw, self.now_ns))

    def _report(self, venue: str, name: str, **fields: object) -> None:
        """An ExecutionReport of a scripted venue."""
        child = self.children[name]
        cum, notional = self.cum[name]
        self.execs += 1
        values: dict[str, object] = {
            "37": f"O-{name}",
            "11": child.cl_ord_id,
            "17": f"{venue}-{self.execs}",
            "55": child.fields["55"],
            "54": child.fields["54"],
            "38": child.fields["38"],
            "14": cum,
            "151": max(int(child.fields["38"]) - cum, 0),
            "6": f"{notional / cum if cum else 0:.4f}",
        } | {tag[1:]: value for tag, value in fields.items()}
        self._send(venue, "8", {tag: str(value) for tag, value in values.items()})

    def _say_new(self, venue: str, name: str) -> None:
        self._report(venue, name, t150="0", t39="0")

    def _say_fill(self, venue: str, name: str, qty: str, px: str, exec_id: str = "") -> None:
        cum, notional = self.cum[name]
        self.cum[name] = cum + int(qty), notional + int(qty) * float(px)
        done = self.cum[name][0] >= int(self.children[name].fields["38"])
        extra = {"t17": exec_id} if exec_id else {}
        self._report(venue, name, t150="F", t39="2" if done else "1", t32=qty, t31=px, **extra)

    def _say_bust(self, venue: str, name: str, exec_ref_id: str) -> None:
        self._report(venue, name, t150="H", t39="1", t19=exec_ref_id)

    def _say_correct(self, venue: str, name: str, exec_ref_id: str, qty: str, px: str, exec_id: str = "") -> None:
        extra = {"t17": exec_id} if exec_id else {}
        self._report(venue, name, t150="G", t39="1", t19=exec_ref_id, t32=qty, t31=px, **extra)

    def _say_canceled(self, venue: str, name: str) -> None:
        self._report(venue, name, t150="4", t39="4", t151=0)

    def _say_expired(self, venue: str, name: str) -> None:
        self._report(venue, name, t150="C", t39="C", t151=0)

    def _say_rejected(self, venue: str, name: str, text: str = "no") -> None:
        self._report(venue, name, t150="8", t39="8", t151=0, t103="0", t58=text)

    def _say_replaced(self, venue: str, name: str) -> None:
        request = self.children[f"{name}/G"]
        self.children[name] = Child(request.cl_ord_id, self.children[name].fields | request.fields)
        self._report(venue, name, t150="5", t39="0", t41=request.fields["41"])

    def _say_cancel_rejected(self, venue: str, name: str) -> None:
        child = self.children[name]
        request = self.children.get(f"{name}/F") or self.children[f"{name}/G"]
        response_to = "1" if f"{name}/F" in self.children else "2"
        fields = {"37": f"O-{name}", "11": request.cl_ord_id, "41": child.cl_ord_id, "39": "0", "434": response_to}
        self._send(venue, "9", {**fields, "102": "0"})

    # --- what is heard ---

    def _nothing_left(self) -> None:
        for name, peer in self.peers.items():
            assert not peer.heard, f"{name} also heard {[_shown(heard.message) for heard in peer.heard]}"

    def _expect(self, name: str, text: str) -> None:
        peer = self.peers[name]
        assert peer.heard, f"{name} heard nothing"
        message, at_ns = peer.heard.pop(0)
        words = shlex.split(text)
        assert message.msg_type == words[0], f"it was {_shown(message)}"
        if name in VENUE_NAMES:
            self._expect_at_venue(message, words)
        else:
            self._expect_at_client(name, message, self._fields(words[1:], words[0]), at_ns)

    def _expect_fact(self, kind: str, *fields: str) -> None:
        """The last step made a fact of this kind with these fields."""
        wanted = dict(field.partition("=")[::2] for field in fields)
        found = [fact for batch in self.journal[self._facts_before :] for fact in decode_batch(batch)]
        found = [fact for fact in found if type(fact).__name__ == kind]
        shown = [{name: str(getattr(fact, name)) for name in wanted} for fact in found]
        assert wanted in shown, f"found {shown}"

    def _expect_at_venue(self, message: Message, words: list[str]) -> None:
        child_name, words = words[1], words[2:]
        fields = dict(message.fields)
        if message.msg_type == "D":
            self.children[child_name] = Child(fields["11"], fields)
            self.cum[child_name] = (0, 0.0)
        elif child_name != "-":  # "-": of no order
            child = self.children[child_name]
            named = fields["11"] if message.msg_type == "H" else fields.get("41")
            assert named == child.cl_ord_id, f"it was {_shown(message)}, {child_name} is {child.cl_ord_id}"
            self.children[f"{child_name}/{message.msg_type}"] = Child(fields["11"], fields)
        for tag, value in self._fields(words, message.msg_type).items():
            assert fields.get(tag) == value, f"{tag} is {fields.get(tag)} in {_shown(message)}"

    def _expect_at_client(self, name: str, message: Message, given: dict[str, str | None], at_ns: int) -> None:
        actual = {tag: value for tag, value in message.fields.items() if tag not in HEADER}
        expected: dict[str, str | None] = dict(given)
        if message.msg_type in ("8", "9"):
            expected = self._implied(message.msg_type, actual, given, at_ns) | given
        known = typed_dictionary(APPLICATIONS[self.version]).messages[message.msg_type]
        for tag in list(expected):
            if tag not in known.tags or expected[tag] is None:
                del expected[tag]
        for tag, value in expected.items():
            if tag in actual and (value == "*" or (tag == "17" and _EXEC_NAME.fullmatch(value or ""))):
                if value != "*":
                    self.exec_ids[str(value)] = actual[tag]
                expected[tag] = actual[tag]
        if message.msg_type == "8" and actual["37"] != "NONE" and actual["39"] != "8" and name == "EMS":
            order = self.orders.setdefault(actual["37"], {})
            order.clear()
            order.update({tag: value for tag, value in actual.items() if tag not in OF_ONE_REPORT})
            self.order_ids.setdefault(actual["11"], actual["37"])
        assert actual == expected, f"it was {_shown(message)}\n{_difference(expected, actual)}"

    def _implied(
        self, msg_type: str, actual: dict[str, str], given: dict[str, str | None], at_ns: int
    ) -> dict[str, str | None]:
        """The fields of a report that follow from what went before."""
        cl_ord_id = str(given.get("41") or given.get("11"))
        order_id = self.order_ids.get(cl_ord_id)
        order = self.orders.get(order_id or "", {})
        implied: dict[str, str | None] = {"60": write_timestamp(at_ns), "37": order_id or "*"}
        if msg_type == "9":
            return implied | {"1": order.get("1")}
        if given.get("20") == "3" or given.get("150") == "I":
            implied["17"] = "0"
        else:
            exec_id = actual.get("17", "")
            assert exec_id and exec_id not in self.seen_exec_ids, f"ExecID(17) {exec_id!r} is not new"
            self.seen_exec_ids.add(exec_id)
            implied["17"] = "*"
        sent = self.sent_orders.get(cl_ord_id, {})
        if not order:
            repeated = OF_A_REJECT if given.get("150") == "8" else REPEATED
            order = {tag: sent[tag] for tag in repeated if tag in sent}
        return {"20": "0"} | order | implied


def _traded(kind: str, text: str) -> dict[str, str]:
    """Fields of `trade=200@50.00,ARGO,V1`, of `correct=` in the same form, of `bust=ARGO,V1`."""
    *fill, venue, exec_id = text.split(",")
    fields = {"30": MICS[venue], "29": "1", "527": exec_id}
    if fill:
        fields["32"], _, fields["31"] = fill[0].partition("@")
    return fields | ({"851": "2"} if kind == "trade" else {})


def _shown(message: Message) -> str:
    pairs = zip(message.tags, message.values, strict=True)
    return " ".join([message.msg_type, *(f"{tag}={value}" for tag, value in pairs if tag not in HEADER)])


def _difference(expected: dict[str, str | None], actual: dict[str, str]) -> str:
    tags = sorted(expected.keys() | actual.keys(), key=int)
    return ", ".join(
        f"{tag} is {actual.get(tag)}, expected {expected.get(tag)}"
        for tag in tags
        if actual.get(tag) != expected.get(tag)
    )
