"""``evomerge transform``: folders that transformers loads and searches take."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from evomerge.cli.main import main
from tests.building import perturbed, tiny_llama

TEXTS = ("two and two is four", "a rose is a rose", "three and one is four", "what is a rose")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base, two experts, and texts of each."""
    folder = tmp_path_factory.mktemp("shop")
    base = tiny_llama(folder / "base", 0)
    for seed, name in ((1, "A"), (2, "B")):
        perturbed(base, folder / name, seed)
        lines = [{"text": text} for text in TEXTS] + [{"prompt": "1 + 1 =", "answer": f" {name}"}]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def words(shop: Path, kind: str, out: Path, *more: str) -> list[str]:
    models = f"models=[{shop / 'A'},{shop / 'B'}]"
    return ["transform", f"kind={kind}", models, f"base={shop / 'base'}", f"out={out}", *more]


def own_texts(shop: Path) -> tuple[str, ...]:
    folder = f"statistics.folder={shop / 'statistics'}"
    return (f"calibration_of.A={shop / 'A.jsonl'}", f"calibration_of.B={shop / 'B.jsonl'}", folder)


@pytest.mark.parametrize("kind", ["regmean_plusplus", "mats", "pleas"])
def test_a_transformed_folder_is_an_ordinary_model(shop: Path, tmp_path: Path, kind: str) -> None:
    assert main(words(shop, kind, tmp_path / "out", *own_texts(shop))) == 0
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype="auto")
    assert model.dtype == torch.bfloat16
    about = json.loads((tmp_path / "out" / "transform.json").read_text())
    assert about["transform"] == kind
    assert about["models"].keys() == {"A", "B"}
    assert f"kind={kind}" in (tmp_path / "out" / "README.md").read_text()
    # It merges with its experts.
    assert main(["compare", f"models=[{shop / 'A'},{tmp_path / 'out'}]", f"base={shop / 'base'}",
                 f"out={tmp_path / 'page.html'}"]) == 0  # fmt: skip


def test_a_wider_model_loads_too(shop: Path, tmp_path: Path) -> None:
    assert main(words(shop, "pleas", tmp_path / "out", "options.ratio=0.5", *own_texts(shop))) == 0
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert model.config.intermediate_size == 48


@pytest.mark.parametrize("kind", ["regmean_plusplus", "mats"])
def test_of_wide_inputs_the_diagonal_counts_and_is_said(
    shop: Path, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    wide = [*own_texts(shop)[:2], f"statistics.folder={tmp_path / 'own'}", "statistics.gram_limit=20"]
    assert main(words(shop, kind, tmp_path / "out", *wide)) == 0
    said = capsys.readouterr().err
    assert ("its 32 inputs are more than the limit of 20: the diagonal alone" in said) == (kind == "mats")
    assert "matrices have more inputs" in said
    assert "statistics.gram_limit, so that the diagonal alone counts there, such as model.layers.0.mlp." in said
    assert main(words(shop, kind, tmp_path / "whole", *own_texts(shop))) == 0
    made = [AutoModelForCausalLM.from_pretrained(tmp_path / name) for name in ("out", "whole")]
    down, query = ([model.get_parameter(name) for model in made] for name in (
        "model.layers.0.mlp.down_proj.weight", "model.layers.0.self_attn.q_proj.weight"))  # fmt: skip
    assert not torch.equal(*down)
    assert torch.equal(*query), "its inputs and outputs are few"


def test_statistics_are_collected_once(shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = f"statistics.folder={tmp_path / 'own'}"
    for out, collected in (("first", True), ("second", False)):
        assert main(words(shop, "mats", tmp_path / out, *own_texts(shop)[:2], folder)) == 0
        said = capsys.readouterr().err
        passes = 4 if collected else 0  # a forward and a backward one of each expert
        assert f" of memory, {passes} passes, about " in said
        assert said.startswith("mats of A, B: ")
        assert ("collecting gram and output_gram of A on 5 texts" in said) == collected
    first, second = (tmp_path / out / "model.safetensors" for out in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()


def test_what_gains_nothing_writes_nothing(shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words(shop, "align", tmp_path / "out")) == 0
    told = capsys.readouterr()
    assert "nothing is gained" in told.out
    assert "A is in the order of base already" in told.err
    assert not (tmp_path / "out").exists()


def test_search_items_are_read_and_the_others_are_refused(
    shop: Path, workshop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = ("tasks=[sums]", f"task_path=[{workshop / 'tasks'}]", "statistics.sequences=3")
    assert main(words(shop, "regmean_plusplus", tmp_path / "out", *tasks)) == 0
    assert "regmean_plusplus of A, B: " in capsys.readouterr().err
    questions = [json.loads(line)["question"] for line in (workshop / "tasks" / "sums.jsonl").read_text().splitlines()]
    lines = [json.dumps({"prompt": question, "answer": " 3"}) + "\n" for question in questions]
    (tmp_path / "all.jsonl").write_text("".join(lines))
    assert main(words(shop, "mats", tmp_path / "none", *tasks, f"calibration=[{tmp_path / 'all.jsonl'}]")) == 2
    said = capsys.readouterr().err
    assert "it holds item " in said
    assert " split; take it out" in said
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ((), "calibration: mats reads texts of every model, and there are none of A, B"),
        (("calibration_of.A=none.jsonl",), "there is no file none.jsonl"),
        (("options.factr=1", "calibration=[{shop}/A.jsonl]"), "no option 'factr'"),
        (("calibration_of.C={shop}/A.jsonl",), "calibration_of: C is none of the models (A, B)"),
    ],
)
def test_refusals(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], told: str
) -> None:
    given = [word.format(shop=shop) for word in more]
    assert main(words(shop, "mats", tmp_path / "out", *given)) == 2
    assert told in capsys.readouterr().err
