"""The command that writes the documents a broker gives its clients."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from service.command import CommandError, existing


def add_commands(command: Callable[[str, object, str], argparse.ArgumentParser]) -> None:
    """`command` adds one: its name, its function and a line about it."""
    documents = command("spec", spec, "documents for clients, from the tables that check their orders")
    kinds = documents.add_subparsers(dest="document", metavar="DOCUMENT", required=True)
    text = "rules of engagement: session, messages, fields, strategies, rejects, examples"
    engagement = kinds.add_parser("roe", help=text, description=text)
    engagement.add_argument("--client", required=True, metavar="NAME", help="a client of the config")
    engagement.add_argument("--format", choices=("html", "md"), default="html")
    text = "the strategies as FIXatdl 1.1, for the tickets of an EMS"
    tickets = kinds.add_parser("atdl", help=text, description=text)
    tickets.add_argument("--client", default="", metavar="NAME", help="in whose words; default: those of FIX.4.4")
    for document in (engagement, tickets):
        document.add_argument("--config", type=existing, metavar="FILE", help="default: the example in deploy/")
        document.add_argument("--out", type=Path, metavar="FILE", help="default: standard output")


def spec(args: argparse.Namespace) -> int:
    from gateway.clients import client_named
    from service.document import html_page, markdown
    from service.examples import daemon_config
    from service.spec import rules_of_engagement
    from service.spec_atdl import ANYBODY, atdl

    config = daemon_config(args.config)
    client = client_named(config.clients, args.client) if args.client else ANYBODY
    if client is None:
        names = ", ".join(client.name for client in config.clients)
        raise CommandError(f"fairlead spec: there is no client {args.client!r}; expected {names}")
    if args.document == "atdl":
        text = atdl(client, config.service.comp_id)
    else:
        document = rules_of_engagement(config, client)
        text = html_page(document) if args.format == "html" else markdown(document)
    if args.out is None:
        sys.stdout.write(text)
    else:
        args.out.write_text(text, "utf-8")
    return 0
