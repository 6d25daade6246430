"""MAP-Elites and CMA-ME beyond their contract: a step by hand, pyribs beside them, and measures in the loop."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from evomerge.analysis.diversity.grid import Grid
from evomerge.errors import InputError
from evomerge.search import searchers
from evomerge.search.searchers import Observation, Problem, Searcher, SearcherSettings, make
from evomerge.search.searchers._shared.archives.elites import Elite, Elites
from evomerge.search.searchers._shared.initial_population import generator
from evomerge.search.searchers._shared.variation import reflected
from evomerge.store import RunStore, candidates
from tests.search.allocation.watching import NOISY, allocated, watched
from tests.search.analytic import MEASURES, plan
from tests.search.sessions import search

GRID, FINE = (Grid((0.0, 0.0), (1.0, 1.0), cells) for cells in (5, 8))


def halves(x: np.ndarray) -> np.ndarray:
    """Means of both halves of a genome, which are all alike in genomes drawn by chance."""
    return np.array([x[: len(x) // 2].mean(), x[len(x) // 2 :].mean()])


def rastrigin(x: np.ndarray) -> float:
    return float(np.sum((4 * x - 2) ** 2 - np.cos(6 * np.pi * x)))


def told(searcher: Searcher, batches: int) -> dict[tuple[int, ...], float]:
    """Tells batches; the best value seen in each cell."""
    best: dict[tuple[int, ...], float] = {}
    for _ in range(batches):
        proposals = searcher.ask()
        for one in proposals:
            cell = FINE.cell(halves(one.x))
            best[cell] = min(best.get(cell, np.inf), float(((one.x - 0.6) ** 2).mean()))
        values = [np.array([((p.x - 0.6) ** 2).mean()]) for p in proposals]
        pairs = zip(proposals, values, strict=True)
        searcher.tell([Observation(p.id, value, np.zeros(1), None, halves(p.x)) for p, value in pairs])
    return best


def test_a_child_is_an_elite_with_noise_and_a_step_along_the_line_to_another() -> None:
    """Iso+LineDD with the numbers that the searcher's generator gives, reflected at the faces of the cube."""
    starts = np.array([[0.1, 0.2, 0.3, 0.4], [0.7, 0.9, 0.99, 0.6]])
    searcher = make("map_elites", Problem(4, 1, 1, starts, GRID), SearcherSettings(5, 3, {"iso": 0.1, "line": 0.5}))
    first = searcher.ask()
    searcher.tell([Observation(p.id, np.array([float(k)]), np.zeros(1), None, p.x[:2]) for k, p in enumerate(first)])
    elites = {GRID.cell(p.x[:2]): p for p in reversed(first)}  # of equal cells the first, whose value is least
    order = [p for p in first if elites[GRID.cell(p.x[:2])] is p]
    random = generator(3, "map_elites")
    for child in searcher.ask(3):
        one, other = (order[int(random.integers(len(order)))] for _ in range(2))
        step = 0.5 * random.standard_normal() * (other.x - one.x)
        x = one.x + 0.1 * random.standard_normal(4) + step
        assert np.allclose(child.x, np.abs((x + 1) % 2 - 1), atol=1e-12)
        assert set(child.parents) == {one.id, other.id}


def test_genes_beyond_a_face_come_back_by_as_much() -> None:
    assert reflected(np.array([-0.25, 0.5, 1.25, 2.5, -1.5])).tolist() == [0.25, 0.5, 0.75, 0.5, 0.5]


def test_the_archive_is_that_of_pyribs() -> None:
    """Points, some worse than who has their cell and some out of range."""
    ribs = pytest.importorskip("ribs.archives")
    theirs = ribs.GridArchive(solution_dim=1, dims=[5, 5], ranges=[(0.0, 1.0)] * 2, seed=0)
    ours, random = Elites(GRID), np.random.default_rng(0)
    for number in range(300):
        measures, value = random.normal(0.5, 0.4, 2), float(random.normal())
        added = theirs.add_single([number], -value, measures)
        better = ours.add(Elite(str(number), np.array([float(number)]), (0.0, value)), measures)
        assert (better is not None) == bool(added["status"])
        assert better is None or better == np.inf or better == pytest.approx(float(added["value"]))
    known = {tuple(theirs.int_to_grid_index([k])[0].tolist()): int(s[0]) for k, s in _stored(theirs)}
    assert {cell: int(elite.id) for cell, elite in ours.members.items()} == known


def _stored(archive: object) -> list[tuple[int, np.ndarray]]:
    data = archive.data(return_type="dict")  # type: ignore[attr-defined]
    return list(zip(data["index"].tolist(), data["solution"], strict=True))


