"""Hidden states and what routers say are those of transformers; statistics of layers are worked by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from evomerge.errors import InputError
from evomerge.merging import LiveModel
from evomerge.statistics import LAYERS, Calibration, Collection, Limits, Wanted, load
from evomerge.statistics._shared.observing.layers import layers_of, watching
from evomerge.statistics.layer_cka import u_centred
from tests.statistics.conftest import ROUTERS, calibration, collected

LiveOf = Callable[[str], LiveModel]
FolderOf = Callable[[str], Path]
TEXTS = calibration(9, 5, 7)
LOGITS = torch.tensor([[3.0, 2.9, 0.0, -1.0], [2.0, 2.1, 0.5, -1.0], [3.0, 2.8, 2.9, 0.0], [-1.0, -1.0, 0.0, 4.0]])


def loaded(folder: Path) -> transformers.PreTrainedModel:
    """Another one than that which is looked at: telling of states leaves hooks in it."""
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def told(model: Any, texts: Calibration, what: str) -> list[list[torch.Tensor]]:
    """What transformers tells of each text: hidden states of each layer, or logits of each router."""
    with torch.no_grad():
        asked = [torch.from_numpy(one.ids).long()[None] for one in texts.passages]
        return [list(model(ids, **{f"output_{what}": True})[what]) for ids in asked]


def added(name: str, *seen: torch.Tensor, site: tuple[int, ...], **options: Any) -> torch.Tensor:
    statistic = load(name)
    resolved = statistic.resolve(options)
    total = torch.zeros(site, dtype=statistic.dtype)
    for one in seen:
        statistic.add(total, one, resolved)
    return total


@pytest.mark.parametrize("model_type", ["llama", "gpt2"])
def test_states_are_those_that_transformers_tells(folder_of: FolderOf, live_of: LiveOf, model_type: str) -> None:
    """But for the last, which transformers gives after the final norm."""
    live, model = live_of(model_type), loaded(folder_of(model_type))
    found: list[torch.Tensor] = []
    with torch.no_grad(), watching(layers_of(model), found.append):
        expected = told(model, TEXTS, "hidden_states")
    norm = live.model.get_submodule("model.norm" if model_type == "llama" else "transformer.ln_f")
    for own, theirs in zip(found, expected, strict=True):
        assert torch.equal(own[:-1], torch.cat(theirs[:-1]))
        torch.testing.assert_close(norm(own[-1]), theirs[-1][0])
    last, mean = (collected(live, TEXTS, Wanted(name))[LAYERS] for name in ("hidden_last", "hidden_mean"))
    torch.testing.assert_close(last, torch.stack([own[:-1, -1] for own in found]).mean(0))
    torch.testing.assert_close(mean, torch.stack([own[:-1].mean(1) for own in found]).mean(0))


@pytest.mark.parametrize("model_type", ["mixtral", "qwen2_moe", "qwen3_moe"])
def test_logits_are_those_that_transformers_tells(folder_of: FolderOf, live_of: LiveOf, model_type: str) -> None:
    live, model = live_of(model_type), loaded(folder_of(model_type))
    said = [torch.cat(one).double() for one in zip(*told(model, TEXTS, "router_logits"), strict=True)]
    products, usage = (collected(live, TEXTS, Wanted(name)) for name in ("router_logits", "router_usage"))
    assert list(products) == list(usage)
    assert [name.endswith(".gate.weight") for name in products] == [True, True]
    for own, found, used in zip(said, products.values(), usage.values(), strict=True):
        torch.testing.assert_close(found.double(), own.T @ own / len(own), rtol=1e-5, atol=1e-7)
        chosen = torch.zeros_like(own).scatter_(1, own.topk(2).indices, 1.0).sum(0)
        torch.testing.assert_close(used.double(), chosen / chosen.sum(), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", sorted(ROUTERS))
def test_a_model_without_routers_is_refused(llama: LiveModel, name: str) -> None:
    with pytest.raises(InputError, match=f"{name}: transformers computes nothing in this model"):
        collected(llama, TEXTS, Wanted(name))


def test_usage_counts_the_largest_and_of_equal_ones_the_first() -> None:
    assert added("router_usage", LOGITS, site=(4,), per_token=1).tolist() == [2, 1, 0, 1]
    assert added("router_usage", LOGITS, site=(4,)).tolist() == [3, 2, 2, 1]
    assert added("router_usage", torch.zeros(3, 4), site=(4,)).tolist() == [3, 3, 0, 0]


def test_influence_is_how_far_states_turn() -> None:
    states = torch.tensor([[[1.0, 0.0], [0.0, 2.0]], [[3.0, 0.0], [0.0, -1.0]], [[0.0, 1.0], [0.0, -5.0]]])
    assert added("block_influence", states, site=(2,)).tolist() == [0.0, 1.0]


def test_cka_knows_no_rotation_and_no_scale() -> None:
    generator = torch.Generator().manual_seed(0)
    first, other = torch.randn(2, 50, 4, generator=generator)
    turn = torch.linalg.qr(torch.randn(4, 4, generator=generator))[0]
    seen = torch.stack([torch.zeros(50, 4), first, 3 * first @ turn + 1, other])  # what enters does not count
    total = added("layer_cka", seen[:, :20], seen[:, 20:], seen[:, :3], site=(3, 3))
    found = total / total.diagonal().sqrt().outer(total.diagonal().sqrt())
    np.testing.assert_allclose(found[:2, :2], 1.0, atol=1e-5)
    assert (found[2, :2].abs() < 0.3).all()
    assert torch.equal(found, found.T)


def test_centring_gives_the_unbiased_estimate() -> None:
    """Of Song et al. 2012, written out."""
    generator = torch.Generator().manual_seed(1)
    rows = torch.randn(2, 6, 3, generator=generator, dtype=torch.float64)
    first, second = rows @ rows.mT
    own, other = (u_centred(one.clone()) for one in (first, second))
    assert own.sum(0).abs().max() < 1e-12
    a, b = (one - one.diag().diag() for one in (first, second))
    expected = (a @ b).trace() + a.sum() * b.sum() / (5 * 4) - 2 / 4 * (a @ b).sum()
    torch.testing.assert_close((own * other).sum(), expected)


def test_layers_that_cannot_be_told_apart_are_refused(llama: LiveModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evomerge.statistics._shared.observing.sites.layers_of", lambda model: ())
    wanted = {"a": Wanted("block_influence"), "b": Wanted("gram", {"limit": None})}
    with pytest.raises(InputError, match="block_influence: the layers of the model cannot be told apart") as caught:
        Collection.of(llama, TEXTS, wanted, Limits(10))
    assert "statistics.memory is 10" in str(caught.value)
