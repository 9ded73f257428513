"""Plays the specification's session-level test cases against an engine that belongs to somebody else.

Nothing is asked of the engine but its session layer: no case needs an application message, none looks at how a Text(58)
is worded, and where the specification leaves a choice both ways pass. The cases are data: see certify.txt.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from fix.dictionary import BEGIN_STRINGS, FIXT
from fix.framing import Framer, frame
from fix.message import Message, parse
from fix.session import SessionConfig
from fix.values import NS_PER_S, write_timestamp

QUICK_HEART_BT_INT, HEART_BT_INT = 2, 30  # of our Logon(A), in cases that wait for it and in others
LONGEST_WAITED_FOR = 5  # seconds of an engine's own HeartBtInt(108)
LOGOUT_S = 2.0
JUMP = 20  # how far a gap fill goes, and how far above its last number a session begins that can't be reset
NO_REJECT_CODES = ("FIX.4.0", "FIX.4.1")
ADMIN = frozenset("012345A")


class Case(NamedTuple):
    number: str
    title: str
    lines: tuple[str, ...]
    roles: tuple[str, ...] = ("acceptor", "initiator")  # of the engine under test
    slow: bool = False
    since: str = BEGIN_STRINGS[0]


class Verdict(NamedTuple):
    case: Case
    result: str  # "passed", "failed", "skipped"
    reason: str = ""


class Link(Protocol):
    """One connection. `receive` gives the bytes that come within `seconds`, None if none do, b"" once it is closed."""

    def send(self, data: bytes) -> None: ...

    def receive(self, seconds: float) -> bytes | None: ...

    def close(self) -> None: ...


class Clock(Protocol):
    def now_ns(self) -> int: ...

    def elapsed_s(self) -> float: ...


class Failed(Exception):  # noqa: N818 - what the engine did, not a bug
    """Why the engine does not pass a case."""


class Skipped(Exception):  # noqa: N818
    """Why a case can't be played with this engine."""


def parse_cases(text: str) -> Iterator[Case]:
    """ValueError for a line that is none of certify.txt."""
    for section in re.split(r"^== ", text, flags=re.MULTILINE)[1:]:
        heading, *lines = section.splitlines()
        number, _, title = heading.partition(" ")
        case = Case(number, title, ())
        played = []
        for line in lines:
            word, _, rest = line.partition(" ")
            match word:
                case "roles":
                    case = case._replace(roles=tuple(rest.split()))
                case "slow":
                    case = case._replace(slow=True)
                case "from":
                    case = case._replace(since=rest)
                case "" | "#":
                    pass
                case _ if hasattr(Play, _STEPS.get(word, "")):
                    played.append(line)
                case _:
                    raise ValueError(f"case {heading!r}: there is no step {line!r}")
        yield case._replace(lines=tuple(played))


def run(
    cases: Iterator[Case], config: SessionConfig, open_link: Callable[[], Link], clock: Clock, timeout_s: float
) -> Iterator[Verdict]:
    """Plays one case after the other, each on a connection of its own. `config.role` is ours, not the engine's.

    OSError if there is no engine to begin with.
    """
    engine_role = "initiator" if config.role == "acceptor" else "acceptor"
    numbers = Numbers()
    for case in cases:
        if engine_role not in case.roles:
            continue
        if BEGIN_STRINGS.index(config.begin_string) < BEGIN_STRINGS.index(case.since):
            continue
        play = Play(case, config, open_link, clock, timeout_s, numbers)
        try:
            play.run()
            yield Verdict(case, "passed")
        except Skipped as skipped:
            yield Verdict(case, "skipped", str(skipped))
        except Failed as failed:
            yield Verdict(case, "failed", f"{failed} (at: {play.line})")
        except OSError as error:
            if not numbers.is_connected:
                raise  # nobody is there: that is no answer to any case
            yield Verdict(case, "failed", f"{error} (at: {play.line})")
        finally:
            play.close()


@dataclass
class Numbers:
    """Sequence numbers over all cases: where a version can't reset them, they go on."""

    next_out: int = 1
    highest_in: int = 0
    is_connected: bool = False  # at least once


