"""Choosing among shortlisted merges: all selection items for each, some for each, or as many by OCBA.

    python -m experiments.promotion.study experiments/responses/example_0 experiments/responses/example_1

Each repeat draws 80 recorded merges as the candidates of a search and 20 search items as what it asked them. The 16
best on these are compared on selection items. The regret is how much less accurate the one chosen is than the best of
the 16, on the items of the other splits: on the selection items themselves luck in the choice would pass for merit.
OCBA is asked and chosen by the program's own code (`Rations`); answers are the recorded ones.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evomerge import executors
from evomerge.evaluation import Job, Outcome, Response
from evomerge.executors._shared.response_table import ResponseTable, read_table
from evomerge.recipe import Recipe
from evomerge.search import Criteria, PromoteSettings, SearchPlan
from evomerge.search.asks import Asks
from evomerge.search.batch import Batch
from evomerge.search.batch_evaluator import BatchEvaluator
from evomerge.search.draft_book import DraftBook
from evomerge.search.folding import Fold
from evomerge.search.promotion.rations import Rations
from evomerge.search.promotion.shortlist import finalists
from evomerge.store import RunStore
from experiments.responses import replay

CANDIDATES, ASKED, SHORTLIST = 80, 20, 16
SHARES = (0.25, 0.5)
ALL = "all items to all"

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Recorded:
    """Merges of a table and their right and wrong answers to one task.

    Attributes:
        plan: A search for the task's accuracy.
        recipes: Recipes of all models, the baselines first.
        answers: Split to answers, ``(models, items)``.
        accuracy: On the items of the task that chose no finalist, ``(models,)``.
    """

    plan: SearchPlan
    recipes: Sequence[Recipe]
    answers: Mapping[str, Array]
    accuracy: Array

    def worker(self, split: str) -> executors.Worker:
        """A worker that looks answers up."""
        ((task, ids),) = self.plan.items[split].items()
        row = {recipe.digest: number for number, recipe in enumerate(self.recipes)}
        column = {item: number for number, item in enumerate(ids)}

        def answer(job: Job) -> Outcome:
            own = self.answers[split][row[job.recipe.digest]]
            return Outcome(tuple(Response(task, item, {"acc": own[column[item]]}) for item in job.items[task]))

        return answer


def recorded(table: ResponseTable, task: str) -> Recorded:
    """The recorded merges of a task."""
    plan = replay.plan(table, "example", "ga", [f"{task}.acc"], 1)
    kept = [row for row, one in enumerate(table.candidates) if one.error is None]
    kept.sort(key=lambda row: table.candidates[row].name is None)
    split = np.array([item.split for item in table.items_of(task)])
    values = table.values[task]["acc"][kept]
    answers = {name: values[:, split == name] for name in plan.items}
    accuracy = values[:, split != "selection"].mean(axis=1)
    return Recorded(plan, [table.candidates[row].recipe for row in kept], answers, accuracy)


def shortlist(data: Recorded, random: np.random.Generator) -> NDArray[np.int_]:
    """The models that a search would compare on selection items."""
    first = len(data.plan.baselines)
    drawn = first + random.permutation(len(data.recipes) - first)[:CANDIDATES]
    asked = random.permutation(data.answers["search"].shape[1])[:ASKED]
    seen = data.answers["search"][np.ix_(drawn, asked)].mean(axis=1)
    return drawn[np.argsort(-seen, kind="stable")[:SHORTLIST]]


def equally(data: Recorded, listed: NDArray[np.int_], share: float, random: np.random.Generator) -> int:
    """The model with the best score on a part of the selection items, the same for all."""
    count = data.answers["selection"].shape[1]
    asked = random.permutation(count)[: round(share * count)]
    return int(listed[data.answers["selection"][np.ix_(listed, asked)].mean(axis=1).argmax()])


def by_ocba(data: Recorded, listed: NDArray[np.int_], share: float, seed: int) -> int:
    """The model that the program chooses when it shares out as many items."""
    allocation = replace(data.plan.allocation, seed=seed)
    plan = replace(data.plan, promotion=PromoteSettings(SHORTLIST, "ocba", share), allocation=allocation)
    fold = Fold.of(plan.aggregate, plan.objectives, plan.constraints)
    shared = Path("/dev/shm")
    with (
        tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as folder,
        RunStore.open(Path(folder), {}, {}) as store,
    ):
        executor = executors.make("local", lambda: data.worker("selection"))
        asks = Asks(store, fold, lambda _: None)
        evaluator = BatchEvaluator(asks, executor, 10, lambda: "none", lambda: False, DraftBook(store))
        recipes, names = list(plan.baselines.values()), list(plan.baselines)
        baselines = evaluator.score(Batch(recipes, "selection", 1, plan.items["selection"], names)).evaluations
        recipes = [data.recipes[row] for row in listed]
        _, compared = Rations(plan, store, evaluator, 1, baselines)(recipes)
        criteria = Criteria(plan.objectives, (), dict(zip(names, baselines, strict=True)))
        (chosen,) = finalists(criteria, compared, 1)
    return int(listed[[recipe.digest for recipe in recipes].index(chosen.digest)])


def regrets(data: Recorded, repeats: int, seed: int) -> dict[str, list[float]]:
    """What was asked to the regrets of the choices, in points."""
    found: dict[str, list[float]] = {}
    for repeat in range(repeats):
        random = np.random.default_rng([seed, repeat])
        listed = shortlist(data, random)
        choices = {ALL: equally(data, listed, 1.0, random)}
        for share in SHARES:
            choices[f"{share:.0%} of the items, the same to all"] = equally(data, listed, share, random)
            choices[f"{share:.0%} of the items, by OCBA"] = by_ocba(data, listed, share, repeat)
        for label, row in choices.items():
            found.setdefault(label, []).append(100.0 * float(data.accuracy[listed].max() - data.accuracy[row]))
    return found


def page(found: Mapping[str, Mapping[str, Sequence[float]]], repeats: int) -> str:
    """Regrets by task, as Markdown."""
    tasks, labels = list(found), list(next(iter(found.values())))
    lines = [
        "# Choosing finalists with fewer selection items",
        "",
        f"Regret in points of accuracy: mean of {repeats} repeats, its standard error in the last column. The best of "
        f"{SHORTLIST} shortlisted merges is to be found; `experiments/promotion/study.py` says how.",
        "",
        "| asked | " + " | ".join(f"`{task}`" for task in tasks) + " | mean |",
        "|---|" + "---|" * (len(tasks) + 1),
    ]
    for label in labels:
        own = np.array([found[task][label] for task in tasks])
        error = float(np.sqrt((own.var(axis=1, ddof=1) / own.shape[1]).sum()) / len(tasks))
        cells = [f"{value:.2f}" for value in own.mean(axis=1)]
        lines.append(f"| {label} | {' | '.join(cells)} | {own.mean():.2f} ± {error:.2f} |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Reads the command line, repeats, writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", type=Path, nargs="+", help="folders of tables of the embedded example")
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--out", type=Path, default=Path("results/promotion/promotion.md"))
    arguments = parser.parse_args()
    found: dict[str, dict[str, list[float]]] = {}
    for number, folder in enumerate(arguments.tables):
        table = read_table(folder)
        for task in dict.fromkeys(item.task for item in table.items):
            found[f"{task} {folder.name.rpartition('_')[2]}"] = regrets(
                recorded(table, task), arguments.repeats, number
            )
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(page(found, arguments.repeats))


if __name__ == "__main__":
    main()
