"""Tensors that differ in name, shape or number, and output embeddings in whatever form they are stored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from evomerge.checkpoints import Comparison, compare, open_source
from evomerge.errors import InputError
from tests.building import perturbed, rewrite, tiny, tiny_llama

Tensors = dict[str, torch.Tensor]
GATE = "model.layers.0.mlp.gate_proj.weight"


def compared(reference: Path, *others: Path) -> Comparison:
    return compare(open_source(reference), [open_source(other) for other in others])


def test_missing_extra_and_misshapen_tensors(llama: Path, expert: Path, copy_of: Callable[..., Path]) -> None:
    folder = copy_of(expert)

    def change(tensors: Tensors) -> None:
        del tensors["model.norm.weight"]
        tensors["model.layers.1.mlp.new.weight"] = torch.zeros(2)
        tensors[GATE] = tensors[GATE][:-1].clone()

    rewrite(folder, change)
    comparison = compared(llama, folder)
    with pytest.raises(InputError) as caught:
        comparison.check()
    *found, choices = caught.value.problems
    assert "set unmatched=freeze, by which" in choices
    assert "or unmatched=keep, by which" in choices
    assert found == [
        f"{folder}: 1 tensor is missing: model.norm.weight (the reference is {llama})",
        f"{folder}: 1 tensor is not in the reference: model.layers.1.mlp.new.weight",
        f"{folder}: tensor '{GATE}' has shape [31, 16], the reference has [32, 16]",
    ]
    folders = open_source(llama), [open_source(folder)]
    for unmatched, done in (("freeze", "left out"), ("keep", "copied into the merged model")):
        noted = compare(*folders, unmatched=unmatched)
        stays = f"the merged model has the reference's (unmatched={unmatched})"
        assert noted.problems == ()
        assert noted.warnings == (
            f"{folder}: 1 tensor is missing: model.norm.weight; {stays}",
            f"{folder}: 1 tensor is not in the reference: model.layers.1.mlp.new.weight; {done} "
            f"(unmatched={unmatched})",
            f"{folder}: 1 tensor has another shape: {GATE}; {stays}",
        )


def test_problems_of_all_checkpoints(llama: Path, expert: Path, copy_of: Callable[..., Path]) -> None:
    folders = [copy_of(expert, name) for name in ("one", "two")]
    for folder in folders:
        rewrite(folder, lambda tensors: tensors.pop(GATE))
    problems = compared(llama, *folders).problems
    assert list(dict.fromkeys(problem.split(":")[0] for problem in problems)) == [str(folder) for folder in folders]


def test_layer_counts_in_one_sentence(llama: Path, tmp_path: Path) -> None:
    deeper = tiny_llama(tmp_path / "deeper", seed=0, layers=4)
    assert compared(llama, deeper).problems == (
        f"{deeper}: it has 4 layers, the reference has 2 (the reference is {llama})",
    )


def test_another_width_is_not_a_list_of_everything(llama: Path, tmp_path: Path) -> None:
    wider = tiny_llama(tmp_path / "wider", seed=0, hidden=32)
    problems = compared(llama, wider).problems
    assert len(problems) < 8
    assert "more tensors have other shapes" in problems[-1]


def test_padded_embeddings_are_no_difference_of_shapes(tied: Path, tmp_path: Path) -> None:
    """Rows may differ, widths may not."""
    padded = perturbed(tied, tmp_path / "padded", seed=1)
    name = "model.embed_tokens.weight"
    rewrite(padded, lambda tensors: tensors.update({name: torch.nn.functional.pad(tensors[name], (0, 0, 0, 5))}))
    note = "its embeddings have 264 rows, the reference's 259: the first 259 are merged, its others are left out"
    assert compared(tied, padded) == Comparison((), (f"{padded}: {note}",))
    assert "the first 259 are merged, the others are the reference's" in compared(padded, tied).warnings[0]
    rewrite(padded, lambda tensors: tensors.update({name: tensors[name][:, :8].clone()}))
    assert "has shape [264, 8], the reference has [259, 16]" in compared(tied, padded).problems[0]


class TestHeads:
    """All four combinations of a tied or untied reference and expert, stored either way."""

    def test_both_tied_one_stores_the_head(self, tied: Path, tmp_path: Path) -> None:
        expert = perturbed(tied, tmp_path / "expert", seed=1)
        storing = perturbed(tied, tmp_path / "storing", seed=1)

        def store(tensors: Tensors) -> None:
            tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()

        rewrite(storing, store)
        assert compared(tied, expert, storing) == Comparison((), ())
        assert compared(storing, tied, expert) == Comparison((), ())

    def test_tied_reference_untied_expert(self, tied: Path, llama: Path) -> None:
        (problem,) = compared(tied, llama).problems
        assert "output embeddings of its own (lm_head.weight)" in problem
        assert "tied to" not in problem
        assert "set unmatched=freeze, by which they are left out" in problem
        kept = compare(open_source(tied), [open_source(llama)], unmatched="keep")
        assert "a tied model has no place to keep them" in kept.problems[0]
        frozen = compare(open_source(tied), [open_source(llama)], unmatched="freeze")
        assert frozen.problems == ()
        assert "(lm_head.weight)" in frozen.warnings[0]
        assert "they are left out" in frozen.warnings[0]

    def test_untied_reference_tied_expert(self, tied: Path, llama: Path) -> None:
        """Whose input embeddings are its output embeddings, which the merged model has."""
        comparison = compared(llama, tied)
        assert comparison.problems == ()
        assert "so has the merged model: they are merged with this checkpoint's input embeddings" in str(
            comparison.warnings
        )

    def test_head_that_an_untied_expert_lacks(self, llama: Path, expert: Path, copy_of: Callable[..., Path]) -> None:
        folder = copy_of(expert)
        rewrite(folder, lambda tensors: tensors.pop("lm_head.weight"))
        (problem,) = compared(llama, folder).problems
        assert "it lacks the output embeddings (lm_head.weight)" in problem
        assert "Fetch it again" in problem

    def test_both_untied(self, llama: Path, expert: Path) -> None:
        assert compared(llama, expert).problems == ()


TABLES = {
    "llama": {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(2)},
    "gpt2": {
        "transformer.h.0.attn.bias": torch.ones(1, 1, 4, 4),
        "transformer.h.0.attn.masked_bias": torch.tensor(-1e4),
    },
    "gpt_neox": {
        "gpt_neox.layers.0.attention.bias": torch.ones(1, 1, 4, 4, dtype=torch.uint8),
        "gpt_neox.layers.0.attention.masked_bias": torch.tensor(-1e9),
        "gpt_neox.layers.0.attention.rotary_emb.inv_freq": torch.ones(2),
    },
}


@pytest.mark.parametrize("kind", TABLES)
def test_tables_that_models_compute_do_not_matter(kind: str, tmp_path: Path) -> None:
    """As older versions saved them, masks as bytes included."""
    new = tiny(kind, tmp_path / "new", 0)
    old = perturbed(new, tmp_path / "old", 1)
    rewrite(old, lambda tensors: tensors.update(TABLES[kind]))
    assert compared(new, old) == compared(old, new) == Comparison((), ())


def test_a_bias_that_is_added_is_no_table(tmp_path: Path) -> None:
    new = tiny("gpt_neox", tmp_path / "new", 0)
    old = perturbed(new, tmp_path / "old", 1)
    rewrite(old, lambda tensors: tensors.update({"gpt_neox.layers.0.attention.bias": torch.ones(4)}))
    assert "not in the reference: gpt_neox.layers.0.attention.bias" in compared(new, old).problems[0]
