"""Scores token requests with a live model."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from evomerge.fitness.generation import Generator
from evomerge.fitness.layout import Layout, LikelihoodBatch, Limits, lay_out
from evomerge.fitness.requests import Answer, Likelihood, Request


class BatchScorer:
    """Reads every request as a sequence of its own, in batches of similar length.

    Log-probabilities are taken in float32 whatever the model computes in, and only at the positions that are asked.
    Results stay on the device until all passes have run.

    Args:
        tokenizer: Decodes what is generated.
        limits: What bounds a forward pass.
    """

    def __init__(self, tokenizer: Any, limits: Limits) -> None:
        self.limits = limits
        self._generator = Generator(tokenizer)

    def lay_out(self, requests: Sequence[Request]) -> Layout:
        """Arranges requests into forward passes."""
        return lay_out(requests, self.limits)

    @torch.inference_mode()
    def answer(self, model: torch.nn.Module, layout: Layout) -> list[Answer]:
        """Answers the requests of a layout.

        Args:
            model: A causal language model of ``transformers``, in evaluation mode, on any device.
            layout: From ``lay_out``.

        Returns:
            One answer per request, in their order.
        """
        answers: list[Answer | None] = [None] * layout.count
        for index, likelihood in self._likelihoods(model, layout.likelihoods):
            answers[index] = likelihood
        for batch in layout.prompts:
            for index, generated in zip(batch.requests, self._generator.generate(model, batch.prompts), strict=True):
                answers[index] = generated
        return [answer for answer in answers if answer is not None]

    def _likelihoods(self, model: torch.nn.Module, batches: Sequence[LikelihoodBatch]) -> list[tuple[int, Likelihood]]:
        if not batches:
            return []
        selects = "logits_to_keep" in inspect.signature(model.forward).parameters
        parts = [token_scores(model, batch, selects=selects) for batch in batches]
        logprobs = torch.cat([part[0] for part in parts]).cpu().numpy().astype(np.float64)
        missed = ~torch.cat([part[1] for part in parts]).cpu().numpy()
        owners = np.concatenate([batch.request for batch in batches])
        indices, place = np.unique(owners, return_inverse=True)
        sums = np.bincount(place, weights=logprobs)
        misses = np.bincount(place, weights=missed)
        return [
            (int(index), Likelihood(float(total), bool(miss == 0)))
            for index, total, miss in zip(indices, sums, misses, strict=True)
        ]


def token_scores(model: torch.nn.Module, batch: LikelihoodBatch, *, selects: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probability of each scored token of a pass, and whether it was the most probable one.

    Args:
        model: A causal language model.
        batch: The pass.
        selects: Whether the model can be told at which positions to compute logits.

    Returns:
        ``(scored,)`` float32 in nats, and ``(scored,)`` bool, on the model's device.
    """
    device = next(model.parameters()).device
    keep = batch.keep.to(device)
    arguments = {"logits_to_keep": keep} if selects else {}
    logits = model(input_ids=batch.tokens.to(device), use_cache=False, **arguments).logits
    if logits.ndim == 3:  # the model gave all positions
        logits = logits[keep]
    logits = logits.float()
    position, target = batch.position.to(device), batch.target.to(device)
    normaliser = torch.logsumexp(logits, dim=-1)
    logprobs = logits[position, target] - normaliser[position]
    return logprobs, logits.argmax(dim=-1)[position] == target
