"""The same hazard learned by XGBoost on Spark, from the archive's Parquet as it is, for archives beyond one machine.

XGBoost's Spark integration takes neither an objective of our own nor many outputs, so the rows are spread first: one
for each bin of time in which an order was at risk, with the bin as a last feature. Logistic regression on those rows is
the discrete-time hazard (Singer and Willett 1993), which is also what learning.training fits with one tree for all
bins; an order that was at risk for a part of a bin counts for that part. Where the rows come from is a stretch of time,
so Spark needs nothing of the driver but its ends. Calibration and judgement stay with the driver.
"""

import os
import sys
from pathlib import Path
from typing import Any

import xgboost
from pyspark.ml.functions import array_to_vector
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as fn
from xgboost.spark import SparkXGBClassifier

from learning.dataset import Dataset
from learning.training import Progress, TrainingConfig

_KEYS = ["epoch", "child_id"]
_OUTCOME = ["time_ns", "filled", "known"]


def session(master: str = "") -> SparkSession:
    """Where Spark runs is its own configuration's (SPARK_CONF_DIR, spark-submit), unless `master` says it."""
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # or workers are whatever python3 is on the PATH
    builder = SparkSession.builder.appName("fairlead train")
    if master:
        builder = builder.master(master).config("spark.driver.bindAddress", "127.0.0.1")
        builder = builder.config("spark.driver.host", "127.0.0.1").config("spark.sql.shuffle.partitions", "2")
    settings = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false", "spark.log.level": "ERROR"}
    return builder.config(map=settings).getOrCreate()


class SparkBoost:
    """Called as learning.training.boost_bins is; the booster has a feature more than the rows: the bin."""

    def __init__(self, session: SparkSession, archive: Path, workers: int = 1) -> None:
        self._session, self._archive, self._workers = session, archive, workers

    def __call__(self, rows: Dataset, config: TrainingConfig, progress: Progress) -> xgboost.Booster:
        orders = self.orders(rows).cache()
        count = orders.count()
        if count != len(rows):
            raise ValueError(f"{count} orders of that time in {self._archive}, expected the {len(rows)} to fit")
        classifier = SparkXGBClassifier(
            features_col="features",
            label_col="label",
            weight_col="weight",
            num_workers=self._workers,
            n_estimators=config.rounds * _ROUNDS_MORE,
            max_depth=config.max_depth + 1,  # one split more, for the bin
            learning_rate=config.eta,
            min_child_weight=config.min_child_weight,
            reg_lambda=config.reg_lambda,
            subsample=config.subsample,
            colsample_bytree=config.colsample_bytree,
            random_state=config.seed,
            tree_method="hist",
            verbose=False,
        )
        booster = classifier.fit(person_periods(orders, config.bin_edges_s)).get_booster()
        orders.unpersist()
        # As it will be read again: attributes of the session that made it don't belong to the model.
        plain = xgboost.Booster(model_file=booster.save_raw("ubj"))
        plain.set_attr(**dict.fromkeys(plain.attributes()))
        progress(config.rounds, config.rounds)
        return plain

    def orders(self, rows: Dataset) -> DataFrame:
        """The children of the stretch of time of `rows`, with what became of them."""
        children, outcomes = (self._session.read.parquet(str(self._archive / t)) for t in ("children", "outcomes"))
        ends_ns = int((rows.at_ns + rows.horizon_ns).max())
        stretch = children.where(
            (fn.col("schema_hash") == rows.schema_hash)
            & (fn.col("at_ns") >= int(rows.at_ns.min()))
            & (fn.col("at_ns") + fn.col("horizon_ns") <= ends_ns)
        )
        return stretch.select(*_KEYS, "at_ns", "sequence", "horizon_ns", "features").join(
            outcomes.select(*_KEYS, *_OUTCOME), _KEYS
        )


_ROUNDS_MORE = 2  # a tree for all bins at once learns them together; here they share only splits above the bin's


def person_periods(orders: DataFrame, edges_s: tuple[float, ...]) -> DataFrame:
    """`features` with the bin as the last one, `label`, `weight`: a row for each bin an order was at risk in."""
    ends_ns = [int(edge_s * 1e9) for edge_s in edges_s]
    starts_ns = [0, *ends_ns[:-1]]
    watched = fn.when(fn.col("known"), fn.greatest("horizon_ns", fn.lit(ends_ns[0]))).otherwise(fn.col("time_ns"))
    filled_in = sum((fn.col("time_ns") > start_ns).cast("int") for start_ns in starts_ns[1:])

    def period(number: int) -> Any:
        start_ns, length_ns = starts_ns[number], ends_ns[number] - starts_ns[number]
        share = fn.greatest((watched - start_ns) / length_ns, fn.lit(0.0))
        if number < len(ends_ns) - 1:  # past its edge the last bin counts on
            share = fn.least(share, fn.lit(1.0))
        event = fn.col("filled") & (filled_in == number)
        gone = fn.col("filled") & (filled_in < number)
        weight = fn.when(event, 1.0).when(gone, 0.0).otherwise(share)
        return fn.struct(fn.lit(number).alias("bin"), event.cast("int").alias("label"), weight.alias("weight"))

    spread = orders.withColumn("period", fn.explode(fn.array(*(period(n) for n in range(len(ends_ns))))))
    at_risk = spread.where(fn.col("period.weight") > 0).orderBy("at_ns", "epoch", "sequence", "period.bin")
    vector = array_to_vector(fn.concat("features", fn.array(fn.col("period.bin").cast("float"))))
    return at_risk.select(vector.alias("features"), fn.col("period.label").alias("label"), "period.weight")
