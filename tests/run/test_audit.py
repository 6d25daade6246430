"""``evomerge audit``: answers of real runs, of ``evaluate`` and of lm-eval's own program, judged by item."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lm_eval
import pytest
from lm_eval.loggers import EvaluationTracker
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

import evomerge
from evomerge.analysis import paired_difference
from evomerge.cli.main import main
from evomerge.errors import InputError
from evomerge.store import RunStore
from tests.building import perturbed
from tests.run.family import Family

Refused = Callable[[Sequence[str]], str]
FIELDS = {"difference", "se", "low", "high", "items", "clusters", "tried", "warnings"}


@pytest.fixture(scope="module")
def desk(family: Family, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Answers of two experts to all items of a task whose rows share passages: by ``evaluate`` and by lm-eval."""
    folder = tmp_path_factory.mktemp("desk")
    shutil.copytree(family.folder / "tasks", folder / "tasks")
    data = folder / "tasks" / "first.jsonl"
    rows = [json.loads(line) for line in data.read_text().splitlines()]
    data.write_text("".join(json.dumps(row | {"passage": f"p{n // 4}"}) + "\n" for n, row in enumerate(rows)))
    declared = (folder / "tasks" / "first.yaml").read_text()
    declared = declared.replace(
        "[{metric: acc,", "[{metric: acc_norm, aggregation: mean, higher_is_better: true}, {metric: acc,"
    )
    declared += "metadata: {version: 1.0, cluster: passage}\n"
    (folder / "tasks" / "first.yaml").write_text(declared)
    shutil.copytree(family.folder / "one", folder / "one")
    perturbed(family.folder / "base", folder / "two", 7, 0.5)
    for name in ("one", "two"):
        words = [f"model={folder / name}", "tasks=[first]", f"task_path={folder / 'tasks'}", "split=all"]
        assert main(["evaluate", *words, f"out={folder / name}.json", "model.threads=1"]) == 0
        log_samples(folder / name, folder / "tasks", folder / "logged" / name)
    return folder


def log_samples(model: Path, tasks: Path, out: Path) -> None:
    """What ``lm_eval --log_samples --output_path`` does, without its command line."""
    with contextlib.chdir(tasks):  # lm-eval looks for data in the working folder
        loaded = TaskManager(include_path=str(tasks), include_defaults=False).load(["first"])
    lm = HFLM(pretrained=str(model), device="cpu", batch_size=8, dtype="float32")
    result = lm_eval.evaluate(lm, loaded, bootstrap_iters=0, log_samples=True)
    assert result is not None
    tracker = EvaluationTracker(output_path=str(out))
    tracker.general_config_tracker.model_name_sanitized = "model"
    tracker.date_id = "2026-01-02T03-04-05.678901"
    tracker.save_results_samples("first", result["samples"]["first"])


def logged(desk: Path, name: str) -> Path:
    return desk / "logged" / name / "model" / "samples_first_2026-01-02T03-04-05.678901.jsonl"


def audited(tmp_path: Path, *words: str) -> dict[str, Any]:
    out = tmp_path / "audit.json"
    assert main(["audit", *words, f"json={out}"]) == 0
    found = json.loads(out.read_text())
    assert set(found) >= FIELDS
    return found


def test_files_of_all_kinds_give_the_same_difference(desk: Path, tmp_path: Path) -> None:
    """Documents find each other by their hash, whichever program wrote the answers, in whatever order."""
    shuffled = tmp_path / "samples_first_2026-01-02T00-00-00.jsonl"
    lines = logged(desk, "two").read_text().splitlines()
    shuffled.write_text("\n".join(reversed(lines)) + "\n")
    ways = [(f"a={desk / 'one.json'}", f"b={desk / 'two.json'}"), (f"a={logged(desk, 'one')}", f"b={shuffled}")]
    ways += [(f"a={desk / 'one.json'}", f"b={logged(desk, 'two')}"), (f"a={logged(desk, 'one').parent}", ways[0][1])]
    renamed = Path(shutil.copy(desk / "one.json", tmp_path / "one.jsonl"))
    ways += [(f"a={renamed}", ways[0][1])]
    found = [audited(tmp_path, *way, "metric=acc_norm", "cluster=passage", "tried=1") for way in ways]
    values = [[one[name] for name in ("difference", "se", "low", "high", "items", "clusters")] for one in found]
    assert values == [values[0]] * 5
    assert (found[0]["items"], found[0]["clusters"]) == (80, 20)
    a, b = (
        {line["doc_id"]: line for line in map(json.loads, logged(desk, name).read_text().splitlines())}
        for name in ("one", "two")
    )
    values = [[float(side[n]["acc_norm"]) for n in range(80)] for side in (a, b)]
    by_hand = paired_difference(*values, clusters=[a[n]["doc"]["passage"] for n in range(80)])
    assert (found[0]["difference"], found[0]["low"]) == pytest.approx((by_hand.mean, by_hand.low))
    assert found[0]["difference"] != 0.0


