"""Every mismatch between checkpoints is named before any work, all of them at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from evomerge.checkpoints import Comparison, compare, open_source
from tests.building import edit_json, tiny, tiny_llama

Tensors = dict[str, torch.Tensor]
GATE = "model.layers.0.mlp.gate_proj.weight"


def compared(reference: Path, *others: Path) -> Comparison:
    return compare(open_source(reference), [open_source(other) for other in others])


def test_an_expert_fits(llama: Path, expert: Path) -> None:
    assert compared(llama, llama, expert) == Comparison((), ())
    compared(llama, expert).check()


def test_another_architecture(llama: Path, tmp_path: Path) -> None:
    problems = compared(llama, tiny("gpt2", tmp_path / "gpt2", 0)).problems
    assert any("model_type is 'gpt2', the reference has 'llama'" in problem for problem in problems)
    assert any("none of its tensor names" in problem for problem in problems)


def test_config_fields_that_change_the_meaning(llama: Path, expert: Path, copy_of: Callable[..., Path]) -> None:
    folder = copy_of(expert)
    edit_json(folder / "config.json", num_attention_heads=2, rms_norm_eps=1e-3)
    comparison = compared(llama, folder)
    assert comparison.problems == (
        f"{folder}: config.json: num_attention_heads is 2, the reference has 4 (the reference is {llama})",
    )
    assert comparison.warnings == (f"{folder}: config.json: rms_norm_eps is 0.001, the reference has 1e-06",)


def test_dtype_template_and_end_tokens_are_warnings(llama: Path, tmp_path: Path) -> None:
    folder = tiny_llama(tmp_path / "float", seed=5, dtype=torch.float32)
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    edit_json(folder / "generation_config.json", eos_token_id=[2, 7])
    comparison = compared(llama, folder)
    assert comparison.problems == ()
    assert [warning.removeprefix(f"{folder}: ").split(";")[0] for warning in comparison.warnings] == [
        "its weights are float32, the reference's are bfloat16",
        "its chat template is not the reference's",
        "eos_token_id is [2, 7], the reference has 2, which the merged model gets",
    ]


def test_template_in_the_tokenizer_config_is_the_same(llama: Path, expert: Path, copy_of: Callable[..., Path]) -> None:
    folder = copy_of(expert)
    path = folder / "chat_template.jinja"
    edit_json(folder / "tokenizer_config.json", chat_template=path.read_text(encoding="utf-8"))
    path.unlink()
    assert compared(llama, folder) == Comparison((), ())
