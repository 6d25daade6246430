"""Statistics that are named: collected of one model, forecast, listed, and found by the verbs that read them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

import evomerge
from evomerge.cli.main import main
from evomerge.statistics import LAYERS, StatisticsFolder
from evomerge.statistics._shared.store import headers
from tests.run.family import Family
from tests.run.test_mixtures import build

LAYERED = "block_influence,layer_cka,hidden_last,hidden_mean"


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("texts") / "texts.jsonl"
    file.write_text("".join(json.dumps({"text": f"one {n} and {n * n}"}) + "\n" for n in range(5)))
    return file


def test_statistics_of_layers_are_collected_by_name_and_found_by_the_verb(
    family: Family, texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = f"statistics.folder={tmp_path / 'kept'}"
    words = [f"model={family.folder / 'one'}", f"calibration=[{texts}]", folder]
    named = [*words, f"statistic=[{LAYERED}]"]
    assert main(["check", "statistics", *named]) == 0
    told = capsys.readouterr().out
    assert "block_influence and layer_cka and hidden_last and hidden_mean of one on 5 texts: " in told
    assert " of disk, " in told
    assert " of memory, 1 pass, about " in told
    assert not (tmp_path / "kept").exists(), "nothing is collected"
    assert main(["statistics", "collect", *named]) == 0
    keys = [line.split()[0] for line in capsys.readouterr().out.splitlines()[:-1]]
    arrays = [StatisticsFolder(tmp_path / "kept").tensor(key, LAYERS) for key in keys]
    layers, hidden = arrays[2].shape
    assert [tuple(array.shape) for array in arrays] == [(layers,), (layers, layers), (layers, hidden), (layers, hidden)]
    assert main(["statistics", "list", folder]) == 0
    listed = capsys.readouterr().out
    assert all(f"{key[:12]}  {name} " in listed for key, name in zip(keys, LAYERED.split(","), strict=True))
    assert main(["check", "layers", *words]) == 0
    assert "nothing to collect, all is in " in capsys.readouterr().out
    assert main(["layers", *words]) == 0
    assert "collecting" not in capsys.readouterr().err
    assert main(["statistics", "remove", folder, f"key=[{keys[0][:8]},{keys[3][:8]}]"]) == 0
    assert set(StatisticsFolder(tmp_path / "kept").keys()) == set(keys[1:3])


def test_statistics_of_routers_are_those_that_condense_reads(
    family: Family, texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mixture = build(family, tmp_path, "mixture", gate="random", prompts=None, per_token=1)
    kept = f"statistics.folder={tmp_path / 'kept'}"
    words = [f"model={mixture}", f"calibration=[{texts}]", kept]
    condense = [*words, "experts=1", f"out={tmp_path / 'small'}"]
    assert main(["check", "condense", *condense]) == 0
    told = capsys.readouterr().out
    assert "router_logits and router_usage of mixture on 5 texts: " in told
    assert " of disk, " in told
    assert "disk: " in told.splitlines()[-1]
    assert main(["statistics", "collect", *words, "statistic=[router_logits,router_usage]"]) == 0
    _, usage, _ = capsys.readouterr().out.splitlines()
    assert "router_usage per_token=1 of mixture" in usage, "as the mixture's config says"
    assert main(["condense", *condense]) == 0
    assert "collecting" not in capsys.readouterr().err
    assert main(["statistics", "collect", *words, "statistic=router_usage", "options.per_token=2"]) == 0
    both = capsys.readouterr().out.split()[0]
    folder = StatisticsFolder(tmp_path / "kept")
    [gate, *_] = headers(tmp_path / "kept" / both)
    np.testing.assert_array_equal(folder.tensor(both, gate), [0.5, 0.5])
    assert main(["statistics", "list", kept]) == 0
    assert {", per_token=1", ", per_token=2"} <= set(_options(capsys.readouterr().out))


def _options(listed: str) -> list[str]:
    return [f", per_token={line.partition('per_token=')[2][:1]}" for line in listed.splitlines() if "per_token" in line]


def test_the_routers_of_a_mixture_are_forecast(
    family: Family, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "prompts.json").write_text(json.dumps([{"positive": ["one", "two and"]}, {"positive": ["three"]}]))
    models = f"[{family.folder / 'one'},{family.folder / 'two'}]"
    words = [f"experts={models}", f"base={family.folder / 'base'}", f"prompts={tmp_path / 'prompts.json'}"]
    words += [f"out={tmp_path / 'mixture'}", f"statistics.folder={tmp_path / 'kept'}"]
    assert main(["check", "build", *words]) == 0
    collected, written = capsys.readouterr().out.splitlines()
    assert collected.startswith("hidden_last of the base on 3 texts: ")
    assert written.startswith("disk: ")
    assert main(["check", "build", *words[:2], "gate=uniform", words[3]]) == 0
    assert "gate=uniform: no model reads texts" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == [tmp_path / "prompts.json"], "nothing is built or collected"


def test_a_transformation_is_forecast(
    family: Family, texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = f"[{family.folder / 'one'},{family.folder / 'two'}]"
    words = ["kind=mats", f"models={models}", f"calibration=[{texts}]", f"out={tmp_path / 'mats'}"]
    assert main(["check", "transform", *words, f"statistics.folder={tmp_path / 'kept'}"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("mats of one, two: ")
    assert " passes, about " in told
    assert not any(tmp_path.iterdir())


def test_search_items_are_read_and_the_others_are_refused(
    family: Family, workshop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = ["tasks=[sums]", f"task_path=[{workshop / 'tasks'}]", f"statistics.folder={tmp_path / 'kept'}"]
    words = [f"model={family.folder / 'one'}", *tasks]
    assert main(["layers", *words, "sequences=3"]) == 0
    assert "collecting block_influence and layer_cka of one on 3 texts: " in capsys.readouterr().err
    questions = [json.loads(line)["question"] for line in (workshop / "tasks" / "sums.jsonl").read_text().splitlines()]
    (tmp_path / "all.jsonl").write_text("".join(json.dumps({"prompt": one, "answer": "3"}) + "\n" for one in questions))
    named = ["statistics", "collect", "statistic=hidden_mean"]
    for verb in (["layers"], named, ["condense", "experts=1", f"out={tmp_path / 'out'}"]):
        model = [f"model={build(family, tmp_path, 'm', gate='random', prompts=None)}"] if verb[0] == "condense" else []
        assert main([*verb, *words, *model, f"calibration=[{tmp_path / 'all.jsonl'}]"]) == 2
        said = capsys.readouterr().err
        assert "it holds item " in said
        assert " split; take it out" in said


def test_named_statistics_in_python(family: Family, texts: Path, tmp_path: Path) -> None:
    keep = {"calibration": [texts], "statistics.folder": tmp_path / "kept"}
    found = evomerge.collect(model=family.folder / "one", statistic=["block_influence"], **keep)
    assert list(found.values()) == ["block_influence of one"]
    assert not StatisticsFolder(tmp_path / "kept").missing(found)


def test_everything_that_is_wrong_with_names_and_options_is_told(
    family: Family, texts: Path, tmp_path: Path, problems_of: Callable[[Sequence[str]], str]
) -> None:
    words = ["statistics", "collect", f"model={family.folder / 'one'}", f"statistics.folder={tmp_path / 'kept'}"]
    said = problems_of([*words, "statistic=[layer_cak]"])
    assert "did you mean 'layer_cka'" in said
    assert "calibration: missing; write calibration=[FILE.jsonl], or tasks=[...]" in said
    words.append(f"calibration=[{texts}]")
    said = problems_of([*words, "statistic=[router_usage,gram]", "options.per_tokens=2", "options.limit=a"])
    assert "options.per_tokens: no statistic that is named has it; did you mean 'per_token'?" in said
    assert "statistic gram: option limit is 'a'; expected" in said
    said = problems_of([*words, "statistic=router_usage"])
    assert "router_usage: transformers computes nothing in this model that it could be read from" in said
