"""Baselines by name: each has its evaluation, whichever of them share a record."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from evomerge.contracts.store import answers, evaluation
from evomerge.store import RunStore, baselines


def model(label: str, fingerprint: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"label": label, "source": f"models/{label}", "revision": None, "fingerprint": fingerprint, **fields}


def store_of(folder: Path, names: Sequence[str], manifest: dict[str, Any]) -> RunStore:
    with RunStore.open(folder, manifest, {}) as store:
        for index, name in enumerate([*names, None]):
            store.append(evaluation(f"digest of {name}", 0, index, name=name), answers())
    return RunStore.read(folder)


@pytest.mark.parametrize(
    ("models", "base", "kept", "expected"),
    [
        ("abc", "d", ["base", "expert:a", "expert:b", "expert:c", "uniform"], {}),
        ("aba", "d", ["base", "expert:one", "expert:two", "uniform"], {"expert:three": "expert:one"}),
        ("aab", "d", ["base", "expert:one", "expert:three", "uniform"], {"expert:two": "expert:one"}),
        ("aab", "a", ["base", "expert:three", "uniform"], {"expert:one": "base", "expert:two": "base"}),
        ("aa", None, ["expert:one", "uniform"], {"expert:two": "expert:one"}),
        ("ab", "d", ["base"], {}),
    ],
    ids=["none", "first and last", "first two", "base too", "no base", "begun"],
)
def test_equal_contents_share_a_record(
    tmp_path: Path, models: str, base: str | None, kept: list[str], expected: dict[str, str]
) -> None:
    labels = list(models) if models == "abc" else ["one", "two", "three"][: len(models)]
    manifest = {
        "models": [model(label, content) for label, content in zip(labels, models, strict=True)],
        "base": model("base", base) if base else None,
    }
    store = store_of(tmp_path, kept, manifest)
    found = baselines(store, "search")
    order = ["base", *(f"expert:{label}" for label in labels), "uniform"]
    assert list(found) == [name for name in order if name in kept or name in expected]
    assert {name: e.name for name, e in found.items() if e.name != name} == expected
    assert baselines(store, "test") == {}


def test_equal_labels_are_told_apart_by_their_place(tmp_path: Path) -> None:
    manifest = {"models": [model("one", "a"), model("one", "a", source="again/one")]}
    found = baselines(store_of(tmp_path, ["expert:one#0"], manifest), "search")
    assert {name: e.name for name, e in found.items()} == {
        "expert:one#0": "expert:one#0",
        "expert:one#1": "expert:one#0",
    }


@pytest.mark.parametrize("manifest", [{}, {"models": [{}, {}], "base": None}, {"models": [model("a"), model("b")]}])
def test_what_the_manifest_does_not_say_is_not_guessed(tmp_path: Path, manifest: dict[str, Any]) -> None:
    names = ["uniform", "expert:x", "expert:b", "base"]
    assert set(baselines(store_of(tmp_path, names, manifest), "search")) == set(names)
