"""A real run that asks fewer items: whole passages, an estimator, shared selection items, and what is said of it."""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from evomerge.cli.main import main
from evomerge.store import RunStore, clusters_of, described_items, estimates
from tests.run.family import Family

FEWER = {
    "allocation__policy": "rotating",
    "allocation__items": 5,
    "allocation__estimator": "control_variate",
    "promote__allocation": "ocba",
    "items_per_task": None,
}


@pytest.fixture(scope="module")
def passages(family: Family, tmp_path_factory: pytest.TempPathFactory) -> Family:
    """The family with a task whose items share passages, two each."""
    folder = tmp_path_factory.mktemp("passages") / "family"
    shutil.copytree(family.folder, folder)
    data = folder / "tasks" / "first.jsonl"
    rows = [json.loads(line) for line in data.read_text().splitlines()]
    data.write_text("".join(json.dumps(row | {"passage": f"p{n // 2}"}) + "\n" for n, row in enumerate(rows)))
    with (folder / "tasks" / "first.yaml").open("a") as declared:
        declared.write("metadata: {version: 1.0, cluster: passage}\n")
    return Family(folder)


@pytest.mark.slow
def test_a_run_asks_whole_passages_and_says_what_it_cost(
    passages: Family, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert main(["check", *passages.words(run, **FEWER), "model.threads=1"]) == 0
    told = capsys.readouterr().out
    assert "first in whole clusters of passage" in told
    assert "estimator control_variate: Mean with the items' difficulty as control variate" in told
    assert "selection items: 50% of all, shared out by OCBA among the candidates compared" in told
    assert passages.search(run, **FEWER) == 0
    said = capsys.readouterr()
    assert "items per candidate: some of " in said.err
    store = RunStore.read(run)
    clusters = clusters_of(described_items(store))
    members = defaultdict(set)
    for item, cluster in clusters.items():
        members[cluster].add(item)
    pool = {item for e in store.evaluations("search") if e.batch == 0 for item in store.items(e)["first"]}
    windows = [set(store.items(e)["first"]) for e in store.evaluations("search") if e.batch]
    assert all(window < pool for window in windows)
    assert all(members[clusters[item]] & pool <= window for window in windows for item in window)
    scored = estimates(store)
    assert all(own["first.acc"][1] > 0.0 for own in scored.values()), "nobody has answered everything"
    sentence = "policy rotating with 5 items of a task for a batch, estimator control_variate."
    assert sentence in said.out
    assert "Selection items were shared out by OCBA" in said.out
    for report in ("report.md", "report.html"):
        text = (run / report).read_text().replace("\\_", "_").replace("&#39;", "'")
        assert sentence in text
        assert "Selection items were shared out by OCBA" in text
    before = (run / "evaluations.jsonl").read_bytes(), (run / "estimates.json").read_bytes()
    assert passages.search(run, **FEWER) == 0
    assert ((run / "evaluations.jsonl").read_bytes(), (run / "estimates.json").read_bytes()) == before


def test_an_estimator_that_needs_more_models_is_refused_at_once(
    family: Family, problems_of: Callable[[Sequence[str]], str], tmp_path: Path
) -> None:
    single = {**FEWER, "allocation__estimator": "gmp_irt", "models": f"[{family.folder / 'one'}]"}
    wrong = {"allocation__estimator_options": "{dimensions: 0}", "promote__share": 0.0}
    printed = problems_of(["search", *family.words(tmp_path / "run", **single, **wrong)])
    assert "allocation.estimator_options: estimator gmp_irt: option dimensions is 0" in printed
    assert "promote.share" in printed
    words = family.words(tmp_path / "run", **single)
    assert "allocation.estimator: gmp_irt needs 2 models or more, came 1" in problems_of(["search", *words])
    assert not (tmp_path / "run").exists()
