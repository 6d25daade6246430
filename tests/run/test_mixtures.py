"""Mixtures of experts on the command line: built, searched on, condensed; and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file

from evomerge.cli.main import main
from tests.building import plain_recipe, tiny_llama
from tests.run.family import Family

PROMPTS = [{"positive": ["what is one and two?", "add"]}, {"positive": ["a rhyme"], "negative": ["numbers"]}]


def build(family: Family, folder: Path, name: str, **words: object) -> Path:
    (folder / "prompts.json").write_text(json.dumps(PROMPTS))
    experts = f"[{family.folder / 'one'},{family.folder / 'two'}]"
    given = {"base": family.folder / "base", "prompts": folder / "prompts.json", "statistics.folder": folder / "kept"}
    given |= words
    said = [f"{key}={value}" for key, value in given.items() if value is not None]
    assert main(["build", f"experts={experts}", f"out={folder / name}", *said]) == 0
    return folder / name


def merged(family: Family, folder: Path) -> Path:
    """A mixture with everything else of the mean of its experts."""
    mean = plain_recipe(str(family.folder / "one"), str(family.folder / "two"))
    (folder / "mean.json").write_text(json.dumps(mean))
    return build(family, folder, "merged", base=None, recipe=folder / "mean.json", gate="hidden_mean")


def test_built_and_condensed(family: Family, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mixture = merged(family, tmp_path)
    about = json.loads((mixture / "mixture.json").read_text())
    assert about["gate"] == "hidden_mean"
    assert [Path(expert["source"]).name for expert in about["experts"]] == ["one", "two"]
    assert "1. `two`" in (mixture / "README.md").read_text()
    texts = tmp_path / "texts.jsonl"
    texts.write_text("".join(json.dumps({"text": f"number {n} and {n * n}"}) + "\n" for n in range(6)))
    kept = f"statistics.folder={tmp_path / 'kept'}"
    words = [f"model={mixture}", f"calibration=[{texts}]", "experts=1", kept]
    assert len(list((tmp_path / "kept").glob("*/statistic.json"))) == 3, (
        "of each expert's prompts, and of those not for it"
    )
    assert "collecting hidden_mean of the recipe's model on 4 texts: " in capsys.readouterr().err
    for out, collected in (("dense", True), ("again", False)):
        assert main(["condense", *words, f"out={tmp_path / out}"]) == 0
        told = capsys.readouterr()
        assert told.out.strip() == str(tmp_path / out)
        assert ("collecting router_logits and router_usage of merged on 6 texts: " in told.err) == collected
    stacked = Path(shutil.copytree(mixture, tmp_path / "stacked"))
    transformers.AutoModelForCausalLM.from_pretrained(mixture).save_pretrained(stacked, save_original_format=False)
    other = [f"model={stacked}", *words[1:], f"out={tmp_path / 'of_stacked'}"]
    assert main(["condense", *other]) == 0
    one, two = (load_file(tmp_path / out / "model.safetensors") for out in ("dense", "of_stacked"))
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)
    model, said = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "dense", output_loading_info=True)
    assert not any(said.values())
    assert model.config.model_type == "mistral"
    layer = json.loads((tmp_path / "dense" / "mixture.json").read_text())["layers"]["model.layers.0."]
    assert layer["groups"] == [[0, 1]]
    assert sum(layer["weights"]) == pytest.approx(1.0)


@pytest.mark.slow
def test_two_mixtures_are_searched_on(family: Family, tmp_path: Path) -> None:
    """Two that differ in what everything but experts comes from, and in their routers; the member is proved."""
    models = f"[{build(family, tmp_path, 'plain')},{merged(family, tmp_path)}]"
    run = tmp_path / "run"
    words = family.words(run, models=models, base=None, method="linear", evaluations=6, tasks="[first]", searcher="ga")
    assert main(["search", *words]) == 0
    assert main(["export", f"run={run}", "member=knee", f"out={tmp_path / 'member'}"]) == 0
    assert transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "member").config.num_local_experts == 2
    assert not (tmp_path / "member" / "mixture.json").exists()  # how its parents were built


def test_everything_that_is_wrong_is_told_at_once(
    family: Family, tmp_path: Path, problems_of: Callable[[Sequence[str]], str]
) -> None:
    one = family.folder / "one"
    words = [f"experts=[{one},{tmp_path / 'gone'}]", "per_token=3", "prompts=none.json", f"out={one}"]
    said = problems_of(["build", *words])
    for wrong in ("base: name the model", "experts[1]: ", "per_token: 3 of 2", "there is no file none.json", "out: "):
        assert wrong in said
    (tmp_path / "p.json").write_text(json.dumps([{"positive": []}, {"positive": "x", "also": 1}]))
    words = [f"experts=[{one},{one}]", f"base={one}", f"out={tmp_path / 'out'}"]
    said = problems_of(["build", *words, f"prompts={tmp_path / 'p.json'}"])
    assert "prompts[0].positive: expected at least one text" in said
    assert "prompts[1]: expected an object with positive" in said
    assert "per_token=2" in problems_of(["build", *words, "gate=uniform", "per_token=1"])
    narrow = tiny_llama(tmp_path / "narrow", 0, hidden=8)
    said = problems_of(["build", f"experts=[{one},{narrow}]", *words[1:], "gate=random"])
    assert "experts[1] (narrow): expected a tensor" in said
    words = [f"calibration=[{tmp_path / 'p.json'}]", f"out={tmp_path / 'out'}", "experts=1"]
    assert "of type 'llama'; experts are merged in models of type mixtral" in problems_of(
        ["condense", f"model={one}", *words]
    )
