"""What is beaten, held and open, in words, of runs whose numbers of right answers are known."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evomerge.evaluation import Ask, Evaluation, Objective, Response
from evomerge.recipe import CheckpointRef, Group, ParameterGroups, Recipe
from evomerge.report import front_members, write
from evomerge.report.facts import Facts
from evomerge.report.findings.holding import FAILS, HOLDS, OPEN
from evomerge.report.members import choice
from evomerge.report.tables import front_json
from evomerge.run.members import find_member
from evomerge.store import RunStore
from tests.report.run_folders import acc

MODELS, BASE = (CheckpointRef("a"), CheckpointRef("b")), CheckpointRef("base")
SPACE = "\N{NO-BREAK SPACE}"


@dataclass(frozen=True)
class Model:
    """A model of a made-up run: how many answers to each task are right, on each split.

    Attributes:
        name: Its baseline's name; None for a candidate.
        right: Split to the number of right answers by task.
        first: The item whose answer is its first right one; those that follow in a circle are right, too.
        truncated: How many of its answers by split were cut off.
        parents: Of a candidate.
    """

    name: str | None
    right: Mapping[str, Sequence[int]]
    first: int = 0
    truncated: Mapping[str, int] = field(default_factory=dict)
    parents: tuple[str, ...] = ()


def made(
    folder: Path,
    models: Sequence[Model],
    items: Mapping[str, Sequence[int]],
    objectives: Sequence[Objective] = acc("one.acc", "two.acc"),
    **config: Any,
) -> RunStore:
    """Writes a run; ``items`` is the number of items by split and task."""
    tasks = ("one", "two")
    manifest = {
        "objectives": [o.to_json() for o in objectives],
        "models": [{"label": name, "source": name, "fingerprint": name} for name in "ab"],
        "items": {split: {"one": ["some"]} for split in items},
        "config": config,
        "seeds": {"root": 0},
    }  # fmt: skip
    with RunStore.open(folder, manifest, {}) as store:
        for index, model in enumerate(models):
            for split, right in model.right.items():
                answers = []
                for task, n, count in zip(tasks, items[split], right, strict=False):
                    solved = {(model.first + i) % n for i in range(count)}
                    cut = model.truncated.get(split, 0)
                    texts = (("x",),) if model.truncated else ((),)
                    answers += [
                        Response(task, f"{split} {task} {i:05d}", {"acc": float(i in solved)}, texts=texts[0],
                                 truncated=i < cut) for i in range(n)
                    ]  # fmt: skip
                metrics = {f"{t}.acc": c / n for t, c, n in zip(tasks, right, items[split], strict=False)}
                ask = Ask(split, 0 if model.name else 1, index)
                weights = {"weight": np.full((1, 2), index / 100)}
                recipe = Recipe("task_arithmetic", {}, MODELS, BASE, ParameterGroups((Group("all"),)), weights)
                kept = Evaluation(recipe.digest, recipe.to_json(), ask, model.name, metrics, parents=model.parents)
                store.append(kept, answers)
        store.fold()
    return RunStore.read(folder)


def baselines(test: Mapping[str, Sequence[int]], first: Mapping[str, int] | None = None) -> list[Model]:
    given = first or {}
    return [Model(name, {"search": (0,) * len(row), "test": row}, given.get(name, 0)) for name, row in test.items()]


def test_a_merge_that_is_level_with_both_specialists_is_told_as_what_it_is(tmp_path: Path) -> None:
    """38.8 and 64.5 % beside 42.9 and 40.8 of one specialist and 32.7 and 65.8 of the other."""
    experts = {"expert:a": (21, 31), "expert:b": (16, 50), "uniform": (11, 48)}
    models = baselines(experts, {"expert:a": 5, "expert:b": 9, "uniform": 2})
    models += [
        Model(None, {"search": (12, 10), "test": (19, 49)}),
        Model(None, {"search": (14, 1), "test": (21, 20)}, 20),
        Model(None, {"search": (1, 12), "test": (9, 50)}, 20),
    ]
    facts = Facts(made(tmp_path, models, {"search": (20, 20), "test": (49, 76)}))
    chosen = next(m for m in facts.members if m.knee)
    assert (chosen.holding.verdict, chosen.holding.level) == (OPEN, True)
    assert facts.headline.replace(SPACE, " ") == (
        "None of 3 merged models is shown to beat the best expert of any objective on held-out items, but the knee "
        "scores within 5 points of the best expert in both objectives at once, though the items are too few to prove "
        "it."
    )
    title, sentences = facts.chosen
    said = " ".join(sentences).replace(SPACE, " ")
    assert title == f"knee, {chosen.id}"
    assert said.startswith("one.acc: 38.8 % beside 42.9 % of a, a difference of −4.1 points [")
    assert "two.acc: 64.5 % beside 65.8 % of b, a difference of −1.3 points [" in said
    assert "As observed it holds both at once, to within 5 points, but 49 to 76 items do not prove it." in said
    assert "Against the uniform average: one.acc +16.3 points [" in said
    assert facts.findings[title] == sentences
    write(tmp_path)
    for name in ("report.html", "report.md"):
        assert "though the items are too few to prove it" in (tmp_path / name).read_text(encoding="utf-8")


def test_the_items_that_would_settle_are_those_of_the_objective_that_needs_most(tmp_path: Path) -> None:
    models = baselines({"expert:a": (50, 20), "expert:b": (20, 50)})
    models += [Model(None, {"search": (9, 9), "test": (49, 48)}, 3)]
    facts = Facts(made(tmp_path, models, {"search": (20, 20), "test": (100, 100)}))
    (member,) = facts.members
    assert member.holding.level
    by_hand = []
    for label in ("one.acc", "two.acc"):
        test = member.holding.tests[label]
        half_width = (test.difference.high - test.difference.low) / 2.0
        distance = test.difference.mean + 0.05
        by_hand.append(100 * (half_width / 1.959964 * (1.959964 + 0.841621) / distance) ** 2)
    assert member.holding.needed == pytest.approx(max(by_hand), abs=1.0)
    assert by_hand[1] > by_hand[0], "it lies nearer to the margin"


def test_a_member_that_holds_both_is_said_to(tmp_path: Path) -> None:
    """2,000 items: 1 point below each best expert, which 1 item in 100 tells apart."""
    models = baselines({"expert:a": (1000, 400), "expert:b": (400, 1000)})
    models += [
        Model(None, {"search": (19, 5), "test": (1000, 700)}),
        Model(None, {"search": (15, 15), "test": (980, 980)}),
        Model(None, {"search": (5, 19), "test": (500, 1010)}),
    ]
    facts = Facts(made(tmp_path, models, {"search": (20, 20), "test": (2000, 2000)}))
    assert [m.holding.verdict for m in facts.members] == [FAILS, HOLDS, FAILS]
    assert facts.headline.replace(SPACE, " ") == (
        "1 of 3 merged models beats the best expert of at least one objective on held-out items, none of every "
        "objective; 1 stays within 5 points of the best expert in both objectives at once."
    )
    assert "It holds both at once, to within 5 points." in facts.chosen[1]
    front = write(tmp_path)[3].read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[5] for line in front[1:4]] == ["falls short", "holds", "falls short"]


def test_the_margin_is_the_run_s_and_of_what_is_no_share_per_cent(tmp_path: Path) -> None:
    models = [*baselines({"expert:a": (1000,), "expert:b": (400,)}), Model(None, {"search": (15,), "test": (980,)})]
    numbers = {"search": (20,), "test": (2000,)}
    wide = Facts(made(tmp_path / "2", models, numbers, acc("one.acc"), confirm={"margin": 2.0}))
    narrow = Facts(made(tmp_path / "1", models, numbers, acc("one.acc"), confirm={"margin": 1.0}))
    assert [facts.members[0].holding.verdict for facts in (wide, narrow)] == [HOLDS, OPEN]
    assert wide.headline.replace(SPACE, " ") == (
        "The one merged model is not shown to beat the best expert on held-out items; it stays within 2 points of it."
    )
    assert "It holds the best expert's score, to within 2 points." in [s.replace(SPACE, " ") for s in wide.chosen[1]]
    assert narrow.margin == "1 point"
    loss = (Objective("errors", ((-40.0, "one.acc"),), False),)  # the best expert has -20, the member -19.6
    facts = Facts(made(tmp_path / "3", models, numbers, loss, confirm={"margin": 6.0}))
    (member,) = facts.members
    assert member.holding.tests["errors"].margin == pytest.approx(0.06 * 20.0)
    assert member.holding.tests["errors"].difference.mean == pytest.approx(-0.4), "above zero is better"
    assert (member.holding.verdict, facts.margin) == (HOLDS, "6 per cent")


def selected(search: Sequence[int], selection: Sequence[int], test: Sequence[int] | None, **more: Any) -> Model:
    right = {"search": search, "selection": selection} | ({"test": test} if test else {})
    return Model(None, right, **more)


def test_the_chosen_member_is_a_finalist_by_the_scores_that_made_it_one(tmp_path: Path) -> None:
    """The best search score, and of those that went on the best again, is not what selection items found best."""
    models = [Model(name, dict.fromkeys(("search", "selection", "test"), (5, 5))) for name in ("base", "expert:a")]
    models += [
        selected((20, 20), (2, 2), None),
        selected((18, 18), (8, 8), (9, 9)),
        selected((10, 10), (12, 12), (3, 3), parents=("recommended:4",)),
    ]
    store = made(tmp_path, models, dict.fromkeys(("search", "selection", "test"), (20, 20)))
    members = front_members(store)
    pool, split = choice(members)
    assert (len(members), len(pool), split) == (3, 2, "selection")
    (knee,) = [member for member in members if member.knee]
    assert knee.selection_scores["one.acc"].mean == 12 / 20
    assert knee.recommended
    assert find_member(store, "knee") == find_member(store, "best:one") == knee.digest
    facts = Facts(store)
    assert (facts.recommended, facts.choice) == (1, "selection")
    assert "The member with the best selection score" in facts.sentences["one.acc"]
    assert "its search score was 35.0\N{NO-BREAK SPACE}points better" in facts.sentences["one.acc"]
    without = [Model(m.name, {s: r for s, r in m.right.items() if s != "selection"}) for m in models]
    members = front_members(made(tmp_path / "2", without, {"search": (20, 20), "test": (20, 20)}))
    (knee,) = [member for member in members if member.knee]
    assert knee.search_scores["one.acc"].mean == 18 / 20, "by search scores, but a finalist"


def test_the_tuned_reference_is_the_scale_that_was_asked_held_out_items(tmp_path: Path) -> None:
    models = [*baselines({"base": (1, 1), "expert:a": (9, 2), "expert:b": (2, 9), "uniform": (5, 5)})]
    models += [Model(f"scaled:{scale}", {"search": (scale, scale)}) for scale in (3, 5, 9)]
    models += [Model("scaled:7", {"search": (12, 12), "test": (8, 8)}, 4)]
    models += [Model(None, {"search": (11, 11), "test": (9, 9)})]
    facts = Facts(made(tmp_path, models, {"search": (20, 20), "test": (20, 20)}))
    assert [b.kind for b in facts.baselines] == ["base", "expert", "expert", "uniform", "tuned"]
    assert facts.baselines[-1].short == "tuned task arithmetic (7)"
    (member,) = facts.members
    gap = member.versus_tuned["one.acc"]
    # 9 right answers from the first item on, 8 from the fifth: 4 are its alone, 3 the other's.
    assert (gap.against, gap.interval.mean) == ("scaled:7", pytest.approx(1 / 20))
    assert gap.adjusted is not None
    assert "Against tuned task arithmetic (7): one.acc +5.0 points [" in " ".join(facts.chosen[1]).replace(SPACE, " ")
    assert facts.trace.reference == (0.0, 0.0), "scales do not move the hypervolume's reference"
    assert facts.optimism["one.acc"]["search"][1] == pytest.approx(np.mean([-1, -9, -2, -5]) / 20)
    write(tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "− tuned task arithmetic (7)" in page
    assert "the best of a few on the search items" in page


def test_nothing_is_held_where_answers_were_cut_off_unequally(tmp_path: Path) -> None:
    """The same answers, of which the member's were cut off at their length limit twelve times."""
    numbers = {"search": (20,), "test": (2000,)}
    verdicts = []
    for cut in (0, 12):
        models = [Model("expert:a", {"search": (9,), "test": (1000,)}, 0, {"test": 1})]
        models += [Model(None, {"search": (9,), "test": (1001,)}, 0, {"test": cut})]
        facts = Facts(made(tmp_path / str(cut), models, numbers, acc("one.acc")))
        verdicts.append(facts.members[0].holding.verdict)
    assert verdicts == [HOLDS, OPEN]


