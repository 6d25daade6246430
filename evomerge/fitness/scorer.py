"""Scores models of one architecture on the items of a suite."""

from __future__ import annotations

import torch

from evomerge.evaluation import Drafts, Response
from evomerge.fitness.inference.batches import BatchPlan
from evomerge.fitness.inference.memory import scoring_bytes
from evomerge.fitness.inference.probe import Sharing
from evomerge.fitness.inference.requests import join
from evomerge.fitness.suite import ItemLists, TaskSuite
from evomerge.fitness.traits import ModelTraits

PLANS_KEPT = 16


class Scorer:
    """Plans forward passes for a suite's items once, and runs them on each candidate.

    Args:
        suite: The tasks.
        traits: Traits of the models; those known from a configuration suffice to predict memory.

    Attributes:
        suite: As given.
        traits: As given.
        sharing: Whether shared prefixes are run once.
    """

    def __init__(self, suite: TaskSuite, traits: ModelTraits) -> None:
        self.suite = suite
        self.traits = traits
        self.sharing = traits.sharing or Sharing(False, "")
        self._batches = traits.scorer(suite, share=self.sharing.share)
        self._plans: dict[tuple[tuple[str, ...], bool], BatchPlan] = {}

    @classmethod
    def of(cls, model: torch.nn.Module, suite: TaskSuite) -> Scorer:
        """A scorer for models like this one, which is probed now."""
        return cls(suite, ModelTraits.probe(model, suite))

    def score(
        self, model: torch.nn.Module, split: str, items: ItemLists | None = None, drafts: Drafts | None = None
    ) -> list[Response]:
        """Asks a model items of a split.

        Args:
            model: A causal language model of ``transformers`` with the suite's tokenizer, in evaluation mode.
            split: ``search``, ``selection`` or ``test``.
            items: Ids by task; all of the split by default.
            drafts: What earlier candidates answered, by item: it is verified where the model allows it.

        Returns:
            One response per item, task by task.

        Raises:
            NonFiniteScore: If the model answers with a log-likelihood that is not a finite number.
            ValueError: If an item does not belong to the split.
        """
        asked = self.suite.asked(split, items)
        plan = self._plan(asked, self.sharing.share)
        known = [(drafts or {}).get(item, ()) for item in asked for part in self.suite.requests[item] for _ in part]
        answers = iter(self._batches.answer(model, plan, known))
        given = {
            item: [
                join(item, self.suite.task[item], [next(answers) for _ in part]) for part in self.suite.requests[item]
            ]
            for item in asked
        }
        return self.suite.judge(given)

    def plan(self, split: str) -> BatchPlan:
        """The forward passes that score all of a split."""
        return self._plan(self.suite.asked(split), self.sharing.share)

    def _plan(self, asked: tuple[str, ...], share: bool) -> BatchPlan:
        if (asked, share) not in self._plans:
            if len(self._plans) >= PLANS_KEPT:
                del self._plans[next(iter(self._plans))]
            way = self._batches.with_limits(self._batches.limits, share=share)
            self._plans[asked, share] = way.plan(self.suite.requests_of(asked))
        return self._plans[asked, share]

    def predicted_bytes(self, split: str, itemsize: int = 4, *, eager: bool = False) -> int:
        """Peak memory of scoring a split, beside the model's weights.

        Args:
            split: Name of the split.
            itemsize: Bytes per element of the model's dtype.
            eager: Whether the model's attention materialises its weights.
        """
        # Before a model is probed, the worse of both ways counts.
        settled = {"shared": {True}, "plain": {False}}.get(self.suite.settings.prefixes, {True, False})
        ways = {self.sharing.share} if self.traits.sharing is not None else settled
        plans = [self._plan(self.suite.asked(split), share) for share in ways]
        drafting = self.traits.drafting
        verify = self.suite.settings.drafts != "off" if drafting is None else drafting.drafts
        return max(scoring_bytes(plan, self.traits.shape, itemsize, eager=eager, verify=verify) for plan in plans)
