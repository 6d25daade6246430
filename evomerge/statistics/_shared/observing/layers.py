"""The layers of a language model, and the hidden states between them during a forward pass."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from evomerge.recipe import DEFAULT_LAYER_PATTERN

States = Callable[[torch.Tensor], None]
"""Told of a sequence's states, float32 ``(layers + 1, tokens, channels)``, once it has gone through the last layer."""


def layers_of(model: torch.nn.Module) -> tuple[torch.nn.Module, ...]:
    """The layers of a language model, in order; none where the names of its parameters show none."""
    found: dict[int, str] = {}
    for name, _ in model.named_parameters():
        match = re.search(DEFAULT_LAYER_PATTERN, name)
        if match is not None:
            found.setdefault(int(match[1]), name[: match.end(1)])
    modules = dict(model.named_modules())
    return tuple(modules[found[number]] for number in sorted(found) if found[number] in modules)


def routers_of(model: torch.nn.Module) -> tuple[torch.nn.Module, ...]:
    """The modules of which transformers records what they say of experts, and whose weight is a matrix."""
    kinds: dict[type, str] = {}
    for module in model.modules():
        recorded = (getattr(module, "_can_record_outputs", None) or {}).get("router_logits", ())
        for one in recorded if isinstance(recorded, list | tuple) else (recorded,):
            kind: Any = getattr(one, "target_class", one)
            kinds[kind] = getattr(one, "layer_name", None) or ""
    return tuple(
        module
        for name, module in model.named_modules()
        if type(module) in kinds
        and kinds[type(module)] in name
        and getattr(getattr(module, "weight", None), "ndim", 0) == 2
    )


@contextmanager
def watching(layers: Sequence[torch.nn.Module], seen: States) -> Iterator[None]:
    """A context in which forward passes of one sequence tell of the states between layers.

    Args:
        layers: All of them, in order.
        seen: Told of each sequence; not of one of whose states some are not seen, or of another width.
    """
    states: list[torch.Tensor] = []

    def enters(_module: torch.nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        given = args[0] if args else kwargs.get("hidden_states")
        if _module is layers[0]:
            states.clear()
        _keep(states, given)

    def leaves(_module: torch.nn.Module, _args: Any, given: Any) -> None:
        _keep(states, given[0] if isinstance(given, tuple) else given)
        if len(states) == len(layers) + 1 and len({one.shape for one in states}) == 1:
            seen(torch.stack(states))
        states.clear()

    handles = [layer.register_forward_pre_hook(enters, with_kwargs=True) for layer in layers]
    handles += [layer.register_forward_hook(leaves) for layer in layers[-1:]]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _keep(states: list[torch.Tensor], given: Any) -> None:
    """Keeps a copy, as what follows may be computed in place."""
    if isinstance(given, torch.Tensor) and given.ndim == 3 and len(given) == 1:
        first = states[0].device if states else given.device  # layers may be spread over several devices
        states.append(given[0].detach().to(first, torch.float32, copy=True))
