"""One pass over the texts: a forward pass, or a backward pass too, of each sequence, and the sums that come of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch

from evomerge.fitness.inference.kv_cache import takes
from evomerge.merging import LiveModel, Piece
from evomerge.statistics._shared.observing.layers import watching
from evomerge.statistics._shared.observing.observation import Use, observing
from evomerge.statistics._shared.observing.sites import Taps, entrance
from evomerge.statistics._shared.texts import Passage
from evomerge.statistics._shared.windows import Pass, Sum


def run(live: LiveModel, taps: Taps, one: Pass, passages: Sequence[Passage], after: Callable[[], None]) -> None:
    """Runs a pass: its sums are over all passages when this returns.

    Args:
        live: The model; its weights are not changed.
        taps: Its tensors.
        one: The pass.
        passages: The sequences, each of which goes through the model alone.
        after: Called after each sequence.
    """
    if one.batch:
        _backward(live, taps, one, passages, after)
        return
    told = _by_use([found for found in one.sums if found.statistic.at == "input"], taps)
    outputs = _by_product(one.sums, "output")
    between = [found for found in one.sums if found.statistic.at == "states"]

    def seen(use: Use, given: torch.Tensor, made: torch.Tensor | None) -> None:
        rows = given.reshape(-1, given.shape[-1])
        for found in told.get(use, ()):
            if rows.shape[-1] == found.taps[0].site.inputs and len(rows):
                found.add(rows, len(rows))
        if made is not None and use in outputs:
            _add_outputs(outputs[use], made)

    def passed(states: torch.Tensor) -> None:
        for found in between:
            found.add(states, states.shape[1])

    layers = watching(taps.layers if between else (), passed)
    with torch.no_grad(), observing(_norms(taps, told), taps.storages, seen, taps.head), layers:
        for passage in passages:
            live.model(input_ids=_ids(live, passage), use_cache=False)
            after()


def gathered(pieces: Sequence[Piece], parameters: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The elements of a tensor on disk, from parameters (or their gradients) by name: a view if it is one stretch."""
    first = parameters[pieces[0].target]
    shape = pieces[0].shape
    if len(pieces) == 1 and pieces[0].is_stretch:
        return pieces[0].of_target(first).view(shape)
    found = torch.empty(shape, dtype=first.dtype, device=first.device)
    for piece in pieces:
        piece.of_source(found).copy_(piece.of_target(parameters[piece.target]))
    return found


def _by_use(sums: Sequence[Sum], taps: Taps) -> dict[Use, list[Sum]]:
    """The sums that are added to when a use is seen: of uses with the same input the first alone."""
    first: dict[int, Use] = {}
    for use, number in taps.groups.items():
        first.setdefault(number, use)
    told: dict[Use, list[Sum]] = defaultdict(list)
    for one in sums:
        group = one.taps[0].group
        if group is not None:
            told[first[group]].append(one)
    return told


def _by_product(sums: Sequence[Sum], at: str) -> dict[Use, list[Sum]]:
    """The sums of outputs of products, or of gradients there, by the product."""
    found: dict[Use, list[Sum]] = defaultdict(list)
    for one in sums:
        if one.statistic.at == at:
            found[one.taps[0].uses[0]].append(one)
    return found


def _norms(taps: Taps, told: Mapping[Use, Any]) -> dict[str, torch.nn.Module]:
    return {name: module for name, module in taps.norms.items() if name in told}


def _ids(live: LiveModel, passage: Passage) -> torch.Tensor:
    return torch.from_numpy(passage.ids.astype(np.int64))[None].to(entrance(live))


def _backward(live: LiveModel, taps: Taps, one: Pass, passages: Sequence[Passage], after: Callable[[], None]) -> None:
    """The loss of a batch is the mean over its scored tokens, whatever sequences these are in."""
    weights = [found for found in one.sums if found.statistic.at == "weight_gradient"]
    outputs = _by_product(one.sums, "output_gradient")

    def seen(use: Use, _given: torch.Tensor, made: torch.Tensor | None) -> torch.Tensor | None:
        wanted = outputs.get(use)
        if not wanted or made is None:
            return None
        # Where nothing below takes a gradient, the graph begins here.
        made = made if made.requires_grad else made.detach().requires_grad_()
        made.register_hook(partial(_add_outputs, wanted))
        return made

    with torch.enable_grad(), _learning(live, weights, one.batch) as consume:
        for start in range(0, len(passages), one.batch):
            batch = passages[start : start + one.batch]
            scored = sum(int(passage.scored.sum()) for passage in batch)
            for passage in batch:
                with observing({}, taps.storages if outputs else frozenset(), seen):
                    loss = _loss(live.model, _ids(live, passage), passage.scored) / scored
                loss.backward()
                del loss
                after()
            consume()


def _add_outputs(wanted: Sequence[Sum], seen: torch.Tensor) -> None:
    """Adds the outputs of a product, or the gradient there: each sum the channels of its own tensor."""
    rows = seen.reshape(-1, seen.shape[-1])
    for found in wanted:
        channels = found.taps[0].channels
        own = channels is None or len(channels) == rows.shape[-1]
        found.add(rows if own else rows[:, torch.from_numpy(channels).to(rows.device)], len(rows))


def _loss(model: Any, ids: torch.Tensor, scored: np.ndarray) -> torch.Tensor:
    """The sum of the cross entropies of the scored tokens."""
    places = torch.from_numpy(np.flatnonzero(scored)).to(ids.device)
    if takes(model, "logits_to_keep"):
        logits = model(input_ids=ids, use_cache=False, logits_to_keep=places - 1).logits[0]
    else:
        logits = model(input_ids=ids, use_cache=False).logits[0, places - 1]
    return torch.nn.functional.cross_entropy(logits.float(), ids[0, places], reduction="sum")


@contextmanager
def _learning(live: LiveModel, sums: Sequence[Sum], batch: int) -> Iterator[Callable[[], None]]:
    """A context in which the parameters of sums take gradients; gives what uses up those of a batch that has ended.

    A batch of one sequence uses each gradient up as it comes, so that there is one at a time.
    """
    by_name: dict[str, list[Sum]] = defaultdict(list)
    state = live.model.state_dict(keep_vars=True)
    parameters: dict[str, torch.Tensor] = {}
    names: dict[int, str] = {}  # tied parameters are one, under several names
    for found in sums:
        for target in dict.fromkeys(piece.target for piece in found.taps[0].pieces):
            if isinstance(state[target], torch.nn.Parameter):
                parameters[target] = state[target]
                names.setdefault(id(state[target]), target)
                by_name[names[id(state[target])]].append(found)

    def use(name: str, parameter: torch.Tensor) -> None:
        if parameter.grad is not None:
            for found in by_name[name]:
                gradients = {piece.target: parameter.grad for piece in found.taps[0].pieces}
                found.add(gathered(found.taps[0].pieces, gradients), 0)
            parameter.grad = None

    def consume() -> None:
        for name in by_name:
            use(name, parameters[name])

    handles = []
    for name in by_name:
        parameters[name].requires_grad_(True)
        if batch == 1:
            handles.append(parameters[name].register_post_accumulate_grad_hook(partial(use, name)))
    try:
        yield consume
    finally:
        for handle in handles:
            handle.remove()
        for name in by_name:
            parameters[name].requires_grad_(False)
            parameters[name].grad = None
