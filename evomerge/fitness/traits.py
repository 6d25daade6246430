"""Traits of an architecture: sizes, how its logits are computed, whether shared prefixes can be run once."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import Any

import torch

from evomerge.fitness.inference.batches import TOKEN_BUDGET, Limits, Logits
from evomerge.fitness.inference.encoding import vocabulary_size
from evomerge.fitness.inference.generation.eligibility import Drafting, choose_drafting
from evomerge.fitness.inference.kv_cache import takes
from evomerge.fitness.inference.logits import logits_of, selects_by, unasked
from evomerge.fitness.inference.memory import ModelShape
from evomerge.fitness.inference.probe import Sharing, choose
from evomerge.fitness.inference.requests import Prompt
from evomerge.fitness.inference.scoring import BatchScorer
from evomerge.fitness.suite import TaskSuite


@dataclass(frozen=True)
class ModelTraits:
    """Traits of a model, which depend on its architecture and not on its weights.

    Attributes:
        shape: Sizes that determine memory and the planner's costs.
        logits: How logits are computed, see :mod:`evomerge.fitness.inference.logits`.
        sharing: Whether shared prefixes are run once; ``None`` before a model is probed.
        drafting: Whether drafts of generated answers are verified; ``None`` before a model is probed.
    """

    shape: ModelShape
    logits: Logits
    sharing: Sharing | None = None
    drafting: Drafting | None = None

    @classmethod
    def expected(cls, tokenizer: Any, config: Any = None) -> ModelTraits:
        """The traits that follow from a configuration alone.

        Args:
            tokenizer: Gives the size of the vocabulary where there is no configuration.
            config: Configuration of the models, an object or a mapping.
        """
        return cls(ModelShape.of(config, vocabulary_size(config, tokenizer)), unasked(selects_by(config)))

    @classmethod
    def probe(
        cls, model: torch.nn.Module, suite: TaskSuite, prefixes: str | None = None, drafts: str | None = None
    ) -> ModelTraits:
        """Probes a model with a few of the suite's requests.

        Args:
            model: A causal language model of ``transformers`` in evaluation mode, with any finite weights.
            suite: The tasks.
            prefixes: ``shared`` or ``plain`` where that is settled, ``auto`` to probe; ``None`` takes the suite's
                setting.
            drafts: ``off`` where that is settled, ``auto`` to probe; ``None`` takes the suite's setting.
        """
        wanted = prefixes or suite.settings.prefixes
        drafts = drafts or suite.settings.drafts
        requests = suite.requests_of(suite.split)
        tried = logits_of(model, max((one.tokens for one in requests), key=len)) if requests else None
        shape = ModelShape.of(model.config, vocabulary_size(model.config, suite.tokenizer))
        found = cls(shape, tried or unasked(takes(model, "logits_to_keep")))
        prompts = [request for request in requests if isinstance(request, Prompt)]
        found = replace(found, drafting=Drafting(False) if drafts == "off" else choose_drafting(model, prompts))
        if wanted != "auto":
            return replace(found, sharing=Sharing(wanted == "shared", ""))
        return replace(found, sharing=choose(model, found.scorer(suite, share=False), requests))

    def scorer(self, suite: TaskSuite, *, share: bool) -> BatchScorer:
        """A scorer of token requests, with limits that suit the model."""
        rows = suite.settings.batch_size
        tokens = sys.maxsize if rows else TOKEN_BUDGET  # an explicit batch_size overrides the budget
        limits = Limits(self.shape.vocabulary, tokens, rows, attention=self.shape.attention_tokens, logits=self.logits)
        verify = self.drafting is not None and self.drafting.drafts
        return BatchScorer(suite.tokenizer, limits, share=share, verify=verify, think_end=suite.think_end)
