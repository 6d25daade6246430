"""Noise from a key and an index."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from evomerge.kernels import BLOCK, random_key, uniform

KEY = random_key(0, "expert", "model.layers.0.mlp.up_proj.weight")


def by_numpy(key: int, indices: np.ndarray) -> np.ndarray:
    """The same hash in unsigned arithmetic, for indices below 2**32."""
    key = random_key(key, 0)
    state = indices.astype(np.uint32)
    for word in (key & 0xFFFFFFFF, key >> 32):
        state = state ^ np.uint32(word)
        state = (state ^ (state >> np.uint32(16))) * np.uint32(0x85EBCA6B)
        state = (state ^ (state >> np.uint32(13))) * np.uint32(0xC2B2AE35)
        state = state ^ (state >> np.uint32(16))
    return (state >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)


@pytest.mark.parametrize("key", [0, 1, KEY, 2**64 - 1])
@pytest.mark.parametrize("start", [0, 7, 2**31 - 500, 2**32 - 1000])
def test_equals_unsigned_arithmetic(key: int, start: int) -> None:
    got = uniform(key, slice(start, start + 1000))
    assert got.dtype == torch.float32
    np.testing.assert_array_equal(got.numpy(), by_numpy(key, np.arange(start, start + 1000, dtype=np.uint64)))


def test_is_part_of_the_recipe_format() -> None:
    # Other numbers here would make other models of stored recipes.
    assert random_key(0, "a", None) == 15027591322809536044
    assert (uniform(random_key(0, "a", None), slice(0, 4)) * 2**24).int().tolist() == [
        5999473,
        7928779,
        5972450,
        12072005,
    ]


def test_blocks_do_not_matter() -> None:
    whole = uniform(KEY, slice(0, 5000))
    pieces = [uniform(KEY, slice(start, min(start + 777, 5000))) for start in range(0, 5000, 777)]
    assert torch.equal(whole, torch.cat(pieces))


def test_indices_go_on_beyond_32_bits() -> None:
    low, high = uniform(KEY, slice(0, 1000)), uniform(KEY, slice(2**32, 2**32 + 1000))
    assert not torch.equal(low, high)
    with pytest.raises(ValueError, match="straddle"):
        uniform(KEY, slice(2**32 - 1, 2**32 + 1))
    assert 2**32 % BLOCK == 0


def test_is_uniform_and_independent() -> None:
    count = 1 << 20
    first, second = uniform(KEY, slice(0, count)), uniform(random_key(0, "other"), slice(0, count))
    cells = torch.histc(first, 256, 0, 1)
    expected = count / 256
    statistic = float(((cells - expected) ** 2 / expected).sum())
    assert abs(statistic - 255) < 5 * (2 * 255) ** 0.5
    assert float(first.min()) >= 0
    assert float(first.max()) < 1
    pairs = [(first, second), (first[1:], first[:-1]), (first[4096:], first[:-4096])]
    for left, right in pairs:
        assert abs(float(torch.corrcoef(torch.stack([left, right]))[0, 1])) < 5 / count**0.5


def test_keys_one_bit_apart_are_unrelated() -> None:
    count = 1 << 16
    streams = torch.stack([uniform(KEY ^ (1 << bit), slice(0, count)) for bit in range(64)])
    off_diagonal = torch.corrcoef(streams) - torch.eye(64)
    assert float(off_diagonal.abs().max()) < 6 / count**0.5


def test_global_generators_are_not_touched() -> None:
    before = torch.get_rng_state()
    uniform(KEY, slice(0, 100))
    assert torch.equal(torch.get_rng_state(), before)


def test_masks_are_nested_in_density() -> None:
    noise = uniform(KEY, slice(0, 10000))
    assert bool(((noise < 0.3) <= (noise < 0.4)).all())
