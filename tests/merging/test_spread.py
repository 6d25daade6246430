"""Layers on several devices: how they are shared out, and that nothing else changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from evomerge.errors import InputError
from evomerge.merging import Blueprint, Checkpoints, LiveModel, Merger, Spread, shares
from evomerge.merging.spread import share_out
from evomerge.recipe import Recipe
from tests.merging.conftest import Family, make_recipe
from tests.merging.two_devices import FAR, TwoDevices

FOUR = {f"layers.{layer}": 10 for layer in range(4)}


def test_layers_are_shared_out_in_their_order_so_that_the_fullest_device_has_least() -> None:
    """By hand: 20 bytes outside of four layers of 10 on two devices: 30 and 30."""
    assert list(share_out(FOUR, 60, Spread(("a", "b"))).values()) == ["a", "b", "b", "b"]
    assert list(share_out(FOUR, 40, Spread(("a", "b"))).values()) == ["a", "a", "b", "b"]
    assert list(share_out(FOUR, 60, Spread(("a", "b", "c"))).values()) == ["b", "b", "c", "c"]


def test_limits_are_kept_and_fill_alike() -> None:
    """By hand, of limits 60 and 20: two layers elsewhere fill 40/60 and 20/20, one 50/60 and 10/20."""
    assert list(share_out(FOUR, 60, Spread(("a", "b"), (60, 20))).values()) == ["a", "a", "a", "b"]
    assert list(share_out(FOUR, 60, Spread(("a", "b"), (20, 40))).values()) == ["b"] * 4
    for limits in ((20, 39), (19, 100), (59, 5)):
        with pytest.raises(InputError, match="60 bytes, 20 of them outside of layers and so on a, do not fit"):
            share_out(FOUR, 60, Spread(("a", "b"), limits))


def test_the_plan_counts_every_weight_once(family: Callable[..., Family]) -> None:
    folders = family("llama", torch.float32)
    checkpoint = Checkpoints.open(recipe(folders)).reference
    model = Blueprint.of(checkpoint).model
    found = shares(model, Spread(("cuda:0", "cuda:1")), 2)
    layer = sum(weight.numel() for weight in model.model.layers[0].parameters())
    whole = sum(weight.numel() for weight in model.parameters())
    assert sum(found.values()) == 2 * whole
    assert found["cuda:1"] % (2 * layer) == 0
    assert found["cuda:1"] > 0


def recipe(folders: Family) -> Recipe:
    base, *experts = folders
    return make_recipe("task_arithmetic", experts, base)


def test_candidates_are_merged_where_their_layers_lie_and_answer_alike(family: Callable[..., Family]) -> None:
    folders = family("llama", torch.float32)
    wanted = [recipe(folders), make_recipe("ties", folders[1:], folders[0])]
    checkpoints = Checkpoints.open(wanted[0])
    tokens = torch.arange(24).reshape(2, 12) % 16
    one = LiveModel.load(checkpoints.reference.path, attention="eager")
    merger, expected = Merger(checkpoints), []
    for candidate in wanted:
        one.install(merger, candidate)
        expected.append((one.checksum(), logits(one, tokens)))
    with TwoDevices():
        spread = Spread(("cpu", str(FAR)), one_layer_elsewhere(one))
        several = LiveModel.load(checkpoints.reference.path, attention="eager", device=spread)
        where = {name: weight.device for name, weight in several.model.named_parameters()}
        assert {name for name, device in where.items() if device == FAR} == {name for name in where if ".1." in name}
        merger = Merger(checkpoints)
        for candidate, (weights, answers) in zip(wanted, expected, strict=True):
            several.install(merger, candidate)
            assert several.checksum() == weights
            assert torch.equal(logits(several, tokens), answers)
            assert several.install(merger, candidate) == (), "what is there stays"


def one_layer_elsewhere(live: LiveModel) -> tuple[int, int]:
    """Limits that let the second of two layers lie on the second device alone."""
    whole, layer = (
        sum(weight.nbytes for weight in part.parameters()) for part in (live.model, live.model.model.layers[1])
    )
    return whole - 1, layer


@torch.inference_mode()
def logits(live: LiveModel, tokens: torch.Tensor) -> torch.Tensor:
    """Logits of a pass that continues kept keys and values."""
    first = live.model(input_ids=tokens[:, :5], use_cache=True)
    name = "cache" if "cache" in first else "past_key_values"
    return live.model(input_ids=tokens[:, 5:], **{name: first[name]}).logits


def test_a_model_whose_layers_nobody_tells_is_refused(family: Callable[..., Family]) -> None:
    checkpoint = Checkpoints.open(recipe(family("llama", torch.float32))).reference
    model = Blueprint.of(checkpoint).model
    model._no_split_modules = None
    with pytest.raises(InputError, match="transformers does not say which layers of LlamaForCausalLM"):
        shares(model, Spread(("cuda:0", "cuda:1")), 2)


def test_a_limit_too_small_is_an_input_error(family: Callable[..., Family], tmp_path: Path) -> None:
    folders = family("llama", torch.float32)
    with pytest.raises(InputError, match="allow more, or give each worker more devices"):
        LiveModel.load(folders[0], device=Spread(("cpu", "cpu:1"), (1000, 1000)))