@dataclass
class Play:
    """One case being played: each line of it is one step, and each kind of step one method."""

    case: Case
    config: SessionConfig
    open_link: Callable[[], Link]
    clock: Clock
    timeout_s: float
    numbers: Numbers
    line: str = "connect"
    link: Link | None = None
    heart_bt_int: int = HEART_BT_INT
    answers_tests: bool = True
    wait_s: float = 0.0
    gap: int = 0
    jump: int = 0
    last_out: int = 0
    waiting: list[Message] = field(default_factory=list)
    is_closed: bool = False
    was_logged_on: bool = False
    got_logout: bool = False

    def run(self) -> None:
        for line in self.case.lines:
            self.line = line
            word, _, rest = line.partition(" ")
            getattr(self, _STEPS[word])(rest)
        if self.was_logged_on and not self.is_closed:
            self._say_goodbye()

    def close(self) -> None:
        if self.link is not None:
            self.link.close()
        self.link = None

    def _say_goodbye(self) -> None:
        """So that the next case finds a session that has ended well; how it is answered is no part of this case."""
        with suppress(OSError):
            self._put("35=5")
            deadline = self.clock.elapsed_s() + LOGOUT_S
            while self.clock.elapsed_s() < deadline:
                message = self._next(deadline)
                if message is None or message.msg_type == "5":
                    return

    # --- steps ---

    def connect(self, _: str) -> None:
        self.close()
        self.link = self.open_link()
        self.numbers.is_connected = True
        self._framer = Framer()
        self.waiting.clear()
        self.is_closed, self.answers_tests, self.was_logged_on = False, True, False
        self.heart_bt_int = QUICK_HEART_BT_INT if self.case.slow else HEART_BT_INT

    def logon(self, how: str) -> None:
        self.connect("")
        if self.config.role == "acceptor":
            resets = self._accept_logon()
        else:
            resets = how != "next" and self.config.begin_string != "FIX.4.0"
            self._begin(resets, how)
            self._put(self._logon_fields(resets))
            self.expect(f"35=A|108={self.heart_bt_int}" + ("|34=1" if resets else ""))
        self.was_logged_on = True
        if not resets and how != "next":
            self._catch_up()
        self.jump = self.numbers.next_out + JUMP

    def _begin(self, resets: bool, how: str = "") -> None:
        if resets:
            self.numbers.next_out, self.numbers.highest_in = 1, 0
        elif how != "next" and self.numbers.next_out > 1:
            # What the engine has counted of the last case is its own affair: it asks for what it believes to miss.
            self.numbers.next_out += JUMP

    def _catch_up(self) -> None:
        message = self._next(self.clock.elapsed_s() + 0.3)
        if message is not None and message.msg_type == "2":
            now, begin = write_timestamp(self.clock.now_ns()), message.get(7)
            self._put(f"35=4|34={begin}|43=Y|122={now}|123=Y|36={self.numbers.next_out}")
        elif message is not None:
            self.waiting.insert(0, message)

    def _accept_logon(self) -> bool:
        """Whether numbers begin at 1 again."""
        message = self._next(self._deadline())
        if message is None or message.msg_type != "A":
            raise Failed(f"expected its Logon(A), got {_shown(message)}")
        # FIX.4.0 has no ResetSeqNumFlag(141): whoever begins at 1 again expects the same of the other side.
        resets = message.get(141) == "Y" or (self.config.begin_string == "FIX.4.0" and message.msg_seq_num == 1)
        self._begin(resets)
        self.heart_bt_int = int(message.get(108) or 0)
        if self.case.slow and not 0 < self.heart_bt_int <= LONGEST_WAITED_FOR:
            self._put(self._logon_fields(resets))
            self.was_logged_on = True
            self._say_goodbye()
            raise Skipped(
                f"its HeartBtInt(108) is {self.heart_bt_int} s, and only {LONGEST_WAITED_FOR} s are waited for"
            )
        self._put(self._logon_fields(resets))
        return resets

    def _logon_fields(self, resets: bool) -> str:
        version = f"|1137={self.config.default_appl_ver_id or 9}" if self.config.begin_string == FIXT else ""
        flag = "|141=Y" if resets and self.config.begin_string != "FIX.4.0" else ""
        return f"35=A|98=0|108={self.heart_bt_int}{flag}{version}"

    def skip(self, what: str) -> None:
        if what.startswith("to "):
            self.numbers.next_out = int(self._filled(what[3:]))
        else:
            self.gap = self.numbers.next_out
            self.numbers.next_out += int(what)

    def send(self, text: str) -> None:
        self._put(self._filled(text))

    def send_garbled(self, text: str) -> None:
        raw = self._framed(self._filled(text), self.numbers.next_out)
        self._write(raw[:-4] + b"%03d\x01" % ((int(raw[-4:-1]) + 1) % 256))

    def send_wrong_length(self, text: str) -> None:
        raw = self._framed(self._filled(text), self.numbers.next_out)
        length = int(re.search(rb"\x019=(\d+)", raw)[1])  # type: ignore[index]
        wrong = raw.replace(b"\x019=%d\x01" % length, b"\x019=%d\x01" % (length - 3), 1)[:-7]
        self._write(wrong + b"10=%03d\x01" % (sum(wrong) % 256))

    def expect(self, text: str) -> None:
        wanted = [self._wanted(part) for part in text.split(" or ")]
        message = self._next(self._deadline())
        if message is None:
            if self.is_closed and "end" in wanted:
                return
            happened = "it closed the connection" if self.is_closed else "nothing came in time"
            raise Failed(f"expected {text}, but {happened}")
        differences = [_difference(message, fields) for fields in wanted if fields != "end"]
        if "" not in differences:
            raise Failed(f"expected {text}, got {_shown(message)}{differences[0] if differences else ''}")

    def expect_maybe(self, text: str) -> None:
        message = self._next(self._deadline() if self.wait_s else self.clock.elapsed_s() + 1.0)
        if message is not None and _difference(message, self._wanted(text)):
            self.waiting.insert(0, message)

    def expect_end(self, _: str) -> None:
        if self.got_logout:
            with suppress(OSError):  # it need not have waited for ours
                self._put("35=5")
        message = self._next(self._deadline())
        if not self.is_closed:
            raise Failed(f"expected that it closes the connection, got {_shown(message)}")

    def expect_replay(self, _: str) -> None:
        """A gap fill or a resent message for each number up to the last one before our request."""
        last, expected = self.numbers.highest_in, 1
        while expected <= last:
            message = self._next(self._deadline())
            if message is None or message.msg_type in ("3", "5"):
                raise Failed(f"expected {expected} to {last} again, got {_shown(message)}")
            if message.msg_seq_num != expected and message.msg_type == "2":
                continue  # it misses messages of ours and says so first
            if message.msg_seq_num != expected or not message.poss_dup:
                raise Failed(f"expected {expected} again, with PossDupFlag(43)=Y, got {_shown(message)}")
            is_fill = message.msg_type == "4"
            if message.msg_type in ADMIN and not is_fill:
                raise Failed(f"administrative messages are never sent again: {_shown(message)}")
            expected = int(message.get(36) or 0) if is_fill else expected + 1

    def silence(self, seconds: str) -> None:
        message = self._next(self.clock.elapsed_s() + float(seconds))
        if message is not None or (self.is_closed and self.was_logged_on):
            raise Failed(f"expected nothing, got {'the end' if message is None else _shown(message)}")

    def within(self, intervals: str) -> None:
        self.wait_s = float(intervals) * self.heart_bt_int

    def quiet(self, _: str) -> None:
        self.answers_tests = False

    def end(self, _: str) -> None:
        self.close()
        self.is_closed = True

    # --- sending ---

    def _filled(self, text: str) -> str:
        now_ns, hour_ns = self.clock.now_ns(), 3600 * NS_PER_S
        return text.format(
            n=self.last_out,
            next=self.numbers.next_out,
            gap=self.gap,
            jump=self.jump,
            now=write_timestamp(now_ns),
            past=write_timestamp(now_ns - hour_ns),
            future=write_timestamp(now_ns + hour_ns),
            infinity=999999 if self.config.begin_string in NO_REJECT_CODES else 0,
        )

    def _put(self, text: str) -> None:
        """Takes a number of ours, unless the text gives another."""
        raw = self._framed(text, self.numbers.next_out)
        given = re.search(r"\|34=([^|]*)", text)
        if given and given[1] != str(self.numbers.next_out):
            self.last_out = int(given[1]) if given[1].isdecimal() else self.last_out
        else:
            self.last_out = self.numbers.next_out
            self.numbers.next_out += 1
        self._write(raw)

    def _framed(self, text: str, number: int) -> bytes:
        given = dict(part.partition("=")[::2] for part in text.split("|"))
        defaults = {
            "34": str(number),
            "49": self.config.sender_comp_id,
            "52": write_timestamp(self.clock.now_ns()),
            "56": self.config.target_comp_id,
        }
        fields = [part for part in text.split("|") if not part.startswith("8=") and not part.endswith("=NONE")]
        fields[1:1] = [f"{tag}={value}" for tag, value in defaults.items() if tag not in given]
        return frame(given.get("8", self.config.begin_string), ("\x01".join(fields) + "\x01").encode("latin-1"))

    def _write(self, raw: bytes) -> None:
        assert self.link is not None, "a case connects first"
        self.link.send(raw)

    # --- receiving ---

    def _deadline(self) -> float:
        wait_s, self.wait_s = self.wait_s or self.timeout_s, 0.0
        return self.clock.elapsed_s() + wait_s

    def _next(self, deadline: float) -> Message | None:
        """The next message that a case has an opinion about; None at the deadline or the end of the connection."""
        while True:
            message = self.waiting.pop(0) if self.waiting else self._read(deadline)
            if message is None:
                return None
            self.got_logout = message.msg_type == "5"
            if not message.poss_dup:
                self.numbers.highest_in = max(self.numbers.highest_in, message.msg_seq_num)
            if message.msg_type == "1" and self.answers_tests and not self.line.startswith("< 35=1"):
                self._put(f"35=0|112={message.get(112)}")
                continue
            is_heartbeat = message.msg_type == "0" and message.get(112) is None
            is_application = message.msg_type not in ADMIN | {"j"}
            if (is_heartbeat and self.line != "< 35=0") or (is_application and not message.poss_dup):
                continue
            return message

    def _read(self, deadline: float) -> Message | None:
        assert self.link is not None, "a case connects first"
        while (raw := self._framer.next_frame()) is None:
            if self.is_closed:
                return None
            data = self.link.receive(max(deadline - self.clock.elapsed_s(), 0.0))
            if data is None:
                return None
            self.is_closed = not data
            self._framer.feed(data)
        return parse(raw)

    def _wanted(self, text: str) -> "dict[str, str] | str":
        """The fields that a message must have, without those that the version doesn't know."""
        if text == "end":
            return text
        fields = dict(part.partition("=")[::2] for part in self._filled(text).split("|"))
        if self.config.begin_string in NO_REJECT_CODES and fields["35"] == "3":
            fields = {tag: value for tag, value in fields.items() if tag not in ("371", "372", "373")}
        return fields


_STEPS = {
    "connect": "connect",
    "logon": "logon",
    "skip": "skip",
    ">": "send",
    ">garbled": "send_garbled",
    ">length": "send_wrong_length",
    "<": "expect",
    "<?": "expect_maybe",
    "<end": "expect_end",
    "<replay": "expect_replay",
    "silence": "silence",
    "within": "within",
    "quiet": "quiet",
    "end": "end",
}


def _difference(message: Message, wanted: "dict[str, str] | str") -> str:
    """What is wrong with the message, "" if it is as wanted."""
    if isinstance(wanted, str):
        return ": the connection is still there"
    if message.msg_type != wanted["35"]:
        return ": another message"
    for tag, value in wanted.items():
        found = message.get(int(tag))
        if found != value:
            return f": {tag} is {found or 'missing'}, expected {value}"
    return ""


def _shown(message: Message | None) -> str:
    if message is None:
        return "nothing"
    skipped = {"8", "9", "10", "49", "52", "56"}
    pairs = zip(message.tags, message.values, strict=True)
    return "|".join(f"{tag}={value}" for tag, value in pairs if tag not in skipped)
