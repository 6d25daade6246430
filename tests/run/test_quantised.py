"""Searches whose candidates are scored as they will be served: scores, agreement, report, export."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from evomerge.candidate import build_suite, load_tokenizer
from evomerge.candidate.quantised import rounded
from evomerge.checkpoints import open_source
from evomerge.cli.main import main
from evomerge.fitness import Scorer
from evomerge.report.facts import Facts
from evomerge.run.run_config import recorded_fitness
from evomerge.store import RunStore, candidates
from tests.run.family import Family, write_family


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Family:
    """Models whose rows are wide enough for groups of int4."""
    return write_family(tmp_path_factory.mktemp("wide"), hidden=32)


@pytest.fixture(scope="module")
def run(wide: Family, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished search of int4 candidates by smooth scores, which rounding moves."""
    folder = tmp_path_factory.mktemp("quantised") / "run"
    wishes = {"objectives": "[first.gold_logprob,second.gold_logprob]", "model.dtype": "float32"}
    assert wide.search(folder, **wishes, **{"model.quantise": "int4"}, evaluations=10) == 0
    return folder


def test_an_exported_members_rounded_weights_score_what_was_recorded(run: Path, tmp_path: Path) -> None:
    """What is exported is unquantised; the export is proved by rounding it as the candidate was."""
    assert main(["export", f"run={run}", "member=knee", f"out={tmp_path / 'out'}"]) == 0
    store = RunStore.read(run)
    assert store.manifest["identity"]["model"]["quantise"] == "int4"
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert (
        "scored with weights rounded as int4 weight-only quantisation does; the weights here are not quantised" in card
    )
    source = open_source(tmp_path / "out")
    tokenizer = load_tokenizer(tmp_path / "out", False)
    suite = build_suite(recorded_fitness(store.manifest["config"]), source, tokenizer)
    member = next(member for member in Facts(store).members if member.knee)
    scores = {}
    for name in ("whole", "rounded"):
        model = _loaded(tmp_path / "out")
        if name == "rounded":
            for module in model.model.modules():
                if isinstance(module, torch.nn.Linear):
                    found = rounded(module.weight, "int4")
                    assert found is not None
                    module.weight.data.copy_(found)
        scores[name] = suite.aggregate(Scorer.of(model, suite).score(model, "search"))["first.gold_logprob"]
    assert scores["rounded"] == pytest.approx(member.search.metrics["first.gold_logprob"], abs=1e-5)
    assert abs(scores["whole"] - scores["rounded"]) > 1e-4


def _loaded(folder: Path) -> torch.nn.Module:
    import transformers

    torch.set_num_threads(1)
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


@pytest.mark.slow
def test_no_candidate_begins_with_the_rounded_weights_of_another(run: Path, wide: Family, tmp_path: Path) -> None:
    """A second session, which meets the same candidates in a fresh model, and other numbers of workers, score alike."""
    wishes = {"objectives": "[first.gold_logprob,second.gold_logprob]", "model.dtype": "float32"}
    more = {"model.quantise": "int4", "executor": "processes", "executor.workers": 2}
    assert wide.search(tmp_path / "run", **wishes, **more, evaluations=10) == 0
    one, two = (
        [(c.digest, dict(c.metrics)) for c in candidates(RunStore.read(folder))] for folder in (run, tmp_path / "run")
    )
    assert one == two


def test_the_report_says_how_far_the_order_is_that_of_unquantised_scores(run: Path) -> None:
    store = RunStore.read(run)
    facts = Facts(store)
    found = facts.serving
    assert found is not None
    kept = json.loads((run / "unquantised.json").read_text(encoding="utf-8"))["scores"]
    assert found.models == len(kept) >= 8
    assert set(found.tau) == {"first.gold_logprob", "second.gold_logprob"}
    assert all(0.0 < tau <= 1.0 for tau in found.tau.values())
    quantised = {e.digest: e.metrics for e in store.evaluations("search")}
    gaps = [own["first.gold_logprob"] - quantised[digest]["first.gold_logprob"] for digest, own in kept.items()]
    assert all(gaps)
    assert found.loss["first.gold_logprob"] == pytest.approx(sum(gaps) / len(gaps))
    page, text = ((run / name).read_text(encoding="utf-8") for name in ("report.html", "report.md"))
    for told in (page, text):
        assert "scored as served in int4" in told
        assert "Kendall" in told
    assert json.loads((run / "front.json").read_text(encoding="utf-8"))["quantised"]["models"] == found.models


def test_where_candidates_were_asked_some_items_orders_are_compared_on_selection_items(
    wide: Family, tmp_path: Path
) -> None:
    wishes = {"objectives": "[first.gold_logprob,second.gold_logprob]", "model.quantise": "int8"}
    some = {"allocation.policy": "rotating", "allocation.items": 4, "confirm.finalists": 3}
    run = tmp_path / "run"
    assert wide.search(run, **wishes, **some, evaluations=12) == 0
    store = RunStore.read(run)
    found = Facts(store).serving
    assert found is not None
    kept = json.loads((run / "unquantised.json").read_text(encoding="utf-8"))
    asked = {e.digest: e for e in store.evaluations("selection")}
    assert kept["split"] == found.split == "selection"
    assert found.models == len(kept["scores"]) == len(asked), "baselines and the whole shortlist"
    assert sum(e.name is None for e in asked.values()) >= 5
    gaps = [
        own["first.gold_logprob"] - asked[digest].metrics["first.gold_logprob"]
        for digest, own in kept["scores"].items()
    ]
    assert found.loss["first.gold_logprob"] == pytest.approx(sum(gaps) / len(gaps))
    assert all(abs(gap) < 0.5 for gap in gaps), "of the same items"
    assert "on the same selection items" in (run / "report.md").read_text(encoding="utf-8")


def test_evaluate_scores_a_model_as_served(wide: Family, tmp_path: Path) -> None:
    found = {}
    for scheme in ("none", "int8", "fp8"):
        words = [f"model={wide.folder / 'one'}", "tasks=[first]", f"task_path={wide.folder / 'tasks'}"]
        out = tmp_path / f"{scheme}.json"
        assert main(["evaluate", *words, f"out={out}", "model.threads=1", f"model.quantise={scheme}"]) == 0
        found[scheme] = json.loads(out.read_text(encoding="utf-8"))
    scores = [found[scheme]["metrics"]["first.gold_logprob"] for scheme in found]
    assert len(set(scores)) == 3
    assert found["int8"]["run"]["quantise"] == "int8"
    assert "quantise" not in found["none"]["run"]


def test_what_runs_no_model_is_not_quantised(
    wide: Family, tmp_path: Path, problems_of: Callable[[Sequence[str]], str]
) -> None:
    table = tmp_path / "table.jsonl"
    table.write_text("")
    more = {"executor": "recorded", "executor.options": f"{{table: {table}}}", "model.quantise": "int8"}
    words = wide.words(tmp_path / "run", **more)
    assert "model.quantise: executor=recorded runs no model that could be quantised" in problems_of(["search", *words])
