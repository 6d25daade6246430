"""Logits at chosen positions, in portions of bounded memory, from one run of a model's backbone.

The backbone runs once per sequence; the LM head, with whatever scaling or soft-capping a model applies behind it, runs
once per portion on the selected hidden states. A forward hook and a stand-in for the backbone do this, so that all code
behind the backbone stays the model's own. A few tokens show whether a model is built in a way that allows it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import transformers
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.utils import ModelOutput

from evomerge.fitness.inference.batches import Limits, Logits
from evomerge.fitness.inference.encoding import field_of
from evomerge.fitness.inference.kv_cache import takes

_ASKED = (2, 8)  # rows and tokens that a model is tried with
_PORTION = 5
_TOLERANCE = 1e-4  # of the largest logit, in float32
_ROUNDING = 4.0  # times the precision of a shorter number type


def logits_at(
    model: torch.nn.Module, keep: torch.Tensor, count: int, limits: Limits, arguments: Mapping[str, Any]
) -> Iterator[torch.Tensor]:
    """Logits at some positions of one forward pass, in one piece or in portions.

    Args:
        model: A causal language model.
        keep: ``(rows, length)``, true where logits are wanted.
        count: Number of these positions, known without asking a GPU.
        limits: How the model computes logits, and at how many positions at one time.
        arguments: Of the forward pass, without ``logits_to_keep``.

    Yields:
        ``(positions, vocabulary)`` in the model's dtype, together one for each position, row by row.
    """
    selects = takes(model, "logits_to_keep")
    if limits.logits == "portions" and not (selects and count <= limits.positions):
        yield from portions(model, keep, limits.positions, arguments)
        return
    logits = model(**arguments, **({"logits_to_keep": keep} if selects else {})).logits
    if logits.ndim == 2:  # at the kept positions alone
        yield logits
        return
    # At all positions: a copy of all scored ones may be nearly as large again, so portions are copied.
    for part in keep.flatten().nonzero()[:, 0].split(limits.positions):
        yield logits.flatten(0, 1)[part]


def portions(model: Any, keep: torch.Tensor, most: int, arguments: Mapping[str, Any]) -> Iterator[torch.Tensor]:
    """Logits at some positions, a few at a time.

    Args:
        model: A causal language model for which :func:`logits_of` says ``portions``.
        keep: ``(rows, length)``, true where logits are wanted.
        most: Most positions of a portion.
        arguments: Of the forward pass, without ``logits_to_keep``.

    Yields:
        ``(positions, vocabulary)`` in the model's dtype, together one for each position, row by row; at least one.
    """
    made: list[Any] = []

    def first(_module: Any, _given: Any, output: Any) -> Any:
        rows = _states(output)[keep]
        made.append((rows, _with_states(output, rows[None, :most])))
        return made[-1][1]

    handle = model.base_model.register_forward_hook(first)
    try:
        logits = model(**arguments).logits
    finally:
        handle.remove()
    if len(made) != 1:
        raise ValueError(f"the backbone of {type(model).__name__} runs {len(made)} times in a forward pass")
    yield logits[0]
    del logits  # before the next portion is made
    rows, output = made.pop()
    for start in range(most, len(rows), most):
        with _standing_in(model.base_model, _with_states(output, rows[None, start : start + most])):
            logits = model(**arguments).logits
        yield logits[0]  # whatever becomes of whoever asked, the backbone is in its place
        del logits


@contextmanager
def last_only(model: Any) -> Iterator[None]:
    """A context in which forward passes compute logits at the last position of each row alone."""

    def last(_module: Any, _given: Any, output: Any) -> Any:
        return _with_states(output, _states(output)[:, -1:])

    handle = model.base_model.register_forward_hook(last)
    try:
        yield
    finally:
        handle.remove()


@torch.inference_mode()
def logits_of(model: torch.nn.Module, tokens: np.ndarray) -> Logits | None:
    """Probes with a few tokens how a model can compute logits.

    Args:
        model: A causal language model, in evaluation mode.
        tokens: Token ids that it has embeddings for.

    Returns:
        As in :class:`~evomerge.fitness.inference.batches.Limits`; None where logits are NaN and so show nothing.
    """
    given = torch.from_numpy(np.resize(tokens, _ASKED).astype(np.int64)).to(next(model.parameters()).device)
    arguments = {"input_ids": given, "use_cache": False}
    keep = torch.ones_like(given, dtype=torch.bool)
    keep[0, : _PORTION - 1] = False
    try:
        whole = model(**arguments).logits
        if whole.isnan().any():
            return None
        found = torch.cat(list(portions(model, keep, _PORTION, arguments)))
        with last_only(model):
            last = model(**arguments).logits[:, -1]
    except (torch.OutOfMemoryError, MemoryError):
        raise
    except Exception:  # architectures built otherwise fail in their own ways; they get plain forward passes
        return unasked(takes(model, "logits_to_keep"))
    same = _close(found, whole[keep]) and _close(last, whole[:, -1])
    return "portions" if same else unasked(takes(model, "logits_to_keep"))


def unasked(selects: bool) -> Logits:
    """The way to compute logits where no model has been probed.

    Args:
        selects: Whether the forward pass takes ``logits_to_keep``.
    """
    return "kept" if selects else "all"


def selects_by(config: Any) -> bool:
    """True if models of a configuration take ``logits_to_keep``, and where there is no configuration.

    Args:
        config: An object or a mapping. Code that comes with a checkpoint is not read; it counts as without.
    """
    if config is None:
        return True
    if field_of(config, "auto_map"):
        return False
    # As transformers chooses the class; multimodal models are named by their configuration alone.
    named = MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(field_of(config, "model_type"))
    known = getattr(transformers, str(named or (field_of(config, "architectures") or [None])[0]), None)
    return known is not None and takes(known, "logits_to_keep")


def _close(found: torch.Tensor, expected: torch.Tensor) -> bool:
    if found.shape != expected.shape:
        return False
    exact = expected.dtype == torch.float32
    tolerance = _TOLERANCE if exact else _ROUNDING * torch.finfo(expected.dtype).eps
    largest = max(1.0, float(expected.float().abs().max()))
    return bool(torch.allclose(found.float(), expected.float(), rtol=0.0, atol=tolerance * largest))


def _states(output: Any) -> torch.Tensor:
    """Hidden states in a backbone's output, ``(rows, length, width)``."""
    return output[0]


def _with_states(output: Any, states: torch.Tensor) -> Any:
    """A copy of a backbone's output with other hidden states."""
    if isinstance(output, ModelOutput):
        return dataclasses.replace(output, last_hidden_state=states)  # type: ignore[type-var]
    return (states, *output[1:])


@contextmanager
def _standing_in(body: torch.nn.Module, output: Any) -> Iterator[None]:
    """A context in which the backbone returns ``output`` without running."""
    own = vars(body)
    before = own.get("forward")
    own["forward"] = lambda *_, **__: output
    try:
        yield
    finally:
        if before is None:
            del own["forward"]
        else:
            own["forward"] = before
