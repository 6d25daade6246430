"""Statistics: what the authors' own hooks and gradients collect of a family on its tokens."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch

from evomerge.merging import LiveModel
from evomerge.statistics import Calibration, Collection, Limits, Passage, Wanted
from tests.golden.data_table.case import Compute, DataFamily
from tests.golden.table.case import Tensors

Settings = Mapping[str, Any]


def calibration(rows: torch.Tensor) -> Calibration:
    """Sequences of equal length; the loss is on every token that another one predicts."""
    scored = np.arange(rows.shape[1]) > 0
    passages = tuple(Passage(row.numpy().astype(np.int32), scored) for row in rows)
    return Calibration(passages, rows.shape[1])


def arrays(family: DataFamily, model: str, texts: Calibration, wanted: Wanted) -> Iterator[tuple[str, torch.Tensor]]:
    """A statistic of a model, by the tensor's name."""
    collection = Collection.of(LiveModel.load(family.folder / model), texts, {"": wanted}, Limits())
    found: dict[str, torch.Tensor] = {}
    for window in collection.windows():
        found |= window.arrays[""]
    yield from found.items()
    yield from ((name, found[other]) for name, other in collection.plan.aliases[""].items())


def _own(family: DataFamily, name: Callable[[str, str], str], wanted: Callable[[Settings], Wanted]) -> Tensors:
    """A statistic of each expert on its own tokens."""
    tokens, asked = family.inputs("tokens"), wanted(family.settings)
    return {
        name(expert, tensor): array
        for expert in family.experts
        for tensor, array in arrays(family, expert, calibration(tokens[f"task_{expert[7:]}"]), asked)
    }


def _batched(statistic: str) -> Callable[[Settings], Wanted]:
    return lambda settings: Wanted(statistic, {"batch": int(settings["batch_size"])})


def _plain(statistic: str) -> Callable[[Settings], Wanted]:
    return lambda settings: Wanted(statistic)


def _module(tensor: str) -> str:
    return tensor.removesuffix(".weight")


def _importance(family: DataFamily) -> Tensors:
    """The authors add up blocks' means and leave them undivided."""
    size = int(family.settings["block_size"])
    stream = family.inputs("tokens")["calib"].flatten()
    blocks = stream[: len(stream) // size * size].reshape(-1, size)
    found = arrays(family, "base", calibration(blocks), Wanted("channel_abs"))
    return {_module(name): array * len(blocks) for name, array in found}


def _scores(family: DataFamily) -> Tensors:
    """Scores of the experts, and of the base on each expert's tokens."""
    asked = _batched("snip")(family.settings)
    found = dict(_own(family, lambda expert, tensor: f"{expert}/{tensor}", _batched("snip")))
    for task, rows in family.inputs("tokens").items():
        if task.startswith("task_"):
            of_base = arrays(family, "base", calibration(rows), asked)
            found |= {f"base_on_{task}/{name}": array for name, array in of_base}
    return found


CASES: dict[str, Compute] = {
    "stats_aim_importance": _importance,
    "stats_fisher_empirical": functools.partial(
        _own, name=lambda expert, tensor: f"{expert}/{tensor}", wanted=_batched("fisher")
    ),
    "stats_gram": functools.partial(
        _own, name=lambda expert, tensor: f"{expert}/{_module(tensor)}", wanted=_plain("gram")
    ),
    "stats_kfac": functools.partial(
        _own, name=lambda expert, tensor: f"{expert}/out/{_module(tensor)}", wanted=_plain("output_gram")
    ),
    "stats_led_scores": _scores,
}
