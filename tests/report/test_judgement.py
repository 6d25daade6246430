"""The judgement of a claim keeps its promise for the best of many, and says nothing that the answers do not."""

from __future__ import annotations

import numpy as np
import pytest

from evomerge.errors import InputError
from evomerge.evaluation.samples import DOCUMENT, ITEM, Sample, Samples
from evomerge.report.audit.judgement import LOWER, SAME, UNJUDGED, Audit, judge
from evomerge.report.audit.pairing import pair
from evomerge.report.audit.text import as_text


def model(values: list[float], where: str = "x", task: str = "t", **others: object) -> Samples:
    """A model's answers to documents 0, 1, ..."""
    samples = (Sample(task, {DOCUMENT: f"d{n:04d}"}, {"acc": value}) for n, value in enumerate(values))
    return Samples(where, tuple(samples), **others)  # type: ignore[arg-type]


def judged(*files: Samples, tried: int | None = 1, cluster: str | None = None) -> Audit:
    return judge(files, pair(files, "acc", cluster), "acc", tried)


def test_the_best_of_many_equal_models_is_not_taken_for_better() -> None:
    """Thirty models that are all as good as the other one: the best looks better, and its interval still holds zero."""
    random = np.random.default_rng(0)
    naive = honest = 0
    for _ in range(60):
        chances = random.beta(2.0, 2.0, 150)
        answers = (random.random((31, 150)) < chances).astype(float)
        other, models = answers[0], answers[1:]
        best = models[np.argmax(models.sum(axis=1))]
        found = judged(model(best.tolist(), "best"), model(other.tolist(), "other"), tried=30)
        naive += found.versus[0].plain.low > 0.0
        honest += found.versus[0].difference.low > 0.0
    assert naive >= 12, "a plain interval finds every fifth time or more that the best is better"
    assert honest <= 3


def test_the_page_names_the_lead_that_luck_gives() -> None:
    """Ten models of standard error 0.05: the expected maximum of ten standard normal values is 1.539."""
    random = np.random.default_rng(1)
    a, b = ((random.random(100) < 0.5).astype(float).tolist() for _ in range(2))
    found = judged(model(a, "a"), model(b, "b"), tried=10)
    assert found.versus[0].verdict == SAME
    assert found.luck == pytest.approx(1.539 * found.versus[0].plain.se, rel=0.01)
    assert "by luck" in "\n".join(as_text(found))
    assert judged(model(a, "a"), model(b, "b")).luck == 0.0


def test_every_further_comparison_is_corrected_for() -> None:
    random = np.random.default_rng(2)
    files = [model((random.random(200) < share).astype(float).tolist(), f"m{share}") for share in (0.3, 0.7, 0.6, 0.5)]
    found = judged(*files)
    assert found.confidence == pytest.approx(1.0 - 0.05 / 3)
    assert [versus.verdict for versus in found.versus] == [LOWER] * 3
    text = "\n".join(as_text(found))
    assert "a minus d" in text
    assert "3 comparisons" in text
    assert found.to_json()["others"][1]["other"] == "m0.5"


def test_one_item_judges_nothing() -> None:
    found = judged(model([1.0], "a"), model([0.0], "b"))
    assert found.versus[0].verdict == UNJUDGED
    assert found.to_json()["se"] is None
    assert "cannot judge" in "\n".join(as_text(found))


def test_values_that_are_no_shares_are_compared_with_students_t() -> None:
    random = np.random.default_rng(3)
    first = random.normal(20.0, 5.0, 80)
    found = judged(model(first.tolist(), "a"), model((first + random.normal(1.0, 0.5, 80)).tolist(), "b"))
    assert found.versus[0].verdict == LOWER
    assert found.versus[0].counts is None
    assert not found.unit
    assert "%" not in next(line for line in as_text(found) if line.startswith("a minus b"))


def test_several_tasks_are_one_comparison_over_their_items() -> None:
    def of_two(values: list[float], where: str) -> Samples:
        parts = [model(values[:30], where, "one").samples, model(values[30:], where, "two").samples]
        return Samples(where, parts[0] + parts[1])

    random = np.random.default_rng(4)
    a, b = ((random.random(100) < share).astype(float).tolist() for share in (0.8, 0.4))
    found = judge((of_two(a, "a"), of_two(b, "b")), pair((of_two(a, "a"), of_two(b, "b")), "acc", None), "acc", 1)
    assert found.tasks == ("one", "two")
    assert found.versus[0].difference.mean == pytest.approx(np.mean(a) - np.mean(b))
    alone = pair((of_two(a, "a"), of_two(b, "b")), "two.acc", None)
    assert alone.items == 70


def test_equal_documents_count_as_one_cluster() -> None:
    def twins(values: list[float], where: str) -> Samples:
        samples = (Sample("t", {DOCUMENT: f"d{n // 2}"}, {"acc": value}) for n, value in enumerate(values))
        return Samples(where, tuple(samples))

    found = judged(twins([1.0, 1.0, 0.0, 0.0] * 10, "a"), twins([1.0, 0.0, 0.0, 0.0] * 10, "b"))
    assert (found.items, found.clusters) == (40, 20)
    assert "20 of them different" in "\n".join(as_text(found))


def test_what_cannot_be_paired_is_refused() -> None:
    here = model([1.0, 0.0], "here")
    lines = Samples("lines", (Sample("t", {ITEM: "i1"}, {"acc": 1.0}),))
    with pytest.raises(InputError, match="name their items in different ways"):
        pair((here, lines), "acc", None)
    with pytest.raises(InputError, match="here is of t; there is of u"):
        pair((here, model([1.0], "there", "u")), "acc", None)
    unnamed = model([1.0, 1.0], "unnamed", "")
    assert pair((here, unnamed), "acc", None).items == 2
    several = Samples("several", here.samples + model([1.0], "x", "u").samples)
    with pytest.raises(InputError, match="one does not say which"):
        pair((several, unnamed), "acc", None)
    with pytest.raises(InputError, match="the files hold no fields of documents"):
        pair((here, here), "acc", "passage")
