"""Probes whether a model gives the same answers when shared prefixes are run once.

Packed trees and reused KV caches rely on masks and position ids, which not every architecture honours: state-space
layers mix tokens in order, and attention with position biases may ignore position ids. Each run therefore scores a few
requests with and without sharing, and reads every sequence whole if the answers differ.

The probe's requests derive from the run's longest one and fork at a quarter, a half and three quarters of its length,
so that there are forks whatever the run's own requests share.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from evomerge.fitness.inference.kv_cache import cache_argument, takes
from evomerge.fitness.inference.masks import windows
from evomerge.fitness.inference.requests import Continuation, Generated, Likelihood, Prompt, Request
from evomerge.fitness.inference.scoring import BatchScorer

WHOLE = "every sequence is read whole"
_KNOWN_ATTENTION = ("sdpa", "eager")
_TOLERANCE = 1e-4  # nats, in float32
_NOISE = 3.0  # in half precision, times the difference between two plain arrangements
_TOKENS = 256  # of a probe request
_NEW_TOKENS = 8
# Up to this many bytes a float32 copy is probed, in which rounding hides nothing.
_COPY_BYTES = 2**30


@dataclass(frozen=True)
class Sharing:
    """Result of a probe.

    Attributes:
        share: Whether shared prefixes are run once.
        reason: Explanation for people; empty where there is nothing to tell.
        difference: Largest difference to plain scoring, in nats; None where nothing was compared.
    """

    share: bool
    reason: str
    difference: float | None = None


def choose(model: torch.nn.Module, scorer: BatchScorer, requests: Sequence[Request]) -> Sharing:
    """Compares scoring with and without shared prefixes on a few requests.

    Args:
        model: The model that candidates are built in, with any finite weights.
        scorer: The run's scorer.
        requests: All requests of the run.

    Returns:
        The decision and its reason.
    """
    longest = max((request for request in requests if len(request.tokens) > 3), key=_length, default=None)
    if longest is None:
        return Sharing(False, "")
    found = obstacle(model, _length(longest))
    if found is not None:
        return Sharing(False, f"{WHOLE}: {found}")
    exact = exact_copy(model)
    try:
        difference, same = _compared(exact, scorer, list(_forked(longest)))
        prompts = [request for request in requests if isinstance(request, Prompt)]
        if same and prompts and not _same_texts(exact, scorer, max(prompts, key=_length)):
            return Sharing(False, f"{WHOLE}: sharing changes what is generated", difference)
    except (torch.OutOfMemoryError, MemoryError):
        raise
    except Exception as error:  # each architecture fails in its own way; plain scoring needs none of this
        first = (str(error).splitlines() or [""])[0][:200]
        return Sharing(False, f"{WHOLE}: the model refuses ({type(error).__name__}: {first})")
    if same:
        return Sharing(True, "", difference)
    return Sharing(False, f"{WHOLE}: sharing changes log-likelihoods by up to {difference:.2g}", difference)


def obstacle(model: torch.nn.Module, longest: int) -> str | None:
    """The property of a model that rules sharing out, if any is known.

    Args:
        model: A causal language model.
        longest: Length of the longest sequence, generated tokens included.
    """
    config: Any = model.config
    try:
        windows(config)
    except ValueError as error:
        return str(error)
    missing = [name for name in ("attention_mask", "position_ids") if not takes(model, name)]
    missing += ["KV cache"] if cache_argument(model.forward) is None else []
    if missing:
        return f"the model takes no {', '.join(missing)}"
    attention = getattr(config, "_attn_implementation", None)
    if attention not in _KNOWN_ATTENTION:
        return f"attention {attention!r} takes no masks of trees"
    inner = config.get_text_config()
    rope: Any = getattr(inner, "rope_parameters", None) or {}
    for kind in (rope, *(value for value in rope.values() if isinstance(value, Mapping))):
        name = kind.get("rope_type") or kind.get("type")
        original = kind.get("original_max_position_embeddings") or getattr(inner, "max_position_embeddings", None)
        if name in ("dynamic", "longrope") and original is not None and longest > original:
            return f"rotary positions of type {name} change with the length of what is read"
    return None


def _length(request: Request) -> int:
    return len(request.tokens) + (request.max_new if isinstance(request, Prompt) else 0)


def exact_copy(model: torch.nn.Module) -> torch.nn.Module:
    """The model, or a float32 copy where that is small."""
    parameters = list(model.parameters())
    if parameters[0].dtype == torch.float32 or 4 * sum(p.numel() for p in parameters) > _COPY_BYTES:
        return model
    return copy.deepcopy(model).float()


def _forked(longest: Request) -> Iterator[Continuation]:
    """Forked sequences: pairs of short endings after a quarter, a half, three quarters and all of a request."""
    tokens = longest.tokens[-_TOKENS:]
    for part in (1, 2, 3, 4):
        stem = tokens[: max(2, len(tokens) * part // 4)]
        for shift in (1, 2):
            # Endings of tokens that occur in the run, different ones each time.
            ending = np.roll(tokens, shift * part)[: max(1, min(4, len(stem) - 1))]
            yield Continuation(np.concatenate([stem, ending]).astype(np.int32), len(ending) + 1)


def _compared(model: torch.nn.Module, scorer: BatchScorer, asked: Sequence[Continuation]) -> tuple[float, bool]:
    """The largest difference between arrangements, and whether rounding explains it."""
    plain = _answers(model, scorer, asked, share=False)
    # Once packed into tree rows, and once with a pass of its own for every shared prefix.
    packed = _answers(model, scorer, asked, row=10 * _TOKENS, attention=10**9)
    passes = _answers(model, scorer, asked, row=1, overhead=0, attention=1)
    if not np.isfinite([plain, packed, passes]).all():
        return math.nan, False
    difference = float(max(np.abs(packed - plain).max(), np.abs(passes - plain).max()))
    if next(model.parameters()).dtype == torch.float32:
        return difference, bool(difference <= _TOLERANCE * max(1.0, float(np.abs(plain).max()) / 100))
    # Half precision rounds differently in every arrangement, so two plain ones show how much that is.
    alone = _answers(model, scorer, asked, share=False, rows=1)
    wide = _answers(model, scorer, asked, share=False, overhead=10**9)
    noise = max(_scatter(alone, plain), _scatter(wide, alone), torch.finfo(next(model.parameters()).dtype).eps)
    return difference, max(_scatter(packed, plain), _scatter(passes, plain)) <= _NOISE * noise


def agrees(found: torch.Tensor, plain: torch.Tensor, again: torch.Tensor) -> bool:
    """Whether rounding explains how logits of another arrangement differ from plain ones.

    Args:
        found: Logits of the arrangement.
        plain: Logits of sequences that are read whole.
        again: The same in another plain arrangement, which shows how much half precision rounds.
    """
    if not (found.isfinite().all() and plain.isfinite().all()):
        return False
    exact, precision = found.dtype == torch.float32, torch.finfo(found.dtype).eps
    found, plain, again = found.float(), plain.float(), again.float()
    largest = max(1.0, float(plain.abs().max()))
    if exact:
        return bool((found - plain).abs().max() <= _TOLERANCE * largest)
    noise = max(_root_mean_square(again - plain), precision * largest)
    return _root_mean_square(found - plain) <= _NOISE * noise


def _root_mean_square(values: torch.Tensor) -> float:
    return float(values.square().mean().sqrt())


def _scatter(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.sqrt(np.mean((one - other) ** 2)))


def _answers(
    model: torch.nn.Module, scorer: BatchScorer, requests: Sequence[Continuation], *, share: bool = True, **limits: Any
) -> np.ndarray:
    way = scorer.with_limits(replace(scorer.limits, **limits), share=share)
    answers = way.answer(model, way.plan(requests))
    return np.array([answer.logprob for answer in answers if isinstance(answer, Likelihood)])


def _same_texts(model: torch.nn.Module, scorer: BatchScorer, longest: Prompt) -> bool:
    """True if prompts with a shared prefix get the same texts; in half precision, if they can be generated at all."""
    tokens = longest.tokens[-_TOKENS:]
    stem = tokens[: max(1, len(tokens) * 3 // 4)]
    prompts = [
        replace(longest, tokens=np.concatenate([stem, tokens[-1 - k :]]).astype(np.int32), max_new=_NEW_TOKENS)
        for k in range(4)
    ]
    ways = [scorer.with_limits(scorer.limits, share=share) for share in (True, False)]
    texts = [[a.text for a in way.answer(model, way.plan(prompts)) if isinstance(a, Generated)] for way in ways]
    return next(model.parameters()).dtype != torch.float32 or texts[0] == texts[1]
