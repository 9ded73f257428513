"""What a model makes of each feature: its mean P(fill) over rows in which that one feature is set to a value.

Partial dependence (Friedman 2001), at quantiles of the feature, over rows as they occur. It says what the model does,
not why orders fill: features that move together are set apart from each other here.
"""

import msgspec
import numpy as np

from learning.dataset import Dataset
from router.model import OnnxModel

_ROWS = 300
_QUANTILES = np.linspace(0.02, 0.98, 13)


class Effect(msgspec.Struct, frozen=True):
    feature: str
    values: list[float]
    fill_probability: list[float]

    @property
    def reach(self) -> float:
        return max(self.fill_probability) - min(self.fill_probability)


def effects(model: OnnxModel, rows: Dataset, count: int = 12) -> list[Effect]:
    """The `count` features with the largest effect, the largest first."""
    some = rows.take(np.unique(np.linspace(0, len(rows) - 1, min(len(rows), _ROWS)).astype(int)))
    found = []
    for column, name in enumerate(rows.feature_names):
        seen = rows.features[:, column]
        seen = seen[np.isfinite(seen)]
        if not len(seen):
            continue
        values = np.unique(np.quantile(seen, _QUANTILES).astype(np.float32))
        mean = []
        for value in values:
            changed = some.features.copy()
            changed[:, column] = value
            mean.append(float(model.fill_probabilities(changed, some.horizon_ns).mean()))
        found.append(Effect(name, [float(value) for value in values], mean))
    return sorted(found, key=lambda effect: -effect.reach)[:count]
