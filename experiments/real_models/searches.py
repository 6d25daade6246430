"""Searches with the defaults, and with half of their items: what each returns, and what it was asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evomerge.config import compose
from evomerge.evaluation import Evaluation
from evomerge.recipe import Recipe
from evomerge.run import search
from evomerge.store import RunStore, baselines, candidates, newly_asked
from experiments.real_models.families import Family, expert
from experiments.real_models.shares import Array, interval, share
from experiments.spaces.landscape import Landscape


@dataclass(frozen=True)
class Size:
    """How large the searches of a family are.

    Attributes:
        evaluations: Candidates at most.
        items: Search items of a task, and selection items of a task.
        few: Items of a task that the frugal search asks of a candidate: half of them, so it is asked half in all.
        promoted: Candidates that are compared on selection items.
        seeds: Searches of each kind.
    """

    evaluations: int = 40
    items: int = 40
    few: int = 20
    promoted: int = 8
    seeds: int = 5


@dataclass(frozen=True)
class Way:
    """A way to search.

    Attributes:
        about: For people.
        words: Beside those of the family and its size.
        frugal: Whether candidates are asked few items.
        times: How many times the candidates of the other ways.
        seeds: At most so many searches; None for as many as of the other ways.
    """

    about: str
    words: tuple[str, ...]
    frugal: bool = False
    times: int = 1
    seeds: int | None = None


WAYS: Mapping[str, Way] = {
    # Of the procedures that results/estimation compares at 20 items, the one of least regret.
    "frugal": Way(
        "`genome=auto`, half of the items, candidates ranked by the log-probability of the right answer",
        ("genome=auto", "allocation.proxy=gold_logprob"),
        frugal=True,
    ),
    "today": Way("nothing set but objectives and budget: `genome=auto`, informative items that grow", ()),
    "defaults": Way("`genome=layer`, all of the items", ("genome=layer", "fitness=all")),
    # What more genes than the grid's two can do at all, as far as one search tells.
    "long": Way(
        "`genome=auto`, all of the items, four times the candidates", ("genome=auto", "fitness=all"), times=4, seeds=1
    ),
}


def words(family: Family, way: str, seed: int, size: Size) -> list[str]:
    """The words of one search, but for its folder."""
    few = [f"allocation.items={size.few}"] if WAYS[way].frugal else []
    return [
        *family.words(),
        "searcher=nsga2",
        f"evaluations={WAYS[way].times * size.evaluations}",
        f"items_per_task={size.items}",
        f"promote.candidates={size.promoted}",
        # A run confirms its finalists beside all baselines; these are the same for all seeds, so the study asks them
        # once, and of each search only what it returns, for many more items.
        "confirm.finalists=1",
        "test_items_per_task=1",
        f"seed={seed}",
        *WAYS[way].words,
        *few,
    ]


def run(family: Family, way: str, seed: int, size: Size, held_out: HeldOut) -> dict[str, Any]:
    """One search, or what is missing of it, and what it gave.

    Args:
        family: The family.
        way: A key of ``WAYS``.
        seed: Of the search, and of the draw of its items.
        size: Of the search.
        held_out: The items that what it returns is scored on.
    """
    folder = held_out.work / family.name / f"{way}-{seed}"
    prepared = search.prepare(compose.search([*words(family, way, seed, size), f"run_dir={folder}"]))
    search.search(prepared)
    return summary(family, RunStore.read(folder), held_out)


class HeldOut:
    """The held-out items of a family.

    Args:
        family: The family.
        work: Folder for what is made.
        items: Of each task; None for all.

    Attributes:
        work: Folder for what is made.
    """

    def __init__(self, family: Family, work: Path, items: int | None = None) -> None:
        self.work = work
        self._landscape = Landscape(family, work / "prepared" / family.name)
        self._window = self._landscape.window("test", items)
        named = self._landscape.baselines
        self._specialists = [named[f"expert:{expert(skill)}"] for skill in family.skills[:2]]

    def answers(self, recipe: Recipe) -> Array:
        """The answers of a merge, ``(2, items)``."""
        return self._landscape.answers(recipe, "test", self._window)

    @property
    def specialists(self) -> Array:
        """The answers of each task's specialist, ``(2, items)``."""
        return np.array([self.answers(recipe)[task] for task, recipe in enumerate(self._specialists)])


def summary(family: Family, store: RunStore, held_out: HeldOut) -> dict[str, Any]:
    """What a finished search gave.

    Args:
        family: The family.
        store: The run.
        held_out: The items that what it returns is scored on.

    Returns:
        ``accuracies`` and ``share`` on held-out items of the promoted candidate with the largest share of both
        specialists on selection items, and that share, ``selected``; how many genes and candidates there were, how many
        items were asked for what, and seconds.
    """
    named = baselines(store, "selection")
    specialists = np.array(
        [_answers(family, store, named[f"expert:{expert(s)}"])[task] for task, s in enumerate(family.skills[:2])]
    )
    promoted = [e for e in store.evaluations("selection") if e.name is None]
    selected = [share(_answers(family, store, e), specialists) for e in promoted]
    place = int(np.argmax(selected))
    found = held_out.answers(Recipe.from_json(promoted[place].recipe))
    searched = [e for e in store.evaluations("search") if e.name is None]
    known = [e for e in store.evaluations("search") if e.name is not None]
    return {
        "share": asdict(interval(found, held_out.specialists)),
        "accuracies": [float(value) for value in found.mean(axis=1)],
        "selected": selected[place],
        "held_out": int(found.shape[1]),
        "genes": store.manifest["genome"]["n_var"],
        "layout": store.manifest["genome"].get("chosen", store.manifest["genome"]["settings"]["depth"]),
        "candidates": len(candidates(store)),
        "items": {
            "search": sum(newly_asked(store, e) for e in searched),
            "baselines": sum(newly_asked(store, e) for e in known),
            "selection": sum(newly_asked(store, e) for e in store.evaluations("selection")),
        },
        "seconds": round(sum(sum(store.provenance(e).seconds.values()) for e in searched), 1),
    }


def _answers(family: Family, store: RunStore, evaluation: Evaluation) -> Array:
    """The answers of a model, ``(2, items)``, in the order in which items were asked."""
    asked = store.items(evaluation)
    right = {response.key: float(response.metrics["acc"]) for response in store.responses(evaluation)}
    return np.array([[right.get((task, item), 0.0) for item in asked[task]] for task in family.tasks])
