"""Bad input: exit code 2, every problem at once, with what came, where, and what to do; nothing half-written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from tests.building import edit_json, perturbed, plain_recipe, rewrite, tiny
from tests.run.family import Family, write_task

Refused = Callable[[Sequence[str]], str]


def search(family: Family, run: Path, **changes: object) -> list[str]:
    return ["search", *family.words(run, **changes)]


def test_typos_are_answered_with_what_was_meant(family: Family, tmp_path: Path, problems_of: Refused) -> None:
    """One of a key, one of a name, one of a task; the others are told by the configuration, see tests/config."""
    typos = {
        "metod=ties": "did you mean 'method'",
        "method=dare-ties": "did you mean 'dare_ties'",
        "tasks=[frist,second]": "did you mean 'first'",
    }
    for typo, answer in typos.items():
        words = [word for word in search(family, tmp_path / "run") if not word.startswith(typo.split("=")[0] + "=")]
        assert answer in problems_of([*words, typo])
    assert not (tmp_path / "run").exists()


def test_metrics_coefficients_and_groups_are_suggested_all_at_once(
    family: Family, tmp_path: Path, problems_of: Refused
) -> None:
    words = search(
        family,
        tmp_path / "run",
        objectives="[first.ac,second.gold_logprb,frst.acc]",
        constraints="['first.brier >= 0.1']",
        genome__bounds="{wieght: [0, 1]}",
        genome__frozen="[embeding]",
    )
    printed = problems_of(words)
    for meant in ("acc", "gold_logprob", "first", "brier_score", "weight", "embedding"):
        assert f"did you mean {meant!r}" in printed


def test_problems_of_every_kind_come_in_one_message(family: Family, tmp_path: Path, problems_of: Refused) -> None:
    words = search(
        family, tmp_path / "run", models=f"[{family.folder / 'one'},{family.folder / 'tow'}]", metod="ties",
        evaluations="-1", tasks="[first,secnd]", genome="layers",
    )  # fmt: skip
    printed = problems_of(words)
    for expected in ("metod", "evaluations", "layers"):
        assert expected in printed
    assert printed.count("\n  - ") >= 4


def test_checkpoints_tasks_and_genome_are_judged_together(
    own_family: Family, tmp_path: Path, problems_of: Refused
) -> None:
    rewrite(own_family.folder / "one", lambda tensors: tensors.pop("model.norm.weight"))
    words = search(own_family, tmp_path / "run", objectives="[first.ac,second.acc]", genome__bounds="{wieght: [0, 1]}")
    printed = problems_of(words)
    for expected in ("model.norm.weight", "first.ac", "wieght"):
        assert expected in printed
    assert not (tmp_path / "run").exists()


def damage_missing(one: Path) -> None:
    rewrite(one, lambda tensors: tensors.pop("model.layers.1.mlp.up_proj.weight"))


def damage_extra(one: Path) -> None:
    rewrite(one, lambda tensors: tensors.update({"model.layers.1.mlp.side_proj.weight": torch.zeros(2, 2)}))


def damage_shape(one: Path) -> None:
    rewrite(one, lambda tensors: tensors.update({"model.norm.weight": torch.zeros(17, dtype=torch.bfloat16)}))


def damage_truncated(one: Path) -> None:
    path = one / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def damage_header(one: Path) -> None:
    path = one / "model.safetensors"
    path.write_bytes(path.read_bytes()[:8] + b"x" + path.read_bytes()[9:])


def damage_empty(one: Path) -> None:
    (one / "model.safetensors").write_bytes(b"")


def damage_gone(one: Path) -> None:
    (one / "model.safetensors").unlink()


def damage_pickled(one: Path) -> None:
    (one / "model.safetensors").rename(one / "pytorch_model.bin")


def damage_vocabulary(one: Path) -> None:
    """Two tokens that change places: each then has the meaning of the other."""
    data = json.loads((one / "tokenizer.json").read_text())
    vocabulary = data["model"]["vocab"]
    vocabulary["a"], vocabulary["b"] = vocabulary["b"], vocabulary["a"]
    (one / "tokenizer.json").write_text(json.dumps(data))


def damage_nan(one: Path) -> None:
    def poison(tensors: dict[str, torch.Tensor]) -> None:
        tensors["model.layers.0.mlp.down_proj.weight"][0, 0] = float("nan")

    rewrite(one, poison)


def damage_quantised(one: Path) -> None:
    edit_json(one / "config.json", quantization_config={"quant_method": "gptq", "bits": 4})


def damage_link(one: Path) -> None:
    shutil.rmtree(one)
    one.symlink_to(one.parent / "two")


DAMAGES = {
    damage_missing: ("model.layers.1.mlp.up_proj.weight", "one"),
    damage_extra: ("model.layers.1.mlp.side_proj.weight", "one"),
    damage_shape: ("model.norm.weight", "17"),
    damage_truncated: ("model.safetensors", "bytes"),
    damage_header: ("model.safetensors",),
    damage_empty: ("model.safetensors",),
    damage_gone: ("safetensors",),
    damage_pickled: ("pytorch_model.bin", "safetensors"),
    damage_vocabulary: ("reference's in 2 tokens", "'a' has id 68 instead of 67", "embeddings=base"),
    damage_nan: ("model.layers.0.mlp.down_proj.weight", "NaN"),
    damage_quantised: ("quantization_config",),
    damage_link: ("are the same folder; name each model once",),
}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda function: function.__name__)
def test_damaged_experts(
    own_family: Family, tmp_path: Path, problems_of: Refused, damage: Callable[[Path], None]
) -> None:
    damage(own_family.folder / "one")
    printed = problems_of(search(own_family, tmp_path / "run"))
    for expected in DAMAGES[damage]:
        assert expected in printed, printed
    assert not (tmp_path / "run").exists()


def test_missing_files_and_empty_tasks(own_family: Family, tmp_path: Path, problems_of: Refused) -> None:
    tasks = own_family.folder / "tasks"
    (tasks / "first.jsonl").write_text("")
    (tasks / "second.jsonl").unlink()
    printed = problems_of(search(own_family, tmp_path / "run"))
    assert "first" in printed
    assert "second.jsonl" in printed
    assert not (tmp_path / "run").exists()


def test_a_folder_that_holds_something_else_is_refused_before_any_work(
    family: Family, tmp_path: Path, problems_of: Refused
) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "diary.txt").write_text("mine")
    for verb in ("check", "search"):
        printed = problems_of([verb, *family.words(tmp_path / "notes")])
        assert "is not a run's folder and is not empty; choose another run_dir" in printed
        assert "reading the weights" not in printed
    assert [path.name for path in (tmp_path / "notes").iterdir()] == ["diary.txt"]


def test_a_hub_id_while_offline_is_tried_once_at_most(
    family: Family, tmp_path: Path, problems_of: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "empty"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "empty"))
    words = search(family, tmp_path / "run", models=f"[nobody/nothing,{family.folder / 'two'}]", offline="true")
    printed = problems_of(words)
    assert "nobody/nothing" in printed
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["serch", "seed=1"], "did you mean 'search'"),
        (["report", "run=nowhere"], "nowhere"),
        (["export", "run=nowhere", "member=knee"], "out"),
        (["merge", "recipe=absent.json", "out=x"], "absent.json"),
        (["evaluate", "model=absent", "tasks=[first]"], "absent"),
    ],
)
def test_other_verbs(problems_of: Refused, words: list[str], expected: str) -> None:
    assert expected in problems_of(words)


def test_everything_wrong_with_an_evaluation_is_told_at_once(
    own_family: Family, tmp_path: Path, problems_of: Refused
) -> None:
    words = ["evaluate", f"task_path={own_family.folder / 'tasks'}", "tasks=[frist]", "model.device=cudax"]
    damage_gone(own_family.folder / "one")
    for model, expected in (("base", ()), ("one", ("safetensors",))):
        printed = problems_of([*words, f"model={own_family.folder / model}", f"out={tmp_path / 'scores.json'}"])
        for part in ("did you mean 'first'", "model.device is 'cudax'", *expected):
            assert part in printed
    assert not (tmp_path / "scores.json").exists()


def test_a_device_that_a_merge_cannot_use_is_told_by_its_own_key(tmp_path: Path, problems_of: Refused) -> None:
    (tmp_path / "recipe.json").write_text(json.dumps(plain_recipe(str(tmp_path))))
    printed = problems_of(["merge", f"recipe={tmp_path / 'recipe.json'}", f"out={tmp_path / 'm'}", "device=cudax"])
    assert "  - device is 'cudax'; expected auto, cpu, cuda" in printed


def test_a_recipe_that_does_not_fit_its_method(finished: Path, tmp_path: Path, problems_of: Refused) -> None:
    line = next(json.loads(x) for x in (finished / "evaluations.jsonl").read_text().splitlines() if '"name":null' in x)
    recipe = line["recipe"] | {"method": "slerp"}
    (tmp_path / "recipe.json").write_text(json.dumps(recipe))
    printed = problems_of(["merge", f"recipe={tmp_path / 'recipe.json'}", f"out={tmp_path / 'out'}"])
    assert "slerp" in printed
    assert not (tmp_path / "out").exists()


def test_an_algorithm_for_one_objective_refuses_two(family: Family, tmp_path: Path, problems_of: Refused) -> None:
    assert "nsga2" in problems_of(search(family, tmp_path / "run", searcher="cmaes"))


def test_a_searcher_told_single_items_refuses_scores_that_no_item_has(
    own_family: Family, tmp_path: Path, problems_of: Refused
) -> None:
    """A group's metric, alone or beside a task's; and one of which less is better."""
    declared = "group: both\ntask: [first, second]\naggregate_metric_list: [{metric: acc}]\n"
    (own_family.folder / "tasks" / "both.yaml").write_text(declared)
    for objective, why in (
        ("both.acc", "both has no items of its own; name tasks (first, second)"),
        ("0.5*first.acc + 0.5*both.acc", "both has no items of its own"),
        ("first.brier_score", "less of it, or of a part of it, is better"),
    ):
        printed = problems_of(
            search(own_family, tmp_path / "run", tasks="[both]", searcher="m2n2", objectives=f"['{objective}']")
        )
        assert f"searcher m2n2: objective {objective!r}: the searcher needs scores of single items" in printed
        assert why in printed
    assert not (tmp_path / "run").exists()


def test_relative_constraints_need_what_they_are_relative_to(
    family: Family, tmp_path: Path, problems_of: Refused
) -> None:
    words = search(family, tmp_path / "run", base=None, method="linear", constraints="['all.acc >= base - 0.01']")
    assert "relative to base" in problems_of(words)


@pytest.mark.parametrize("verb", ["check", "search"])
class TestModelsThatCannotBeBuilt:
    """A check builds the model without its weights, by the rules that a search loads it by."""

    def test_head_that_is_neither_tied_nor_stored(
        self, verb: str, own_family: Family, tmp_path: Path, problems_of: Refused
    ) -> None:
        for name in ("base", "one", "two"):
            rewrite(own_family.folder / name, lambda tensors: tensors.pop("lm_head.weight"))
        words = search(own_family, tmp_path / "run")[1:]
        printed = problems_of([verb, *words])
        assert "lacks weights for 'lm_head.weight'" in printed
        assert "tie_word_embeddings" in printed

    def test_attention_that_the_model_does_not_have(self, verb: str, tmp_path: Path, problems_of: Refused) -> None:
        folder = tmp_path / "family"
        tiny("bloom", folder / "base", 0)
        for seed, name in enumerate(("one", "two"), start=1):
            perturbed(folder / "base", folder / name, seed, 0.1)
        (folder / "tasks").mkdir()
        write_task(folder / "tasks", "first", 10)
        write_task(folder / "tasks", "second", 11)
        words = search(Family(folder), tmp_path / "run", model__attention="sdpa")[1:]
        assert "scaled_dot_product_attention" in problems_of([verb, *words])
