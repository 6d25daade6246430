"""The committed response tables are whole, small, of this project's models, and can be searched without them."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from evomerge.checkpoints import fingerprint_of, open_source
from evomerge.executors._shared import response_table
from evomerge.executors._shared.response_table import ResponseTable
from evomerge.executors.recorded import example_table
from evomerge.recipe import CheckpointRef
from experiments.responses.families import ROOT, find
from experiments.responses.replay import space

FOLDERS = sorted(path.parent for path in (ROOT / "experiments" / "responses").glob("*/candidates.parquet"))
NAMES = [folder.name for folder in FOLDERS]


@pytest.fixture(scope="module")
def example() -> ResponseTable:
    return response_table.read_table(FOLDERS[NAMES.index("example_0")])


def test_files_are_small() -> None:
    sizes = [file.stat().st_size for folder in FOLDERS for file in folder.iterdir()]
    assert max(sizes) < 4 * 2**20
    assert sum(sizes) < 20 * 2**20


@pytest.mark.parametrize("name", NAMES)
def test_every_merge_has_answered_everything(name: str) -> None:
    """Counted from the files' own heads, without reading the answers."""
    folder = FOLDERS[NAMES.index(name)]
    merges = pq.read_table(folder / "candidates.parquet").to_pylist()
    origins = Counter(row["origin"] for row in merges)
    wanted = find(name, Path("work"), Path("models")).design
    expected = {"random": wanted.random, "nsga2": wanted.nsga2, "cmaes": wanted.cmaes, "local": wanted.local}
    assert {origin: origins[origin] for origin in expected} == expected
    assert len({row["digest"] for row in merges}) == len(merges)
    assert not [row["recipe"] for row in merges if '"/' in row["recipe"]], "a machine's folders"
    rows = [pq.ParquetFile(file).metadata.num_rows for file in folder.glob("responses-*")]
    answered = sum(row["error_kind"] is None for row in merges)
    assert sum(rows) == answered * pq.ParquetFile(folder / "items.parquet").metadata.num_rows


def test_the_example_is_the_one_that_comes_with_the_package(example: ResponseTable) -> None:
    """By the weights' fingerprints; and answers of both tables to the same items, recorded at another time, agree."""
    recipe = next(one.recipe for one in example.candidates if one.genome)
    for source in recipe.sources:
        assert isinstance(source, CheckpointRef)
        folder = ROOT / "evomerge" / "example" / source.label
        assert fingerprint_of(open_source(folder)) == source.fingerprint
    older = {row.recipe.digest: row for row in response_table.read(example_table())}
    both = [one for one in example.candidates if one.recipe.digest in older]
    assert len(both) >= 4, "the baselines are in both"
    for one in both:
        for key, metrics in older[one.recipe.digest].metrics.items():
            assert one.metrics[key] == pytest.approx(dict(metrics), rel=2e-3, abs=2e-3)


def test_metrics_follow_from_probabilities(example: ResponseTable) -> None:
    """Accuracy, probability of the right option and Brier score, worked out from what all options got."""
    items, values = example.items_of("order_b"), example.values["order_b"]
    gold = np.array([item.options.index(item.gold) for item in items])
    found = example.probabilities["order_b"]
    right = found[:, np.arange(len(items)), gold]
    np.testing.assert_allclose(right, values["gold_prob"], atol=1e-3)
    np.testing.assert_allclose(((found - np.eye(4)[gold]) ** 2).sum(axis=2), values["brier_score"], atol=4e-3)
    others = np.where(np.eye(4)[gold] > 0, -1.0, found).max(axis=2)
    clear = np.abs(right - others) > 2e-3
    assert clear.mean() > 0.98
    np.testing.assert_array_equal((right > others)[clear], values["acc"][clear] > 0)


def test_difficulty_follows_the_baselines(example: ResponseTable) -> None:
    known = [one.origin == "baseline" for one in example.candidates]
    level = np.array([item.difficulty for item in example.items_of("exam_a")])
    mean = example.values["exam_a"]["gold_logprob"][known].mean(axis=0)
    assert np.bincount(level, minlength=6).tolist() == [0, 240, 240, 240, 240, 240]
    assert all(mean[level == hard].max() <= mean[level == hard - 1].min() + 1e-2 for hard in range(2, 6))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_table_is_searched_without_its_models(name: str) -> None:
    """Its genomes are points of the space that is searched."""
    table = response_table.read_table(FOLDERS[NAMES.index(name)])
    spec = space(table, name.partition("_")[0])
    assert all(spec.decode(one.genome).digest == one.recipe.digest for one in table.candidates if one.genome)
    command = [sys.executable, "-m", "experiments.responses.replay", str(FOLDERS[NAMES.index(name)])]
    done = subprocess.run([*command, "--evaluations", "40"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "40 candidates, " in done.stdout


@pytest.mark.slow
def test_recording_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """A small share of the example: the second command scores nothing and writes the same answers."""
    command = [sys.executable, "-m", "experiments.responses.record", "example_0", "--share", "0.05"]
    command += ["--work", str(tmp_path / "work"), "--out", str(tmp_path)]
    digests = []
    for _ in range(2):
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        digests.append(response_table.digest(tmp_path / "example_0"))
    assert digests[0] == digests[1]
