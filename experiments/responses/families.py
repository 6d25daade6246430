"""The families whose merges are recorded: models, tasks, items, and how many merges of each kind."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
WORK = Path("experiments/responses/work")


@dataclass(frozen=True)
class Design:
    """How many merges of each kind are recorded.

    Attributes:
        levels: Weights of the uniform grid: every expert has each of them, over the whole model.
        random: Merges drawn uniformly from ``reach``.
        local: Merges around a good one; as many around a second one.
        nsga2: Candidates of a search for both objectives.
        cmaes: Candidates of a search for their mean.
        reach: Largest weight of a random merge.
        spread: Standard deviation of the weights of a local merge.
    """

    levels: tuple[float, ...]
    random: int
    local: int
    nsga2: int
    cmaes: int
    reach: float = 1.2
    spread: float = 0.12

    def scaled(self, share: float) -> Design:
        """A share of every kind, for a try."""
        levels = self.levels[:: max(1, round(1 / share))]
        few = {name: max(2, round(share * getattr(self, name))) for name in ("random", "local", "nsga2", "cmaes")}
        return Design(levels, **few, reach=self.reach, spread=self.spread)


@dataclass(frozen=True)
class Family:
    """A base and its experts, with the tasks that their merges are asked.

    Attributes:
        name: Of the family, and of its table.
        about: One sentence for people.
        words: The words of a search over it.
        objectives: The two metrics that searches improve, as task and metric.
        items: Most items of each task by split; None for all.
        design: Which merges.
        subtask: Kind of question within a task, from task and question.
        seed: Of everything that is drawn.
        models: The models' folder; None where they come with the package.
        home: The name that recipes in the table have for that folder.
        build: Commands that make the models in that folder.
    """

    name: str
    about: str
    words: tuple[str, ...]
    objectives: tuple[tuple[str, str], tuple[str, str]]
    items: Mapping[str, int | None]
    design: Design
    subtask: Callable[[str, str], str]
    seed: int = 0
    models: Path | None = None
    home: str = ""
    build: tuple[tuple[str, ...], ...] = field(default=())

    def make(self) -> None:
        """Makes the models, as far as they are not there."""
        for command in self.build:
            subprocess.run([sys.executable, *command], cwd=ROOT, check=True)


EXAMPLE = ("exam_a", "exam_b", "copy_b", "translate_b", "order_b")
SMOLLM2 = ("smollm2_transfer", "smollm2_numbers", "smollm2_general")
EXAMPLE_DESIGN = Design((0.0, 0.25, 0.5, 0.75, 1.0, 1.25), random=54, local=40, nsga2=48, cmaes=32)
SMOLLM2_DESIGN = Design((0.0, 0.5, 1.0), random=24, local=20, nsga2=24, cmaes=16)
ALL: Mapping[str, int | None] = {"search": None, "selection": None, "test": None}


def example(seed: int, work: Path) -> Family:
    """The embedded family of one base seed; that of seed 0 comes with the package."""
    name = f"example_{seed}"
    words = ("experiment=example", f"tasks=[{','.join(EXAMPLE)}]", "items_per_task=null")
    folder = None if seed == 0 else (work / name).absolute()
    build: tuple[tuple[str, ...], ...] = ()
    if folder is not None:
        words = (*words, f"models=[{folder / 'expert_1'},{folder / 'expert_2'}]", f"base={folder / 'base'}")
        build = (("experiments/example/build.py", "--seed", str(seed), "--out", str(folder)),)
    return Family(
        name,
        f"merges of the embedded example's family of base seed {seed}: two experts, one weight for each of them, each "
        "layer, the embeddings, the norms and the head",
        words,
        (("exam_a", "acc"), ("exam_b", "acc")),
        ALL,
        EXAMPLE_DESIGN,
        lambda task, question: question.split()[0],
        seed,
        folder,
        str(WORK / name),
        build,
    )


def smollm2(models: Path) -> Family:
    """SmolLM2-135M and its three experts of experiments/smollm2."""
    models = models.absolute()
    experts = ("lists", "numbers", "zovian")
    words = (
        "experiment=smollm2_front",
        f"tasks=[{','.join(SMOLLM2)}]",
        f"models=[{','.join(str(models / f'expert_{expert}') for expert in experts)}]",
        f"base={models / 'base'}",
        "items_per_task=200",
        "test_items_per_task=120",
        "model.threads=1",
    )
    place = ("--work", str(models))
    return Family(
        "smollm2",
        "merges of SmolLM2-135M-Instruct and three experts, with four control values over depth for each expert",
        words,
        (("smollm2_transfer", "acc"), ("smollm2_numbers", "acc")),
        {"search": 200, "selection": 60, "test": 100},
        SMOLLM2_DESIGN,
        _kind,
        0,
        models,
        "experiments/smollm2/models",
        (
            ("-m", "experiments.smollm2.prepare", *place),
            *(("-m", "experiments.smollm2.finetune", "--skill", expert, *place) for expert in experts),
        ),
    )


_KINDS = {
    "smollm2_transfer": (("first", "First:"), ("second", "Second:"), ("third", "Third:"), ("last", "Last:")),
    "smollm2_numbers": (("weekday", "days (before|after)"), ("unit", " are$"), ("sum", "more"), ("difference", "Now")),
    "smollm2_general": (("capital", "capital"), ("kind", "type of"), ("continent", "country in"), ("other", "")),
}


def _kind(task: str, question: str) -> str:
    """The first kind whose words a question has."""
    return next(kind for kind, words in _KINDS[task] if re.search(words, question))


def find(name: str, work: Path, models: Path) -> Family:
    """A family by its name.

    Args:
        name: ``example_0``, ``example_1``, ... or ``smollm2``.
        work: Folder for everything that is made.
        models: Folder of SmolLM2's models.
    """
    if name == "smollm2":
        return smollm2(models)
    if match := re.fullmatch(r"example_(\d+)", name):
        return example(int(match[1]), work)
    raise SystemExit(f"error: there is no family {name!r}; expected example_SEED or smollm2")
