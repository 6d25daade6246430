"""Answers planned token requests with a live model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import Any, cast
from weakref import WeakKeyDictionary

import numpy as np
import torch
from transformers import DynamicCache

from evomerge.fitness.inference.batches import BatchPlan, LikelihoodPass, Limits, PromptBatch
from evomerge.fitness.inference.generation.drafted import DraftedGeneration
from evomerge.fitness.inference.generation.plain import Generator, PrefixCache
from evomerge.fitness.inference.generation.settings import beyond_greedy, settings_of
from evomerge.fitness.inference.generation.thinking import ThinkEnd
from evomerge.fitness.inference.kv_cache import cache_arguments, expanded, takes
from evomerge.fitness.inference.logits import last_only, logits_at
from evomerge.fitness.inference.masks import attention_mask
from evomerge.fitness.inference.packed_weights import packed_weights
from evomerge.fitness.inference.planner import plan_batches
from evomerge.fitness.inference.prompts import rejoined
from evomerge.fitness.inference.requests import Answer, Generated, Likelihood, Request

Tokens = tuple[int, ...]

CPU_BLOCK, GPU_BLOCK = 4 * 2**20, 256 * 2**20


class BatchScorer:
    """Runs the passes of a plan on a model.

    Log-probabilities are computed in float32 whatever the model's dtype, at the scored positions only. Results stay on
    the device until all passes have run.

    Args:
        tokenizer: Decodes generated tokens.
        limits: Bounds of a forward pass.
        share: Whether shared prefixes are run once, see :mod:`evomerge.fitness.inference.probe`.
        verify: Whether drafts are verified, see :mod:`evomerge.fitness.inference.generation.eligibility`.
        think_end: What comes before it is left out of generated answers; None leaves nothing out.
    """

    def __init__(
        self,
        tokenizer: Any,
        limits: Limits,
        *,
        share: bool = True,
        verify: bool = False,
        think_end: ThinkEnd | None = None,
    ) -> None:
        self.limits = limits
        self.share = share
        self.verify = verify
        self._tokenizer = tokenizer
        self._placed: WeakKeyDictionary[BatchPlan, tuple[torch.device, list[LikelihoodPass]]] = WeakKeyDictionary()
        self._generator = Generator(tokenizer, think_end)
        self._think_end = think_end

    def with_limits(self, limits: Limits, *, share: bool) -> BatchScorer:
        """A scorer with the same tokenizer and other limits."""
        return BatchScorer(self._tokenizer, limits, share=share, verify=self.verify, think_end=self._think_end)

    def plan(self, requests: Sequence[Request]) -> BatchPlan:
        """Plans the forward passes that answer requests."""
        return plan_batches(requests, self.limits, share=self.share)

    @torch.inference_mode()
    def answer(
        self, model: torch.nn.Module, plan: BatchPlan, known: Sequence[Sequence[Tokens]] | None = None
    ) -> list[Answer]:
        """Answers the requests of a plan.

        Args:
            model: A causal language model of ``transformers``, in evaluation mode, on any device.
            plan: From :meth:`plan`.
            known: For each request, answers that are known of its item, the newest last.

        Returns:
            One answer per request, in their order.
        """
        answers: list[Answer | None] = [None] * plan.count
        for index, likelihood in self._likelihoods(model, plan):
            answers[index] = likelihood
        with packed_weights(model) if plan.prompts else nullcontext():
            for index, generated in self._generated(model, plan, known or [()] * plan.count):
                answers[index] = generated
        assert all(answer is not None for answer in answers)
        return cast(list[Answer], answers)

    def _generated(
        self, model: torch.nn.Module, plan: BatchPlan, known: Sequence[Sequence[Tokens]]
    ) -> Iterator[tuple[int, Generated]]:
        plain = list(plan.prompts)
        if self.verify:
            plain = [batch for batch in plan.prompts if beyond_greedy(settings_of(model, batch.prompts[0]))]
            for batch in rejoined([batch for batch in plan.prompts if batch not in plain]):
                ends = self._generator.ends(batch.prompts[0].stop)
                drafted = DraftedGeneration(model, ends, plan.limits, batch.shared)
                made = drafted.answer(batch.prompts, [known[index] for index in batch.requests])
                for prompt, index, answer in zip(batch.prompts, batch.requests, made, strict=True):
                    if answer is not None:
                        yield index, answer
                    else:
                        plain.append(PromptBatch((prompt,), (index,)))
        prefixes = PrefixCache(model)  # for the current weights; gone with this call
        bounded = plan.limits.logits == "portions" and not takes(model, "logits_to_keep")
        with last_only(model) if bounded and plain else nullcontext():
            for batch in plain:
                yield from zip(batch.requests, self._generator.generate(model, batch, prefixes), strict=True)

    def _likelihoods(self, model: torch.nn.Module, plan: BatchPlan) -> list[tuple[int, Likelihood]]:
        if not plan.likelihoods:
            return []
        device = next(model.parameters()).device
        passes = self._on(device, plan)
        owners = np.concatenate([batch.request for batch in passes])
        # One allocation for all results: small ones between large ones would fragment the memory.
        scores, hits = (
            torch.empty(len(owners), device=device),
            torch.empty(len(owners), device=device, dtype=torch.bool),
        )
        run, done = _Run(model, plan, passes), 0
        for index, batch in enumerate(passes):
            upto = done + len(batch.request)
            run.score(index, scores[done:upto], hits[done:upto])
            done = upto
        logprobs, missed = scores.cpu().numpy().astype(np.float64), ~hits.cpu().numpy()
        indices, place = np.unique(owners, return_inverse=True)
        sums = np.bincount(place, weights=logprobs)
        misses = np.bincount(place, weights=missed)
        return [
            (int(index), Likelihood(float(total), bool(miss == 0)))
            for index, total, miss in zip(indices, sums, misses, strict=True)
        ]

    def _on(self, device: torch.device, plan: BatchPlan) -> list[LikelihoodPass]:
        """The passes of a plan on a device, copied there once for all candidates."""
        placed = self._placed.get(plan)
        if placed is None or placed[0] != device:
            placed = self._placed[plan] = (device, [batch.to(device) for batch in plan.likelihoods])
        return placed[1]


class _Run:
    """The passes of a plan, run in order on one model."""

    def __init__(self, model: torch.nn.Module, plan: BatchPlan, passes: Sequence[LikelihoodPass]) -> None:
        self._model = model
        self._plan = plan
        self._passes = passes
        self._positions = [batch.positions for batch in plan.likelihoods]  # counted where they are not on a GPU
        self._last = {batch.past: index for index, batch in enumerate(passes) if batch.past is not None}
        self._caches: dict[int, DynamicCache] = {}

    def score(self, index: int, logprobs: torch.Tensor, hits: torch.Tensor) -> None:
        """Runs a pass.

        Args:
            index: Index of the pass; all earlier ones have run.
            logprobs: ``(scored,)`` float32, written: the log-probability of each scored token, in nats.
            hits: ``(scored,)`` bool, written: whether it was the most probable one.
        """
        batch = self._passes[index]
        cache = self._cache(batch)
        position, target, start = batch.position, batch.target, 0
        for logits in self._logits(index, cache):
            stop = start + len(logits)
            here = (position >= start) & (position < stop) if start or stop < self._positions[index] else slice(None)
            at = position[here] - start
            chosen = logits[at, target[here]].float()
            normaliser, best = _normalise(logits)
            logprobs[here] = chosen - normaliser[at]
            hits[here] = best[at] == target[here]
            start = stop
            del logits  # before the next ones are made
        if batch.shared:
            assert cache is not None
            self._caches[index] = cache
        if batch.past is not None and self._last[batch.past] == index:
            del self._caches[batch.past]

    def _cache(self, batch: LikelihoodPass) -> DynamicCache | None:
        """The KV cache that a pass continues, expanded to its rows; an empty one for a shared prefix."""
        if batch.past is None:
            return DynamicCache() if batch.shared else None
        return expanded(self._caches[batch.past], batch.tokens.shape[0])

    def _logits(self, index: int, cache: DynamicCache | None) -> Iterator[torch.Tensor]:
        """Logits at the kept positions, ``(positions, vocabulary)`` in the model's dtype, in one piece or portions."""
        batch, limits = self._passes[index], self._plan.limits
        arguments: dict[str, Any] = {"input_ids": batch.tokens, **cache_arguments(self._model, cache)}
        if batch.position_ids is not None:
            past = 0 if cache is None else cache.get_seq_length()
            arguments["attention_mask"] = attention_mask(self._model, batch, past)
            arguments["position_ids"] = batch.position_ids
        yield from logits_at(self._model, batch.keep, self._positions[index], limits, arguments)


def _normalise(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The log-sum-exp of each position's logits, and its most probable token.

    Args:
        logits: ``(positions, vocabulary)``; overwritten if they are float32.

    Returns:
        ``(positions,)`` float32, the logarithm of the sum of exponentials, and ``(positions,)`` int64.
    """
    count, vocabulary = logits.shape
    normaliser = torch.empty(count, device=logits.device)
    best = torch.empty(count, device=logits.device, dtype=torch.int64)
    # A few rows at a time stay in a CPU's cache; a GPU would only wait for more launches.
    size = max(1, (GPU_BLOCK if logits.is_cuda else CPU_BLOCK) // (4 * vocabulary))
    for start in range(0, count, size):
        rows = slice(start, start + size)
        block = logits[rows].float()
        largest, best[rows] = block.max(dim=-1)
        normaliser[rows] = block.sub_(largest[:, None]).exp_().sum(dim=-1).log_().add_(largest)
    return normaliser, best
