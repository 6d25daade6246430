"""Hooks on a model's layers and routers during forward passes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from transformers import PreTrainedModel

from evomerge.errors import InputError
from evomerge.recipe import DEFAULT_LAYER_PATTERN

_GATE = re.compile(r"(?P<layer>.*\.)(?:mlp|block_sparse_moe)\.gate")


def layers_of(model: PreTrainedModel) -> list[torch.nn.Module]:
    """The layers of a language model, in order.

    Raises:
        InputError: If its parameters' names show none.
    """
    found: dict[int, str] = {}
    for name, _ in model.named_parameters():
        match = re.search(DEFAULT_LAYER_PATTERN, name)
        if match is not None:
            found.setdefault(int(match[1]), name[: match.end(1)])
    if not found:
        raise InputError("the names of the model's parameters show no layers")
    return [model.get_submodule(found[number]) for number in sorted(found)]


def gates_of(model: PreTrainedModel) -> dict[str, torch.nn.Module]:
    """The routers of a mixture of experts, by the beginning of their layers' names (``model.layers.0.``)."""
    found = {}
    for name, module in model.named_modules():
        match, weight = _GATE.fullmatch(name), getattr(module, "weight", None)
        if match is not None and isinstance(weight, torch.Tensor) and weight.ndim == 2:
            found[match["layer"]] = module
    return found


@torch.no_grad()
def layer_states(model: PreTrainedModel, ids: Sequence[int]) -> torch.Tensor:
    """The input of each layer and the output of the last, float32, ``(layers + 1, tokens, hidden)``.

    Args:
        model: The model.
        ids: Tokens of one text.
    """
    layers = layers_of(model)
    seen: list[torch.Tensor] = []
    last: list[torch.Tensor] = []
    hooks = [layer.register_forward_pre_hook(_keep_input(seen), with_kwargs=True) for layer in layers]
    hooks.append(layers[-1].register_forward_hook(_keep_output(last)))
    with _removed(hooks):
        _run(model, ids)
    return torch.stack([*seen, *last])


@torch.no_grad()
def router_logits(model: PreTrainedModel, ids: Sequence[int]) -> dict[str, torch.Tensor]:
    """The logits of each router on one text, float32, ``(tokens, experts)``, by layer as in :func:`gates_of`.

    Args:
        model: A mixture of experts.
        ids: Tokens of one text.
    """
    found: dict[str, torch.Tensor] = {}

    def keep(layer: str) -> Any:
        def hook(module: torch.nn.Module, args: Sequence[torch.Tensor]) -> None:
            weight = module.get_parameter("weight")
            entered = args[0].reshape(-1, weight.shape[1])
            found[layer] = torch.nn.functional.linear(entered.float(), weight.float()).cpu()

        return hook

    hooks = [gate.register_forward_pre_hook(keep(layer)) for layer, gate in gates_of(model).items()]
    with _removed(hooks):
        _run(model, ids)
    return found


def _run(model: PreTrainedModel, ids: Sequence[int]) -> None:
    whole: Any = model
    device = whole.get_input_embeddings().weight.device
    whole.base_model(input_ids=torch.tensor([list(ids)], device=device), use_cache=False)  # logits are not needed


def _keep_input(seen: list[torch.Tensor]) -> Any:
    def hook(module: torch.nn.Module, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        entered = args[0] if args else kwargs["hidden_states"]
        seen.append(entered[0].to("cpu", torch.float32))

    return hook


def _keep_output(seen: list[torch.Tensor]) -> Any:
    def hook(module: torch.nn.Module, args: Sequence[Any], given: Any) -> None:
        left = given[0] if isinstance(given, tuple) else given
        seen.append(left[0].to("cpu", torch.float32))

    return hook


@contextmanager
def _removed(hooks: Sequence[Any]) -> Iterator[None]:
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