def test_recorded_clusters_count_unless_another_field_is_named(desk: Path, tmp_path: Path) -> None:
    ours, theirs = (
        [f"a={desk / 'one.json'}", f"b={desk / 'two.json'}"],
        [f"a={logged(desk, 'one')}", f"b={logged(desk, 'two')}"],
    )
    assert audited(tmp_path, *ours)["clusters"] == 20
    assert audited(tmp_path, *theirs)["clusters"] == 80
    assert audited(tmp_path, *theirs, "cluster=answer")["clusters"] == 3


def test_an_audit_is_one_page(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["audit", f"a={desk / 'one.json'}", f"b={desk / 'two.json'}", "tried=40"]
    assert main(words) == 0
    page = capsys.readouterr().out
    assert len(page.splitlines()) <= 40
    assert max(map(len, page.splitlines())) <= 120 or "/" in page
    for said in ("80", "20", "the best of 40 models", "solved by both", "VERDICT", "only 20"):
        assert said in page.replace("\u202f", " ").replace("\xa0", " ")


def test_what_was_tried_widens_the_interval_and_takes_the_verdict(desk: Path, tmp_path: Path) -> None:
    """A claim that holds for one model tried is open for the best of many: Bonferroni, by hand."""
    better = tmp_path / "samples_first_2026-01-02T00-00-00.jsonl"
    rows = [json.loads(line) for line in logged(desk, "two").read_text().splitlines()]
    wrong = [row for row in rows if row["acc"] == 0.0][:9]
    for row in wrong:
        row["acc"] = 1.0
    better.write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = (f"a={better}", f"b={logged(desk, 'two')}")
    alone, many = audited(tmp_path, *words, "tried=1"), audited(tmp_path, *words, "tried=1000")
    assert (alone["verdict"], many["verdict"]) == ("scores higher", "not distinguishable")
    values = [1.0] * 9 + [0.0] * 71
    for found, confidence in ((alone, 0.95), (many, 1.0 - 0.05 / 1000)):
        expected = paired_difference(values, [0.0] * 80, confidence)
        assert (found["low"], found["high"]) == pytest.approx((expected.low, expected.high))
    assert any("tried was not given" in warning for warning in audited(tmp_path, *words)["warnings"])


def test_a_runs_models_are_named_and_its_candidates_counted(finished: Path, tmp_path: Path) -> None:
    store = RunStore.read(finished)
    front = json.loads((finished / "front.json").read_text())
    knee = next(member for member in front["members"] if member["knee"])
    label = "first.acc"
    found = audited(tmp_path, f"a={finished}:knee", f"b={finished}:base", f"c={finished}:uniform", f"metric={label}")
    confirmed = [e for e in store.evaluations("test") if e.name is None]
    assert found["tried"] == len(confirmed)
    assert found["tasks"] == ["first"]
    assert len(found["others"]) == 1
    assert found["scores"][0]["mean"] == pytest.approx(knee["test"][label]["mean"])
    chosen = audited(tmp_path, f"a={finished}:{knee['id']}", f"b={finished}:base", f"metric={label}", "split=search")
    assert chosen["tried"] == len([e for e in store.evaluations("search") if e.name is None])
    assert any("look better than" in w or "looks better than" in w for w in chosen["warnings"])
    few = audited(tmp_path, f"a={finished}:knee", f"b={finished}:base", f"metric={label}", "split=search", "tried=1")
    assert any("scored 12 candidates" in warning for warning in few["warnings"])


def lines_of(desk: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in logged(desk, "two").read_text().splitlines()]


def renamed(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row | {"doc_hash": f"{n:064x}"}) + "\n" for n, row in enumerate(rows))


