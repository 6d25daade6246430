"""Traits of the model that all candidates are built like: sizes, how its logits are computed, whether it can share."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import Any

import torch

from evomerge.fitness.inference.batches import TOKEN_BUDGET, Limits, Logits
from evomerge.fitness.inference.encoding import vocabulary_size
from evomerge.fitness.inference.kv_cache import takes
from evomerge.fitness.inference.logits import logits_of, selects_by, unasked
from evomerge.fitness.inference.memory import ModelShape
from evomerge.fitness.inference.probe import Sharing, choose
from evomerge.fitness.inference.scoring import BatchScorer
from evomerge.fitness.suite import TaskSuite


@dataclass(frozen=True)
class ModelTraits:
    """Everything that was found out about a model. Its architecture decides it, not its weights.

    Attributes:
        shape: Sizes that memory and the planner's costs follow.
        logits: How logits are computed, see :mod:`evomerge.fitness.inference.logits`.
        sharing: Whether shared prefixes are computed once; ``None`` while no model has been asked.
    """

    shape: ModelShape
    logits: Logits
    sharing: Sharing | None = None

    @classmethod
    def expected(cls, tokenizer: Any, config: Any = None) -> ModelTraits:
        """The traits that a configuration alone tells of.

        Args:
            tokenizer: Knows the vocabulary where there is no configuration.
            config: Of the models, an object or a mapping.
        """
        return cls(ModelShape.of(config, vocabulary_size(config, tokenizer)), unasked(selects_by(config)))

    @classmethod
    def probe(cls, model: torch.nn.Module, suite: TaskSuite, prefixes: str | None = None) -> ModelTraits:
        """Asks a model a few of the suite's requests in several ways.

        Args:
            model: A causal language model of ``transformers`` in evaluation mode, with any weights that are numbers.
            suite: The tasks.
            prefixes: ``shared`` or ``plain`` where that is settled, ``auto`` to find it out; ``None`` is as the suite's
                settings say.
        """
        wanted = prefixes or suite.settings.prefixes
        requests = suite.requests_of(suite.split)
        tried = logits_of(model, max((one.tokens for one in requests), key=len)) if requests else None
        shape = ModelShape.of(model.config, vocabulary_size(model.config, suite.tokenizer))
        found = cls(shape, tried or unasked(takes(model, "logits_to_keep")))
        if wanted != "auto":
            return replace(found, sharing=Sharing(wanted == "shared", ""))
        return replace(found, sharing=choose(model, found.scorer(suite, share=False), requests))

    def scorer(self, suite: TaskSuite, *, share: bool) -> BatchScorer:
        """Answers requests of the suite with such a model, in passes that suit it."""
        rows = suite.settings.batch_size
        tokens = sys.maxsize if rows else TOKEN_BUDGET  # an explicit batch_size overrides the budget
        limits = Limits(self.shape.vocabulary, tokens, rows, attention=self.shape.attention_tokens, logits=self.logits)
        return BatchScorer(suite.tokenizer, limits, share=share)
