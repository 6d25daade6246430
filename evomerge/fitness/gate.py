"""Whether a model answers the same when shared beginnings are computed once.

Packed trees and kept keys and values rely on masks and positions that not every architecture heeds: a state-space layer
mixes what it reads in order, attention with position biases of its own ignores positions that it is told. So each run
first asks a few requests both ways, and reads every sequence whole where the answers differ.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from evomerge.fitness.masks import windows
from evomerge.fitness.requests import Continuation, Likelihood, Request
from evomerge.fitness.scoring import BatchScorer

_KNOWN_ATTENTION = ("sdpa", "eager")
_FLOAT32_TOLERANCE = 1e-4
_PROMPT_TOKENS = 8


@dataclass(frozen=True)
class Sharing:
    """How a run's requests go through its model.

    Attributes:
        share: Whether shared beginnings are computed once.
        reason: Why not, in words; empty where there is nothing to tell.
        difference: Largest difference to plain scoring that was seen, in nats; None where nothing was asked.
    """

    share: bool
    reason: str
    difference: float | None = None


def choose(model: torch.nn.Module, scorer: BatchScorer, requests: Sequence[Request]) -> Sharing:
    """Asks some requests both ways.

    Args:
        model: The model that candidates are built in, with any weights.
        scorer: What the run scores with.
        requests: A sample of the run's, the longest among them.

    Returns:
        Whether to share.
    """
    asked = [_continuation(request) for request in requests if len(request.tokens) > 1]
    if not asked:
        return Sharing(False, "")
    found = obstacle(model, max(len(request.tokens) for request in asked))
    if found is not None:
        return Sharing(False, f"every sequence is read whole: {found}")
    try:
        plain = _answers(model, scorer, asked, share=False)
        # Once as in the run, and once with a pass of its own for every shared beginning.
        usual = _answers(model, scorer, asked)
        forked = _answers(model, scorer, asked, row=1, overhead=0, attention=1)
    except (torch.OutOfMemoryError, MemoryError):
        raise
    except Exception as error:  # each architecture fails in its own way; plain scoring does without
        first = (str(error).splitlines() or [""])[0][:200]
        return Sharing(False, f"every sequence is read whole: the model refuses ({type(error).__name__}: {first})")
    difference = max(abs(a - b) for way in (usual, forked) for a, b in zip(plain, way, strict=True))
    dtype = next(model.parameters()).dtype
    if all(_same(plain, way, asked, dtype) for way in (usual, forked)):
        return Sharing(True, "", difference)
    return Sharing(
        False, f"every sequence is read whole: sharing changes log-likelihoods by up to {difference:.2g}", difference
    )


def _continuation(request: Request) -> Continuation:
    """A prompt is judged by the likelihood of its own last tokens."""
    if isinstance(request, Continuation):
        return request
    return Continuation(request.tokens, min(_PROMPT_TOKENS, len(request.tokens) - 1))


def obstacle(model: torch.nn.Module, longest: int) -> str | None:
    """What is known to rule sharing out, if anything.

    Args:
        model: A causal language model.
        longest: Tokens of the longest sequence.
    """
    config: Any = model.config
    try:
        windows(config)
    except ValueError as error:
        return str(error)
    missing = {"attention_mask", "position_ids", "past_key_values"} - inspect.signature(model.forward).parameters.keys()
    if missing:
        return f"the model takes no {', '.join(sorted(missing))}"
    attention = getattr(config, "_attn_implementation", None)
    if attention not in _KNOWN_ATTENTION:
        return f"attention {attention!r} takes no masks of trees"
    inner = config.get_text_config()
    rope: Any = getattr(inner, "rope_parameters", None) or {}
    kind = rope.get("rope_type") or rope.get("type")
    original = rope.get("original_max_position_embeddings") or getattr(inner, "max_position_embeddings", None)
    if kind in ("dynamic", "longrope") and original is not None and longest > original:
        return f"rotary positions of type {kind} change with the length of what is read"
    return None


def _answers(
    model: torch.nn.Module, scorer: BatchScorer, requests: Sequence[Request], *, share: bool = True, **limits: int
) -> list[float]:
    way = scorer.with_limits(replace(scorer.limits, **limits), share=share)
    answers = way.answer(model, way.lay_out(requests))
    return [answer.logprob for answer in answers if isinstance(answer, Likelihood)]


def _same(plain: Sequence[float], other: Sequence[float], requests: Sequence[Continuation], dtype: torch.dtype) -> bool:
    """Whether two lists of log-likelihoods differ by rounding alone."""
    if not all(map(math.isfinite, (*plain, *other))):
        return False
    if torch.finfo(dtype).eps < 1e-6:
        return all(abs(a - b) <= _FLOAT32_TOLERANCE * max(1.0, abs(a) / 100) for a, b in zip(plain, other, strict=True))
    # Half precision rounds every hidden state, so that single answers scatter: their scatter per token is compared.
    gaps = [(a - b) / request.scored for a, b, request in zip(plain, other, requests, strict=True)]
    size = sum(abs(a) / request.scored for a, request in zip(plain, requests, strict=True)) / len(plain)
    scatter = math.sqrt(sum(gap * gap for gap in gaps) / len(gaps))
    return scatter <= 8 * torch.finfo(dtype).eps * (1 + size)
