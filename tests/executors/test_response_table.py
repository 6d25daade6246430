"""Response tables as folders of Parquet files: what comes back, in which parts, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evomerge import executors
from evomerge.contracts import workers
from evomerge.errors import InputError
from evomerge.evaluation import Ask, Failure, Job, Response
from evomerge.executors._shared import response_table
from evomerge.executors._shared.response_table import Recorded, RecordedItem, ResponseTable, columns, parquet
from evomerge.executors.recorded import RecordedWorker
from tests.executors.test_recorded import ASKED, candidate, recipe

ITEMS = (
    RecordedItem("t", "i1", "test", "sum", "c", 4, "1 + 1 =", ("2", "3"), "2", "ab"),
    RecordedItem("t", "i0", "search"),
    RecordedItem("python", ""),
)


def made_up() -> ResponseTable:
    """Candidates of two recipes, a failed one, and one that was not asked everything."""
    rows = [candidate(0.1), candidate(0.2), candidate(0.2, "b"), replace(candidate(0.7), origin="cmaes", batch=3)]
    rows[0] = replace(rows[0], origin="random", genome=(0.125, 1 / 3), seconds=1.5)
    rows += [
        Recorded(recipe(0.9), error=Failure("nonfinite", "a weight is infinite")),
        Recorded.of(recipe(0.4), [Response("t", "i1", {"acc": 1.0})]),
    ]
    return ResponseTable.of(rows, ITEMS, "made up")


@pytest.mark.parametrize("largest", [1, parquet.LARGEST])
def test_a_table_comes_back_as_it_was_written(tmp_path: Path, largest: int) -> None:
    """In one part for each item too, of which one has fewer options than the other."""
    table = made_up()
    options = np.full((6, 2, 3), np.nan)
    options[:4, 0, :2], options[:4, 1] = (0.25, 0.75), (0.5, 0.25, 0.25)
    parquet.write(tmp_path / "table", replace(table, probabilities={"t": options}), largest=largest)
    again = response_table.read_table(tmp_path / "table")
    assert again.about == "made up"
    assert again.items == table.items
    for row, other in zip(table.candidates, again.candidates, strict=True):
        assert replace(row, metrics={}) == replace(other, metrics={})
        assert dict(row.metrics) == dict(other.metrics)
    np.testing.assert_array_equal(again.probabilities["t"], options)
    np.testing.assert_array_equal(again.genomes[:2], [[0.125, 1 / 3], [np.nan, np.nan]])
    assert again.values["t"]["acc"][:, 0].tolist()[:4] == [0.1, 0.2, 0.2, 0.7], "in the order of the items"


def test_others_can_read_it(tmp_path: Path) -> None:
    """One row for each answer, with nothing but pyarrow; truth values are that, a repeated metric is kept once."""
    values = {"acc": np.array([[1.0, 0.0]]), "gold_logprob": np.array([[-0.5, -2.0]])}
    values["perplexity"] = values["gold_logprob"]
    items = (RecordedItem("t/1", "i0"), RecordedItem("t/1", "i1"))
    parquet.write(tmp_path, ResponseTable((Recorded(recipe(0.1)),), items, {"t/1": values}))
    names = sorted(file.name for file in tmp_path.iterdir())
    assert names == ["candidates.parquet", "items.parquet", "responses-t_1-0.parquet"]
    rows = pq.read_table(tmp_path / names[2])
    assert rows.schema.field("acc").type == pa.bool_()
    wanted = {"candidate": 0, "task": "t/1", "item": "i0", "gold_logprob": -0.5, "acc": True}
    assert rows.to_pylist()[0] == wanted, "perplexity repeats gold_logprob"
    assert pq.read_table(tmp_path / names[0])["digest"].to_pylist() == [recipe(0.1).digest]
    assert response_table.read(tmp_path)[0].metrics["t/1", "i1"] == {
        "acc": 0.0,
        "gold_logprob": -2.0,
        "perplexity": -2.0,
    }


def test_values_keep_ten_binary_digits_and_none_beyond_ten_after_the_point() -> None:
    """0.3 * 1024 is 307.2; 3.2867 * 256 is 841.4; -11.8265 * 64 is -756.9; 0.0004 * 1024 is 0.41."""
    found = columns.rounded(np.array([0.3, 3.2867, -11.8265, 0.0004, 0.0, 1.0, np.nan]))
    np.testing.assert_array_equal(found, [307 / 1024, 841 / 256, -757 / 64, 0.0, 0.0, 1.0, np.nan])


def test_parts_are_as_small_as_they_have_to_be(tmp_path: Path) -> None:
    """80,000 bytes of random numbers, which no compression makes smaller, beside a few thousand for the rest."""
    values = np.random.default_rng(0).normal(size=(10, 1000))
    items = tuple(RecordedItem("t", f"i{number}") for number in range(1000))
    table = ResponseTable((Recorded(recipe(0.1)),) * 10, items, {"t": {"loss": values}})
    parquet.write(tmp_path, table, largest=20_000)
    parts = sorted(tmp_path.glob("responses-*"))
    assert len(parts) >= 4
    assert all(15_000 < part.stat().st_size <= 20_000 for part in parts)
    np.testing.assert_array_equal(response_table.read_table(tmp_path).values["t"]["loss"], values)
    parquet.write(tmp_path, table)
    assert [part.name for part in tmp_path.glob("responses-*")] == ["responses-t-0.parquet"], "earlier parts are gone"


@pytest.mark.parametrize("unknown", ["refuse", "nearest", "interpolated"])
def test_both_forms_answer_alike(tmp_path: Path, unknown: str) -> None:
    table = made_up()
    response_table.write(tmp_path / "table.jsonl", table.candidates, "made up")
    parquet.write(tmp_path / "table", table)
    lines, folder = (RecordedWorker(response_table.read(tmp_path / name), unknown) for name in ("table.jsonl", "table"))
    for weight in (0.1, 0.3, 0.4, 0.9):
        job = Job.of(recipe(weight), ASKED, Ask("search", 1, 0))
        assert lines(job) == folder(job)


def _without_items(folder: Path) -> None:
    (folder / "items.parquet").unlink()


def _without_responses(folder: Path) -> None:
    for file in folder.glob("responses-*"):
        file.unlink()


def _garbage(folder: Path) -> None:
    (folder / "responses-t-0.parquet").write_text("garbage")


def _other_format(folder: Path) -> None:
    rows = pq.read_table(folder / "items.parquet")
    head = {b"evomerge.response_table": json.dumps({"format": 9}).encode()}
    pq.write_table(rows.replace_schema_metadata(head), folder / "items.parquet")


def _twice(folder: Path) -> None:
    (folder / "responses-t-1.parquet").write_bytes((folder / "responses-t-0.parquet").read_bytes())


def _too_few_candidates(folder: Path) -> None:
    rows = pq.read_table(folder / "candidates.parquet")
    pq.write_table(rows.slice(0, 2), folder / "candidates.parquet")


def _other_items(folder: Path) -> None:
    rows = pq.read_table(folder / "items.parquet")
    pq.write_table(rows.slice(1), folder / "items.parquet")


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (_without_items, r"table cannot be read: items\.parquet: No such file"),
        (_without_responses, r"table has no responses-\*\.parquet; the folder is not complete"),
        (_garbage, r"responses-t-0\.parquet: is no file of a response table \(ArrowInvalid"),
        (_other_format, r"items\.parquet: has table format 9; expected 2"),
        (_twice, r"responses-t-1\.parquet: answers that another file of the table has as well"),
        (_too_few_candidates, r"responses-python-0\.parquet: answers of candidate 3; candidates\.parquet has 2"),
        (_other_items, r"responses-t-0\.parquet: is no file of a response table \(KeyError: \('t', 'i1'\)"),
    ],
)
def test_a_damaged_folder_is_refused_by_name(tmp_path: Path, damage: Callable[[Path], None], problem: str) -> None:
    folder = tmp_path / "table"
    parquet.write(folder, made_up())
    damage(folder)
    with pytest.raises(InputError, match=problem):
        executors.make("recorded", workers.make_broken, table=str(folder))


def test_the_identity_of_a_folder_is_its_content(tmp_path: Path) -> None:
    table = made_up()
    for name in ("one", "two"):
        parquet.write(tmp_path / name, table)
    parquet.write(tmp_path / "three", replace(table, about="another"))
    one, two, three = (response_table.digest(tmp_path / name) for name in ("one", "two", "three"))
    assert one == two != three
