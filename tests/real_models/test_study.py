"""The study on real models: what a share is, what a grid says, and the whole of it on the embedded example."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import evomerge
from evomerge.run import environment
from experiments import json_lines
from experiments.real_models import grid, page, searches, study
from experiments.real_models.families import Family, families
from experiments.real_models.shares import interval, share
from experiments.smollm2.data import TASKS_FOLDER

EXAMPLE = Path(evomerge.__file__).parent / "example"
TOY = Family("toy", "the embedded example", ("1", "2"), ("exam_a", "exam_b"), EXAMPLE, str(EXAMPLE / "tasks"))


def answers(right: int, items: int) -> list[float]:
    return [1.0] * right + [0.0] * (items - right)


def test_the_share_is_the_smaller_ratio() -> None:
    member = np.array([answers(72, 100), answers(60, 100)])
    specialists = np.array([answers(80, 100), answers(60, 100)])
    assert share(member, specialists) == pytest.approx(0.9)
    found = interval(member, specialists)
    # By the delta method: the merge's answer less 0.9 of the specialist's is 0.1 on 72 items, -0.9 on 8, 0 on 20.
    error = np.sqrt((72 * 0.1**2 + 8 * 0.9**2) / 100 / 100) / 0.8
    assert found.low == pytest.approx(0.9 - 1.96 * error, abs=0.012)
    assert found.high == pytest.approx(0.9 + 1.96 * error, abs=0.012)


def test_verdicts_follow_from_the_interval() -> None:
    specialists = np.array([answers(80, 100), answers(60, 100)])
    assert interval(specialists, specialists).verdict == "reached"
    assert interval(np.array([answers(77, 100), answers(60, 100)]), specialists).verdict == "open"
    assert interval(np.array([answers(60, 100), answers(60, 100)]), specialists).verdict == "missed"


def test_a_grid_is_judged_by_items_that_did_not_choose() -> None:
    def entry(selection: tuple[int, int], test: tuple[int, int]) -> dict[str, list[str]]:
        return {
            split: ["1" * right + "0" * (10 - right) for right in counts]
            for split, counts in (("selection", selection), ("test", test))
        }

    points = {
        "0 0": entry((2, 2), (2, 2)),
        "1 0": entry((8, 2), (10, 2)),
        "0 1": entry((2, 8), (2, 5)),
        "1 1": entry((8, 6), (5, 4)),
        "0.5 0.5": entry((4, 4), (9, 5)),
    }
    found = page.judge(points)
    assert found["chosen"]["point"] == "1 1"
    assert found["chosen"]["value"] == pytest.approx(0.5)
    assert found["best"]["point"] == "0.5 0.5"
    assert found["best"]["value"] == pytest.approx(0.9)


def test_the_page_compares_ways_seed_by_seed(tmp_path: Path) -> None:
    for way, seed, value in (("frugal", 0, 0.9), ("frugal", 1, 0.8), ("defaults", 0, 0.7), ("defaults", 1, 0.64)):
        entry = {
            "share": {"value": value, "low": value - 0.1, "high": value + 0.05},
            "accuracies": [0.5, 0.6],
            "items": {"search": 100, "baselines": 10, "selection": 20},
            "genes": 2,
            "candidates": 5,
            "seconds": 1.0,
        }
        json_lines.append(tmp_path / "toy_searches.jsonl", {"way": way, "seed": seed, **entry})
    page.write([TOY], tmp_path, tmp_path)
    text = (tmp_path / "study.md").read_text(encoding="utf-8")
    # Differences 0.20 and 0.16: mean 0.18, standard error 0.02, Student's t of one degree 12.706.
    assert "+0.180 (-0.074 to +0.434, Student's t over 2 seeds)" in text
    assert "| frugal | 0 | 2 | 5 | 100 | 30 | 1 | 50.0 | 60.0 | 0.900 (0.800 to 0.950) | missed |" in text


def test_a_page_keeps_what_it_told_and_takes_what_is_new(tmp_path: Path) -> None:
    def found(way: str, value: float) -> dict[str, object]:
        return {
            "way": way,
            "seed": 0,
            "genes": 4,
            "candidates": 40,
            "items": {"search": 100, "selection": 10, "baselines": 10},
            "seconds": 1.0,
            "accuracies": [0.5, 0.5],
            "share": {"value": value, "low": value - 0.1, "high": value + 0.1},
        }

    for work, ways in ("first", {"frugal": 0.5, "defaults": 0.6}), ("second", {"frugal": 0.7}), ("third", {}):
        (tmp_path / work).mkdir()
        for way, value in ways.items():
            json_lines.append(tmp_path / work / "toy_searches.jsonl", found(way, value))
        page.write([TOY], tmp_path / work, tmp_path / "out")
    told = json.loads((tmp_path / "out" / "study.json").read_text(encoding="utf-8"))["families"]["toy"]["searches"]
    assert {entry["way"]: entry["share"]["value"] for entry in told} == {"frugal": 0.7, "defaults": 0.6}


def test_families_name_tasks_that_are_there() -> None:
    for family in families(Path("models")).values():
        assert len(family.skills) >= 2
        assert family.missing == ["base", *(f"expert_{skill}" for skill in family.skills)]
        for task, skill in zip(family.tasks, family.skills, strict=False):
            assert task == f"smollm2_{skill}"
            assert (TASKS_FOLDER / f"{skill}.yaml").is_file()
        assert all(weights[2:] == (0.0,) * (len(family.skills) - 2) for weights in grid.points(family).values())


@pytest.mark.slow
def test_the_whole_study_on_the_embedded_example(tmp_path: Path) -> None:
    environment.prepare(offline=True)
    size = searches.Size(evaluations=20, items=16, few=8, promoted=3, seeds=1)
    grid.run(TOY, tmp_path, (0.0, 1.0), {"selection": 24, "test": 24})
    lines = (tmp_path / "toy_grid.jsonl").read_text().splitlines(keepends=True)
    assert len(lines) == 4
    (tmp_path / "toy_grid.jsonl").write_text("".join(lines[:3]) + lines[3][:20])  # killed while it wrote
    grid.run(TOY, tmp_path, (0.0, 1.0), {"selection": 24, "test": 24})
    again = json_lines.read(tmp_path / "toy_grid.jsonl")
    assert [entry["test"] for entry in again] == [json.loads(line)["test"] for line in lines]
    file = study.run_searches(TOY, size, tmp_path, ("frugal", "defaults"), items=24)
    before = file.read_text()
    study.run_searches(TOY, size, tmp_path, ("frugal", "defaults"), items=24)
    assert file.read_text() == before
    found = {entry["way"]: entry for entry in json_lines.read(file)}
    assert found["frugal"]["items"]["search"] == 20 * 2 * 8 == found["defaults"]["items"]["search"] // 2
    assert found["frugal"]["genes"] < found["defaults"]["genes"]
    for entry in found.values():
        assert entry["share"]["low"] <= entry["share"]["value"] <= entry["share"]["high"]
        assert (entry["candidates"], entry["held_out"]) == (20, 24)
    page.write([TOY], tmp_path, tmp_path / "out")
    text = (tmp_path / "out" / "study.md").read_text(encoding="utf-8")
    data = json.loads((tmp_path / "out" / "study.json").read_text())["families"]["toy"]
    assert f"{data['searches'][0]['share']['value']:.3f}" in text
    assert f"| 1 | {data['grid']['points']['1 0']['share']:.3f} |" in text
