"""Logits at chosen positions, in portions that fit into memory, from one run of a model's body.

A model of ``transformers`` is a body, which makes a hidden state of every token, and what its forward pass does behind
the body: the output head, and in some models scaling or capping. Here the forward pass is given chosen rows of the
hidden states, as often as there are portions; the body runs once. All that comes behind it stays the model's own code.
Whether a model is built like this is tried with a few tokens.
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

from evomerge.fitness.inference.batches import Logits
from evomerge.fitness.inference.encoding import field_of
from evomerge.fitness.inference.kv_cache import takes

_ASKED = (2, 8)  # rows and tokens that a model is tried with
_PORTION = 5
_TOLERANCE = 1e-4  # of the largest logit, in float32
_ROUNDING = 4.0  # times the precision of a shorter number type


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
        raise ValueError(f"the body of {type(model).__name__} runs {len(made)} times in a forward pass")
    yield logits[0]
    del logits  # before the next portion is made
    rows, output = made.pop()
    for start in range(most, len(rows), most):
        with _standing_in(model.base_model, _with_states(output, rows[None, start : start + most])):
            yield model(**arguments).logits[0]


@contextmanager
def last_only(model: Any) -> Iterator[None]:
    """Within it, forward passes compute the logits of the last position of each row only, as generation needs them."""

    def last(_module: Any, _given: Any, output: Any) -> Any:
        return _with_states(output, _states(output)[:, -1:])

    handle = model.base_model.register_forward_hook(last)
    try:
        yield
    finally:
        handle.remove()


@torch.inference_mode()
def logits_of(model: torch.nn.Module, tokens: np.ndarray) -> Logits | None:
    """How a model's logits can be computed; it is tried with a few tokens.

    Args:
        model: A causal language model, in evaluation mode.
        tokens: Some that it knows.

    Returns:
        As in :class:`~evomerge.fitness.inference.batches.Limits`; None where its logits are not numbers and so show
            nothing.
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
    except Exception:  # each architecture that is built otherwise fails in its own way, and is asked as a whole
        return unasked(takes(model, "logits_to_keep"))
    same = _close(found, whole[keep]) and _close(last, whole[:, -1])
    return "portions" if same else unasked(takes(model, "logits_to_keep"))


def unasked(selects: bool) -> Logits:
    """How logits are computed by a model of which nothing else is known.

    Args:
        selects: Whether it can be told at which positions to compute them.
    """
    return "kept" if selects else "all"


def selects_by(config: Any) -> bool:
    """Whether models of a configuration can be told at which positions to compute logits; without one, they can.

    Args:
        config: An object or a mapping. Code that comes with a checkpoint is not looked at, so it cannot.
    """
    if config is None:
        return True
    if field_of(config, "auto_map"):
        return False
    # As transformers chooses the class; of models of texts and images only their configuration names it.
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
    """The hidden states of a body's output, ``(rows, length, width)``."""
    return output[0]


def _with_states(output: Any, states: torch.Tensor) -> Any:
    """The same output with other hidden states."""
    if isinstance(output, ModelOutput):
        return dataclasses.replace(output, last_hidden_state=states)  # type: ignore[type-var]
    return (states, *output[1:])


@contextmanager
def _standing_in(body: torch.nn.Module, output: Any) -> Iterator[None]:
    """Within it, the body does nothing and gives this."""
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
