"""The C++ engine as an EMS, with its own dictionaries, against the real daemon and the simulated venues.

It checks each of our reports as strictly as it can; whatever it finds wrong it says with a Reject(3), of which there
must be none.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.prices import px_to_text
from fix.message import Message
from fix.values import write_timestamp
from service import demo
from service.config import ServiceConfig, load
from service.examples import simulators_config
from tests.interop.quickfix_peer import Fields, Peer, running

NEW, PARTIALLY_FILLED, FILLED, CANCELED, REJECTED = "0", "1", "2", "4", "8"
SYMBOL = "ALFA"
FIX50_CLIENT = """
[[clients]]
name = "EMS3"
begin_string = "FIXT.1.1"
accounts = ["ACC1"]
default_account = "ACC1"
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceConfig]:
    """The example daemon and venues as processes, all venues up and every symbol priced."""
    directory = tmp_path_factory.mktemp("platform")
    paths = demo._write_configs(directory, directory / "models", 1, None)
    paths["run"].write_text(paths["run"].read_text() + FIX50_CLIENT)
    config = load(paths["run"])
    with demo._process("simulate", paths["simulate"]) as venues, demo._process("run", paths["run"]) as process:
        demo._await_ready(config, [SYMBOL], {paths["simulate"]: venues, paths["run"]: process})
        yield config


class Ems:
    """Orders in the words of one version, and what has become of them."""

    def __init__(self, peer: Peer, begin_string: str, account: str) -> None:
        self.peer = peer
        self.begin_string = begin_string
        self.account = account

    def order(self, cl_ord_id: str, qty: int, price: str = "", orig_cl_ord_id: str = "") -> Fields:
        fields = [(41, orig_cl_ord_id)] if orig_cl_ord_id else []
        fields += [(11, cl_ord_id), (1, self.account), (21, 1), (55, SYMBOL), (54, 1), (38, qty)]
        fields += [(40, 2), (44, price)] if price else [(40, 1)]
        return [*fields, (59, 0), (60, now())]

    def request(self, cl_ord_id: str, orig_cl_ord_id: str) -> Fields:
        return [(41, orig_cl_ord_id), (11, cl_ord_id), (55, SYMBOL), (54, 1), (60, now())]

    def sends(self, msg_type: str, fields: Fields, *statuses: str, ack: str = "8") -> Message:
        """Sends it and gives back the first answer with one of these OrdStatus(39)es to its ClOrdID(11)."""
        self.peer.send(msg_type, fields)
        return self.hears(str(dict(fields)[11]), *statuses, msg_type=ack)

    def hears(self, cl_ord_id: str, *statuses: str, msg_type: str = "8") -> Message:
        def answers() -> list[Message]:
            found = [message for message in self.peer.heard_of(msg_type) if message.get(11) == cl_ord_id]
            return [message for message in found if message.get(39) in statuses]

        self.peer.wait(f"OrdStatus(39) {statuses} of {cl_ord_id}", lambda _: bool(answers()))
        return answers()[0]

    def canceled_by(self, cl_ord_id: str) -> list[Message]:
        found = [message for message in self.peer.heard_of("8") if message.get(11) == cl_ord_id]
        return [message for message in found if message.get(150) == CANCELED]


def now() -> str:
    return write_timestamp(time.time_ns())


@pytest.mark.parametrize(("client", "begin_string"), [("EMS1", "FIX.4.4"), ("EMS2", "FIX.4.2"), ("EMS3", "FIX.5.0SP2")])
def test_it_takes_every_message_of_an_orders_life(
    daemon: ServiceConfig, client: str, begin_string: str, tmp_path: Path
) -> None:
    port, account = daemon.listen.port, next(item.accounts[0] for item in daemon.clients if item.name == client)
    px = next(symbol.start_px for symbol in simulators_config().market().symbols if symbol.symbol == SYMBOL)
    far_below = px_to_text(px // 100 * 97 // 100 * 100)  # within the price collar
    with running(begin_string, "initiator", port, tmp_path, (client, daemon.service.comp_id)) as peer:
        peer.wait("logon", lambda peer: peer.is_logged_on)
        ems = Ems(peer, begin_string, account)

        ems.sends("D", ems.order("FILL", 300), NEW)
        filled = ems.hears("FILL", FILLED)
        assert (filled.get(14), filled.get(151)) == ("300", "0")

        ems.sends("D", ems.order("REST", 500, far_below), NEW)
        status = ems.sends("H", [(11, "REST"), (55, SYMBOL), (54, 1)], NEW)
        assert status.get(38) == "500"
        ems.sends("G", ems.order("MORE", 700, far_below, "REST"), NEW, "5")
        assert ems.hears("MORE", NEW, "5").get(38) == "700"
        canceled = ems.sends("F", ems.request("AWAY", "MORE"), CANCELED)
        assert (canceled.get(14), canceled.get(41)) == ("0", "MORE")

        refused = ems.sends("F", ems.request("LATE", "MORE"), CANCELED, ack="9")
        assert refused.get(434) == "1"
        ems.sends("F", ems.request("WHO", "NOBODY"), REJECTED, ack="9")
        ems.sends("G", ems.order("WHOSE", 100, far_below, "NOBODY"), REJECTED, ack="9")
        ems.sends("H", [(11, "NOBODY"), (55, SYMBOL), (54, 1)], REJECTED)
        assert ems.sends("D", ems.order("HUGE", 5_000_000, far_below), REJECTED).get(58)
        assert ems.sends("D", [*ems.order("TYPE", 100), (847, "nonsense"), (9100, "nonsense")], REJECTED).get(58)
        peer.send("D", ems.order("FILL", 100))
        peer.wait("a duplicate's reject", lambda peer: any(m.get(103) == "6" for m in peer.heard_of("8")))
        ems.sends("D", ems.order("CHAIN", 500, far_below), NEW)
        peer.send("G", ems.order("CHAIN2", 600, far_below, "CHAIN"))
        peer.send("G", ems.order("CHAIN3", 400, far_below, "CHAIN2"))
        peer.send("F", ems.request("CHAIN4", "CHAIN3"))
        assert ems.hears("CHAIN4", CANCELED).get(41) == "CHAIN3"
        peer.send("Q", [(37, filled.get(37)), (17, filled.get(17)), (127, "D"), (55, SYMBOL), (54, 1)])

        if begin_string != "FIX.4.2":
            for number in range(3):
                ems.sends("D", ems.order(f"MASS{number}", 500, far_below), NEW)
            peer.send("AF", [(584, "S1"), (585, 7)])
            peer.wait("mass status", lambda peer: any(m.get(912) == "Y" for m in peer.heard_of("8")))
            assert {m.get(911) for m in peer.heard_of("8") if m.get(584) == "S1"} == {"3"}
            peer.send("q", [(11, "ALL"), (530, 7), (60, now())])
            peer.wait("mass cancel", lambda peer: bool(peer.heard_of("r")))
            assert peer.heard_of("r")[0].get(533) == "3"
            peer.wait("all canceled", lambda peer: len(ems.canceled_by("ALL")) == 3)
            peer.send("AF", [(584, "S2"), (585, 1), (55, SYMBOL)])
            peer.wait("empty mass status", lambda peer: any(m.get(584) == "S2" for m in peer.heard_of("8")))

        peer.send("R", [(131, "Q1"), (146, 0)])
        peer.wait("business reject", lambda peer: bool(peer.heard_of("j")))

        peer.session.logout("enough")
        peer.wait("logout", lambda peer: not peer.is_logged_on and bool(peer.heard_of("5")))
        assert peer.refusals() == []
