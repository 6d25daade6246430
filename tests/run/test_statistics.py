"""Whole searches of methods that look at data: collected once, known by key, and the same whoever works at them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from evomerge.cli.main import main
from evomerge.config import compose
from evomerge.errors import InputError
from evomerge.run.assemble import assemble, with_fingerprints
from evomerge.run.description.identity import run_identity
from evomerge.run.export import build, export_member
from evomerge.run.runtime import worker_settings
from evomerge.run.statistics.ahead import collector_of
from evomerge.store import RunStore
from tests.apart import Forked
from tests.run.family import Family, answers, records
from tests.run.test_resume import kill_when, lines

Refused = Callable[[Sequence[str]], str]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("statistics")


@pytest.fixture(scope="module")
def looked(family: Family, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished search whose method reads statistics, to be read only."""
    run = tmp_path_factory.mktemp("looked") / "run"
    assert family.search(run, **changes(cache)) == 0
    return run


def changes(cache: Path, **more: Any) -> dict[str, Any]:
    """One task, and nothing to be measured: what is looked at is which statistics are read, and by whom."""
    small = {"tasks": "[first]", "model.dtype": "float32", "evaluations": 6, "searcher": "ga"}
    return {"method": "fisher", "statistics.folder": cache, "searcher.population": 5, **small, **more}


def config_of(family: Family, cache: Path, **more: Any) -> Any:
    return compose.search(family.words("somewhere", **changes(cache, **more)))


def stamps(cache: Path) -> dict[str, tuple[int, bytes | None]]:
    files = [path for path in cache.rglob("*") if path.is_file() and not path.name.startswith(".lease")]
    return {
        str(path.relative_to(cache)): (path.stat().st_mtime_ns, path.read_bytes() if path.suffix == ".json" else None)
        for path in files
    }


def weights(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.safetensors")}


def test_candidates_name_the_keys_that_manifest_and_identity_have(looked: Path, cache: Path) -> None:
    store = RunStore.read(looked)
    told = store.manifest["statistics"]
    assert [(one["statistic"], one["model"]) for one in told] == [("fisher", "one"), ("fisher", "two")]
    assert told[0]["texts"]["sequences"] == 12
    keys = [one["key"] for one in told]
    assert store.manifest["identity"]["statistics"] == keys
    assert sorted(path.name for path in cache.iterdir()) == sorted(keys)
    named = [evaluation.name for evaluation in store.evaluations("search")]
    assert named.count(None) >= 6
    for evaluation in store.evaluations():
        assert evaluation.error is None
        assert evaluation.recipe.get("statistics", []) == ([] if evaluation.name else keys), "baselines read none"


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_second_search_collects_nothing_and_has_the_same_records(
    family: Family, looked: Path, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], workers: int
) -> None:
    """Not even with two workers, in processes of their own."""
    before = stamps(cache)
    words = {"executor": "processes", "executor.workers": workers} if workers > 1 else {}
    assert family.search(tmp_path / "run", **changes(cache), **words) == 0
    assert "collecting" not in capsys.readouterr().err
    assert stamps(cache) == before
    own, theirs = records(looked), records(tmp_path / "run")
    for one in (*own, *theirs):
        for field in ("seconds", "writer", "attempt", "responses"):
            one.pop(field, None)
    assert own == theirs
    assert answers(looked) == answers(tmp_path / "run")


def test_killed_and_gone_on_with(family: Family, looked: Path, tmp_path: Path, program: Callable[..., Forked]) -> None:
    """Killed while it scores; what was collected before the first candidate stays."""
    run, own = tmp_path / "run", tmp_path / "cache"
    kill_when(program, family.words(run, **changes(own)), lambda: lines(run) > 4)
    before = stamps(own)
    assert len(list(own.glob("*/statistic.json"))) == 2
    assert family.search(run, **changes(own)) == 0
    assert stamps(own) == before
    assert answers(run) == answers(looked)


