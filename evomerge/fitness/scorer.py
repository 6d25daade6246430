"""Asks models that are built alike the items of a suite."""

from __future__ import annotations

import torch

from evomerge.evaluation import Response
from evomerge.fitness.inference.answers import join
from evomerge.fitness.inference.batches import Layout
from evomerge.fitness.inference.memory import scoring_bytes
from evomerge.fitness.inference.probe import Sharing
from evomerge.fitness.suite import ItemLists, TaskSuite
from evomerge.fitness.traits import ModelTraits

LAYOUTS_KEPT = 16


class Scorer:
    """A suite's items for models with certain traits: arranged into forward passes once, asked of each candidate.

    Args:
        suite: The tasks.
        traits: Of the models; those that a configuration tells are enough to predict memory.

    Attributes:
        suite: As given.
        traits: As given.
        sharing: Whether it computes shared prefixes once.
    """

    def __init__(self, suite: TaskSuite, traits: ModelTraits) -> None:
        self.suite = suite
        self.traits = traits
        self.sharing = traits.sharing or Sharing(False, "")
        self._batches = traits.scorer(suite, share=self.sharing.share)
        self._layouts: dict[tuple[tuple[str, ...], bool], Layout] = {}

    @classmethod
    def of(cls, model: torch.nn.Module, suite: TaskSuite) -> Scorer:
        """A scorer for models like this one, whose traits are found out now."""
        return cls(suite, ModelTraits.probe(model, suite))

    def score(self, model: torch.nn.Module, split: str, items: ItemLists | None = None) -> list[Response]:
        """Asks a model items of a split.

        Args:
            model: A causal language model of ``transformers`` with the suite's tokenizer, in evaluation mode.
            split: ``search``, ``selection`` or ``test``.
            items: Ids by task; all of the split by default.

        Returns:
            One response per item, task by task.

        Raises:
            NonFiniteScore: If the model answers with a log-likelihood that is not a finite number.
            ValueError: If an item does not belong to the split.
        """
        asked = self.suite.asked(split, items)
        answers = iter(self._batches.answer(model, self._layout(asked, self.sharing.share)))
        given = {
            item: [
                join(item, self.suite.task[item], [next(answers) for _ in part]) for part in self.suite.requests[item]
            ]
            for item in asked
        }
        return self.suite.judge(given)

    def layout(self, split: str) -> Layout:
        """The forward passes that score all of a split."""
        return self._layout(self.suite.asked(split), self.sharing.share)

    def _layout(self, asked: tuple[str, ...], share: bool) -> Layout:
        if (asked, share) not in self._layouts:
            if len(self._layouts) >= LAYOUTS_KEPT:
                del self._layouts[next(iter(self._layouts))]
            way = self._batches.with_limits(self._batches.limits, share=share)
            self._layouts[asked, share] = way.lay_out(self.suite.requests_of(asked))
        return self._layouts[asked, share]

    def predicted_bytes(self, split: str, itemsize: int = 4, *, eager: bool = False) -> int:
        """Peak memory of scoring a split, beside the model's weights.

        Args:
            split: Which.
            itemsize: Bytes of a number of the model's dtype.
            eager: Whether the model's attention writes its weights down.
        """
        # Whether prefixes are shared is not known before a model has been asked.
        settled = {"shared": {True}, "plain": {False}}.get(self.suite.settings.prefixes, {True, False})
        ways = {self.sharing.share} if self.traits.sharing is not None else settled
        layouts = [self._layout(self.suite.asked(split), share) for share in ways]
        return max(scoring_bytes(layout, self.traits.shape, itemsize, eager=eager) for layout in layouts)
