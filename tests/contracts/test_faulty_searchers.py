"""Each of these searchers breaks one promise, and the test of that promise finds it out."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from evomerge.contracts import workers
from evomerge.contracts.searcher import SearcherContract
from evomerge.options import Option
from evomerge.search import searchers
from evomerge.search.searchers import (
    Observation,
    Problem,
    Proposal,
    Searcher,
    SearcherSettings,
    SearcherSpec,
    Selection,
)

COUNTER = itertools.count()


class _Faulty:
    """A searcher around another; subclasses break something.

    Args:
        searcher: The good one.
    """

    name = "faulty"

    def __init__(self, searcher: Searcher) -> None:
        self.searcher = searcher
        self.asked: list[Proposal] = []

    def ask(self, n: int | None = None) -> list[Proposal]:
        self.asked = [self.change(proposal) for proposal in self.searcher.ask(n)]
        return self.asked

    def tell(self, observations: Sequence[Observation]) -> None:
        self.searcher.tell(observations)

    def selection(self) -> Selection:
        return self.searcher.selection()

    def change(self, proposal: Proposal) -> Proposal:
        return proposal


class _DrawsFromNumpy(_Faulty):
    def change(self, proposal: Proposal) -> Proposal:
        return replace(proposal, x=np.clip(proposal.x + 0.01 * np.random.random(), 0.0, 1.0))  # noqa: NPY002


class _DrawsUnseeded(_Faulty):
    def change(self, proposal: Proposal) -> Proposal:
        return replace(proposal, x=np.random.default_rng().random(proposal.x.shape))


class _Remembers(_Faulty):
    def change(self, proposal: Proposal) -> Proposal:
        return replace(proposal, x=proposal.x * (1.0 - 1e-6 * next(COUNTER)))


class _LeavesTheCube(_Faulty):
    def change(self, proposal: Proposal) -> Proposal:
        return replace(proposal, x=proposal.x * 1.5)


class _RepeatsIds(_Faulty):
    def change(self, proposal: Proposal) -> Proposal:
        return replace(proposal, id=proposal.id.rpartition(".")[2])

    def tell(self, observations: Sequence[Observation]) -> None:
        pass


class _InventsParents(_Faulty):
    def change(self, proposal: Proposal) -> Proposal:
        return replace(proposal, parents=("nobody",))


class _ParentsOfTheSameAsk(_Faulty):
    def change(self, proposal: Proposal) -> Proposal:
        ask, _, index = proposal.id.rpartition(".")
        return replace(proposal, parents=(f"{ask}.0",) if index != "0" else ())


class _FallsSilent(_Faulty):
    asks = 0

    def ask(self, n: int | None = None) -> list[Proposal]:
        self.asks += 1
        return super().ask(n) if self.asks < 10 else []


class _ProposesOtherRecipes(_Faulty):
    """Equal but for the recipes, which no seed decides."""

    def change(self, proposal: Proposal) -> Proposal:
        return replace(proposal, x=None, recipe=workers.job(next(COUNTER)).recipe)


class _DropsStarts(_Faulty):
    def change(self, proposal: Proposal) -> Proposal:
        return replace(proposal, x=np.full_like(proposal.x, 0.5))


class _TellsByPlace(_Faulty):
    def tell(self, observations: Sequence[Observation]) -> None:
        pairs = zip(self.asked, observations, strict=True)
        self.searcher.tell([replace(o, id=p.id) for p, o in pairs])


class _IgnoresStrangers(_Faulty):
    def tell(self, observations: Sequence[Observation]) -> None:
        ids = {proposal.id for proposal in self.asked}
        self.searcher.tell([o for o in observations if o.id in ids])


class _FillsIn(_Faulty):
    def tell(self, observations: Sequence[Observation]) -> None:
        told = {o.id: o for o in observations}
        bad = Observation("", np.full_like(observations[0].F, 9.0), np.zeros(3))
        self.searcher.tell([told.get(p.id, replace(bad, id=p.id)) for p in self.asked])


class _TellsTheOldest(_Faulty):
    """Gives values to whoever has waited longest."""

    def __init__(self, searcher: Searcher) -> None:
        super().__init__(searcher)
        self.waiting: list[str] = []

    def ask(self, n: int | None = None) -> list[Proposal]:
        proposals = super().ask(n)
        self.waiting += [proposal.id for proposal in proposals]
        return proposals

    def tell(self, observations: Sequence[Observation]) -> None:
        super().tell([replace(one, id=self.waiting.pop(0)) for one in observations])


class _ParentsThatWait(_Faulty):
    last = ""

    def change(self, proposal: Proposal) -> Proposal:
        parents, self.last = ((self.last,) if self.last else ()), proposal.id
        return replace(proposal, parents=parents)


class _DropsCorrections(_Faulty):
    def tell(self, observations: Sequence[Observation]) -> None:
        kept = set(self.searcher.selection().kept)
        self.searcher.tell([one for one in observations if one.id not in kept])


class _NamesStrangers(_Faulty):
    def selection(self) -> Selection:
        return Selection(("99.0",), 8)


class _ForgetsConstraints(_Faulty):
    def tell(self, observations: Sequence[Observation]) -> None:
        self.searcher.tell([replace(o, G=np.zeros_like(o.G)) for o in observations])


class _ReadsMeasures(_Faulty):
    def tell(self, observations: Sequence[Observation]) -> None:
        self.searcher.tell([replace(o, F=o.F if o.measures is None else -o.F) for o in observations])


GOOD, WHOLE = searchers.load("nsga2"), searchers.load("pso")  # in pieces, and in whole batches alone
IDLE = Option(0.5, None, float, "nothing follows from it", 0.0, 1.0)
UNBOUNDED = replace(IDLE, low=None, high=None)
SWITCH = Option(True, None, bool, "nothing follows from it")
SEARCHERS: list[tuple[Any, dict[str, Any], str]] = [
    (_DrawsFromNumpy, {}, "test_asked_and_told_the_same_it_proposes_the_same"),
    (_DrawsFromNumpy, {}, "test_global_generators_are_left_alone"),
    (_DrawsUnseeded, {}, "test_no_random_number_comes_from_an_unseeded_generator"),
    (_Remembers, {}, "test_asked_and_told_the_same_it_proposes_the_same"),
    (_LeavesTheCube, {}, "test_genomes_lie_in_the_cube_and_ids_are_unique"),
    (_RepeatsIds, {}, "test_genomes_lie_in_the_cube_and_ids_are_unique"),
    (_InventsParents, {}, "test_genomes_lie_in_the_cube_and_ids_are_unique"),
    (_ParentsOfTheSameAsk, {}, "test_genomes_lie_in_the_cube_and_ids_are_unique"),
    (_ProposesOtherRecipes, {}, "test_asked_and_told_the_same_it_proposes_the_same"),
    (_FallsSilent, {}, "test_constraints_are_handled_as_declared"),
    (_DropsStarts, {}, "test_the_initial_population_holds_the_starts"),
    (_TellsByPlace, {}, "test_the_order_within_a_tell_does_not_matter"),
    (_IgnoresStrangers, {}, "test_values_of_strangers_are_refused"),
    (_FillsIn, {"of": WHOLE}, "test_partial_is_as_declared"),
    (_Faulty, {"of": WHOLE, "partial": True}, "test_partial_is_as_declared"),
    (_Faulty, {"partial": False}, "test_partial_is_as_declared"),
    (_Remembers, {}, "test_partial_searchers_repeat_any_order_of_asks_and_tells"),
    (_DropsStarts, {}, "test_partial_searchers_propose_as_many_as_are_wanted"),
    (_ParentsThatWait, {}, "test_partial_searchers_propose_as_many_as_are_wanted"),
    (_TellsTheOldest, {}, "test_partial_searchers_learn_from_whoever_is_told"),
    (_Faulty, {"retell": False}, "test_retell_is_as_declared"),
    (_NamesStrangers, {}, "test_selection_names_who_is_compared"),
    (_DropsCorrections, {}, "test_kept_candidates_with_worse_values_do_not_stay"),
    (_ForgetsConstraints, {}, "test_constraints_are_handled_as_declared"),
    (_Faulty, {"constraints": "none"}, "test_constraints_are_handled_as_declared"),
    (_ReadsMeasures, {}, "test_measures_are_as_declared"),
    (_Faulty, {"measures": True}, "test_measures_are_as_declared"),
    (_Faulty, {"options": {**GOOD.options, "idle": IDLE}}, "test_every_option_has_an_effect"),
    (_Faulty, {"options": {**GOOD.options, "idle": UNBOUNDED}}, "test_every_option_has_an_effect"),
    (_Faulty, {"options": {**GOOD.options, "idle": SWITCH}}, "test_every_option_has_an_effect"),
    (_Faulty, {"options": {**GOOD.options, "far": replace(IDLE, default=5.0)}}, "test_declaration_is_whole"),
]  # fmt: skip


def spec_of(fault: type[_Faulty], changes: dict[str, Any]) -> SearcherSpec:
    good = changes.get("of", GOOD)

    def make(problem: Problem, settings: SearcherSettings) -> Searcher:
        known = {name: value for name, value in settings.options.items() if name in good.options}
        return fault(good.make(problem, replace(settings, options=known)))

    return replace(good, make=make, **{name: value for name, value in changes.items() if name != "of"})


@pytest.mark.parametrize(("fault", "changes", "test"), SEARCHERS)
def test_a_faulty_searcher_is_found_out(fault: type[_Faulty], changes: dict[str, Any], test: str) -> None:
    contract = SearcherContract()
    contract.spec = spec_of(_Faulty, {"of": changes.get("of", GOOD)})
    getattr(contract, test)()
    contract.spec = spec_of(fault, changes)
    with pytest.raises((AssertionError, RuntimeError, IndexError)):
        getattr(contract, test)()


def test_a_searcher_that_ignores_its_seed_is_found_out() -> None:
    contract = SearcherContract()
    contract.spec = replace(GOOD, make=lambda problem, settings: GOOD.make(problem, replace(settings, seed=0)))
    with pytest.raises(AssertionError):
        contract.test_seeds_matter()
