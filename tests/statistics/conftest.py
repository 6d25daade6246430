"""Tiny models of several architectures, and short texts for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from evomerge.merging import LiveModel
from evomerge.statistics import Calibration, Collection, Limits, Passage, Wanted, names
from tests.building import VOCABULARY, tiny

Arrays = dict[str, torch.Tensor]
ROUTERS = {"router_logits", "router_usage"}  # statistics of these alone: a dense model is refused
DENSE = [name for name in names() if name not in ROUTERS]


def calibration(*lengths: int, seed: int = 0, answer: int | None = None) -> Calibration:
    """Random sequences; the loss is on all tokens, or on the last few."""
    draw = np.random.default_rng(seed)
    passages = []
    for length in lengths:
        scored = np.arange(length) >= (1 if answer is None else length - answer)
        passages.append(Passage(draw.integers(3, VOCABULARY, length).astype(np.int32), scored))
    return Calibration(tuple(passages), max(lengths))


def collected(live: LiveModel, texts: Calibration, wanted: Wanted, memory: int = 1 << 30) -> Arrays:
    """All arrays of one statistic, under every name."""
    collection = Collection.of(live, texts, {"": wanted}, Limits(memory))
    arrays: Arrays = {}
    for window in collection.windows():
        arrays |= window.arrays.get("", {})
    return arrays | {name: arrays[other] for name, other in collection.plan.aliases[""].items() if other in arrays}


@pytest.fixture(scope="session")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    made: dict[str, Path] = {}

    def build(model_type: str) -> Path:
        if model_type not in made:
            made[model_type] = tiny(model_type, tmp_path_factory.mktemp(model_type), 0)
        return made[model_type]

    return build


@pytest.fixture(scope="session")
def live_of(folder_of: Callable[[str], Path]) -> Callable[[str], LiveModel]:
    made: dict[str, LiveModel] = {}

    def load(model_type: str) -> LiveModel:
        if model_type not in made:
            made[model_type] = LiveModel.load(folder_of(model_type))
        return made[model_type]

    return load


@pytest.fixture
def llama(live_of: Callable[[str], LiveModel]) -> LiveModel:
    return live_of("llama")
