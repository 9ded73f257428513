"""One page on a trained model: how good it is and how sure that is, where it is good, whether its numbers mean what
they say, and what it makes of the features. A function of the model's own record: no script, nothing to load."""

from collections.abc import Sequence
from html import escape

from learning.evaluation import Metrics
from learning.intervals import Interval
from learning.training import TrainingRecord
from learning.walk_forward import SLICED_BY, WalkForward
from simulators.chart import Axis, Series, line_chart
from simulators.report import CSS

PREDICTORS = {
    "model": "model",
    "logistic": "logistic regression",
    "venue_table": "table per venue",
    "constant": "constant",
}
_MEASURES = {"log_loss": "log-loss", "brier": "Brier", "auc": "AUC", "calibration_error": "calibration error"}


def html(model_id: str, record: TrainingRecord) -> str:
    """The page; without a walk forward it has the figures of the held-out stretch alone."""
    walk = record.walk_forward
    parts = [f"<h1>Fill model {escape(model_id)}</h1>", _made(record), "<h2>On later orders</h2>", _figures(record)]
    if walk is not None:
        parts += [
            "<h2>Day by day</h2>",
            _days(walk),
            f"<main>{_reliability(walk)}{_losses(walk) if len(walk.days) > 1 else ''}</main>",
        ]
        for sliced_by in SLICED_BY:
            parts += [f"<h2>By {sliced_by}</h2>", _slices(walk, sliced_by)]
    if record.markout is not None:
        parts += ["<h2>Markout 10 s after a fill</h2>", _markout(record)]
    if record.effects:
        parts += ["<h2>What it makes of the features</h2>", f"<main>{_effects(record)}</main>"]
    title = f"Fill model {escape(model_id)}"
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
    body = "\n".join(parts)
    return f'<!doctype html>\n<html lang="en"><head>{head}\n<style>{CSS}</style></head><body>{body}</body></html>\n'


def _made(record: TrainingRecord) -> str:
    walk = record.walk_forward
    judged = f"{record.evaluation.rows:,} orders with a known outcome and {record.evaluation.censored:,} censored"
    if walk is not None:
        days = "day" if len(walk.days) == 1 else "days, each"
        judged += f" on {len(walk.days)} {days} by a model of the days before it, {walk.embargo_s:g} s apart"
    else:
        judged += ", all later than those it learned from"
    made = f"seed {record.config.seed}, Fairlead {escape(record.version)}, XGBoost {escape(record.xgboost)}"
    learned = f"{record.fitted.rows:,} orders, calibrated on {record.calibrated.rows:,} later ones"
    data = f"Data {record.data_hash[:12]}, {made} ({escape(record.engine)})"
    return f"<p>Learned from {learned}. Judged on {judged}. {data}.</p>"


def _figures(record: TrainingRecord) -> str:
    walk = record.walk_forward
    heads = ["P(fill) by", *_MEASURES.values()]
    if walk is not None:
        heads += ["concordance", "log-loss above the model's"]
    rows = []
    for name, label in PREDICTORS.items():
        found: Metrics = getattr(record.evaluation, name)
        cells = [label]
        for measure in _MEASURES:
            of = walk.intervals[name][measure] if walk is not None else None
            cells.append(f"{getattr(found, measure):.4f}{_small(of)}")
        if walk is not None:
            cells.append(f"{walk.concordance[name]:.3f}")
            better = walk.better_by.get(name)
            cells.append("" if better is None else f"{better.low:.4f} to {better.high:.4f}")
        rows.append(cells)
    if walk is not None and (kinds := walk.by_kind) is not None and kinds.kinds:
        own = f"own models for {', '.join(kinds.kinds)}"
        better = f"{kinds.shared_better_by.low:.4f} to {kinds.shared_better_by.high:.4f}"
        rows.append([escape(own), f"{kinds.own:.4f}", *[""] * len(_MEASURES), better])
    note = "<p><small>Small: the middle 95% when quarters of an hour are drawn again.</small></p>" if walk else ""
    return _table(heads, rows) + note


