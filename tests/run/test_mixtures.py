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
from tests.building import perturbed, plain_recipe, tiny, tiny_llama
from tests.run.family import Family, write_family

PROMPTS = [{"positive": ["what is one and two?", "add"]}, {"positive": ["a rhyme"], "negative": ["numbers"]}]


BUILT = {"llama": "mixtral", "qwen2": "qwen2_moe", "qwen3": "qwen3_moe"}


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


def texts(folder: Path) -> Path:
    """Six texts to look at."""
    file = folder / "texts.jsonl"
    file.write_text("".join(json.dumps({"text": f"number {n} and {n * n}"}) + "\n" for n in range(6)))
    return file


def searched(family: Family, folder: Path, models: Sequence[Path], method: str) -> transformers.PreTrainedModel:
    """The member that a search on models returns, exported, proved and loaded."""
    run, words = folder / "run", {"statistics.folder": folder / "kept", "calibration": f"[{texts(folder)}]"}
    words |= {"models": f"[{','.join(map(str, models))}]", "base": None, "method": method, "tasks": "[first]"}
    assert family.search(run, evaluations=6, searcher="ga", **words) == 0
    assert main(["export", f"run={run}", "member=knee", f"out={folder / 'member'}"]) == 0
    assert not (folder / "member" / "mixture.json").exists()  # how its parents were made
    model, said = transformers.AutoModelForCausalLM.from_pretrained(folder / "member", output_loading_info=True)
    assert not any(said.values())
    loaded: transformers.PreTrainedModel = model
    return loaded


def router_of(model: transformers.PreTrainedModel) -> torch.Tensor:
    """That of the last layer."""
    return model.get_parameter("model.layers.1.mlp.gate.weight")


def test_built_and_condensed(family: Family, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mixture = merged(family, tmp_path)
    about = json.loads((mixture / "mixture.json").read_text())
    assert about["gate"] == "hidden_mean"
    assert [Path(expert["source"]).name for expert in about["experts"]] == ["one", "two"]
    assert "1. `two`" in (mixture / "README.md").read_text()
    kept = f"statistics.folder={tmp_path / 'kept'}"
    words = [f"model={mixture}", f"calibration=[{texts(tmp_path)}]", "experts=1", kept]
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
@pytest.mark.parametrize("model_type", BUILT)
@pytest.mark.parametrize("method", ["linear", "regmean", "fisher"])
def test_two_mixtures_are_searched_on(model_type: str, method: str, tmp_path: Path) -> None:
    """Two that differ in what everything but experts comes from, and in their routers; the member is proved."""
    family = write_family(tmp_path / "family", model_type=model_type)
    mixtures = build(family, tmp_path, "plain"), merged(family, tmp_path)
    member = searched(family, tmp_path, mixtures, method)
    assert member.config.model_type == BUILT[model_type]
    assert router_of(member).shape == (2, 16)


@pytest.mark.slow
@pytest.mark.parametrize(("model_type", "experts"), [(kind, n) for kind in sorted(BUILT.values()) for n in (1, 2)])
def test_two_condensed_mixtures_are_searched_on(model_type: str, experts: int, family: Family, tmp_path: Path) -> None:
    """Of three experts two, or one; Qwen2-MoE's shared experts keep it a mixture, the others are dense then."""
    whole = tiny(model_type, tmp_path / "whole", 0, dtype=torch.bfloat16)
    fewer = []
    for seed in (1, 2):
        own = perturbed(whole, tmp_path / f"of_{seed}", seed, 0.1)
        fewer.append(tmp_path / f"condensed_{seed}")
        words = [f"model={own}", f"calibration=[{texts(tmp_path)}]", f"experts={experts}", f"out={fewer[-1]}"]
        assert main(["condense", *words, f"statistics.folder={tmp_path / 'kept'}"]) == 0
    member = searched(family, tmp_path, fewer, "regmean")
    if experts == 2 or model_type == "qwen2_moe":
        assert member.config.model_type == model_type
        assert router_of(member).shape == (experts, 16)
    else:
        assert member.config.model_type == {"mixtral": "mistral", "qwen3_moe": "qwen3"}[model_type]


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
