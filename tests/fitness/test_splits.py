"""Item ids, splits and samples follow from hashes."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from evomerge.fitness.splits import item_ids, sample, split_of, strata


def test_ids_name_content_and_count_twins() -> None:
    docs: list[dict[str, Any]] = [{"q": 1, "a": "x"}, {"a": "x", "q": 1}, {"q": 2, "a": "x"}]
    ids = item_ids("t", docs)
    assert ids[1] == f"{ids[0]}-2"
    assert len(ids[0]) == 16
    assert ids[2] != ids[0]
    assert item_ids("u", docs)[0] != ids[0]
    assert split_of(ids[0], {"search": 0.5, "selection": 0.2, "test": 0.3}) == split_of(
        ids[1], {"search": 0.5, "selection": 0.2, "test": 0.3}
    )
    assert item_ids("t", [{"blob": b"1", "array": np.arange(2)}]) != item_ids(
        "t", [{"blob": b"2", "array": np.arange(2)}]
    )


def test_splits_have_their_shares() -> None:
    ids = item_ids("t", [{"n": n} for n in range(4000)])
    shares = Counter(split_of(item, {"search": 0.5, "selection": 0.2, "test": 0.3}) for item in ids)
    assert {split: round(count / 4000, 1) for split, count in shares.items()} == {
        "search": 0.5,
        "selection": 0.2,
        "test": 0.3,
    }
    assert {split_of(item, {"search": 1.0}) for item in ids} == {"search"}


def test_samples_are_stratified_nested_and_seeded() -> None:
    ids = item_ids("t", [{"n": n} for n in range(600)])
    labels = {item: "abc"[min(place % 6, 2)] for place, item in enumerate(ids)}  # 1/6 a, 1/6 b, 4/6 c
    layers = strata(labels, dict.fromkeys(ids, 4))
    drawn = sample(ids, layers, 60, seed=0)
    counts = Counter(labels[item] for item in drawn)
    assert abs(counts["a"] - 10) <= 1
    assert abs(counts["b"] - 10) <= 1
    assert set(sample(ids, layers, 30, seed=0)) < set(drawn)
    assert set(sample(ids, layers, 60, seed=1)) != set(drawn)
    assert list(drawn) == [item for item in ids if item in set(drawn)]
    assert sample(ids, layers, 600, seed=0) == tuple(ids)


def test_answers_that_are_no_labels_are_no_strata() -> None:
    ids = item_ids("t", [{"n": n} for n in range(50)])
    free = strata({item: f"answer {item}" for item in ids}, dict.fromkeys(ids, 0))
    assert len(set(free.values())) == 1
    assert strata(dict.fromkeys(ids, "yes"), {item: len(item) % 2 for item in ids})[ids[0]] == ("yes", 0)