def test_cma_me_proposes_what_pyribs_does_inside_the_cube() -> None:
    """A scheduler of pyribs with the same seeds and bounds nowhere near; ours draws them archive first."""
    pytest.importorskip("ribs")
    from ribs.archives import GridArchive
    from ribs.emitters import EvolutionStrategyEmitter
    from ribs.schedulers import Scheduler

    from evomerge.search.searchers.cma_me import _strategy

    random = generator(4, "cma_me")
    seeds = [int(random.integers(2**63)) for _ in range(2)]
    archive = GridArchive(solution_dim=3, dims=[5, 5], ranges=[(0.0, 1.0)] * 2, seed=seeds[0])
    emitter = EvolutionStrategyEmitter(archive, x0=[0.5] * 3, sigma0=0.02, es=_strategy(), batch_size=8, seed=seeds[1])
    theirs = Scheduler(archive, [emitter])
    ours = make("cma_me", Problem(3, 1, 1, grid=GRID), SearcherSettings(8, 4, {"sigma": 0.02}))
    for _ in range(15):
        wanted, proposals = theirs.ask(), ours.ask()
        assert np.allclose([p.x for p in proposals], wanted, atol=1e-12)
        theirs.tell([-rastrigin(x) for x in wanted], wanted[:, :2])
        ours.tell([Observation(p.id, np.array([rastrigin(p.x)]), np.zeros(1), None, p.x[:2]) for p in proposals])


@pytest.mark.parametrize("name", ["map_elites", "cma_me"])
def test_archives_are_filled_better_than_by_chance(name: str) -> None:
    """Sum over all cells of how good the best is, 0 where there is none."""

    def quality(searcher: Searcher) -> float:
        return sum(0.36 - value for value in told(searcher, 30).values())

    if name == "cma_me":
        pytest.importorskip("ribs")
    settings = [SearcherSettings(16, seed) for seed in range(3)]
    found = [quality(make(name, Problem(18, 1, 1, grid=FINE), own)) for own in settings]
    chance = [quality(make("random", Problem(18, 1, 1), own)) for own in settings]
    assert sum(found) > 1.1 * sum(chance)


def test_without_pyribs_the_way_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ribs", None)
    wanted = "searcher cma_me: ribs is not installed; pip install 'evomerge[ribs]' installs it"
    with pytest.raises(InputError) as caught:
        make("cma_me", Problem(3, 1, 1, grid=GRID), SearcherSettings())
    assert caught.value.problems == (wanted,)
    assert searchers.load("cma_me").problems(SearcherSettings()) == [wanted], "before anything is done"


def test_searchers_and_measures_that_do_not_fit_are_told() -> None:
    assert searchers.misfit("map_elites", 1)[0].startswith(
        "searcher map_elites needs measures, measures=[t1.acc,t2.acc]"
    )
    assert "measures: searcher nsga2 keeps no archive" in searchers.misfit("nsga2", 2, 2)[0]
    assert searchers.misfit("map_elites", 1, None) == searchers.misfit("nsga2", 2, None) == []


def test_the_loop_tells_measures_in_natural_units_and_the_grid_follows_the_baselines(tmp_path: Path) -> None:
    work, made = watched(plan("map_elites", evaluations=16))
    search(tmp_path, work)
    store = RunStore.read(tmp_path)
    grid = made[0].searcher.elites.grid
    known = [e.metrics["north.acc"] for e in store.evaluations("search") if e.name is not None]
    assert grid.cells == 4
    assert grid.low[0] == pytest.approx(min(known) - 0.25 * (max(known) - min(known)))
    values = [one.measures.tolist() for _, _, batch in made[0].batches for one in batch.values()]
    recorded = [[measure.value(e.metrics) for measure in MEASURES] for e in store.evaluations("search")]
    assert len(values) == 16
    assert all(own in recorded for own in values)


def test_in_windows_measures_are_folded_over_the_items_of_the_objectives(tmp_path: Path) -> None:
    """Elites are asked the items of every batch and told again, measures too; those that failed have the low ends."""
    work, made = watched(allocated("map_elites", 24, policy="rotating", items=5))
    search(tmp_path, work, NOISY)
    store = RunStore.read(tmp_path)
    found = {(e.batch, e.index): e for e in store.evaluations("search")}
    for number, (asked, selection, batch) in enumerate(made[0].batches, 1):
        assert set(batch) == {*asked, *selection.kept}
        for index, id in enumerate(asked):
            evaluation = found.get((number, index))
            if evaluation is None:  # a baseline
                continue
            grid = made[0].searcher.elites.grid
            wanted = grid.low if evaluation.error else [m.value(evaluation.metrics) for m in MEASURES]
            assert batch[id].measures == pytest.approx(wanted)
            assert evaluation.error or batch[id].F[0] == pytest.approx(evaluation.metrics["south.loss"])
    assert any(e.error for e in candidates(store))
