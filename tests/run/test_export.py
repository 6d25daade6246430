"""Members become folders that answer as the candidates did, or nothing at all."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import transformers
import yaml

import evomerge
from evomerge.cli.main import main
from evomerge.errors import InputError
from evomerge.evaluation import Response
from evomerge.run.model_folder.card import licence_of
from evomerge.run.model_folder.verification import largest_difference
from tests.apart import Forked
from tests.building import plain_recipe
from tests.run.family import Family, write_task

Refused = Callable[[Sequence[str]], str]


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


def test_the_knee_becomes_a_folder_that_transformers_loads(family: Family, run: Path, tmp_path: Path) -> None:
    out = tmp_path / "merged"
    assert main(["export", f"run={run}", "member=knee", f"out={out}"]) == 0
    model = transformers.AutoModelForCausalLM.from_pretrained(out)
    assert model.config.num_hidden_layers == 2
    names = {path.name for path in out.iterdir()}
    assert names >= {
        "config.json",
        "model.safetensors",
        "recipe.json",
        "mergekit_config.yml",
        "README.md",
        "tokenizer.json",
    }
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"):
        assert (out / name).read_bytes() == (family.folder / "base" / name).read_bytes()


def test_the_card_names_parents_scores_and_items_but_no_path(
    family: Family, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", f"run={run}", "member=knee", f"out={tmp_path / 'merged'}"]) == 0
    assert "no hub id is known of base, one, two" in capsys.readouterr().err
    card = (tmp_path / "merged" / "README.md").read_text()
    assert all(word in card for word in ("# merged\n", "- merge", "- evomerge", "first.acc", "no licence is stated"))
    assert "found and checked with evomerge" in card
    assert "items that the search never asked: 12 of first, 12 of second" in card
    assert str(family.folder) not in card
    assert yaml.safe_load(card.split("---")[1])["base_model"] == ["base", "one", "two"]
    member = next(m for m in evomerge.Run(run).front if m.knee)
    assert member.test is not None
    right = member.test.metrics["first.acc"]
    assert f"| first.acc | {right:.4f} ± {math.sqrt(right * (1 - right) / 11):.4f} |" in card


def test_the_card_of_a_plain_merge_claims_no_search(family: Family, run: Path, tmp_path: Path) -> None:
    recipe = next(e for e in evomerge.Run(run).evaluations("search") if e.name is None).recipe
    cited = [{**dict(model), "hub_id": f"org/{index}"} for index, model in enumerate(recipe["sources"])]
    card = (evomerge.merge({**recipe, "sources": cited}, tmp_path / "merged") / "README.md").read_text()
    assert "built with evomerge" in card
    assert not any(word in card for word in ("checked", "Held-out"))
    assert yaml.safe_load(card.split("---")[1])["base_model"] == ["base", "org/0", "org/1"]


def test_merge_builds_the_same_bytes_from_the_recipe_alone(run: Path, tmp_path: Path) -> None:
    member = evomerge.Run(run).front[0]
    done = evomerge.Run(run).export(member.id, tmp_path / "exported")
    assert done.difference == 0.0
    assert main(["merge", f"recipe={tmp_path / 'exported' / 'recipe.json'}", f"out={tmp_path / 'merged'}"]) == 0
    first, second = (tmp_path / name / "model.safetensors" for name in ("exported", "merged"))
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    ("header", "licence"), [("license: mit", "mit"), ("license: mit\ndate: 2024-13-45", None), ("license: [", None)]
)
def test_the_licence_of_a_card_whatever_else_is_in_it(tmp_path: Path, header: str, licence: str | None) -> None:
    (tmp_path / "README.md").write_text(f"---\n{header}\n---\n# A model\n")
    assert licence_of(tmp_path) == licence


def test_best_of_a_task_is_the_best_by_search_score(run: Path, tmp_path: Path) -> None:
    done = evomerge.Run(run).export("best:second", tmp_path / "best")
    front = evomerge.Run(run).front
    best = max(member.search_scores["second.acc"].mean for member in front)
    chosen = next(member for member in front if member.digest.startswith(done.member))
    assert chosen.search_scores["second.acc"].mean == best


def test_a_mismatch_exits_non_zero_and_leaves_nothing(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = run / "responses" / "main.jsonl"
    # Another record of the same length, as if another model had been scored.
    path.write_bytes(path.read_bytes().replace(b'"logprobs":[-', b'"logprobs":[+').replace(b"[+", b"[1"))
    (tmp_path / "place").mkdir()
    for out in (tmp_path / "place" / "merged", tmp_path / "place" / "new" / "deep" / "merged"):
        assert main(["export", f"run={run}", "member=knee", f"out={out}"]) == 1
        assert "does not answer as the candidate did" in capsys.readouterr().err
        assert not list((tmp_path / "place").iterdir())


def test_a_log_likelihood_that_is_no_number_is_a_mismatch() -> None:
    one, nan = (Response("t", "i", {}, (value,)) for value in (1.0, math.nan))
    assert largest_difference([one], [one]) == (0.0, 0)
    assert largest_difference([one], [nan])[0] == math.inf


def test_a_program_that_is_told_to_end_leaves_nothing(
    own_family: Family, tmp_path: Path, program: Callable[..., Forked]
) -> None:
    """SIGTERM comes when the folder is complete, while the tasks are read for the comparison."""
    write_task(own_family.folder / "tasks", "first", 10, hostile=True)
    assert own_family.search(tmp_path / "run", evaluations=6) == 0
    with (own_family.folder / "tasks" / "judge.py").open("a") as file:
        file.write("import os, pathlib, signal\n")
        file.write(f"seen = [str(path) for path in pathlib.Path({str(tmp_path)!r}).glob('new/.*/x/*.safetensors')]\n")
        file.write(f"pathlib.Path({str(tmp_path / 'seen')!r}).write_text(' '.join(seen))\n")
        file.write("os.kill(os.getpid(), signal.SIGTERM)\n")
    process = program(["export", f"run={tmp_path / 'run'}", "member=knee", f"out={tmp_path / 'new' / 'x'}"])
    said = process.communicate()[1]
    assert (process.returncode, said) == (130, "stopped\n")
    assert "model.safetensors" in (tmp_path / "seen").read_text()
    assert not (tmp_path / "new").exists()


def _drop_folder(folder: Path) -> None:
    shutil.rmtree(folder)


def _empty_files(folder: Path) -> None:
    for path in folder.iterdir():
        path.write_bytes(b"")


def _tear_files(folder: Path) -> None:
    for path in folder.iterdir():
        path.write_bytes(b"{" * path.stat().st_size)


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (_drop_folder, "main.jsonl cannot be read: No such file"),
        (_empty_files, "is damaged, though not by an interruption: the file is shorter"),
        (_tear_files, "is damaged, though not by an interruption"),
    ],
)
def test_an_export_that_could_not_be_checked_is_refused(
    run: Path, tmp_path: Path, problems_of: Refused, damage: Callable[[Path], None], expected: str
) -> None:
    damage(run / "responses")
    assert expected in problems_of(["export", f"run={run}", "member=knee", f"out={tmp_path / 'new' / 'x'}"])
    assert not (tmp_path / "new").exists()


def test_code_of_checkpoints_runs_only_when_the_one_who_exports_says_so(
    run: Path, tmp_path: Path, problems_of: Refused
) -> None:
    path = run / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["config"]["model"]["trust_remote_code"] = True
    path.write_text(json.dumps(manifest))
    words = ["export", f"run={run}", "member=knee", f"out={tmp_path / 'x'}"]
    assert "allow it with trust_remote_code=true" in problems_of(words)
    assert not (tmp_path / "x").exists()
    assert main([*words, "trust_remote_code=true"]) == 0


@pytest.mark.parametrize(
    ("member", "expected"),
    [
        ("best:frist", "did you mean 'first'"),
        ("zzzzzz", "is no member"),
        ("kne", "did you mean 'knee'"),
        ("", "a text"),
    ],
)
def test_members_that_are_not_there(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], member: str, expected: str
) -> None:
    assert main(["export", f"run={run}", f"member={member}", f"out={tmp_path / 'x'}"]) == 2
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_the_beginning_of_a_digest_has_six_digits(run: Path, tmp_path: Path, problems_of: Refused) -> None:
    member = evomerge.Run(run).front[0].id
    printed = problems_of(["export", f"run={run}", f"member={member[:4]}", f"out={tmp_path / 'x'}"])
    assert f"member: '{member[:4]}' is too short for a digest; write 6 digits or more" in printed


@pytest.mark.parametrize("member", ["knee", "best:first"])
def test_an_empty_front_says_why_there_is_nothing_to_export(
    fruitless: Path, tmp_path: Path, problems_of: Refused, member: str
) -> None:
    printed = problems_of(["export", f"run={fruitless}", f"member={member}", f"out={tmp_path / 'x'}"])
    assert "nothing to export: no candidate meets the constraints; the nearest, " in printed
    assert "first.acc >= 1.5 by " in printed
    assert "did you mean" not in printed
    with pytest.raises(InputError, match="nothing to export: no candidate meets the constraints"):
        evomerge.Run(fruitless).export(member, tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_a_candidate_beside_an_empty_front_is_exported_by_its_digest(fruitless: Path, tmp_path: Path) -> None:
    assert evomerge.Run(fruitless).front == []
    digest = next(e.digest for e in evomerge.Run(fruitless).evaluations("search") if e.name is None)
    assert evomerge.Run(fruitless).export(digest[:12], tmp_path / "x").difference == 0.0


def test_a_search_cannot_start_from_an_empty_front(
    family: Family, fruitless: Path, tmp_path: Path, problems_of: Refused
) -> None:
    printed = problems_of(["search", *family.words(tmp_path / "run", start_from=fruitless)])
    assert "start_from: the front in" in printed
    assert "is empty: no candidate meets the constraints" in printed
    assert not (tmp_path / "run").exists()


def test_weights_that_changed_since_the_run_are_refused(
    own_family: Family, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert own_family.search(tmp_path / "run", evaluations=6) == 0
    shutil.rmtree(own_family.folder / "one")
    shutil.copytree(own_family.folder / "two", own_family.folder / "one")
    assert main(["export", f"run={tmp_path / 'run'}", "member=knee", f"out={tmp_path / 'x'}"]) == 2
    assert "have changed since" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_models_named_relative_to_another_folder_are_said_to_be(
    own_family: Family, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    changes = {"models": "[family/one,family/two]", "base": "family/base", "evaluations": 6}
    assert own_family.search(tmp_path / "run", **changes) == 0
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert main(["export", f"run={tmp_path / 'run'}", "member=knee", "out=x"]) == 2
    printed = capsys.readouterr().err
    for name in ("base", "one", "two"):
        assert f"there is no family/{name} in this folder; it is relative to the folder that the run was " in printed
    assert "on the hub" not in printed


def test_a_models_name_that_is_too_long_to_look_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "long.json"
    recipe.write_text(json.dumps(plain_recipe("x" * 10_000, "y" * 300)))
    assert main(["merge", f"recipe={recipe}", f"out={tmp_path / 'out'}"]) == 2
    first, *problems = capsys.readouterr().err.splitlines()
    assert "2 problems" in first
    assert all(recipe.name in problem and "that can be looked into" in problem for problem in problems)
    assert max(map(len, problems)) < 500
    assert not (tmp_path / "out").exists()


def test_evaluate_gives_the_recorded_scores(run: Path, tmp_path: Path, family: Family) -> None:
    evomerge.Run(run).export("knee", tmp_path / "merged")
    member = next(m for m in evomerge.Run(run).front if m.knee)
    words = [f"model={tmp_path / 'merged'}", f"task_path={family.folder / 'tasks'}", "tasks=[first,second]"]
    words += ["items_per_task=12", "split=test", f"out={tmp_path / 'scores.json'}"]
    assert main(["evaluate", *words]) == 0
    found = json.loads((tmp_path / "scores.json").read_text())
    assert member.test is not None
    assert found["metrics"] == pytest.approx(dict(member.test.metrics))


def test_a_method_without_base_is_scored_and_exported_with_the_first_models_files(
    own_family: Family, tmp_path: Path
) -> None:
    template = own_family.folder / "one" / "chat_template.jinja"
    template.write_text(template.read_text() + "{# of the first expert #}")
    words = {"method": "slerp", "fitness.apply_chat_template": "true", "evaluations": 6}
    assert own_family.search(tmp_path / "run", **words) == 0
    done = evomerge.Run(tmp_path / "run").export("knee", tmp_path / "merged")
    assert done.difference == 0.0
    assert (tmp_path / "merged" / "chat_template.jinja").read_bytes() == template.read_bytes()