BAD = {
    "other documents": (renamed, "no document is common"),
    "twice": (lambda rows: "".join(json.dumps(row) + "\n" for row in [*rows, rows[3]]), "document 3 is there twice"),
    "cut off": (lambda rows: "".join(json.dumps(row) + "\n" for row in rows)[:-40], "line 80: no JSON object"),
    "a list": (lambda rows: "[]\n" * 5, "line 1: expected a JSON object"),
    "no metric": (lambda rows: "".join(json.dumps(row).replace("acc", "hit") + "\n" for row in rows), "has no 'acc'"),
    "some without": (
        lambda rows: "".join(
            json.dumps({k: v for k, v in row.items() if k != "acc" or n}) + "\n" for n, row in enumerate(rows)
        ),
        "has no 'acc' on 1 of 80 items",
    ),
    "too long a number": (
        lambda rows: "".join(json.dumps(row | {"acc": 10**400}) + "\n" for row in rows),
        "no finite number on 80 of 80 items",
    ),
    "not a number": (
        lambda rows: "".join(json.dumps(row | {"acc": float("nan")}) + "\n" for row in rows),
        "no finite number on 80 of 80 items",
    ),
    "something else": (lambda rows: '{"x": 1}\n', "no answer of a kind that is known"),
    "empty": (lambda rows: "", "is empty"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_refused_by_name(case: str, desk: Path, tmp_path: Path, problems_of: Refused) -> None:
    change, said = BAD[case]
    bad = tmp_path / "samples_first_2026-01-02T00-00-00.jsonl"
    bad.write_text(change(lines_of(desk)))
    out = tmp_path / "out.json"
    told = problems_of(["audit", f"a={logged(desk, 'one')}", f"b={bad}", f"json={out}"])
    assert said in told
    assert bad.name in told
    assert not out.exists()


def test_python_judges_the_same(desk: Path, tmp_path: Path) -> None:
    words = {"a": desk / "one.json", "b": desk / "two.json", "metric": "acc_norm", "tried": 3}
    found = evomerge.audit(**words)
    assert found.to_json() == audited(tmp_path, *(f"{name}={value}" for name, value in words.items()))
    with pytest.raises(InputError, match="no_metric"):
        evomerge.audit(words["a"], words["b"], metric="no_metric")


def test_bad_words_are_refused_all_at_once(desk: Path, finished: Path, tmp_path: Path, problems_of: Refused) -> None:
    told = problems_of(["audit", f"a={tmp_path / 'absent'}", f"b={finished}"])
    assert "2 problems" in told
    assert "a: there is no" in told
    assert "expert:one" in told
    assert "base" in told
    assert "a: missing" in problems_of(["audit", "tried=0"])
    told = problems_of(["audit", f"a={finished}:kne", f"b={finished}:basis"])
    assert "'kne' is no member" in told
    assert "basis" in told
    words = [f"a={logged(desk, 'one')}", f"b={logged(desk, 'two')}"]
    told = problems_of(["audit", *words, "cluster=pasage"])
    assert "did you mean 'passage'?" in told
    other = tmp_path / "samples_second_2026-01-02T00-00-00.jsonl"
    shutil.copy(logged(desk, "two"), other)
    told = problems_of(["audit", words[0], f"b={other}"])
    assert "different tasks" in told
    assert "first" in told
    assert "second" in told
    shutil.copy(logged(desk, "two"), tmp_path / "samples_second_2026-01-03T00-00-00.jsonl")
    told = problems_of(["audit", words[0], f"b={tmp_path}"])
    assert "are of one task" in told


def test_a_run_and_a_file_of_evaluate_meet_by_document(
    desk: Path, family: Family, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A search over a clustered task records the clusters; its answers are compared with those of another program."""
    run = tmp_path / "run"
    few = {"searcher": "random", "searcher.population": None, "evaluations": 1, "items_per_task": None}
    few |= {"tasks": "[first]", "task_path": desk / "tasks"}
    assert main(["check", *family.words(run, **few)]) == 0
    assert "items with one passage belong together: " in capsys.readouterr().out
    assert family.search(run, **few) == 0
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["tasks"]["first"]["cluster"] == "passage"
    items = json.loads((run / "items.json").read_text())
    by_split: dict[str, set[str]] = {}
    for entry in items.values():
        by_split.setdefault(entry["split"], set()).add(entry["cluster"])
    assert not by_split["search"] & by_split["test"]
    found = audited(tmp_path, f"a={run}:expert:one", f"b={logged(desk, 'one')}", "cluster=passage", "split=search")
    assert found["items"] == sum(entry["split"] == "search" for entry in items.values())
    assert found["clusters"] == len(by_split["search"])
    assert found["difference"] == 0.0
    assert any("the same value on every item" in warning for warning in found["warnings"])
