"""The study of estimators and policies: measures by hand, a small study over a part of a real table, resumed."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau

from evomerge.analysis.allocation.proxy import kendall
from evomerge.executors._shared.response_table import ResponseTable, parquet, read_table
from experiments import json_lines
from experiments.estimation import campaign, choosing, ranking, records, smooth, study
from experiments.estimation.campaign import Campaign
from experiments.estimation.cells import Cell, cells, draw, ranked
from experiments.estimation.procedures import PEERS, PROCEDURES, Procedure
from experiments.estimation.summary import find, rows, worth
from experiments.estimation.variants import MEAN, VARIANTS

TABLE = Path(__file__).parents[2] / "experiments" / "responses" / "example_0"
ITEMS = 90
LABELS = ("mean", "control variate")
PARTS: dict[str, records.Trial] = {
    "ranking": partial(ranking.trial, variants=[variant for variant in VARIANTS if variant.label in LABELS]),
    "choosing": partial(choosing.trial, chosen=choosing.POLICIES[:3:2]),
    "smooth": smooth.trial,
    "campaign": partial(campaign.trial, procedures=(*PEERS[:1], *PROCEDURES[-2:])),
}


@pytest.fixture(scope="module")
def table() -> ResponseTable:
    """Some merges of the first table, and the first items of one task."""
    whole = read_table(TABLE)
    rows = [row for row, one in enumerate(whole.candidates) if one.origin not in ("random", "local_search")]
    kept = {name: whole.values["exam_a"][name][rows, :ITEMS] for name in ("acc", "gold_logprob")}
    candidates = tuple(whole.candidates[row] for row in rows)
    return ResponseTable(candidates, whole.items_of("exam_a")[:ITEMS], {"exam_a": kept}, {}, "a part")


@pytest.fixture(scope="module")
def cell(table: ResponseTable) -> Cell:
    return next(one for one in ranked(cells("part", table)) if one.population == "local")


def test_kendall_is_scipys() -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        one, two = random.integers(0, 6, (2, 15)).astype(float)
        assert kendall(one, two) == pytest.approx(kendalltau(one, two).statistic)
    assert kendall(np.zeros(4), np.arange(4.0)) == 0.0


def test_items_worth_by_hand() -> None:
    reference = [(10, 0.2), (40, 0.4), (160, 0.5)]
    assert worth(0.3, reference) == (pytest.approx(20.0), False)  # half way in the logarithm
    assert worth(0.1, reference) == (10.0, False)
    assert worth(0.6, reference) == (160.0, True)


def test_populations_are_apart(table: ResponseTable) -> None:
    found = {one.population: one for one in cells("part", table)}
    assert [one.population for one in ranked(cells("part", table))] == ["local", "search", "broad"]
    origins = [candidate.origin for candidate in table.candidates]
    assert {origins[row] for row in found["search"].members} == {"nsga2", "cmaes"}
    assert {origins[row] for row in found["local"].outside} == {"grid"}
    repeat = draw(found["broad"], "ranking", 3)
    assert not set(repeat.probes) & set(repeat.targets)
    assert np.array_equal(repeat.targets, draw(found["broad"], "ranking", 3).targets)


def test_designs_ask_what_they_say(cell: Cell) -> None:
    random = np.random.default_rng(0)
    common = ranking.windows(cell, 4, 10, "common", random)
    assert all(np.array_equal(window, common[0]) for window in common)
    rotating = np.concatenate(ranking.windows(cell, 4, 10, "rotating", random))
    assert len(set(rotating.tolist())) == 40  # least asked ones first: none twice while there are others
    independent = ranking.windows(cell, 4, 10, "independent", random)
    assert all(len(set(window.tolist())) == 10 for window in independent)
    assert not np.array_equal(independent[0], independent[1])


def test_the_mean_is_the_mean_of_what_was_asked(cell: Cell) -> None:
    repeat = draw(cell, "ranking", 0)
    asked = ranking.windows(cell, len(repeat.targets), 20, "independent", np.random.default_rng(1))
    found = MEAN.estimates(cell, repeat, [ranking.answered(cell, repeat, asked)])[0]
    by_hand = [cell.values[row, items].mean() for row, items in zip(repeat.targets, asked, strict=True)]
    assert found.value == pytest.approx(by_hand)


def test_stacked_cases_are_those_alone(cell: Cell) -> None:
    """Estimators that learn from sources alone are asked for all cases at once."""
    repeat = draw(cell, "ranking", 0)
    count = len(repeat.targets)
    cases = [
        ranking.answered(cell, repeat, ranking.windows(cell, count, n, design, np.random.default_rng(n)))
        for n, design in ((10, "common"), (20, "independent"))
    ]
    for variant in (variant for variant in VARIANTS if variant.estimator in ("aipw", "control_variate", "stratified")):
        for case, stacked in zip(cases, variant.estimates(cell, repeat, cases), strict=True):
            alone = variant.estimates(cell, repeat, [case])[0]
            assert stacked.value == pytest.approx(alone.value)
            assert stacked.se == pytest.approx(alone.se)


def test_peers_ask_the_same_items_of_all(cell: Cell) -> None:
    """Twenty items drawn once for the whole run, and the best of plain means returned."""
    run = Campaign(cell, 0, PEERS[0], 20)
    found = run.run()
    assert found is not None
    assert found["items"] == 20.0
    asked = ~np.isnan(run._values[len(cell.baselines) :])
    assert (asked == asked[0]).all()
    assert asked[0].sum() == 20


@pytest.mark.parametrize("procedure", PROCEDURES, ids=lambda procedure: procedure.label)
def test_no_procedure_exceeds_its_budget(cell: Cell, procedure: Procedure) -> None:
    if procedure.estimator in ("gmp_irt", "low_rank"):
        pytest.skip("spends what its policy does")
    found = Campaign(cell, 1, procedure, 30).run()
    assert found is not None
    assert 10 < found["items"] <= 30  # races of a window as large as the pool spend less


def test_a_small_study_goes_on_where_it_was_killed(table: ResponseTable, tmp_path: Path) -> None:
    folder = tmp_path / "part"
    parquet.write(folder, table)
    said: list[str] = []
    units, populations = records.record([folder], tmp_path / "work", 1, said.append, PARTS)
    file = tmp_path / "work" / "part.jsonl"
    whole = json_lines.read(file)
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 2 // 3])  # killed while it wrote a line
    assert len(json_lines.read(file)) < len(whole)
    assert records.record([folder], tmp_path / "work", 1, said.append, PARTS) == (units, populations)
    assert json_lines.read(file) == whole
    study.write(tmp_path / "out", units, ["part"], populations)
    assert list(populations) == list(dict.fromkeys(unit.cell for unit in units if unit.part == "ranking"))
    data = json.loads((tmp_path / "out" / "estimation.json").read_text(encoding="utf-8"))
    row = find(rows(units), part="ranking", group="local", label="mean", design="common", n=20)[0]
    taus = [unit.found["mean|common|20"]["tau"] for unit in units if "mean|common|20" in unit.found]
    local = [unit.population.startswith("local") for unit in units if "mean|common|20" in unit.found]
    assert row.means["tau"] == pytest.approx(np.mean(np.array(taus)[local]))
    assert row.to_json() in data["rows"]
    page = (tmp_path / "out" / "estimation.md").read_text(encoding="utf-8")
    assert all(f"| {one['target']} | {one['value']} |" in page for one in data["targets"])
    assert {"ranking.png", "campaign.png"} <= {path.name for path in (tmp_path / "out").iterdir()}
