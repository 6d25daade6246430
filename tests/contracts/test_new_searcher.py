"""A searcher is one file and one test: nothing else is touched."""

from __future__ import annotations

import re
from pathlib import Path

from evomerge.contracts.searcher import SearcherContract
from tests.apart import Apart
from tests.contracts.copied_package import run_tests_in_a_copy

MY_ELITES = '''
"""MAP-Elites (Mouret & Clune 2015, https://arxiv.org/abs/1504.04909): the best genome of every cell of measures."""

from __future__ import annotations

import numpy as np

from evomerge.options import Option
from evomerge.search.searchers import ONE, Proposal, SearcherSpec, Selection, initial_population, generator


class MyElites:
    """Mutates elites by Gaussian noise; told in any order and number, it knows each proposal's latest values."""

    name = "my_elites"

    def __init__(self, problem, settings):
        self.problem, self.settings = problem, settings
        self.random = generator(settings.seed, self.name)
        self.first = list(initial_population(problem, settings))
        self.asks, self.proposals, self.told = 0, {}, {}

    def ask(self, n=None):
        """Starts first, then children of elites."""
        self.asks += 1
        wanted = n if n is not None else len(self.first) or self.settings.population
        made = [self.next(f"{self.asks}.{index}") for index in range(wanted)]
        self.proposals.update({proposal.id: proposal for proposal in made})
        return made

    def next(self, id):
        """One proposal."""
        if self.first:
            return Proposal(id, self.first.pop(0))
        elites = self.elites()
        if not elites:
            return Proposal(id, self.random.random(self.problem.n_var))
        parent = elites[self.random.integers(len(elites))]
        noise = self.random.normal(0.0, self.settings.options["step"], self.problem.n_var)
        return Proposal(id, np.clip(self.proposals[parent].x + noise, 0.0, 1.0), None, (parent,))

    def elites(self):
        """Ids of the best of each cell, by rank of violation, then value."""
        best = {}
        for id in sorted(self.told):
            one = self.told[id]
            cell = tuple((np.asarray(one.measures) * self.settings.options["cells"]).astype(int))
            rank = (float(np.maximum(one.G, 0.0).sum()), float(one.F[0]), id)
            best[cell] = min(best.get(cell, rank), rank)
        # Infeasible elites are dropped where there are feasible ones.
        feasible = [rank for rank in best.values() if rank[0] == 0.0]
        return [id for _, _, id in sorted(feasible or best.values())]

    def tell(self, observations):
        """Keeps the latest values."""
        for one in observations:
            if one.id not in self.proposals:
                raise RuntimeError(f"{one.id} was not proposed")
            if one.measures is None:
                raise RuntimeError(f"{one.id} was told without measures")
        self.told.update({one.id: one for one in observations})

    def selection(self):
        """Elites, which children are compared with."""
        return Selection(tuple(self.elites()))


SEARCHER = SearcherSpec(
    name="my_elites",
    title="MAP-Elites (Mouret & Clune 2015)",
    objectives=ONE,
    constraints="native",
    handling="less violation first; only feasible elites have children where there are any",
    make=MyElites,
    options={
        "step": Option(0.1, None, float, "standard deviation of mutations", 0.001, 1.0),
        "cells": Option(8, None, int, "cells per measure", 1, 100),
    },
    partial=True,
    retell=True,
    measures=True,
)
'''
TEST = """
from evomerge.contracts.searcher import SearcherContract
from evomerge.search import searchers


class TestMyElites(SearcherContract):
    spec = searchers.load("my_elites")


def test_is_found_by_its_name_and_offered_on_the_command_line():
    from evomerge.config.groups import choices

    assert "my_elites" in searchers.names()
    assert searchers.misfit("my_elites", 1)[0].startswith("searcher my_elites needs measures, measures=[t1.acc")
    assert searchers.misfit("my_elites", 1, n_measures=2) == []
    assert "my_elites" not in searchers.fitting(1)
    assert choices()["searcher"]["my_elites"]["options"] == {"step": 0.1, "cells": 8}
    assert "| `my_elites` | MAP-Elites (Mouret & Clune 2015) | one | native: less violation first" in searchers.table()
"""

SEARCHES = """
def test_it_finds_the_bottom_of_a_bowl():
    def lowest(name):
        searcher = searchers.make(name, Problem(n_var=6, n_obj=1), SearcherSettings(population=10, seed=1))
        found = []
        for _ in range(20):
            asked = searcher.ask()
            values = [float(((one.x - 0.3) ** 2).sum()) for one in asked]
            searcher.tell([Observation(one.id, np.array([f]), np.zeros(0)) for one, f in zip(asked, values)])
            found += values
        return min(found)

    assert lowest("crossentropy") < 0.2 * lowest("random")
"""


def test_the_searcher_of_the_readme_keeps_the_contract_and_searches(bare: Apart, tmp_path: Path) -> None:
    """Its file and its test as they are printed there; and a search with it finds what random search does not."""
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    section = readme.split("## To add something")[1].split("\n## ")[0]
    blocks = re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL)
    (file,) = [block for block in blocks if "\nSEARCHER = " in block]
    (test,) = [block for block in blocks if "SearcherContract" in block]
    added = {"search/searchers/crossentropy.py": file}
    code, printed = run_tests_in_a_copy(bare, tmp_path, added, f"{test}\n{SEARCHES}")
    assert code == 0, printed[-3000:]
    kept = len([name for name in dir(SearcherContract) if name.startswith("test_")])
    assert f"{kept + 2} passed" in printed


def test_a_new_searcher_keeps_the_contract(bare: Apart, tmp_path: Path) -> None:
    """With measures, told in pieces and corrected."""
    code, printed = run_tests_in_a_copy(bare, tmp_path, {"search/searchers/my_elites.py": MY_ELITES}, TEST)
    assert code == 0, printed[-3000:]
