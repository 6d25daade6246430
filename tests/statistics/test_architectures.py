"""Tensors on disk find their inputs in fused, stacked, transposed, tied and uncalled parts of a model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from evomerge.merging import LiveModel
from evomerge.statistics import Collection, Limits, Wanted
from tests.building import MODEL_TYPES, tiny
from tests.statistics.conftest import DENSE, calibration, collected

LiveOf = Callable[[str], LiveModel]
TEXTS = calibration(24, 17)
# Matrices that get no Gram matrix, beside embeddings: convolutions, and products that are computed in another way.
WITHOUT = {"mamba": {"A_log", "conv1d", "dt_proj"}, "llava": {"patch_embedding", "vision_tower", "multi_modal"}}
# The name of the block with experts, those of an expert's matrices (gate, down, up), and its width.
QWEN = ("mlp", ("gate_proj", "down_proj", "up_proj"), 8)
EXPERTS = {"mixtral": ("block_sparse_moe", ("w1", "w2", "w3"), 32), "qwen2_moe": QWEN, "qwen3_moe": QWEN}


@pytest.mark.parametrize("model_type", sorted(MODEL_TYPES))
def test_every_matrix_of_an_architecture(live_of: LiveOf, model_type: str) -> None:
    live = live_of(model_type)
    gram = collected(live, TEXTS, Wanted("gram"))
    matrices = {name for name, pieces in live.places.items() if len(pieces[0].shape) > 1}
    lacking = {name for name in matrices - gram.keys() if "embed" not in name and "wpe" not in name}
    assert not [name for name in lacking if not any(part in name for part in WITHOUT.get(model_type, ()))]
    for name, array in gram.items():
        assert array.shape[0] in live.places[name][0].shape
        assert (array.diagonal() >= 0).all()
        assert array.any()


@pytest.mark.parametrize("model_type", EXPERTS)
def test_experts_in_one_parameter(live_of: LiveOf, model_type: str) -> None:
    """Each expert's inputs are those of the tokens that the router sends to it."""
    live = live_of(model_type)
    block, ends, width = EXPERTS[model_type]
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    experts = live.model.get_submodule("model.layers.1.mlp.experts")
    handle = experts.register_forward_pre_hook(lambda _, args: seen.append((args[0].double(), args[1])))
    for passage in TEXTS.passages:
        live.model(torch.from_numpy(passage.ids).long()[None])
    handle.remove()
    gram = collected(live, TEXTS, Wanted("gram"))
    output = collected(live, TEXTS, Wanted("output_gram"))
    for index in range(3):
        own = torch.cat([hidden.flatten(0, -2)[(chosen == index).any(-1)] for hidden, chosen in seen])
        assert len(own)
        first, second, third = (f"model.layers.1.{block}.experts.{index}.{end}.weight" for end in ends)
        torch.testing.assert_close(gram[first].double(), own.T @ own / len(own), rtol=1e-4, atol=1e-6)
        assert gram[third] is gram[first]
        state = live.model.state_dict()
        gate, up = (state["model.layers.1.mlp.experts.gate_up_proj"][index].double() @ own.T).chunk(2)
        inner = (torch.nn.functional.silu(gate) * up).T
        torch.testing.assert_close(gram[second].double(), inner.T @ inner / len(own), rtol=1e-4, atol=1e-6)
        assert output[first].shape == output[third].shape == (width, width)
        assert not torch.equal(output[first], output[third])
    assert f"model.layers.1.{block}.gate.weight" in gram
    assert live.model.get_experts_implementation()[""] != "eager"


def test_gradients_of_experts_have_the_form_on_disk(live_of: LiveOf) -> None:
    live = live_of("mixtral")
    snip = collected(live, TEXTS, Wanted("snip"))
    assert snip.keys() == live.places.keys()
    assert all(array.shape == live.places[name][0].shape for name, array in snip.items())
    gate = torch.stack([snip[f"model.layers.0.block_sparse_moe.experts.{n}.w1.weight"] for n in range(3)])
    live.model.requires_grad_(True)
    total = 0.0
    parameter = live.model.get_parameter("model.layers.0.mlp.experts.gate_up_proj")
    for passage in TEXTS.passages:
        ids = torch.from_numpy(passage.ids).long()[None]
        live.model(ids, labels=ids).loss.backward()
        total = total + parameter.grad.abs()
        live.model.zero_grad()
    live.model.requires_grad_(False)
    torch.testing.assert_close(gate, (total * parameter.abs()).detach()[:, :32], rtol=1e-3, atol=1e-7)


def test_matrices_stored_as_inputs_by_outputs(live_of: LiveOf) -> None:
    live = live_of("gpt2")
    collection = Collection.of(live, TEXTS, {"": Wanted("gram")}, Limits())
    sites = {name: tap.site for name, tap in collection.taps.of.items()}
    square, wide = "transformer.h.0.attn.c_proj.weight", "transformer.h.0.mlp.c_fc.weight"
    assert sites[square].transposed
    assert (sites[wide].inputs, sites[wide].outputs) == (16, 64)
    assert not sites["transformer.wte.weight"].transposed
    assert sites["transformer.wte.weight"].head
    magnitude = collected(live, TEXTS, Wanted("channel_abs"))
    assert magnitude[wide].shape == (16, 1)  # spreads over (inputs, outputs)
    seen: list[torch.Tensor] = []
    handle = live.model.get_submodule("transformer.h.0.attn.c_proj").register_forward_pre_hook(
        lambda _, args: seen.append(args[0].double().flatten(0, -2))
    )
    for passage in TEXTS.passages:
        live.model(torch.from_numpy(passage.ids).long()[None])
    handle.remove()
    own = torch.cat(seen)
    found = collected(live, TEXTS, Wanted("gram"))[square].double()
    torch.testing.assert_close(found, own.T @ own / len(own), rtol=1e-4, atol=1e-6)


def test_tied_embeddings_have_one_array_under_two_names(tmp_path: Path) -> None:
    folder = tiny("qwen2", tmp_path, 0)
    weights = load_file(folder / "model.safetensors")
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"].clone()
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    assert json.loads((folder / "config.json").read_text())["tie_word_embeddings"]
    live = LiveModel.load(folder)
    for name in DENSE:
        found = collected(live, TEXTS, Wanted(name))
        both = [found.get(one) for one in ("model.embed_tokens.weight", "lm_head.weight")]
        assert both[0] is both[1]
        # Others are of a layer's states, or of the gradients of what a linear layer gives.
        assert (both[0] is not None) == (name in ("channel_abs", "fisher", "gram", "snip")), name


def test_parts_that_no_text_reaches_have_none(live_of: LiveOf) -> None:
    live = live_of("llava")
    for name in ("gram", "fisher"):
        collection = Collection.of(live, TEXTS, {"": Wanted(name)}, Limits())
        windows = list(collection.windows())
        unseen = {one for window in windows for one in window.unseen[""]}
        assert unseen
        assert all(one.startswith(("vision_tower", "multi_modal_projector")) for one in unseen)
        assert "language_model.model.layers.1.mlp.down_proj.weight" in windows[-1].arrays[""]
