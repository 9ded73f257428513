"""A client that says exactly what it is told to, for what no decent EMS would send; its codec is simplefix."""

from dataclasses import dataclass, field

from simplefix import FixMessage, FixParser

from domain.prices import px_to_text
from service.links import EMS_PORT
from simulators.client import Output
from simulators.client_session import utc_timestamp
from tests.service.platform import SECOND_NS, Platform

Fields = dict[int, object]  # None leaves a field out


@dataclass
class Wire:
    """One connection after the other to the node's EMS port. `answers` are all messages that came back, by tag."""

    platform: Platform
    begin_string: str = "FIX.4.4"
    sender_comp_id: str = "EMS1"
    target_comp_id: str = "FAIRLEAD"
    answers: list[dict[int, str]] = field(default_factory=list)
    next_out: int = 1
    is_open: bool = False

    def __post_init__(self) -> None:
        self._name = f"wire {self.sender_comp_id} {id(self)}"
        self.platform.world.add(self._name, self)
        self.connect()

    def connect(self) -> None:
        self._parser = FixParser()
        self._link = self.platform.world.connect(self._name, "wire", "node", EMS_PORT)
        self.platform.run(0.001)

    def cut(self) -> None:
        self.platform.world.cut(self._link)

    def write(self, data: bytes, seconds: float = 0.05) -> list[dict[int, str]]:
        """Writes the bytes and gives back what was answered within the time."""
        before = len(self.answers)
        self.platform.perform(Output([(self._link, data)]))
        self.platform.run(seconds)
        return self.answers[before:]

    def message(self, msg_type: str, body: Fields, header: Fields | None = None) -> bytes:
        """Header fields are filled in where `header` doesn't change them; lists repeat a tag."""
        head: Fields = {
            8: self.begin_string,
            35: msg_type,
            49: self.sender_comp_id,
            56: self.target_comp_id,
            34: self.next_out,
            52: utc_timestamp(self.platform.now_ns),
        }
        message = FixMessage()
        for tag, value in (head | (header or {}) | body).items():
            for item in value if isinstance(value, list) else [value]:
                if item is not None:
                    message.append_pair(tag, item)
        return message.encode()

    def send(self, msg_type: str, body: Fields, header: Fields | None = None) -> list[dict[int, str]]:
        """The same, as the next message of the session."""
        data = self.message(msg_type, body, header)
        self.next_out += 1
        return self.write(data)

    def logon(self, **changes: object) -> list[dict[int, str]]:
        body: Fields = {98: 0, 108: 30}
        return self.send("A", body | {int(tag[1:]): value for tag, value in changes.items()})

    def order(self, cl_ord_id: str, changes: Fields | None = None) -> Fields:
        """Fields of a NewOrderSingle(D) that is all right: a patient buy well below the market, which rests."""
        fields: Fields = {11: cl_ord_id, 1: "ACC1", 55: "ALFA", 54: 1, 38: 300, 40: 2, 44: px_to_text(24_0000), 59: 0}
        return fields | {60: utc_timestamp(self.platform.now_ns), 847: "sweep"} | (changes or {})

    def take(self, msg_type: str) -> list[dict[int, str]]:
        return [answer for answer in self.answers if answer[35] == msg_type]

    # --- the endpoint ---

    def connected(self, link: int, port: str, now_ns: int) -> Output:
        self.is_open = True
        return Output()

    def receive(self, link: int, data: bytes, now_ns: int) -> Output:
        self._parser.append_buffer(data)
        while (message := self._parser.get_message()) is not None:
            self.answers.append({int(tag): value.decode("latin-1") for tag, value in message.pairs})
        return Output()

    def disconnected(self, link: int, now_ns: int) -> Output:
        self.is_open = False
        return Output()

    def timer(self, now_ns: int) -> Output:
        raise AssertionError("no timer was asked for")

    def next_timer_ns(self) -> int | None:
        return None


WARM_UP_S = 3.0  # by then every venue is up and every symbol has a price
HEARTBEAT_NS = 30 * SECOND_NS
