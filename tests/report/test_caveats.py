"""What a reader is told before the numbers, and what is left out where there is nothing to say it from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from evomerge.evaluation import Ask, Evaluation, Failure, Response
from evomerge.report import front_members, write
from evomerge.report.caveats import optimism, warnings
from evomerge.report.facts import Facts
from evomerge.report.results import Results
from evomerge.report.settings import settings
from evomerge.search.status.live import OVER
from evomerge.store import RunStore
from tests.report.run_folders import acc

RunOf = Callable[[str], Path]
Change = Callable[[dict[str, Any]], dict[str, Any] | None]
LABELS = ("gsm_made.exact_match,strict-match", "arc_made.acc", "wiki_made.perplexity")
WORST, BEST = (dict(zip(LABELS, values, strict=True)) for values in ((0.0, 0.0, 1e9), (1.0, 1.0, 1.0)))
FLOOR = {"label": "arc_made.acc >= 0.01", "metric": "arc_made.acc", "sense": ">=", "bound": 0.01, "relative_to": None}


def edited(run: Path, folder: Path, change: Change = lambda line: line, **manifest: Any) -> Path:
    """A copy of a run whose evaluations were changed, or dropped where ``change`` gives None."""
    shutil.copytree(run, folder)
    records = folder / "records" / "main.jsonl"
    lines = [change(json.loads(line)) for line in records.read_text(encoding="utf-8").splitlines()]
    records.write_text("".join(json.dumps(line) + "\n" for line in lines if line is not None), encoding="utf-8")
    described = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    (folder / "manifest.json").write_text(json.dumps(described | manifest), encoding="utf-8")
    return folder


def failed(line: dict[str, Any]) -> dict[str, Any]:
    """The line of an evaluation that failed."""
    line["evaluation"] |= {"metrics": {}, "error": {"kind": "error", "message": "made up"}}
    line["provenance"]["responses"] = None
    return line


def reasons(folder: Path) -> set[str]:
    (said,) = [text for text in Facts(RunStore.read(folder)).warnings if "not scored on held-out items" in text]
    assert "finalists alone are asked" in said
    return set(said.split(": ", 1)[1].removesuffix(".").split(", "))


@pytest.mark.parametrize(
    ("constraints", "lost"),
    [((), "lost on the selection items"), ((FLOOR,), "missed the constraints on the selection items")],
)
def test_a_member_without_held_out_scores_is_told_with_its_reason(
    run_of: RunOf, tmp_path: Path, constraints: tuple[Mapping[str, Any], ...], lost: str
) -> None:
    before = Facts(RunStore.read(run_of("three")))
    loser, broken, unchosen, late = (member.digest for member in before.confirmed[:4])

    def change(line: dict[str, Any]) -> dict[str, Any] | None:
        digest, split = line["evaluation"]["digest"], line["evaluation"]["split"]
        if split == "test" and digest in (loser, broken, unchosen):
            return None
        if (split, digest) in (("test", late), ("selection", broken)):
            return failed(line)
        if split == "selection" and digest in (loser, unchosen):
            line["evaluation"]["metrics"] |= WORST if digest == loser else BEST
        return line

    compared = len(before.confirmed)
    outside = len(before.members) - compared
    assert reasons(edited(run_of("three"), tmp_path / "run", change, constraints=list(constraints))) == {
        "1 failed on them",
        f"1 {lost}",
        "1 failed on the selection items",
        "1 not among the finalists (confirm.finalists)",
        f"{outside} not among the {compared} compared on selection items (promote.candidates)",
    }


def test_a_run_that_asked_no_member_says_why(run_of: RunOf, tmp_path: Path) -> None:
    run = run_of("unconfirmed")
    assert reasons(run) == {"not among the finalists (confirm.finalists)"}
    none = edited(run, tmp_path / "none", config={"confirm": {"finalists": 0}})
    assert reasons(none) == {"not asked", "as confirm.finalists is 0"}
    empty = edited(run, tmp_path / "empty", items={"search": {"t": ["a"]}, "test": {"t": []}})
    assert reasons(empty) == {"not asked", "as the run has no such items"}
    early = edited(run, tmp_path / "early")
    (early / "status.json").write_text(json.dumps({"phase": "search", "finished": False}), encoding="utf-8")
    assert reasons(early) == {"not yet", "as the run is not finished"}


def test_every_member_confirmed_is_no_warning(run_of: RunOf) -> None:
    assert not [text for text in Facts(RunStore.read(run_of("one_member"))).warnings if "not scored" in text]


def test_without_baselines_there_is_no_hypervolume(run_of: RunOf, tmp_path: Path) -> None:
    folder = edited(run_of("two"), tmp_path / "run", lambda line: failed(line) if line["evaluation"]["name"] else line)
    write(folder)
    found = Facts(RunStore.read(folder)).trace
    assert (found.hypervolume, found.reference) == ((), ())
    assert found.best[0]
    assert "measured from the worst baseline score" in (run_of("two") / "report.html").read_text(encoding="utf-8")
    assert "measured from the worst baseline score" not in (folder / "report.html").read_text(encoding="utf-8")


def test_a_score_above_one_is_no_share(run_of: RunOf, tmp_path: Path) -> None:
    assert Facts(RunStore.read(run_of("two"))).unit == {"reverse_b.acc": "%", "sort_b.acc": "%"}

    def change(line: dict[str, Any]) -> dict[str, Any]:
        if (line["evaluation"]["split"], line["evaluation"]["batch"], line["evaluation"]["index"]) == ("search", 1, 0):
            line["evaluation"]["metrics"]["sort_b.acc"] = 27.5
        return line

    folder = edited(run_of("two"), tmp_path / "run", change)
    assert Facts(RunStore.read(folder)).unit == {"reverse_b.acc": "%", "sort_b.acc": ""}


def test_what_is_shown_first_had_least_part_in_choosing(run_of: RunOf, tmp_path: Path) -> None:
    assert Facts(RunStore.read(run_of("three"))).shown == "test"
    assert Facts(RunStore.read(run_of("unconfirmed"))).shown == "search"

    def change(line: dict[str, Any]) -> dict[str, Any] | None:
        return None if line["evaluation"]["split"] == "test" and line["evaluation"]["name"] is None else line

    folder = edited(run_of("three"), tmp_path / "run", change)
    write(folder)
    assert Facts(RunStore.read(folder)).shown == "selection"
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert 'value="selection" checked' in page
    assert 'value="test" disabled' in page
    assert '"shown":"selection"' in page


def test_a_folder_that_no_command_named_is_explained(run_of: RunOf, tmp_path: Path) -> None:
    folder = edited(run_of("two"), tmp_path / "run", command=["evomerge"], config={})
    write(folder)
    for name in ("report.html", "report.md"):
        text = (folder / name).read_text(encoding="utf-8")
        assert "export run=RUN_FOLDER member=" in text
        assert "stands for the run" in text
        assert "RUN_FOLDER" not in (run_of("two") / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("reason", [*OVER, "stopped", "interrupted", "failures"])
def test_every_end_of_a_search_has_words(run_of: RunOf, tmp_path: Path, reason: str) -> None:
    folder = edited(run_of("one_member"), tmp_path / "run")
    (folder / "status.json").write_text(json.dumps({"phase": "search", "reason": reason}), encoding="utf-8")
    shown = dict(settings(Facts(RunStore.read(folder)))["rows"])["Ended"]
    assert len(shown.split()) > 2


def test_the_headline_is_short_where_whoever_wins_wins_everywhere(run_of: RunOf, tmp_path: Path) -> None:
    terms = [[1.0, "sort_b.acc"]]
    goals = [{"label": label, "terms": terms, "higher_is_better": True} for label in ("once", "twice")]
    facts = Facts(RunStore.read(edited(run_of("two"), tmp_path / "run", objectives=goals)))
    winners = sum(any(member.beats_best_expert.values()) for member in facts.confirmed)
    assert winners
    assert facts.headline.endswith("the best expert of every objective on held-out items.")
    assert str(winners) in facts.headline
    assert "at least one" in Facts(RunStore.read(run_of("two"))).headline


def test_settings_are_words(run_of: RunOf, tmp_path: Path) -> None:
    genome = {"n_var": 4, "settings": {"depth": "layer", "own_groups": ["norm", "head"], "frozen": []}}
    searcher = {"name": "nsga2", "options": {"crossover_eta": 15.0}}
    folder = edited(run_of("two"), tmp_path / "run", genome=genome, config={"searcher": searcher})
    rows = dict(settings(Facts(RunStore.read(folder)))["rows"])
    assert rows["Genome"] == "4 genes · depth layer, own_groups [norm, head]"
    assert rows["Searcher"] == "nsga2 · options (crossover_eta 15.0)"


def test_baselines_that_share_a_record_are_each_warned_of_and_count_once(tmp_path: Path) -> None:
    """Three of the base's weights and one other: the drops from search to held-out scores are -0.25 and +0.25."""
    models = [{"label": name, "source": name, "fingerprint": mark} for name, mark in zip("abc", "xxy", strict=True)]
    base = {"label": "base", "source": "base", "fingerprint": "x"}
    manifest = {"objectives": [o.to_json() for o in acc("t.acc")], "models": models, "base": base}
    right_of = {"search": {"base": 1, "expert:c": 2, None: 3}, "test": {"base": 2, "expert:c": 1, None: 3}}
    with RunStore.open(tmp_path, manifest, {}) as store:
        for split, right in right_of.items():
            for index, (name, count) in enumerate(right.items()):
                given = [Response("t", f"{split} {i}", {"acc": float(i < count)}) for i in range(4)]
                kept = Evaluation(f"digest of {name}", {}, Ask(split, 0, index), name, {"t.acc": count / 4})
                store.append(kept, given)
    results = Results(store)
    members = front_members(results)
    assert optimism(results, members)["t.acc"]["search"] == (0.0, 0.0)
    with RunStore.open(tmp_path, manifest, {}) as store:
        failure = Failure("oom", "long prompts")
        record = Evaluation("digest of base", {}, Ask("selection", 0, 0), "base", error=failure)
        store.append(record, items={"t": ("s",)})
    said = [text for text in warnings(Results(store), []) if "long prompts" in text]
    assert said == [f"The baseline {name} failed on selection items: long prompts" for name in ("base", "a", "b")]
