"""The same three merges as one loop over blocks, compiled by numba."""

from __future__ import annotations

import numba
import numpy as np
import torch

from evomerge.kernels.keys import key_words
from experiments.merge_kernels.candidates import DENSITY, METHODS, SCALE, WEIGHTS, Work

_BLOCK = 4096


@numba.njit(error_model="numpy")
def _widened(words, start, stop, bits):  # noqa: ANN001, ANN202
    """bfloat16 words as float32, by way of their bits."""
    for i in range(stop - start):
        bits[i] = np.uint32(words[start + i]) << np.uint32(16)
    return bits.view(np.float32)


@numba.njit(error_model="numpy")
def _sparsify(method, delta, start, bits, end, words, density):  # noqa: ANN001, ANN202
    if method == 1:
        sizes = delta.view(np.uint32)
        for i in range(delta.size):
            size = sizes[i] & np.uint32(0x7FFFFFFF)
            delta[i] *= np.float32((size > bits) | ((size == bits) & (start + i < end)))
    elif method == 2:
        for i in range(delta.size):
            state = np.uint32(start + i)
            for w in range(2):
                state ^= words[w]
                state = np.uint32((state ^ (state >> np.uint32(16))) * np.uint32(0x85EBCA6B))
                state = np.uint32((state ^ (state >> np.uint32(13))) * np.uint32(0xC2B2AE35))
                state ^= state >> np.uint32(16)
            noise = np.float32(state >> np.uint32(8)) * np.float32(2.0**-24)
            delta[i] *= np.float32(noise < density) / density


@numba.njit(parallel=True, error_model="numpy")
def _loop(method, base, models, bits, ends, words, weights, scale, density, out):  # noqa: ANN001, ANN202
    for block in numba.prange((base.size + _BLOCK - 1) // _BLOCK):
        start = block * _BLOCK
        stop = min(start + _BLOCK, base.size)
        b = _widened(base, start, stop, np.zeros(_BLOCK, np.uint32))
        kept = np.zeros((3, _BLOCK), np.float32)
        for m in range(3):
            model = _widened(models[m], start, stop, np.zeros(_BLOCK, np.uint32))
            kept[m] = model - b
            _sparsify(method, kept[m], start, bits[m], ends[m], words[m], density)
            kept[m] *= weights[m]
        votes = kept[0] + kept[1] + kept[2]
        total, divisor = np.zeros(_BLOCK, np.float32), np.zeros(_BLOCK, np.float32)
        for m in range(3):
            for i in range(_BLOCK):
                sign = np.float32(1) if votes[i] >= np.float32(0) else np.float32(-1)
                agrees = np.float32(method == 0 or kept[m, i] * sign > np.float32(0))
                total[i] += kept[m, i] * agrees
                divisor[i] += weights[m] * agrees
        for i in range(_BLOCK):
            if method == 1:
                total[i] /= divisor[i] + np.float32(divisor[i] == np.float32(0))
            total[i] = b[i] + scale * total[i]
        sizes = total.view(np.uint32)
        for i in range(stop - start):
            size = sizes[i]
            out[start + i] = (size + np.uint32(0x7FFF) + ((size >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)


def run(method: str, work: Work) -> None:
    """Merges one tensor on ``torch.get_num_threads()`` threads."""
    numba.set_num_threads(min(torch.get_num_threads(), numba.config.NUMBA_NUM_THREADS))
    base, *models, out = (t.view(torch.int16).numpy().view(np.uint16) for t in (work.base, *work.models, work.out))
    _loop(
        METHODS.index(method),
        base,
        tuple(models),
        np.array([threshold.bits for threshold in work.thresholds], np.uint32),
        np.array([threshold.end for threshold in work.thresholds], np.int64),
        np.array([key_words(key, 0) for key in work.keys], np.uint32),
        np.array(WEIGHTS, np.float32),
        np.float32(SCALE),
        np.float32(DENSITY),
        out,
    )