def test_an_export_is_the_candidate_and_anyone_with_the_statistics_builds_it(
    family: Family, looked: Path, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = export_member(looked, "knee", tmp_path / "out")
    assert done.difference == 0.0
    recipe = tmp_path / "recipe.json"
    shutil.copy(tmp_path / "out" / "recipe.json", recipe)
    words = ["merge", f"recipe={recipe}", f"statistics.folder={cache}"]
    assert main([*words, f"out={tmp_path / 'again'}"]) == 0
    assert weights(tmp_path / "again") == weights(tmp_path / "out")
    capsys.readouterr()
    assert main([*words[:2], f"statistics.folder={tmp_path / 'nothing'}", f"out={tmp_path / 'third'}"]) == 2
    said = capsys.readouterr().err
    key = json.loads(recipe.read_text())["statistics"][0]
    assert f"statistics: fisher of one on the texts of one ({key}) is not here; `evomerge statistics collect`" in said
    assert not (tmp_path / "third").exists()
    assert main(["explain", f"recipe={recipe}", "tensor=lm_head.weight"]) == 0
    assert f"reads fisher of one on the texts of one ({key[:12]})" in capsys.readouterr().out


def test_other_texts_are_another_run(family: Family, looked: Path, cache: Path, problems_of: Refused) -> None:
    own = looked.parent / "own.jsonl"
    own.write_text(json.dumps({"prompt": "say ab:", "answer": " ab"}) + "\n" + json.dumps({"text": "abcdefgh"}) + "\n")

    def identity(**more: Any) -> dict[str, Any]:
        assembly = with_fingerprints(assemble(config_of(family, cache, **more)))
        return run_identity(assembly, worker_settings(assembly, 1))

    plain = identity()
    for more in ({"calibration": f"[{own}]"}, {"calibration_of": f"{{two: {own}}}"}, {"statistics.tokens": 8}):
        other = identity(**more)
        assert {name for name in plain if plain[name] != other[name]} == {"statistics"}, more
    assert identity(calibration_of=f"{{two: {own}}}")["statistics"][0] == plain["statistics"][0]
    wider = {"statistics.memory": "1GB", "statistics.gram_limit": 999, "statistics.sequences": 99}
    assert identity(**wider) == plain, "which changes no value"
    said = problems_of(["search", *family.words(looked, **changes(cache, calibration=f"[{own}]"))])
    assert "statistics" in said


def test_everything_that_is_wrong_with_texts_is_said_at_once(
    family: Family, cache: Path, tmp_path: Path, problems_of: Refused
) -> None:
    words = changes(cache, calibration="[nowhere.jsonl]", calibration_of="{on: x.jsonl, two: here}")
    said = problems_of(["search", *family.words(tmp_path / "run", **words)])
    assert "calibration: there is no file nowhere.jsonl; expected a JSONL file of texts" in said
    assert "calibration_of: there is no model 'on'; did you mean 'one'? (there are one, two)" in said
    assert "calibration_of.two: there is no file here" in said
    assembly = assemble(config_of(family, cache))
    suite = assembly.suite
    prompts = {split: suite.describe(suite.items[split]["first"][0])["question"] for split in suite.items}
    (tmp_path / "texts.jsonl").write_text(
        "".join(json.dumps({"prompt": text, "answer": " x"}) + "\n" for text in prompts.values()) + "no JSON\n"
    )
    said = problems_of(
        ["search", *family.words(tmp_path / "run", **changes(cache, calibration=f"[{tmp_path / 'texts.jsonl'}]"))]
    )
    assert "texts.jsonl, line 4: expected a JSON object" in said
    text = (tmp_path / "texts.jsonl").read_text().replace("no JSON\n", "")
    (tmp_path / "texts.jsonl").write_text(text)
    said = problems_of(
        [
            "search",
            *family.words(tmp_path / "run", **changes(cache, calibration_of=f"{{one: {tmp_path / 'texts.jsonl'}}}")),
        ]
    )
    assert "line 1" not in said, "a search item may be looked at"
    for number, split in ((2, "selection"), (3, "test")):
        assert f"calibration_of.one: {tmp_path / 'texts.jsonl'}, line {number}: it holds item " in said
        assert f"which is in the {split} split" in said
    assert not (tmp_path / "run").exists()


def test_texts_that_nobody_reads_are_told(family: Family, cache: Path, tmp_path: Path) -> None:
    (tmp_path / "own.jsonl").write_text('{"text": "abcdefgh"}\n')
    assembly = assemble(config_of(family, cache, method="ties", calibration=f"[{tmp_path / 'own.jsonl'}]"))
    assert any("calibration have no effect: neither ties nor a step" in text for text in assembly.warnings)
    assert assembly.statistics == ()


def test_searchers_among_models_do_not_go_with_statistics_of_models(
    family: Family, cache: Path, tmp_path: Path, problems_of: Refused
) -> None:
    more = {"searcher": "greedy_soup", "searcher.population": None, "objectives": "[first.acc]"}
    said = problems_of(["search", *family.words(tmp_path / "run", **changes(cache, **more))])
    assert "method fisher reads statistics of the models that it merges" in said


def test_a_worker_that_does_not_see_the_folder_is_refused(family: Family, looked: Path, cache: Path) -> None:
    assembly = with_fingerprints(assemble(config_of(family, cache)))
    known = worker_settings(assembly, 1).statistics
    assert known is not None
    assert not known.open().missing(known.keys)
    with pytest.raises(InputError, match=r"2 of 2 statistics that candidates read are not in .*elsewhere"):
        replace(known, folder=str(cache / "elsewhere")).open()


def test_collecting_that_is_stopped_goes_on(family: Family, looked: Path, cache: Path, tmp_path: Path) -> None:
    assembly = with_fingerprints(assemble(config_of(family, tmp_path / "own")))
    asked = iter(["none"] * 18)
    with pytest.raises(KeyboardInterrupt):  # the second model's texts, of 12 for each
        collector_of(assembly, lambda: next(asked, "now")).collect(assembly.statistics)
    first, second = assembly.statistics
    collector = collector_of(assembly)
    assert collector.missing(assembly.statistics) == (second,)
    assert collector.collect(assembly.statistics) == (second,)
    assert collector.collect(assembly.statistics) == ()
    theirs = collector_of(with_fingerprints(assemble(config_of(family, cache)))).folder
    for one in (first, second):
        ours = collector.folder.tensor(one.key, "lm_head.weight")
        kept = theirs.tensor(one.key, "lm_head.weight")
        assert ours is not None
        assert kept is not None
        assert torch.equal(ours, kept)


def test_check_and_the_verb(
    family: Family, looked: Path, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = family.words("somewhere", **changes(tmp_path / "own"))
    assert main(["check", *words]) == 0
    said = capsys.readouterr().out
    assert "statistic fisher of one, two: 12 texts, prompts of the search items with their right answers" in said
    assert "collected before the first candidate, where it is not there yet: " in said
    assert ", 2 passes, about " in said
    assert "seconds: not measured, as candidates read statistics of which 2 are not there yet" in said
    assert not (tmp_path / "own").exists(), "check writes nothing"
    assert main(["statistics", "collect", *words]) == 0
    keys = [one["key"] for one in RunStore.read(looked).manifest["statistics"]]
    printed = capsys.readouterr().out
    assert [line.split()[0] for line in printed.splitlines()[:2]] == keys
    assert "was there" not in printed
    assert main(["statistics", "list", f"statistics.folder={tmp_path / 'own'}"]) == 0
    said = capsys.readouterr().out
    assert all(f"{key[:12]}  fisher" in said for key in keys)
    assert main(["statistics", "remove", f"statistics.folder={tmp_path / 'own'}", f"key=[{keys[0][:6]}]"]) == 0
    assert [path.name for path in (tmp_path / "own").iterdir()] == [keys[1]]
    assert main(["statistics", "remove", f"statistics.folder={tmp_path / 'own'}", "key=[zz]"]) == 2
    assert "key: 'zz' is in" in capsys.readouterr().err
    assert main(["statistics", "gather"]) == 2
    assert "write evomerge statistics list | collect | remove" in capsys.readouterr().err


def test_a_recipe_that_names_its_statistics_is_searched_with_them(
    family: Family, looked: Path, cache: Path, tmp_path: Path
) -> None:
    recipe = tmp_path / "recipe.json"
    found = next(one for one in RunStore.read(looked).evaluations("search") if one.name is None)
    recipe.write_text(json.dumps(dict(found.recipe)))
    more = {"recipe": recipe, "models": None, "base": None, "method": None}
    assembly = with_fingerprints(assemble(config_of(family, cache, **more)))
    assert assembly.statistics == ()
    assert list(assembly.template.statistics) == found.recipe["statistics"]
    own = tmp_path / "own.jsonl"
    own.write_text('{"text": "abcdefgh"}\n')
    again = with_fingerprints(assemble(config_of(family, cache, **more, calibration=f"[{own}]")))
    assert list(again.template.statistics) != found.recipe["statistics"]
    assert build(assembly.spec.decode([0.5] * assembly.spec.n_var), tmp_path / "out", statistics=str(cache))


@pytest.mark.parametrize(
    ("more", "read"),
    [
        ({"method": "regmean", "post": "[aim]"}, ["gram one", "gram two", "channel_abs base"]),
        pytest.param({"method": "led"}, ["snip one", "snip two", "snip base", "snip base"], marks=pytest.mark.slow),
        pytest.param({"method": "ties", "post": "[aim,lines]"}, ["channel_abs base"], marks=pytest.mark.slow),
    ],
)
def test_methods_and_steps_are_searched_and_exported(
    family: Family, tmp_path: Path, more: dict[str, str], read: list[str]
) -> None:
    """In a folder of their own: the other one holds what one search reads, whoever comes first."""
    run = tmp_path / "run"
    assert family.search(run, **changes(tmp_path / "own", evaluations=5, promote__candidates=0, **more)) == 0
    store = RunStore.read(run)
    assert [f"{one['statistic']} {one['model']}" for one in store.manifest["statistics"]] == read
    assert [one.error for one in store.evaluations()] == [None] * len(store.evaluations())
    assert export_member(run, "knee", tmp_path / "out").difference == 0.0