def test_what_the_choice_gives_is_below_its_best_selection_score(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    right = [int(count) for count in draw.binomial(60, 0.5, size=12)]
    models = baselines({"expert:a": (30,), "expert:b": (20,)})
    models += [selected((10,), (count,), None, first=7 * i) for i, count in enumerate(right)]
    models[-1] = selected((10,), (right[-1],), (30,))
    numbers = {"search": (20,), "selection": (60,), "test": (60,)}
    facts = Facts(made(tmp_path, models, numbers, acc("one.acc")))
    found, optimism = facts.procedure.scores["one.acc"].interval, facts.procedure.scores["one.acc"].optimism
    assert found.low < found.mean < found.high
    assert found.mean == pytest.approx(max(right) / 60 - optimism)
    assert optimism > 0.02
    assert "Expected score, on fresh items, of the best of the 12 candidates" in facts.procedure.note
    again = Facts(RunStore.read(tmp_path)).procedure
    assert again == facts.procedure
    assert facts.asked == f"20{SPACE}search items"
    (tmp_path / "estimates.json").write_text(json.dumps({facts.members[0].digest: {"one.acc": [0.5, 0.1]}}))
    assert Facts(RunStore.read(tmp_path)).asked == f"parts of 20{SPACE}search items", "windows of them"
    alone = made(tmp_path / "alone", [*models[:2], models[-1]], numbers, acc("one.acc"))
    assert Facts(alone).procedure.scores == {}, "of one there is no choice"


def of_two_objectives(
    folder: Path, asked: tuple[int, int], objectives: Sequence[Objective] = acc("one.acc", "two.acc")
) -> Facts:
    """A run of six selected candidates, with so many selection items of each task."""
    models = baselines({"expert:a": (30, 20), "expert:b": (20, 30)})
    models += [selected((10, 10), (asked[0] // 2 - i, asked[1] // 2 + i % 3), None, first=i) for i in range(5)]
    models += [selected((10, 10), (asked[0] // 2, asked[1] // 2), (30, 30))]
    return Facts(made(folder, models, {"search": (20, 20), "selection": asked, "test": (60, 60)}, objectives))


def test_each_objective_counts_the_items_that_its_own_score_rests_on(tmp_path: Path) -> None:
    facts = of_two_objectives(tmp_path, (40, 30))
    given = front_json(facts)["procedure"]
    assert {label: one["items"] for label, one in given.items()} == {"one.acc": 40, "two.acc": 30}
    assert (facts.procedure.items, facts.procedure.missing) == (70, {})
    assert facts.procedure.note.startswith("Expected score, on fresh items, of the best in one objective of the 6 ")
    assert "No interval" not in facts.procedure.note


def test_an_objective_of_too_few_items_is_named_beside_those_that_have_an_interval(tmp_path: Path) -> None:
    facts = of_two_objectives(tmp_path, (40, 8))
    given = front_json(facts)["procedure"]
    assert {label: one["items"] for label, one in given.items()} == {"one.acc": 40}
    assert (facts.procedure.items, facts.procedure.missing) == (40, {"two.acc": 8}), "what is left out counts nowhere"
    note = facts.procedure.note.replace(SPACE, " ")
    assert note.startswith("Expected score, on fresh items, of the best in one objective of the 6 candidates")
    assert note.endswith(
        " No interval for two.acc: of a task, the candidates that were compared were all asked 8 selection items (what "
        "belongs together counts once), and to choose by halves of them takes 10."
    )
    write(tmp_path)
    for name in ("report.html", "report.md"):
        assert "No interval for two.acc: " in (tmp_path / name).read_text(encoding="utf-8")
