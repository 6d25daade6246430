"""Hidden states and router logits are those of transformers; rows of routers are worked by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers

from evomerge.statistics._layers.gates import (
    ExpertPrompts,
    hidden_last,
    hidden_mean,
    random_rows,
    rows_from_embeddings,
    rows_from_states,
)
from evomerge.statistics._layers.observed import gates_of, layer_states, router_logits
from tests.building import tiny

IDS = (5, 9, 30, 77, 4)


def loaded(folder: Path) -> transformers.PreTrainedModel:
    return transformers.AutoModelForCausalLM.from_pretrained(folder).eval()


@pytest.mark.parametrize("model_type", ["llama", "gpt2"])
def test_states_are_those_that_transformers_tells(tmp_path: Path, model_type: str) -> None:
    """But for the last, which transformers gives after the final norm."""
    model = loaded(tiny(model_type, tmp_path / "m", 0))
    with torch.no_grad():
        told = model(torch.tensor([IDS]), output_hidden_states=True).hidden_states
        found = layer_states(model, IDS)
        assert found.shape == (3, len(IDS), 16)
        for own, theirs in zip(found[:-1], told[:-1], strict=True):
            assert torch.equal(own, theirs[0])
        norm = model.get_submodule("model.norm" if model_type == "llama" else "transformer.ln_f")
        torch.testing.assert_close(norm(found[-1]), told[-1][0])


@pytest.mark.parametrize("model_type", ["mixtral", "qwen2_moe", "qwen3_moe"])
def test_logits_are_those_that_transformers_tells(tmp_path: Path, model_type: str) -> None:
    model = loaded(tiny(model_type, tmp_path / "m", 0))
    assert list(gates_of(model)) == ["model.layers.0.", "model.layers.1."]
    with torch.no_grad():
        told = model(torch.tensor([IDS]), output_router_logits=True).router_logits
    for own, theirs in zip(router_logits(model, IDS).values(), told, strict=True):
        torch.testing.assert_close(own, theirs)


def test_rows_point_from_what_is_not_meant_to_what_is() -> None:
    embeddings = torch.tensor([[3.0, 0.0], [0.0, 4.0], [0.0, -1.0]])
    prompts = [ExpertPrompts(((0, 0), (1,))), ExpertPrompts(((0,),), ((1, 1),))]
    rows = rows_from_embeddings(embeddings, prompts)
    torch.testing.assert_close(rows[0], torch.tensor([6.0, 4.0]) / 52**0.5)
    torch.testing.assert_close(rows[1], torch.tensor([1.0, -1.0]) / 2**0.5)


def test_rows_from_states(tmp_path: Path) -> None:
    model = loaded(tiny("llama", tmp_path / "m", 0))
    first, second, third = (layer_states(model, ids)[:-1] for ids in (IDS, IDS[:3], IDS[1:4]))
    prompts = [ExpertPrompts((IDS, IDS[:3])), ExpertPrompts((IDS,), (IDS[1:4],))]
    last, mean = (rows_from_states(model, prompts, of) for of in (hidden_last, hidden_mean))
    for rows, of in ((last, lambda s: s[:, -1]), (mean, lambda s: s.mean(1))):
        assert rows.shape == (2, 2, 16)
        for expert, wanted in enumerate(((of(first) + of(second)) / 2, of(first) - of(third))):
            unit = wanted / wanted.norm(dim=1, keepdim=True)
            torch.testing.assert_close(rows[:, expert], unit)


def test_chance_repeats() -> None:
    assert torch.equal(random_rows(2, 3, 8, 5), random_rows(2, 3, 8, 5))
    torch.testing.assert_close(random_rows(2, 3, 8, 5).norm(dim=-1), torch.ones(2, 3))
    assert not torch.equal(random_rows(2, 3, 8, 5), random_rows(2, 3, 8, 6))
