"""A document of sections, as Markdown or as one HTML page: what is said is apart from how it looks."""

import html
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Text:
    """A paragraph; words between backticks are literal."""

    text: str


@dataclass(frozen=True)
class Table:
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Code:
    """Lines as they are: a FIX message with | for SOH."""

    text: str


@dataclass
class Section:
    title: str
    blocks: list[Text | Table | Code] = field(default_factory=list)


@dataclass
class Document:
    title: str
    sections: list[Section]


def markdown(document: Document) -> str:
    lines = [f"# {document.title}", ""]
    for section in document.sections:
        lines += [f"## {section.title}", ""]
        for block in section.blocks:
            match block:
                case Text(text=text):
                    lines += [text, ""]
                case Code(text=text):
                    lines += ["```", text, "```", ""]
                case Table(columns=columns, rows=rows):
                    lines += [_row(columns), "|---" * len(columns) + "|", *map(_row, rows), ""]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


STYLE = """body { font: 15px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.7rem } h2 { font-size: 1.25rem; margin-top: 2.2rem; border-bottom: 1px solid #cfd8e3 }
table { border-collapse: collapse; width: 100%; font-size: 14px } td, th { text-align: left; vertical-align: top;
padding: .3rem .6rem; border-bottom: 1px solid #e3e9f0 } th { background: #f3f6fa }
code, pre { font: 13px/1.45 ui-monospace, monospace; background: #f3f6fa } pre { padding: .7rem; white-space: pre-wrap;
overflow-wrap: anywhere } nav a { margin-right: 1rem } @media print { nav { display: none } }"""


def html_page(document: Document) -> str:
    """One file without anything from elsewhere."""
    title = html.escape(document.title)
    links = "".join(f'<a href="#s{n}">{html.escape(s.title)}</a>' for n, s in enumerate(document.sections))
    parts = [
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>',
        f"<style>{STYLE}</style></head><body><h1>{title}</h1><nav>{links}</nav>",
    ]
    for number, section in enumerate(document.sections):
        parts.append(f'<h2 id="s{number}">{html.escape(section.title)}</h2>')
        parts += [_block(block) for block in section.blocks]
    return "\n".join([*parts, "</body></html>", ""])


def _block(block: Text | Table | Code) -> str:
    match block:
        case Text(text=text):
            return f"<p>{_inline(text)}</p>"
        case Code(text=text):
            return f"<pre>{html.escape(text)}</pre>"
        case Table(columns=columns, rows=rows):
            head = "".join(f"<th>{html.escape(cell)}</th>" for cell in columns)
            body = "\n".join("<tr>" + "".join(f"<td>{_inline(cell)}</td>" for cell in row) + "</tr>" for row in rows)
            return f"<table><tr>{head}</tr>\n{body}</table>"


def _inline(text: str) -> str:
    parts = html.escape(text).split("`")
    return "".join(f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(parts))
