"""`fairlead ems`: a simulated EMS that sends orders to a running daemon, over FIX, and waits until each has ended.

For trying things out: a day of a desk in a minute. Half of the orders are sweeps and half TWAPs, on the symbols of the
config, from every client that it names and that needs no password.
"""

import argparse
import asyncio
import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from domain.fields import OrdStatus
from service.command import CommandError
from service.config import ServiceConfig, load
from service.examples import simulators_config
from simulators.client import Ems, plan_parents
from simulators.client_session import EmsSession
from simulators.client_tcp import run_ems

SECOND_NS = 1_000_000_000
_LONGEST_TWAP_S = 20
_GRACE_S = 8  # after its time is over, an order is cancelled
_PATIENCE_S = 20  # and then it has to end


def main(args: argparse.Namespace) -> int:
    """0 if every order ended, with nothing against the protocol."""
    config = load(args.config)
    ems = _clients(config, args.parents, args.seconds, args.seed)
    asyncio.run(_trade(config, ems, args.seconds, Console()))
    orders = [order for client in ems.values() for order in client.orders.values()]
    left = [order.cl_ord_id for order in orders if not order.is_final]
    filled = sum(order.cum_qty for order in orders)
    rejected = sum(order.settled_status is OrdStatus.REJECTED for order in orders)
    print(f"{len(orders)} orders, {filled:,} shares filled, {rejected} rejected, {len(left)} without an end")
    faults = [fault for client in ems.values() for fault in client.violations]
    for fault in faults[:5]:
        print(f"against the protocol: {fault}")
    return 1 if left or faults or not orders else 0


def _clients(config: ServiceConfig, parents: int, seconds: int, seed: int) -> dict[str, Ems]:
    start_px = {symbol.symbol: symbol.start_px for symbol in simulators_config().market().symbols}
    instruments = [item.instrument for item in config.instruments if item.symbol in start_px]
    clients = [c for c in config.clients if not c.credentials and not c.drop_copy and not set("*?") & set(c.name)]
    if not clients or not instruments:
        raise CommandError("fairlead ems: no client without a password in the config, or none of the example's symbols")
    ems, now_s = {}, int(time.time())
    for number, client in enumerate(clients):
        plan = plan_parents(
            parents // len(clients) + (number < parents % len(clients)),
            seed * 1000 + number,
            instruments,
            (now_s + 1) * SECOND_NS,
            seconds * SECOND_NS,
            account=client.accounts[0],
            prefix=f"{client.name}-{now_s:X}-",  # a ClOrdID(11) is taken once a day
            longest_ns=_LONGEST_TWAP_S * SECOND_NS,
        )
        session = EmsSession(client.begin_string, client.name, config.service.comp_id, reset_on_logon=True)
        ems[client.name] = Ems(session, plan, start_px.__getitem__)
    return ems


async def _trade(config: ServiceConfig, ems: dict[str, Ems], seconds: int, console: Console) -> None:
    over = False
    host, port = config.listen.host, config.listen.port
    tasks = [asyncio.create_task(run_ems(client, host, port, lambda: over)) for client in ems.values()]
    closing = time.monotonic() + seconds + _LONGEST_TWAP_S + _GRACE_S
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bars:
        bar = bars.add_task("orders done", total=None)
        cancelled = False
        while not all(client.done for client in ems.values()) and time.monotonic() < closing + _PATIENCE_S:
            await asyncio.sleep(0.1)
            orders = [order for client in ems.values() for order in client.orders.values()]
            bars.update(bar, total=len(orders), completed=sum(order.is_final for order in orders))
            if time.monotonic() > closing and not cancelled:
                cancelled = True
                for client in ems.values():
                    client.cancel_open()
    over = True
    await asyncio.gather(*tasks)
