"""Forward passes whose tokens belong to many rows, one after the other without padding, and the rows' KV caches.

A model sees one sequence; its linear layers work on exactly the tokens that are asked for. Attention alone knows where
a row begins: transformers lets the attention function of a model be chosen by name, and the one given here reads and
extends a cache per row and layer. No cache object, no mask and no padding passes through the model's own code.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from evomerge.fitness.inference.generation.lent import DTYPES, folded, in_two
from evomerge.fitness.inference.generation.segments import Group, Segment, grouped

NAME = "evomerge_packed"
# Arguments of attention functions that say nothing here: masks are ours, positions in the keys, nothing is dropped.
_SILENT = frozenset({"dropout", "is_causal", "position_ids", "use_cache", "output_attentions", "output_hidden_states",
                     "cache_position", "return_dict", "logits_to_keep", "output_router_logits"})  # fmt: skip


class PackedAttention:
    """The attention of packed passes, and the caches that it reads and extends.

    Args:
        slots: Number of rows that have a cache at one time.
        capacity: Most tokens of a row, drafts that are not taken included.
        pad: Whether short segments are attended to together; by default where the model is not on a CPU.

    Attributes:
        windows: The number of tokens that a token attends to, itself included, by layer, as the last pass was told.
    """

    def __init__(self, slots: int, capacity: int, *, pad: bool | None = None) -> None:
        self.slots, self.capacity = slots, capacity
        self._pad = pad
        self._padded = self._capped = False
        self._lent: tuple[int, int] | None = None  # slot and number of the tokens that all rows begin with
        self._layers: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self._groups: Sequence[Group] = ()
        self._places: tuple[torch.Tensor, torch.Tensor] | None = None
        self._masks: dict[int | None, list[torch.Tensor | None]] = {}
        self.windows: dict[int, int | None] = {}
        self._eager = False

    @contextmanager
    def reading(self, model: torch.nn.Module, segments: Sequence[Segment]) -> Iterator[dict[str, Any]]:
        """A context in which one forward pass with the arguments that it gives reads segments.

        Args:
            model: A causal language model.
            segments: Of different slots.

        Raises:
            ValueError: After the pass, if some layers have not come to this attention.
        """
        device = next(model.parameters()).device
        columns = np.concatenate([np.arange(one.before, one.width) for one in segments])
        rows = np.repeat([one.slot for one in segments], [len(one.tokens) for one in segments])
        self._masks, self.windows = {}, {}
        self._padded = device.type != "cpu" if self._pad is None else self._pad
        self._groups = grouped(segments, device, pad=self._padded, first=self._lent[1] if self._lent else 0)
        self._places = torch.from_numpy(rows).to(device), torch.from_numpy(columns).to(device)
        tokens = np.concatenate([one.tokens for one in segments]).astype(np.int64)
        positions = np.concatenate([one.before + one.depths for one in segments]).astype(np.int64)
        configs: list[Any] = list(
            {id(part.config): part.config for part in model.modules() if hasattr(part, "config")}.values()
        )
        self._eager = configs[0]._attn_implementation == "eager"  # the model's own comes first
        before = [config._attn_implementation for config in configs]
        ALL_ATTENTION_FUNCTIONS[NAME] = self._attend
        try:
            for config in configs:
                config._attn_implementation_internal = NAME
            yield {
                "input_ids": torch.from_numpy(tokens)[None].to(device),
                "position_ids": torch.from_numpy(positions)[None].to(device),
                "use_cache": False,
            }
        finally:
            for config, name in zip(configs, before, strict=True):
                config._attn_implementation_internal = name
            del ALL_ATTENTION_FUNCTIONS[NAME]
        layers = model.config.get_text_config().num_hidden_layers  # type: ignore[operator, union-attr]
        if set(self.windows) != set(range(layers)):
            raise ValueError(
                f"{len(self.windows)} of {layers} layers use the attention function that is chosen by name"
            )

    def keep(self, slot: int, before: int, kept: Sequence[int]) -> None:
        """Moves the tokens of a row's last segment that are kept together, behind those before it.

        Args:
            slot: Of the row.
            before: As the segment's.
            kept: Indices of the tokens in it, ascending; the others are forgotten.
        """
        if list(kept) == list(range(len(kept))):
            return
        for keys, values in self._layers.values():
            for cache in (keys, values):
                cache[slot, before : before + len(kept)] = cache[slot, [before + index for index in kept]]

    def blank(self, slot: int, before: int) -> None:
        """Makes all but the first tokens of a row's cache zero: what is no number spoils what it is masked from."""
        for caches in self._layers.values():
            for cache in caches:
                cache[slot, before:] = 0

    def copy(self, source: int, target: int, count: int) -> None:
        """Copies the first tokens of one row's cache to another's."""
        for keys, values in self._layers.values():
            for cache in (keys, values):
                cache[target, :count] = cache[source, :count]

    def lend(self, source: int, count: int) -> bool:
        """Lets all other rows attend to the first tokens of one where they lie, in one call for all of them.

        Args:
            source: Slot of the row, which has been read.
            count: Number of its tokens that the others begin with.

        Returns:
            Whether they do; they need copies where attention is more than a softmax over all that came before.
        """
        windowed = any(window is not None for window in self.windows.values())
        whole = self._padded or self._eager or self._capped or windowed
        alike = all(keys.shape == values.shape and keys.dtype in DTYPES for keys, values in self._layers.values())
        self._lent = (source, count) if alike and not whole else None
        return self._lent is not None

    def _attend(
        self,
        module: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        _mask: Any,
        **said: Any,
    ) -> tuple[torch.Tensor, None]:
        """The attention function of transformers' interface.

        Args:
            module: The attention layer.
            query: ``(1, heads, tokens, size)``.
            key: ``(1, key heads, tokens, size)``.
            value: ``(1, key heads, tokens, value size)``.
            said: ``scaling`` of the products of queries and keys; ``sliding_window``, the number of tokens that a token
                attends to, itself included; ``softcap``, the bound of the products. The rest must say nothing.

        Returns:
            ``(1, tokens, heads, value size)``, and no weights.

        Raises:
            ValueError: If something is asked for that is not known here.
        """
        scaling, window, softcap = (said.pop(name, None) for name in ("scaling", "sliding_window", "softcap"))
        if unknown := [name for name, given in said.items() if name not in _SILENT and given is not None]:
            raise ValueError(f"attention with {', '.join(sorted(unknown))}")
        self.windows[module.layer_idx] = window
        self._capped = self._capped or softcap is not None
        keys, values = self._extended(module.layer_idx, key, value)
        if window not in self._masks:
            self._masks[window] = [group.mask(window, query.dtype) for group in self._groups]
        if self._lent is not None:
            return in_two(query[0], (keys, values), self._groups, self._masks[window], self._lent, scaling)[None], None
        made = query.new_empty(query.shape[2], query.shape[1], value.shape[3])
        for group, mask in zip(self._groups, self._masks[window], strict=True):
            given = group.queries(query[0]), group.cached(keys, window), group.cached(values, window)
            if softcap is None and not self._eager and group.causal(window):  # half of the products
                shared = given[0].shape[1] != given[1].shape[1]
                result = F.scaled_dot_product_attention(*given, is_causal=True, scale=scaling, enable_gqa=shared)
            else:
                queries, mask = folded(given[0], given[1].shape[1], mask)
                result = self._weighed(queries, *given[1:], mask, scaling, softcap).reshape(*given[0].shape[:3], -1)
            group.put(made, result)
        return made[None], None

    def _weighed(
        self,
        query: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        mask: torch.Tensor | None,
        scaling: float | None,
        softcap: float | None,
    ) -> torch.Tensor:
        """Values weighed by how queries go with keys, each ``(1, heads, tokens, size)``, rounded as the model would."""
        if softcap is None and not self._eager:
            return F.scaled_dot_product_attention(query, keys, values, attn_mask=mask, scale=scaling)
        products = query @ keys.transpose(2, 3) * (query.shape[3] ** -0.5 if scaling is None else scaling)
        if softcap is not None:
            products = softcap * torch.tanh(products / softcap)
        products = products if mask is None else products + mask
        return torch.softmax(products, dim=-1, dtype=torch.float32).to(query.dtype) @ values

    def _extended(self, layer: int, key: torch.Tensor, value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The caches of a layer, ``(slots, capacity, key heads, size)``, with this pass's keys and values."""
        if layer not in self._layers:
            shapes = [(self.slots, self.capacity, given.shape[1], given.shape[3]) for given in (key, value)]
            # Padding attends to what nobody wrote; it has to be numbers there.
            self._layers[layer] = key.new_zeros(shapes[0]), key.new_zeros(shapes[1])
        for cache, given in zip(self._layers[layer], (key, value), strict=True):
            cache[self._places] = given[0].transpose(0, 1)  # type: ignore[index]
        return self._layers[layer]
