"""What a proposal of the searchers that fit a model costs after 50, 200 and 1,000 candidates.

    python -m experiments.searchers.costs            results/searchers/costs.md; a minute on one core

Candidates are drawn as an initial population of that size, so that no time goes into getting there.
"""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import numpy as np

from evomerge.search import Problem, SearcherSettings, make
from evomerge.search.searchers import Observation, Searcher
from experiments.machine import machine

GENES, BATCH, MEASURED, TOLD = 18, 8, 16, (50, 200, 1000)
PAGE = Path("results/searchers/costs.md")


def milliseconds(name: str, objectives: int, told: int, size: int = BATCH) -> float:
    """Processor time of a proposal, the mean of sixteen after so many candidates and a batch, asked so many at once."""
    settings = SearcherSettings(population=BATCH, options={"startup": told})
    searcher = make(name, Problem(GENES, objectives, 1), settings)
    random = np.random.default_rng(0)
    _turn(searcher, objectives, random, told)
    _turn(searcher, objectives, random, BATCH)
    return 1000 * sum(_turn(searcher, objectives, random, size) for _ in range(MEASURED // size)) / MEASURED


def _turn(searcher: Searcher, objectives: int, random: np.random.Generator, size: int) -> float:
    """Asks, and tells noisy squared distances to an optimum for each objective; seconds of both."""
    optimum = np.linspace(0.2, 0.8, GENES)
    started = time.process_time()
    proposals = searcher.ask(size)
    seconds = time.process_time() - started
    observed = []
    for proposal in proposals:
        assert proposal.x is not None
        values = [((proposal.x - best) ** 2).sum() for best in (optimum, optimum[::-1])][:objectives]
        noisy = np.array(values) + 0.1 * random.normal(size=objectives)
        observed.append(Observation(proposal.id, noisy, np.zeros(1)))
    started = time.process_time()
    searcher.tell(observed)
    return seconds + time.process_time() - started


def main() -> None:
    """Measures and writes the page."""
    facts = machine("optuna", "torch")
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    lines = ["# Milliseconds of a proposal", ""]
    lines += [
        f"{GENES} genes; processor time of one core, the mean of {MEASURED} proposals. Asked for {BATCH} and told all"
    ]
    lines += ["of them, or asked for one and told that one."]
    lines += [f"{facts['cpu']}, {facts['date']}, {versions}.", ""]
    lines += [f"| searcher | objectives | asked for | {' | '.join(f'{told:,} told' for told in TOLD)} |"]
    lines += [f"|---|---|---|{'---|' * len(TOLD)}"]
    for name in ("tpe", "gp"):
        for objectives, size in itertools.product((1, 2), (BATCH, 1)):
            row = [f"{milliseconds(name, objectives, told, size):.0f}" for told in TOLD]
            lines += [f"| `{name}` | {objectives} | {size} | {' | '.join(row)} |"]
            print(lines[-1], flush=True)
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
