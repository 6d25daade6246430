"""The tensors of a live model as statistics see them: what each is used for, and which of them share an input."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from transformers.pytorch_utils import Conv1D

from evomerge.merging import LiveModel, Piece
from evomerge.statistics._shared.observing.layers import layers_of, routers_of, watching
from evomerge.statistics._shared.observing.observation import Use, observing, plain_experts
from evomerge.statistics._shared.observing.regions import Match, Part, Product, Shape, match, parts_of, storage_of
from evomerge.statistics._shared.statistic import LAYERS, Site

_PROBED = 8  # tokens of the pass that shows what shares an input


@dataclass(frozen=True)
class Tap:
    """A tensor on disk with its uses.

    Attributes:
        site: What statistics see of it.
        uses: The products or the norm whose inputs are its own; several where a model keeps it in several parameters.
        channels: Output channels of the product that belong to it; None where it has several products, or none.
        group: Of the tensors that get the same input; None where that is unknown, or it has none.
        pieces: Where it lies.
    """

    site: Site
    uses: tuple[Use, ...] = ()
    channels: np.ndarray | None = None
    group: int | None = None
    pieces: tuple[Piece, ...] = ()


@dataclass(frozen=True)
class Taps:
    """All tensors of a live model.

    Attributes:
        of: By name on disk.
        aliases: Tensors that are another one under a second name: name to name.
        groups: The group of each use.
        norms: Modules that scale channels, by name.
        head: The product that makes logits, where it is known.
        layers: The layers, in order; none where they cannot be told apart, or more than states goes from one to the
            next.
        stack: All of them together, as a site.
    """

    of: Mapping[str, Tap]
    aliases: Mapping[str, str]
    groups: Mapping[Use, int]
    norms: Mapping[str, torch.nn.Module] = field(repr=False, default_factory=dict)
    head: Product | None = None
    layers: tuple[torch.nn.Module, ...] = field(repr=False, default=())
    stack: Tap | None = None

    @property
    def storages(self) -> frozenset[int]:
        """Memory of all weights of products."""
        return frozenset(use.storage for use in self.groups if isinstance(use, Product))


def find_taps(live: LiveModel, ids: Sequence[int]) -> Taps:
    """Finds what the tensors of a live model are used for, by one short forward pass.

    Args:
        live: The model.
        ids: Tokens that it has embeddings of; the first few are read.
    """
    model: Any = live.model
    state = model.state_dict(keep_vars=True)
    norms = _norms(model)
    uses, stack = _probed(live, norms, ids)
    products: dict[int, list[Product]] = defaultdict(list)
    groups, fresh = dict(uses), itertools.count(len(uses) * 2)
    for product in dict.fromkeys([*(use for use in uses if isinstance(use, Product)), *_structural(model, uses)]):
        products[product.storage].append(product)
        groups.setdefault(product, next(fresh))
    logits = getattr(model.get_output_embeddings(), "weight", None)
    scaled = {id(module.weight): name for name, module in norms.items() if name in uses}
    routers = {id(module.weight) for module in routers_of(model)}
    looked_up = {id(module.weight) for module in model.modules() if isinstance(module, torch.nn.Embedding)}
    found: dict[str, Tap] = {}
    for name, pieces in live.places.items():
        shape, targets = pieces[0].shape, {id(state[piece.target]) for piece in pieces}
        bound = _bound(shape, parts_of(shape, pieces, state), products)
        norm = scaled.get(next(iter(targets))) if len(targets) == 1 else None
        if bound:
            tap = _linear(name, pieces, bound, groups)
            head = logits is not None and id(logits) in targets
            found[name] = replace(tap, site=replace(tap.site, head=head, router=targets <= routers))
        elif norm is not None:
            found[name] = Tap(Site(name, shape, "norm", shape[0], shape[0]), (norm,), None, groups[norm], pieces)
        else:
            found[name] = Tap(Site(name, shape, "embedding" if targets <= looked_up else "other"), pieces=pieces)
    seen = None if logits is None or logits.ndim != 2 else Product.of(logits)
    used = {name: norms[name] for name in norms if name in uses}
    layers = layers_of(model) if stack is not None else ()
    return Taps(found, _aliases(live), groups, used, seen, layers, stack)


def entrance(live: LiveModel) -> torch.device:
    """The device that token ids go to."""
    embeddings: Any = live.model.get_input_embeddings()
    device: torch.device = embeddings.weight.device
    return device


def _aliases(live: LiveModel) -> dict[str, str]:
    """Tensors that lie where another one does: tied ones."""
    first: dict[Any, str] = {}
    state = live.model.state_dict()
    found = {}
    for name, pieces in live.places.items():
        where = tuple(
            (storage_of(state[piece.target]), piece.sizes, piece.source, piece.destination) for piece in pieces
        )
        if first.setdefault(where, name) != name:
            found[name] = first[where]
    return found


def _probed(
    live: LiveModel, norms: Mapping[str, torch.nn.Module], ids: Sequence[int]
) -> tuple[dict[Use, int], Tap | None]:
    """The group of each use in a short forward pass, in the order of the pass; and the stack of layers."""
    groups: dict[Use, int] = {}
    inputs: dict[Any, int] = {}
    last: dict[Use, Any] = {}
    kept: list[torch.Tensor] = []  # memory that was given up might be taken for the same input

    def seen(use: Use, given: torch.Tensor, _made: torch.Tensor | None) -> None:
        kept.append(given)
        # Views of one tensor are the same input, unless it has been written to in between.
        entry = (storage_of(given), given.storage_offset(), given.numel(), given.shape[-1], given._version)
        if use in groups:
            if last[use] != entry:  # a module that runs more than once has an input of its own
                groups[use] = inputs.setdefault(use, len(inputs))
            return
        last[use] = entry
        groups[use] = inputs.setdefault(entry, len(inputs))

    storages = frozenset(storage_of(parameter) for parameter in live.model.parameters())
    given = torch.tensor([list(ids[:_PROBED])], device=entrance(live))
    shapes: list[Shape] = []
    layers = watching(layers_of(live.model), lambda states: shapes.append((len(states) - 1, states.shape[-1])))
    with torch.no_grad(), plain_experts(live.model), observing(norms, storages, seen), layers:
        live.model(input_ids=given, use_cache=False)
    one = len(shapes) == 1
    return groups, Tap(Site(LAYERS, shapes[0], "layers", shapes[0][1])) if one else None


def _structural(model: Any, uses: Mapping[Use, int]) -> Iterator[Product]:
    """Products that a short pass need not have: of linear modules, and of each matrix of a stack."""
    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            yield Product.of(module.weight)
        elif isinstance(module, Conv1D):
            yield Product.of(module.weight, transposed=True)
    for parameter in model.parameters():
        if parameter.ndim == 3:
            own, size = storage_of(parameter), parameter[0].numel()
            seen = [use for use in uses if isinstance(use, Product) and use.storage == own] or [
                Product.of(parameter[0])
            ]
            for one in seen:
                first = one.offset % max(size, 1)
                yield from (replace(one, offset=first + index * size) for index in range(parameter.shape[0]))


def _norms(model: Any) -> dict[str, torch.nn.Module]:
    """Modules with one weight per channel."""
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(getattr(module, "weight", None), torch.nn.Parameter) and module.weight.ndim == 1
    }


def _bound(
    shape: tuple[int, ...],
    parts: Sequence[Part],
    products: Mapping[int, Sequence[Product]],
) -> list[tuple[Product, Match]]:
    """The products of which a matrix on disk is the weight; none unless all of it is."""
    found = []
    for part in parts:
        near = (one for one in products.get(part.storage, ()) if _near(one, int(part.starts[0])))
        fitting = ((one, match(one, part, shape)) for one in near)
        bound = next(((one, fit) for one, fit in fitting if fit is not None), None)
        if bound is None:
            return []
        found.append((bound[0], bound[1]))
    return found if len({fit.axis for _, fit in found}) == 1 else []


def _near(product: Product, start: int) -> bool:
    return product.offset <= start < product.offset + max(1, product.outputs * product.inputs)


def _linear(
    name: str, pieces: Sequence[Piece], bound: Sequence[tuple[Product, Match]], groups: Mapping[Use, int]
) -> Tap:
    uses = tuple(dict.fromkeys(product for product, _ in bound))
    channels = bound[0][1].channels if len(bound) == 1 else None
    shape, axis = pieces[0].shape, bound[0][1].axis
    of_inputs = {groups[use] for use in uses}
    outputs = None if channels is None else len(channels)
    site = Site(name, shape, "linear", shape[axis], outputs, axis)
    return Tap(site, uses, channels, of_inputs.pop() if len(of_inputs) == 1 else None, tuple(pieces))
