"""What candidates are asked, how they are compared and confirmed: wrong settings are told before any work."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evomerge.config import compose
from evomerge.errors import InputError
from evomerge.search import AllocationSettings

ROOT = Path(__file__).parents[2]
PRESETS = sorted(file.stem for file in (ROOT / "conf" / "fitness").glob("*.yaml"))
GOOD = ("models=[A,B]", "base=C", "tasks=[rhymes]", "task_path=[my_tasks]")


def problems(*words: str) -> list[str]:
    with pytest.raises(InputError) as caught:
        compose.search([*GOOD, *words])
    return list(caught.value.problems)


def test_values_are_told_all_at_once(desk: Path) -> None:
    expected = {
        "allocation.policy=rotatin": "did you mean 'rotating'",
        "allocation.race=halvin": "did you mean 'halving'",
        "allocation.estimator=apiw": "expected a name, came 'apiw'",
        "allocation.growth=yes": "one of none, converging",
        "allocation.items=0": "at least 1, or null",
        "allocation.rungs=9": "from 1 to 8",
        "allocation.options=3": "a mapping",
        "promote.allocation=ocbaa": "one of equal, ocba",
        "promote.share=0": "from 0.01 to 1",
        "confirm.margin=inf": "a number of at least 0",
        "confirm.scales=[-1]": "of which each is a number of at least 0",
        "fitness=rotatin": "there is no fitness 'rotatin'",
    }
    found = {problem.partition(":")[0]: problem for problem in problems(*expected)}
    assert len(found) == len(expected)
    for word, part in expected.items():
        assert part in found[word.partition("=")[0]]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"policy": "rotating", "items": 9, "options": {"carrid": 0.1}}, "rotating has no option 'carrid'"),
        ({"policy": "rotating", "items": 9, "options": {"carried": 2}}, "from 0 to 0.9"),
        ({"race": "cut", "race_options": {"doubt": 7}}, "race cut: option doubt is 7"),
        ({"items": 9, "estimator_options": {"x": 1}}, "estimator_options: estimator mean has no option 'x'"),
        ({"items": 9, "estimator_options": {"weights": "hajek"}}, "has no options here"),
        ({"policy": "rotating"}, "say how many, allocation.items=20"),
        ({"growth": "converging", "race": "cut"}, "set allocation.items"),
        ({"estimator": "aipw"}, "nothing to estimate"),
        ({"items": 9, "estimator": "p_irt", "proxy": "gold_logprob"}, "between 0 and 1"),
    ],
)
def test_settings_that_do_not_go_together(settings: dict[str, Any], expected: str) -> None:
    (found,) = AllocationSettings(**settings).problems()
    assert expected in found


def test_a_comparison_of_nobody_cannot_be_shared_out(desk: Path) -> None:
    (found,) = problems("promote.allocation=ocba", "promote.candidates=0")
    assert "promote.candidates=0 is nothing" in found


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_composes_and_is_told_of(desk: Path, name: str) -> None:
    found = compose.search([*GOOD, f"fitness={name}"]).allocation
    assert found.problems() == []
    assert found != AllocationSettings(), "something is set, so that nothing is settled later"
    table = (
        (ROOT / "evomerge" / "search" / "README.md")
        .read_text(encoding="utf-8")
        .partition("| `fitness` |")[2]
        .partition("\n\n")[0]
    )
    assert sum(f"`{name}`" in row.split("|")[1] for row in table.splitlines()[2:]) == 1


def test_growing_is_rotating_with_growth(desk: Path) -> None:
    rotating, growing = (compose.search([*GOOD, f"fitness={name}"]).allocation for name in ("rotating", "growing"))
    assert growing == replace(rotating, growth="converging")
