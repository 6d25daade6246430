"""Third part: smooth metrics in the place of right and wrong, and how far they can rank at all."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from evomerge.analysis.allocation.proxy import ALONE, TOGETHER, kendall
from evomerge.analysis.estimators import Answers, estimate
from evomerge.search.allocation import TaskAnswers, policies
from experiments.estimation.cells import Array, Cell, Draw, Rows, draw, generator
from experiments.estimation.measures import CEILING, Measures, ranking
from experiments.estimation.ranking import SIZES, windows

PROXY, ACCURACY = "gold_logprob", "right or wrong"


def trial(cell: Cell, number: int) -> Iterator[tuple[str, Measures]]:
    """One repeat: score, choice of items and n, joined, and how well it ranks; ceilings under ``ceiling``.

    Args:
        cell: The population.
        number: Of the repeat.
    """
    repeat = draw(cell, "smooth", number)
    truth = cell.truth[repeat.targets]
    measured = {}
    for name, values in cell.proxies.items():
        full = values.mean(axis=1)
        measured[name] = kendall(full[repeat.probes], cell.truth[repeat.probes])
        ceiling = kendall(full[repeat.targets], truth)
        yield f"{name}|{CEILING}|{cell.items}", {"tau": ceiling, "measured": measured[name]}
    known = TaskAnswers(cell.values[np.concatenate([cell.baselines, repeat.probes])])
    policy = policies.load("informative")
    for n in (n for n in SIZES if n < cell.items):
        random = generator("smooth", n, cell.key, number)
        simple = windows(cell, 1, n, "common", random)[0]
        informative = policy.choose(known, n, policy.complete({}), random).rows
        for choice, items in (("random", simple), ("informative", informative)):
            for label, score in _scores(cell, repeat, items, measured[PROXY]).items():
                yield f"{label}|{choice}|{n}", ranking(score, truth, generator("ties", n, number))


def _scores(cell: Cell, repeat: Draw, items: Rows, ceiling: float) -> dict[str, Array]:
    """Scores of the targets from the same items, more being better."""
    right = cell.values[np.ix_(repeat.targets, items)].mean(axis=1)
    found = {ACCURACY: right}
    for name, values in cell.proxies.items():
        found[name] = values[np.ix_(repeat.targets, items)].mean(axis=1)
    proxy = found[PROXY]
    found["mean of ranks"] = ranks(right) + ranks(proxy)
    found["sum of z"] = standardised(right) + standardised(proxy)
    found["by its ceiling"] = proxy if ceiling >= ALONE else found["mean of ranks"] if ceiling >= TOGETHER else right
    found[f"{PROXY}, posterior"] = learnt(cell, repeat, items, cell.proxies[PROXY])
    found["posterior, mean of ranks"] = ranks(learnt(cell, repeat, items, cell.values)) + ranks(
        found[f"{PROXY}, posterior"]
    )
    return found


def learnt(cell: Cell, repeat: Draw, items: Rows, values: Array) -> Array:
    """The posterior of the targets' means of a metric, from their answers, their genomes and the probes."""
    known = np.concatenate([cell.baselines, repeat.probes])
    rows = np.concatenate([known, repeat.targets])
    table = values[rows].copy()
    hidden = np.setdiff1d(np.arange(cell.items), items)
    table[len(known) :, hidden] = np.nan
    answers = Answers(table, genomes=cell.genomes[rows])
    return np.asarray(estimate("posterior", answers, np.arange(len(known), len(rows))).value)


def ranks(score: Array) -> Array:
    """Ranks, equal ones sharing theirs."""
    return np.asarray([(score < one).sum() + ((score == one).sum() - 1) / 2.0 for one in score])


def standardised(score: Array) -> Array:
    """Less the mean, in standard deviations."""
    spread = float(score.std())
    return (score - score.mean()) / spread if spread > 0.0 else np.zeros_like(score)
