"""Tables that differ in items, merges and metrics: what rests on some of them alone is not compared with the rest."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from evomerge.executors._shared.response_table import ResponseTable, parquet, read_table
from experiments.estimation import campaign, choosing, ranking, records, smooth, study
from experiments.estimation.procedures import PEERS, PROCEDURES
from experiments.estimation.records import Unit
from experiments.estimation.summary import find, rows, shared, throughout
from experiments.estimation.variants import VARIANTS
from experiments.estimation.verdicts import factors, verdicts

TABLE = Path(__file__).parents[2] / "experiments" / "responses" / "example_0"
LARGE, SMALL = 90, 44  # items
PARTS: dict[str, records.Trial] = {
    "ranking": partial(ranking.trial, variants=[one for one in VARIANTS if one.label in ("mean", "control variate")]),
    "choosing": partial(choosing.trial, chosen=choosing.POLICIES[:4:3]),
    "smooth": smooth.trial,
    "campaign": partial(campaign.trial, procedures=(*PEERS[:1], *(p for p in PROCEDURES if p.label == "cut, mean"))),
}


def part(task: str, items: int, most: int, named: str, *, options: bool = False) -> ResponseTable:
    """At most so many merges of each origin but random ones, and the first items of one task.

    Args:
        task: The task.
        items: How many of its items.
        most: How many merges.
        named: Its name there.
        options: Whether it is as if there were a second option, so that answers have a Brier score.
    """
    whole = read_table(TABLE)
    origins = [one.origin for one in whole.candidates]
    kept = [row for row, origin in enumerate(origins) if origins[:row].count(origin) < most and origin != "random"]
    values = {name: whole.values[task][name][kept, :items] for name in ("acc", "gold_logprob")}
    if options:
        values["brier_score"] = 2.0 * (1.0 - np.exp(values["gold_logprob"])) ** 2
    found = tuple(replace(item, task=named) for item in whole.items_of(task)[:items])
    return ResponseTable(tuple(whole.candidates[row] for row in kept), found, {named: values}, {}, "a part")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A table, and one with fewer merges and items and with options to choose from."""
    home = tmp_path_factory.mktemp("tables")
    parquet.write(home / "large", part("exam_a", LARGE, 40, "exam"))
    parquet.write(home / "small", part("exam_b", SMALL, 20, "quiz", options=True))
    return [home / "large", home / "small"]


@pytest.fixture(scope="module")
def made(folders: list[Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Unit], str]:
    """The repeats and the page of a small study."""
    out = tmp_path_factory.mktemp("out")
    units, populations = records.record(folders, out / "work", 4, lambda _: None, PARTS)
    study.write(out, units, [folder.name for folder in folders], populations)
    assert {one.targets for one in populations.values()} == {8, 24, 28}
    return units, (out / "estimation.md").read_text(encoding="utf-8")


def test_the_page_says_what_rests_on_some_tables(made: tuple[list[Unit], str]) -> None:
    units, page = made
    assert {unit.table for unit in units if unit.population.startswith("local")} == {"large", "small"}
    assert "8 to 28 candidates (as many as there are) of a population are ranked" in page
    # One ceiling for each proxy, whatever the number of items; that of a metric of some tables says so.
    assert [line.split("|")[1].strip() for line in page.split("| ceiling |")[1].split("\n\n")[0].splitlines()[2:]] == [
        "gold_logprob", "gold_logprob, from -2", "gold_prob", "brier_score (2 of 4 populations)"
    ]  # fmt: skip
    assert "of 2 populations 1 at 20 items. The figure" in page
    head, _, first, *_ = page.split("### Table by table")[1].split("\n\n")[1].splitlines()
    assert head == "| what ranks | `large` | `small` |"
    by_hand = []
    for name in ("large", "small"):
        own: dict[str, list[float]] = {}
        for unit in units:
            if unit.table == name and unit.population.startswith("local") and unit.part == "ranking":
                own.setdefault(unit.cell, []).append(unit.found["mean|independent|20"]["tau"])
        by_hand.append(f"{np.mean([np.mean(taus) for taus in own.values()]):.2f}")
    assert first == f"| mean, independent subsets | {' | '.join(by_hand)} |"


def test_only_rows_of_all_populations_are_compared(made: tuple[list[Unit], str]) -> None:
    units, _ = made
    found = rows(units)
    (brier,) = find(found, part="smooth", group="local", label="brier_score", design="informative", n=20)
    assert brier not in shared(found)
    assert len(brier.cells) == 2
    assert not any(label.startswith("brier_score") for label in factors(found, "local"))
    assert not any("brier_score" in one.value for one in verdicts(found, units, ranking.SIZES) if "tau" in one.target)
    # Budgets of 10 and 20 items for 90 items, of 10 for 44; the figure of campaigns has the first alone.
    counts = {row.n: len(row.cells) for row in find(found, part="campaign", label=PEERS[0].label)}
    assert counts == {10: 2, 20: 1}
    assert {unit.table for unit in throughout(units, "campaign")} == {"large"}


def test_more_independent_items_than_there_are_is_all_of_them(made: tuple[list[Unit], str]) -> None:
    units, _ = made
    for unit in (unit for unit in units if unit.part == "ranking"):
        assert {key.rpartition("|")[2] for key in unit.found if "|independent|" in key} == {
            str(n) for n in (*ranking.SIZES, *ranking.MORE)
        }
        assert unit.found["mean|independent|400"]["tau"] > 0.9, "1 but for equal true scores"
        assert "mean|common|100" not in unit.found
