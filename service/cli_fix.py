"""The commands for those who have a FIX engine of their own: a peer to test against, test cases, a reader of logs."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from service.command import NARROWEST, CommandError, existing

if TYPE_CHECKING:
    from fix.dictionary import Dictionary
    from fix.session import SessionConfig

SESSION_HELP = "BEGIN_STRING:OUR_COMP_ID:THEIR_COMP_ID[:DEFAULT_APPL_VER_ID]"
DICTIONARY_HELP = "custom fields, values and messages, in QuickFIX's XML format"


def add_commands(command: Callable[[str, object, str], argparse.ArgumentParser]) -> None:
    """`command` adds one: its name, its function and a line about it."""
    echoing = command(
        "echo", echo, "a FIX acceptor that says back what it gets, to test a client's session layer against"
    )
    echoing.add_argument("--host", default="127.0.0.1", metavar="HOST", help="address to listen on")
    echoing.add_argument("--port", type=int, required=True, metavar="P", help="0: any free one, which is logged")
    echoing.add_argument(
        "--session", action="extend", nargs="+", required=True, metavar="SESSION", help=f"{SESSION_HELP}; several"
    )
    echoing.add_argument("--dictionary", type=existing, metavar="XML", help=DICTIONARY_HELP)
    echoing.add_argument("--reset-on-logon", action="store_true", help="every logon starts at sequence number 1")

    text = "play the specification's session test cases against an engine, and say what it gets wrong"
    certified = command("certify", certify, text)
    where = certified.add_mutually_exclusive_group(required=True)
    where.add_argument("--connect", metavar="HOST:PORT", help="where the engine accepts connections")
    where.add_argument(
        "--listen", type=int, metavar="PORT", help="where the engine connects to; it should reset numbers on logon"
    )
    certified.add_argument("--host", default="127.0.0.1", metavar="HOST", help="address to listen on")
    certified.add_argument("--session", required=True, metavar="SESSION", help=SESSION_HELP)
    certified.add_argument("--timeout", type=float, default=5.0, metavar="S", help="seconds that an answer may take")
    certified.add_argument(
        "--connect-timeout", type=float, default=60.0, metavar="S", help="and a connection, with --listen"
    )
    certified.add_argument("--tls", action="store_true", help="over TLS; the next four are for it")
    certified.add_argument("--authorities", default="", metavar="PEM", help="who signs the engine's certificate")
    certified.add_argument("--certificate", default="", metavar="PEM", help="ours; --listen needs one")
    certified.add_argument("--key", default="", metavar="PEM", help="of our certificate, where it is not in its file")
    certified.add_argument("--server-name", default="", metavar="NAME", help="in the engine's certificate; its host")
    certified.add_argument("--only", default="", metavar="TEXT", help="cases with this in their number or title")

    read = command("fixlog", fixlog, "a FIX log, or pasted text, with every field and value named")
    read.add_argument("file", type=_log_file, metavar="FILE", help="- is standard input")
    read.add_argument(
        "--filter",
        action="append",
        default=[],
        metavar="TAG=VALUE",
        help="a tag or a name, such as 35=8 or Side=BUY; all of them must hold",
    )
    read.add_argument("--order", metavar="CL_ORD_ID", help="an order's whole story, through its replaces and cancels")
    read.add_argument(
        "--session", metavar="COMP_ID[:COMP_ID]", help="only what was sent between these, in both directions"
    )
    read.add_argument("--follow", action="store_true", help="go on with what is added to the file")
    read.add_argument("--brief", action="store_true", help="one line for each message")
    read.add_argument("--dictionary", type=existing, metavar="XML", help=DICTIONARY_HELP)


def echo(args: argparse.Namespace) -> int:
    from fix.validation import FULL
    from service import echo as service_echo
    from service import logs

    settings = {"reset_on_logon": args.reset_on_logon, "validation": FULL}
    configs = [_session(service_echo.session_config, text, **settings) for text in args.session]
    dictionary = _dictionary(args)
    versions = [config.application for config in configs]
    if dictionary is not None and dictionary.name not in versions:
        raise CommandError(f"fairlead echo: {args.dictionary} is for {dictionary.name}, the sessions for {versions}")
    logs.configure("info", "")
    return service_echo.run(configs, dictionary, args.host, args.port)


def certify(args: argparse.Namespace) -> int:
    from rich.console import Console

    from fix.tls import ConnectorTls, ListenerTls
    from service import certify_link
    from service.echo import session_config

    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, NARROWEST)
    role = "initiator" if args.connect else "acceptor"
    config = _session(session_config, args.session, role=role)
    files = {"certificate": args.certificate, "key": args.key, "authorities": args.authorities}
    if args.connect:
        host, _, port = args.connect.rpartition(":")
        if not host or not port.isdecimal():
            raise CommandError(f"fairlead certify: expected HOST:PORT, got {args.connect!r}")
        tls = ConnectorTls(**files, server_name=args.server_name) if args.tls else None
        open_link = certify_link.connector(host, int(port), args.timeout, tls)
        return certify_link.certify(config, open_link, args.timeout, args.only, console)
    if args.tls and not args.certificate:
        raise CommandError("fairlead certify: --listen with --tls needs a --certificate")
    with certify_link.listener(args.host, args.listen) as listener:
        print("waiting for the engine at {}:{}".format(*listener.getsockname()), file=sys.stderr, flush=True)
        own = ListenerTls(**files) if args.tls else None
        open_link = certify_link.acceptor(listener, args.connect_timeout, own)
        return certify_link.certify(config, open_link, args.timeout, args.only, console)


def fixlog(args: argparse.Namespace) -> int:
    from service import fixlog_files
    from service.fixlog import Selection

    if args.follow and args.file is None:
        raise CommandError("fairlead fixlog: --follow needs a file")
    fields = [tuple(text.partition("=")[::2]) for text in args.filter]
    if any(not name or not value for name, value in fields):
        raise CommandError(f"fairlead fixlog: expected TAG=VALUE or NAME=VALUE, got {' '.join(args.filter)}")
    comp_ids = tuple(filter(None, (args.session or "").split(":")))
    selection = Selection(fields, comp_ids, args.order or "")
    extra = _dictionary(args)
    return fixlog_files.show(
        args.file, selection, extra, follow=args.follow, in_brief=args.brief, whole=args.order is not None
    )


def _session(make: "Callable[..., SessionConfig]", text: str, **settings: object) -> "SessionConfig":
    try:
        return make(text, **settings)
    except ValueError as error:
        raise CommandError(f"fairlead: {error}") from None


def _dictionary(args: argparse.Namespace) -> "Dictionary | None":
    """What `--dictionary` names, on top of the version that it is for."""
    if args.dictionary is None:
        return None
    from fix.dictionary import DictionaryError, dictionary, load_xml
    from fix.dictionary.layout import Sources
    from fix.dictionary.quickfix_xml import read_xml

    try:
        version, _ = read_xml(args.dictionary.read_text("utf-8"), Sources())
        return load_xml(args.dictionary, dictionary(version))
    except DictionaryError as error:
        raise CommandError(f"fairlead: {args.dictionary}: {error}") from None


def _log_file(text: str) -> Path | None:
    return None if text == "-" else existing(text)
