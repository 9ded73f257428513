"""What a run came to, for a person as tables and for a program as JSON. Both say the same."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from learning.tca import Summary
from learning.training import TrainingRecord
from service.reconcile import Reconciliation
from service.training import evaluation_table

SHOWN_DIFFERENCES = 20


def as_json(summary: Summary, books: Reconciliation, model_id: str, record: TrainingRecord) -> dict[str, Any]:
    """Slippage and latency are null where nothing filled or was measured; costs are bps, positive is worse."""
    evaluation = record.evaluation
    return {
        "parents": summary.parents + summary.parents_rejected,
        "parents_rejected": summary.parents_rejected,
        "children": summary.children,
        "fills": summary.fills,
        "shares_ordered": summary.shares_ordered,
        "shares_filled": summary.shares_filled,
        "risk_rejects": summary.risk_rejects,
        "venues": {
            name: {
                "kind": venue.kind,
                "children": venue.children,
                "fill_rate": venue.fill_rate,
                "shares": venue.shares,
                "predicted": venue.predicted,
                "realised": venue.realised,
                "censored": venue.censored,
            }
            for name, venue in summary.venues.items()
        },
        "slippage_arrival_bps": summary.slippage_arrival_bps,
        "slippage_vwap_bps": summary.slippage_vwap_bps,
        "latency_us": {"p50": summary.latency_p50_us, "p99": summary.latency_p99_us},
        "reconciled": books.reconciled,
        "unmatched_shares": books.unmatched_shares,
        "differences": books.differences,
        "model": {
            "id": model_id,
            "log_loss": evaluation.model.log_loss,
            "baseline_log_loss": min(evaluation.constant.log_loss, evaluation.venue_table.log_loss),
        },
    }


def as_tables(
    summary: Summary,
    books: Reconciliation,
    model_id: str,
    record: TrainingRecord,
    shares: Mapping[str, int],
) -> RenderableType:
    """`shares`: filled shares as each side has them, by the side's name."""
    return Group(
        _totals(summary),
        _venues(summary),
        evaluation_table(model_id, record.evaluation),
        _books(books, shares),
    )


def _totals(summary: Summary) -> Table:
    table = Table(title="Orders", title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    filled = summary.shares_filled / summary.shares_ordered if summary.shares_ordered else 0.0
    for name, value in (
        ("parent orders accepted", f"{summary.parents:,}"),
        ("parent orders rejected", f"{summary.parents_rejected:,}"),
        ("child orders", f"{summary.children:,}"),
        ("fills", f"{summary.fills:,}"),
        ("shares ordered", f"{summary.shares_ordered:,}"),
        ("shares filled", f"{summary.shares_filled:,} ({filled:.1%})"),
        ("average price against arrival", _bps(summary.slippage_arrival_bps)),
        ("average price against interval VWAP", _bps(summary.slippage_vwap_bps)),
        ("order in to first child out, p50", _us(summary.latency_p50_us)),
        ("order in to first child out, p99", _us(summary.latency_p99_us)),
        ("risk rejects", f"{summary.risk_rejects:,}"),
    ):
        table.add_row(name, value)
    return table


def _venues(summary: Summary) -> Table:
    table = Table(title="Venues (P(fill): predicted when routed, realised within the horizon)", title_justify="left")
    table.add_column("venue")
    table.add_column("kind")
    for name in ("children", "sent", "filled", "fill rate", "P predicted", "P realised", "censored"):
        table.add_column(name, justify="right")
    for name, venue in summary.venues.items():
        table.add_row(
            name,
            venue.kind,
            f"{venue.children:,}",
            f"{venue.sent:,}",
            f"{venue.shares:,}",
            f"{venue.fill_rate:.1%}",
            "-" if venue.predicted is None else f"{venue.predicted:.3f}",
            "-" if venue.realised is None else f"{venue.realised:.3f}",
            f"{venue.censored:,}",
        )
    return table


def _books(books: Reconciliation, shares: Mapping[str, int]) -> Table:
    verdict = "they agree to the share" if books.reconciled else f"{books.unmatched_shares:,} shares unmatched"
    table = Table(
        title=f"Books: {verdict}", title_justify="left", title_style="bold green" if books.reconciled else "bold red"
    )
    table.add_column("side")
    table.add_column("shares filled", justify="right")
    for side, filled in shares.items():
        table.add_row(side, f"{filled:,}")
    for difference in books.differences[:SHOWN_DIFFERENCES]:
        table.add_row(difference, "")
    return table


def _bps(value: float | None) -> str:
    return "-" if value is None else f"{value:+.2f} bps"


def _us(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f} us"