def _days(walk: WalkForward) -> str:
    rows = [
        [day.day, f"{day.rows:,}", f"{day.fill_rate:.3f}", *(f"{day.log_loss[name]:.4f}" for name in PREDICTORS)]
        for day in walk.days
    ]
    return _table(["day", "orders", "filled", *(f"log-loss, {label}" for label in PREDICTORS.values())], rows)


def _slices(walk: WalkForward, sliced_by: str) -> str:
    rows = []
    for found in walk.slices:
        if found.sliced_by == sliced_by:
            figures = [f"{getattr(found.model, measure):.4f}" for measure in _MEASURES]
            simpler = [f"{found.log_loss[name]:.4f}" for name in PREDICTORS if name != "model"]
            rows.append([found.name, f"{found.rows:,}", f"{found.fill_rate:.3f}", *figures, *simpler])
    simpler = [f"log-loss, {label}" for name, label in PREDICTORS.items() if name != "model"]
    return _table([sliced_by, "orders", "filled", *_MEASURES.values(), *simpler], rows)


def _reliability(walk: WalkForward) -> str:
    series = [Series("as said", [0.0, 1.0], [0.0, 1.0], 4, dots=False)]
    for number, name in enumerate(("model", "logistic")):
        points = walk.reliability[name]
        middles = [(point.realised.low + point.realised.high) / 2 for point in points]
        series.append(Series(PREDICTORS[name], [point.predicted for point in points], middles, number))
    ends = [
        Series(f"{side} of 95%", [p.predicted for p in walk.reliability["model"]],
               [getattr(p.realised, side) for p in walk.reliability["model"]], 0, dots=False)
        for side in ("low", "high")
    ]  # fmt: skip
    chart = line_chart([*series, *ends], Axis("P(fill) said", low=0.0, high=1.0), Axis("filled", low=0.0, high=1.0))
    return _figure("Reliability", f"{_key(series[1:])} with its 95%", chart)


def _losses(walk: WalkForward) -> str:
    days = list(range(1, len(walk.days) + 1))
    series = [
        Series(label, days, [day.log_loss[name] for day in walk.days], number)
        for number, (name, label) in enumerate(PREDICTORS.items())
    ]
    return _figure("Log-loss", _key(series), line_chart(series, Axis("day"), Axis("log-loss")))


def _markout(record: TrainingRecord) -> str:
    found = record.markout
    assert found is not None
    rows = [["table of venue and action", f"{found.table:.3f}"], ["constant", f"{found.constant:.3f}"]]
    if found.model is not None:
        rows.insert(0, ["model", f"{found.model:.3f}"])
    else:
        rows.append(["no head: it did not beat the table", ""])
    said = f"<p>{found.rows:,} fills, mean {found.mean_bps:.3f} bps; positive is a loss.</p>"
    return said + _table(["markout by", "mean squared error, bps squared"], rows)


def _effects(record: TrainingRecord) -> str:
    return "".join(
        _figure(
            effect.feature,
            "mean P(fill) with it set to a value",
            line_chart(
                [Series(effect.feature, effect.values, effect.fill_probability, 0)],
                Axis(effect.feature),
                Axis("P(fill)", low=0.0, high=1.0),
            ),
        )
        for effect in record.effects
    )


def _small(of: Interval | None) -> str:
    return "" if of is None else f"<small>{of.low:.4f} to {of.high:.4f}</small>"


def _key(series: Sequence[Series]) -> str:
    return "".join(f'<span class="key"><i class="s{one.number}"></i>{escape(one.name)}</span>' for one in series)


def _figure(title: str, text: str, chart: str) -> str:
    return f"<figure><figcaption><b>{escape(title)}</b> {text}</figcaption>{chart}</figure>"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells of `rows` are HTML already."""
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = "".join(f"<tr><th>{row[0]}</th>{''.join(f'<td>{cell}</td>' for cell in row[1:])}</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'
