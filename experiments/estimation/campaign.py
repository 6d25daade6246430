"""Fourth part: recorded candidates asked batch by batch as in a search, every item counted, and one returned.

Candidates come as searches converge: those of two searches, then the clouds around good ones. They are the same for all
procedures, so what is compared is the choice among them, not where it would have led the search. Windows are drawn
from a random half of the items; what is claimed is compared with the score on the other half.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from evomerge.analysis import Interval, estimators
from evomerge.analysis.allocation import ocba
from evomerge.analysis.allocation.proxy import kendall
from evomerge.analysis.allocation.racing import Part
from evomerge.analysis.allocation.sampling import simple
from evomerge.analysis.allocation.shrinkage import shrunk
from evomerge.analysis.estimators import Answers, Estimates
from evomerge.search.allocation import Choice, TaskAnswers, Window, policies, races
from evomerge.search.allocation.growth import grown
from evomerge.search.allocation.races import IN, OPEN, OUT, Standing
from experiments.estimation.cells import Array, Cell, Rows, generator
from experiments.estimation.measures import Measures, first
from experiments.estimation.procedures import PROCEDURES, Procedure
from experiments.estimation.ranking import SIZES
from experiments.estimation.smooth import PROXY

BATCH = 8
PLACES = 2  # of a batch, for which candidates race
RUNGS = 3
RACED = 0.389  # share of a window that halving asks of a candidate on average: the first guess for any race
FINAL = 0.2  # share of the budget for finalists


class Campaign:
    """One search under one procedure.

    Args:
        cell: The task and all merges of the table.
        number: Of the repeat; it decides candidates and items.
        procedure: The procedure.
        budget: Items per candidate, all told.
    """

    def __init__(self, cell: Cell, number: int, procedure: Procedure, budget: int) -> None:
        random = generator("campaign", cell.key, number)
        self._cell, self._procedure = cell, procedure
        items = random.permutation(cell.items)
        self._pool, self._fresh = items[: cell.items // 2], items[cell.items // 2 :]
        halves = [random.permutation(rows)[: len(rows) // 2] for rows in cell.stream]
        stream = np.concatenate(halves)
        self._stream = stream[: len(stream) // BATCH * BATCH]
        self._random = generator("windows", cell.key, number, procedure.policy, procedure.race, budget)
        known = [cell.baselines, cell.outside if procedure.outside else cell.outside[:0]]
        self._known = np.concatenate(known)
        rows = np.concatenate([self._known, self._stream])
        metric = cell.proxies[PROXY] if procedure.proxy else cell.values
        self._true = metric[np.ix_(rows, self._pool)]
        self._values = np.where(np.arange(len(rows))[:, None] < len(self._known), self._true, np.nan)
        self._chances = np.ones_like(self._values)
        self._once = ("once", cell.key, number, budget)
        self._budget, self._windows = budget * len(self._stream), list[Rows]()
        self._dropped = np.zeros(len(rows), dtype=bool)
        self.spent = 0

    @property
    def _for_search(self) -> float:
        return self._budget * (1.0 - FINAL if self._procedure.promoted else 1.0)

    def run(self) -> Measures | None:
        """Asks all batches and chooses; None where the budget is too small for the procedure."""
        places = len(self._known) + np.arange(len(self._stream))
        for batch in np.split(places, len(places) // BATCH):
            if not self._ask(batch):
                return None
        found = self._estimates(places)
        score = np.asarray(found.value, dtype=np.float64)
        if self._procedure.shrunk:
            score = shrunk(score, np.asarray(found.se, dtype=np.float64), np.arange(len(places)) // BATCH)
        score = np.where(self._dropped[places], -np.inf, score)
        pick = first(score, self._random)
        if self._procedure.promoted:
            pick, claim = self._promoted(score)
        else:
            interval, moved = found.interval(pick), float(score[pick] - found.value[pick])
            claim = Interval(float(score[pick]), interval.se, interval.low + moved, interval.high + moved)
        truth, answers = self._cell.truth[self._stream], self._cell.values[self._stream[pick], self._fresh]
        return {
            "items": self.spent / len(places),
            "tau": kendall(np.asarray(found.value, dtype=np.float64), truth),
            "regret": float(truth.max() - truth[pick]),
            "optimism": claim.mean - float(answers.mean()),
            "inside": float(_holds(claim, answers)),
        }

    def _ask(self, batch: Rows) -> bool:
        """Asks one batch its window; False where there are no items left to ask."""
        if self._procedure.policy == "independent":
            for row in batch:
                n = min(int(self._for_search / len(self._stream)), len(self._pool))
                chosen = simple(self._random, np.arange(len(self._pool)), n)
                self._answer(np.array([row]), Choice(chosen, np.full(len(self._pool), n / len(self._pool))))
            return True
        choice = self._choice(batch)
        if choice is None:
            return False
        self._race(batch, choice) if self._procedure.race != "none" else self._answer(batch, choice)
        self._windows.append(choice.rows)
        return True

    def _choice(self, batch: Rows) -> Choice | None:
        """The window of a batch."""
        spec = policies.load(self._procedure.policy)
        pool, start = len(self._pool), len(self._known)
        left = len(self._stream) - (batch[0] - start)
        wanted = (self._for_search - self.spent) / left
        if spec.probe and not self._windows:
            if self._for_search < BATCH * pool + len(self._stream):
                return None
            return Choice(np.arange(pool), np.ones(pool))
        size = round(wanted / self._share())
        current = np.isin(np.arange(len(self._values)), batch - BATCH)
        if self._procedure.growing:
            size = self._grown(wanted, current)
        size = int(np.clip(size, 1, min(pool, max((self._for_search - self.spent) // BATCH, 1))))
        random = self._random if spec.every_batch else generator(*self._once)
        if size == pool:
            return Choice(random.permutation(pool), np.ones(pool))
        answers = TaskAnswers(self._values[: batch[0]], self._windows, current[: batch[0]])
        return spec.choose(answers, size, spec.complete(self._procedure.options), random)

    def _share(self) -> float:
        """The share of its windows that the procedure has asked so far, by which the next one is sized."""
        if self._procedure.race == "none":
            return 1.0
        offered = BATCH * sum(map(len, self._windows))
        return self.spent / offered if offered else RACED

    def _grown(self, wanted: float, current: np.ndarray) -> int:
        """The size that growth has after the last window, as far as the budget goes; half of the share at first."""
        if not self._windows:
            return max(round(wanted / 2.0), 2)
        last = self._windows[-1]
        return min(grown(self._values[current][:, last], 2, len(last), len(self._pool)), round(1.5 * wanted))

    def _answer(self, rows: Rows, choice: Choice) -> None:
        asked = np.ix_(rows, choice.rows)
        self.spent += int(np.isnan(self._values[asked]).sum())
        self._values[asked] = self._true[asked]
        self._chances[rows] = np.maximum(choice.inclusion, 1e-9)

    def _race(self, batch: Rows, choice: Choice) -> None:
        """Asks a batch its window in rungs, those alone whose fate is open."""
        race = races.load(self._procedure.race)
        window = Window({"task": tuple(map(str, range(len(self._pool))))}, {"task": choice}, {})
        prefixes, rows = [prefix.choices["task"] for prefix in window.rungs(RUNGS)], batch
        places = PLACES
        for look, prefix in enumerate(prefixes):
            self._answer(rows, prefix)
            if look == len(prefixes) - 1 or race.decide is None:
                return
            part = Part(-self._true[np.ix_(rows, prefix.rows)], 1.0 / prefix.probabilities, len(self._pool))
            standing = Standing([[part]], min(places, len(rows)), None, len(prefixes) - 1)
            fates = race.decide(standing, race.complete({}), self._random)
            self._dropped[rows[fates == OUT]] = True
            places = max(places - int((fates == IN).sum()), 0)
            rows = rows[fates == OPEN]
            if not len(rows):
                return

    def _estimates(self, places: Rows) -> Estimates:
        rows = np.concatenate([self._known, self._stream])
        experts = tuple(int(place) for place in np.flatnonzero(np.isin(rows, self._cell.experts)))
        table = Answers(self._values, self._chances, self._cell.genomes[rows], experts=experts, finite=False)
        return estimators.estimate(self._procedure.estimator, table, places)

    def _promoted(self, score: Array) -> tuple[int, Interval]:
        """The best of the finalists by right and wrong on further items, and its score on those that chose nothing.

        All are asked the same items; with OCBA these are half of them, and its shares decide who is asked the rest. All
        are the search's own items in a new order, so some were searched on.
        """
        finalists = np.argsort(-score, kind="stable")[: self._procedure.promoted]
        right = self._cell.values[np.ix_(self._stream[finalists], self._random.permutation(self._pool))]
        count, most = len(finalists), len(self._pool) // 2
        left = (self._budget - self.spent) * count / (count + 1)
        counts = np.full(count, int(np.clip(left / count / (2.0 if self._procedure.ocba else 1.0), 1, most)))
        if self._procedure.ocba:
            values = right[:, : counts[0]]
            spread = np.maximum(values.std(axis=1), 1.0 / (counts[0] + 2.0))
            wanted = ocba.shares(1.0 - values.mean(axis=1, keepdims=True), spread[:, None])
            counts = counts + ocba.additions(wanted, counts, max(int(left - counts.sum()), 0), most)
        best = first(np.array([row[:asked].mean() for row, asked in zip(right, counts, strict=True)]), self._random)
        last = int(np.clip(self._budget - self.spent - counts.sum(), 1, most))
        self.spent += int(counts.sum()) + last
        answers = np.where(np.arange(right.shape[1]) < right.shape[1] - last, np.nan, right[best])
        return int(finalists[best]), estimators.estimate("mean", Answers(answers[None, :], finite=False)).interval(0)


def _holds(claim: Interval, answers: Array) -> bool:
    """Whether a claim's interval holds the mean of fresh answers, which has an error of its own."""
    beyond = answers.var() / len(answers)
    wider = float(np.sqrt(1.0 + beyond / claim.se**2)) if claim.se > 0.0 else 1.0
    low, high = claim.mean - wider * (claim.mean - claim.low), claim.mean + wider * (claim.high - claim.mean)
    return bool(low - 1e-9 <= answers.mean() <= high + 1e-9)


def trial(cell: Cell, number: int, procedures: Sequence[Procedure] = PROCEDURES) -> Iterator[tuple[str, Measures]]:
    """One repeat: procedure, ``campaign`` and budget, joined, and what came of it.

    Args:
        cell: The task and all merges of the table.
        number: Of the repeat.
        procedures: The procedures.
    """
    for budget in SIZES:
        if budget > cell.items // 4:
            continue
        for procedure in procedures:
            found = Campaign(cell, number, procedure, budget).run()
            if found is not None:
                yield f"{procedure.label}|campaign|{budget}", found
