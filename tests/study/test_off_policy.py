"""The coverage study in small: what it reports is what its days say, and its pages can be read."""

import msgspec
from rich.console import Console

from study.off_policy import ESTIMATORS, TARGETS, Study, as_table, page, run


def test_a_small_study_says_for_each_model_what_is_true_and_how_often_it_was_covered():
    study, answers = run(2, 240, 2, 1, Console(quiet=True))
    assert 0.0 < study.explored_share <= 0.0201  # of shares; the bound is on notional
    assert [one.model for one in study.models] == list(TARGETS)
    *told, different = study.models
    assert (different.answers, different.refused, different.true_bps) == (0, 2, None)
    for one in told:
        assert one.answers + one.refused == 2 and len(answers[one.model]) == one.answers
        for name in ESTIMATORS:
            found = [getattr(answer, name) for answer in answers[one.model]]
            covered = sum(e.interval.low <= one.true_bps <= e.interval.high for e in found)
            assert one.estimators[name].covered == covered / one.answers
            assert abs(one.estimators[name].bias_bps) < 0.6
    assert msgspec.json.decode(msgspec.json.encode(study), type=Study) == study
    console = Console(width=140, record=True, quiet=True)
    console.print(as_table(study))
    assert page(study, answers).count("<svg") == len(told)
