"""How alike the layers of a model are on texts: which could go.

Block influence is one minus the mean cosine of what enters a layer and what leaves it (Men et al. 2024, ShortGPT,
https://arxiv.org/abs/2403.03853): a layer of little influence hardly turns the hidden states. Linear CKA compares what
leaves two layers, whatever their rotation and scale (Kornblith et al. 2019, https://arxiv.org/abs/1905.00414).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from evomerge.errors import InputError
from evomerge.merging import LiveModel
from evomerge.statistics._layers.observed import layer_states

# Tokens that layers are compared on by CKA: their square is held for every layer.
COMPARED = 1024


@dataclass(frozen=True)
class LayerSimilarity:
    """Facts about a model's layers.

    Attributes:
        influence: Block influence of each layer, ``(layers,)``: 0 where it only scales what it gets, at most 2.
        cka: Linear CKA of what leaves two layers, ``(layers, layers)``, from 0 to 1.
        tokens: Number of tokens that influence is the mean over.
    """

    influence: NDArray[np.float64]
    cka: NDArray[np.float64]
    tokens: int


def layer_similarity(folder: Path, texts: Sequence[Sequence[int]], device: Any = "cpu") -> LayerSimilarity:
    """Compares the layers of a checkpoint.

    Args:
        folder: The checkpoint.
        texts: Token ids; at least two tokens in all.
        device: Where it computes.

    Raises:
        InputError: If the model cannot be loaded, or there are too few tokens.
    """
    model = LiveModel.load(folder, device=device).model
    turned: torch.Tensor | None = None
    first: list[torch.Tensor] = []
    tokens = 0
    for ids in texts:
        states = layer_states(model, ids)
        cosines = block_cosines(states)
        turned = cosines if turned is None else turned + cosines
        if sum(one.shape[1] for one in first) < COMPARED:
            first.append(states[1:])
        tokens += len(ids)
    if turned is None or tokens < 2:
        raise InputError("calibration: the texts have fewer than two tokens")
    return LayerSimilarity((1.0 - turned / tokens).numpy(), linear_cka(torch.cat(first, 1)[:, :COMPARED]), tokens)


def block_cosines(states: torch.Tensor) -> torch.Tensor:
    """Cosines of what enters and what leaves each layer, added up over tokens, float64 ``(layers,)``.

    Args:
        states: As of :func:`~evomerge.statistics._layers.observed.layer_states`.
    """
    return torch.nn.functional.cosine_similarity(states[:-1].double(), states[1:].double(), dim=-1).sum(1)


def linear_cka(states: torch.Tensor) -> NDArray[np.float64]:
    """Linear CKA of all pairs, ``(layers, layers)``.

    Args:
        states: ``(layers, tokens, hidden)``.
    """
    centred = states.double() - states.double().mean(1, keepdim=True)
    grams = torch.stack([one @ one.T for one in centred]).flatten(1)
    inner = grams @ grams.T
    lengths = inner.diagonal().clamp(min=torch.finfo(torch.float64).tiny).sqrt()
    found: NDArray[np.float64] = (inner / (lengths[:, None] * lengths[None, :])).numpy()
    return found
