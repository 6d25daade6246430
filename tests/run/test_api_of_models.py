"""The Python interface of verbs that make models or look at one."""

from __future__ import annotations

import json
from pathlib import Path

import evomerge
from tests.run.family import Family


def test_models_are_made_and_looked_at(family: Family, tmp_path: Path) -> None:
    folder = family.folder
    texts = tmp_path / "texts.jsonl"
    texts.write_text(json.dumps({"text": "number one and two"}) + "\n")
    kept = {"statistics.folder": tmp_path / "kept"}
    experts = [folder / "one", str(folder / "two")]
    mixture = evomerge.build(experts, tmp_path / "mixture", base=folder / "base", gate="random", seed=3)
    assert json.loads((mixture / "mixture.json").read_text())["seed"] == 3
    dense = evomerge.condense(mixture, 1, tmp_path / "dense", calibration=[texts], **kept)
    found = evomerge.layers(dense, calibration=[texts], **kept)
    assert len(found.influence) == 2
    own = {"one": texts, "two": texts}
    [further] = evomerge.transform("pleas", experts, tmp_path / "pleas", calibration_of=own, options={"fit": "none"})
    assert (further / "model.safetensors").is_file()
    there = evomerge.statistics.StatisticsFolder(tmp_path / "kept")
    keys = there.keys()
    assert {there.about(key)["key"]["statistic"] for key in keys} == {
        "block_influence",
        "layer_cka",
        "router_logits",
        "router_usage",
    }
    for key in keys:
        there.remove(key)
    assert not evomerge.statistics.StatisticsFolder(tmp_path / "kept").keys()


def test_what_a_search_reads_is_collected(family: Family, tmp_path: Path) -> None:
    values = {
        "models": [family.folder / "one", family.folder / "two"],
        "base": family.folder / "base",
        "tasks": ["first"],
        "task_path": [family.folder / "tasks"],
        "method": "regmean",
        "statistics": {"folder": tmp_path, "sequences": 2},
    }
    found = evomerge.collect(**values)
    assert [text.split(" on ")[0] for text in found.values()] == ["gram of one", "gram of two"]
    assert not evomerge.statistics.StatisticsFolder(tmp_path).missing(found)
