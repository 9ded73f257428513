"""A drop copy hears every report on its accounts, whoever the client is, in its own words and its own sequence."""

from gateway.clients import ClientConfig
from simulators.client_orders import EmsOrder
from tests.service.platform import Platform, plan, small_config
from tests.service.wire import Wire

REQUEST_ALL = {7: 1, 16: 0}


def busy(begin_string: str, *accounts: str) -> tuple[Platform, Wire]:
    config = small_config()
    copy = ClientConfig("BACKOFFICE", begin_string=begin_string, accounts=accounts, drop_copy=True)
    plans = {client.name: plan(config, client.name, 4, seed) for seed, client in enumerate(config.clients)}
    platform = Platform(seed=3, config=small_config(clients=(*config.clients, copy)), plans=plans)
    return platform, Wire(platform, begin_string, "BACKOFFICE")


def reported(platform: Platform, account: str = "") -> list[str]:
    orders: list[EmsOrder] = [order for client in platform.ems.values() for order in client.orders.values()]
    return sorted(report.exec_id for order in orders if account in ("", order.account) for report in order.reports)


def finish(platform: Platform, wire: Wire) -> None:
    """In half-minute steps, each with a heartbeat of the copy's session."""
    for _ in range(4):
        platform.run(8)
        wire.send("0", {})


def test_every_report_on_the_accounts_is_copied_and_marked_with_its_client():
    platform, wire = busy("FIX.4.4", "ACC1", "ACC2")
    wire.logon()
    finish(platform, wire)
    copies = wire.take("8")
    assert copies and sorted(copy[17] for copy in copies) == reported(platform)
    assert {copy[797] for copy in copies} == {"Y"}
    assert {(copy[448], copy[447], copy[452]) for copy in copies} == {("EMS1", "D", "3"), ("EMS2", "D", "3")}
    assert not [copy for copy in copies if 20 in copy]  # EMS2 speaks FIX.4.2, its copies do not


def test_a_copy_in_the_words_of_fix_4_2_and_of_one_account_only():
    platform, wire = busy("FIX.4.2", "ACC1")
    wire.logon()
    finish(platform, wire)
    copies = wire.take("8")
    assert copies and sorted(copy[17] for copy in copies) == reported(platform, "ACC1")
    assert {copy[109] for copy in copies} == {"EMS1"} and {copy[1] for copy in copies} == {"ACC1"}
    assert all(copy[20] in "012" and 797 not in copy for copy in copies)


def test_what_it_missed_is_replayed_from_its_own_sequence_also_after_a_crash():
    platform, wire = busy("FIX.4.4", "ACC1", "ACC2")
    platform.run(6)
    platform.crash()
    platform.run(20)
    wire.connect()
    (logon,) = [answer for answer in wire.logon() if answer[35] == "A"]
    assert int(logon[34]) == len(reported(platform)) + 1
    resent = [answer for answer in wire.send("2", REQUEST_ALL) if answer[35] == "8"]
    assert sorted(copy[17] for copy in resent) == reported(platform)
    assert {copy[43] for copy in resent} == {"Y"}
    assert [int(copy[34]) for copy in resent] == list(range(1, len(resent) + 1))


def test_it_can_send_nothing():
    platform, wire = busy("FIX.4.4", "ACC1")
    wire.logon()
    platform.run(3)
    (refused,) = [answer for answer in wire.send("D", wire.order("X")) if answer[35] == "j"]
    assert (refused[380], refused[372]) == ("6", "D") and "a drop copy only hears" in refused[58]
    assert all(parent.accepted.client != "BACKOFFICE" for parent in platform.node.state.parents.values())
