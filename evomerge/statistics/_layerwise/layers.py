"""The layers of a model, run one at a time on hidden states that are kept in between."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from evomerge.errors import InputError
from evomerge.merging import LiveModel

_LAYERS = 1  # a list of modules shorter than that is no stack of layers


@dataclass
class Flow:
    """One sequence on its way through the layers.

    Attributes:
        hidden: The hidden states that the next layer reads, (1, tokens, hidden).
        calls: Of each layer what else it is called with.
    """

    hidden: torch.Tensor
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]]


class Layers:
    """The stack of layers of a live model.

    Args:
        live: The model.
        count: How many layers it has.

    Raises:
        InputError: If it has no one stack of so many layers.
    """

    def __init__(self, live: LiveModel, count: int) -> None:
        self.live = live
        stacks = [
            (name, list(module))
            for name, module in live.model.named_modules()
            if isinstance(module, torch.nn.ModuleList) and len(module) == count >= _LAYERS
        ]
        filled = {piece.target for pieces in live.places.values() for piece in pieces}
        stacks = [
            (name, modules)
            for name, modules in stacks
            if all(any(target.startswith(f"{name}.{i}.") for target in filled) for i in range(count))
        ]
        if len(stacks) != 1:
            raise InputError(
                f"the {count} layers of {type(live.model).__name__} cannot be told apart: expected one list of as many "
                f"modules, found {len(stacks)}; what goes layer by layer does not work with this model"
            )
        self.modules: list[torch.nn.Module] = stacks[0][1]

    @torch.no_grad()
    def begin(self, sequences: Sequence[Sequence[int]]) -> list[Flow]:
        """The hidden states that the first layer reads of each sequence, with the model's weights as they are.

        Raises:
            InputError: If more than hidden states goes from layer to layer.
        """
        flows: list[Flow] = []
        for ids in sequences:
            with self._recorded() as calls:
                self.live.model(input_ids=torch.tensor([list(ids)], device=self.live.model.device), use_cache=False)
            hidden = [own[0] for own, _ in calls]
            flow = Flow(hidden[0], [(own[1:], named) for own, named in calls])
            if not flows:
                self._check(flow, hidden)
            flows.append(flow)
        return flows

    @torch.no_grad()
    def run(self, layer: int, flow: Flow) -> torch.Tensor:
        """The hidden states after a layer; the flow stays where it is."""
        more, named = flow.calls[layer]
        found = self.modules[layer](flow.hidden, *more, **named)
        return found if isinstance(found, torch.Tensor) else found[0]  # type: ignore[no-any-return]

    @contextmanager
    def _recorded(self) -> Iterator[list[tuple[tuple[Any, ...], dict[str, Any]]]]:
        """Fills a list with the arguments of each layer, the hidden states first."""
        calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

        def note(module: torch.nn.Module, own: tuple[Any, ...], named: dict[str, Any]) -> None:
            if not own:
                named = dict(named)
                own = (named.pop("hidden_states"),)
            calls.append((own, named))

        hooks = [module.register_forward_pre_hook(note, with_kwargs=True) for module in self.modules]
        try:
            yield calls
        finally:
            for hook in hooks:
                hook.remove()

    def _check(self, flow: Flow, hidden: Sequence[torch.Tensor]) -> None:
        """Makes sure that hidden states are all that goes from layer to layer."""
        ok = len(hidden) == len(self.modules)
        for layer in range(len(hidden) - 1 if ok else 0):
            found = self.run(layer, Flow(hidden[layer], flow.calls))
            ok = ok and found.shape == hidden[layer + 1].shape and torch.allclose(found, hidden[layer + 1], atol=1e-4)
        if not ok:
            raise InputError(
                f"the layers of {type(self.live.model).__name__} read more of each other than hidden states, so they "
                "cannot be run one by one; what goes layer by layer does not work with this model"
            )
