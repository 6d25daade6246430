"""The candidates whose answers are drafts for later ones, in the order in which a search asks them.

Before the first candidate come the baselines, as in every search. Of the candidates there are two populations:

- ``search``: those of evomerge's CMA-ES on the worked answers, scored for real and kept in a file with their scores;
- ``cloud``: normal steps around the uniform average, whose spread shrinks with every batch: a population that converges
  whatever the scores are.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from evomerge.evaluation import DRAFTS_KEPT, Drafts
from evomerge.recipe import Recipe
from evomerge.search import Problem, SearcherSettings, make
from evomerge.search.searchers import Observation
from experiments import json_lines

if TYPE_CHECKING:
    from experiments.generation.ways import Asked

SEED = 0
BATCH = 8
SPREAD, SHRINKING = 0.3, 0.75  # of the weights in the first batch, and from each batch to the next
POPULATIONS = ("search", "cloud")
Array = NDArray[np.float64]
Scored = Callable[[Recipe], float]


def drafts_of(answers: Sequence[dict[str, list[int]]]) -> Drafts:
    """The last answers to each item, the oldest first, as a search keeps them.

    Args:
        answers: Candidate by candidate, token ids by item.
    """
    found: dict[str, list[tuple[int, ...]]] = {}
    for given in answers:
        for item, ids in given.items():
            found.setdefault(item, []).append(tuple(ids))
    return {item: tuple(own[-DRAFTS_KEPT:]) for item, own in found.items()}


def cloud(asked: Asked) -> Iterator[Array]:
    """Genomes around the uniform average, without an end, ``(n_var,)`` each."""
    rng = np.random.default_rng([SEED, *b"generation"])
    average = 1 / len(asked.spec.template.sources)
    uniform, one, nothing = (asked.spec.encode(asked.spec.recipe({"weight": weight})) for weight in (average, 1.0, 0.0))
    unit = np.abs(one - nothing).max()
    for batch in itertools.count():
        for _ in range(BATCH):
            step = rng.normal(0.0, SPREAD * SHRINKING**batch, len(uniform))
            yield np.clip(uniform + step * unit, 0.0, 1.0)


def search(asked: Asked, file: Path, score: Scored) -> Iterator[Array]:
    """Genomes of a search that maximises a score, without an end; those in the file are not scored again.

    Args:
        asked: The task.
        file: A line per candidate, its genome and its score.
        score: Scores a candidate.

    Raises:
        SystemExit: If the file was written by another search.
    """
    known = json_lines.read(file)
    problem = Problem(asked.spec.n_var, 1, 1, asked.starts)
    searcher = make("cmaes", problem, SearcherSettings(population=BATCH, seed=SEED))
    place = 0
    while True:
        told = []
        for proposal in searcher.ask():
            assert proposal.x is not None
            if place == len(known):
                line = {"genome": proposal.x.tolist(), "score": score(asked.spec.decode(proposal.x))}
                json_lines.append(file, line)
                known.append(line)
            elif known[place]["genome"] != proposal.x.tolist():
                raise SystemExit(f"{file}, line {place + 1}: expected the candidates of this search; delete the file")
            yield proposal.x
            told.append(Observation(proposal.id, np.array([1.0 - known[place]["score"]]), np.zeros(1)))
            place += 1
        searcher.tell(told)


def read(asked: Asked, name: str, file: Path, count: int) -> list[Recipe]:
    """The recipes of a population that is there.

    Args:
        asked: Any task.
        name: One of :data:`POPULATIONS`.
        file: Where the search is kept.
        count: How many candidates.

    Raises:
        SystemExit: If the file holds fewer.
    """
    if name == "cloud":
        return [asked.spec.decode(x) for x in itertools.islice(cloud(asked), count)]
    lines = json_lines.read(file)
    if len(lines) < count:
        raise SystemExit(f"{file}: expected {count} candidates, found {len(lines)}; record them with --record")
    return [asked.spec.decode(np.array(line["genome"])) for line in lines[:count]]
