"""Packed passes: logits of rows that lie one after the other, with forks and windows, padded and not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from evomerge.fitness.inference.generation.draft_tree import DraftTree
from evomerge.fitness.inference.generation.packed import PackedAttention
from evomerge.fitness.inference.generation.segments import Segment
from tests.fitness.inference.building import NARROW, VOCABULARY, loud

DRAW = np.random.default_rng(0)
ROWS = [DRAW.integers(3, VOCABULARY, length) for length in (17, 12, 20)]
FORK = [DRAW.integers(3, VOCABULARY, 4) for _ in range(2)]


@torch.inference_mode()
def alone(model: Any, tokens: np.ndarray, last: int) -> torch.Tensor:
    logits: torch.Tensor = model(input_ids=torch.from_numpy(tokens)[None]).logits[0, -last:]
    return logits


@torch.inference_mode()
def read(model: Any, packed: PackedAttention, segments: list[Segment]) -> torch.Tensor:
    with packed.reading(model, segments) as arguments:
        logits: torch.Tensor = model(**arguments).logits[0]
    return logits


@torch.inference_mode()
@pytest.mark.parametrize("pad", [False, True])
@pytest.mark.parametrize("kind", ["llama", "gemma2", "gemma3", "mistral", "gpt2"])
def test_rows_are_read_in_parts_and_forks(kind: str, pad: bool) -> None:
    model = loud(kind, **NARROW.get(kind, {}))
    packed = PackedAttention(4, 40, pad=pad)
    read(model, packed, [Segment.chain(slot, 0, row[:9]) for slot, row in enumerate(ROWS)])
    tree = DraftTree()
    for branch in FORK:
        parent = -1
        for token in branch:
            parent = tree.add(int(token), parent)
    forked = Segment(0, 9, np.asarray(tree.tokens), tree.depths(), tree.ends())
    found = read(model, packed, [forked, Segment.chain(2, 9, ROWS[2][9:]), Segment.chain(1, 9, ROWS[1][9:10])])
    whole = [np.concatenate([ROWS[0][:9], branch]) for branch in FORK]
    expected = [
        *(alone(model, tokens, 4) for tokens in whole),
        alone(model, ROWS[2], 11),
        alone(model, ROWS[1][:10], 1),
    ]
    torch.testing.assert_close(found, torch.cat(expected), rtol=1e-4, atol=1e-4)
    packed.keep(0, 9, [4, 5, 6, 7])  # the second branch was taken
    packed.copy(0, 3, 13)
    further = read(model, packed, [Segment.chain(3, 13, ROWS[1][:2]), Segment.chain(1, 10, ROWS[1][10:])])
    expected = [alone(model, np.concatenate([whole[1], ROWS[1][:2]]), 2), alone(model, ROWS[1], 2)]
    torch.testing.assert_close(further, torch.cat(expected), rtol=1e-4, atol=1e-4)


def test_a_model_whose_layers_do_not_come_to_it_is_refused_and_left_as_it_was() -> None:
    model = loud("bloom")
    with pytest.raises(ValueError, match="0 of 2 layers"):
        read(model, PackedAttention(1, 40), [Segment.chain(0, 0, ROWS[0])])
    assert model.config._attn_implementation == "eager"


@torch.inference_mode()
@pytest.mark.parametrize("kind", ["llama", "gpt2", "qwen2"])
def test_a_beginning_that_all_rows_share_is_attended_to_where_it_lies(kind: str) -> None:
    model = loud(kind)
    model.set_attn_implementation("sdpa")
    packed, rows = PackedAttention(3, 40), [np.concatenate([ROWS[0][:9], row]) for row in ROWS[1:]]
    read(model, packed, [Segment.chain(2, 0, ROWS[0][:9])])
    assert packed.lend(2, 9)
    read_upto = [9, 9]
    for upto in ([15, 13], [17, 15], [18, len(rows[1])]):  # the second time as many tokens behind others
        parts = list(zip(rows, read_upto, upto, strict=True))
        found = read(model, packed, [Segment.chain(slot, *_part(*part)) for slot, part in enumerate(parts)])
        expected = [alone(model, row[:stop], stop - start) for row, start, stop in parts]
        torch.testing.assert_close(found, torch.cat(expected), rtol=1e-4, atol=1e-4)
        read_upto = upto


def _part(row: np.ndarray, start: int, stop: int) -> tuple[int, np.ndarray]:
    return start, row[start:stop]


@torch.inference_mode()
@pytest.mark.parametrize("kind", ["llama", "gemma2", "mistral"])
def test_attention_that_is_more_than_that_needs_copies(kind: str) -> None:
    model = loud(kind, **NARROW.get(kind, {}))  # eager attention, and a cap, or windows
    packed = PackedAttention(2, 40)
    read(model, packed, [Segment.chain(1, 0, ROWS[0])])
    assert not packed.lend(1, 9)
