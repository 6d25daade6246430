"""Every mismatch between checkpoints is named before any work, all of them at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from evomerge.checkpoints import Comparison, compare, open_source
from evomerge.errors import InputError
from tests.building import edit_json, perturbed, rewrite, tiny, tiny_llama, tiny_tokenizer

Tensors = dict[str, torch.Tensor]
GATE = "model.layers.0.mlp.gate_proj.weight"


def compared(reference: Path, *others: Path) -> Comparison:
    return compare(open_source(reference), [open_source(other) for other in others])


def test_an_expert_fits(llama: Path, expert: Path) -> None:
    assert compared(llama, llama, expert) == Comparison((), ())
    compared(llama, expert).check()


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
    assert caught.value.problems == (
        f"{folder}: 1 tensors are missing: model.norm.weight",
        f"{folder}: 1 tensors are not in the reference: model.layers.1.mlp.new.weight",
        f"{folder}: tensor '{GATE}' has shape [31, 16], the reference has [32, 16]",
    )


def test_problems_of_all_checkpoints(llama: Path, expert: Path, copy_of: Callable[..., Path]) -> None:
    folders = [copy_of(expert, name) for name in ("one", "two")]
    for folder in folders:
        rewrite(folder, lambda tensors: tensors.pop(GATE))
    problems = compared(llama, *folders).problems
    assert [problem.split(":")[0] for problem in problems] == [str(folder) for folder in folders]


def test_layer_counts_in_one_sentence(llama: Path, tmp_path: Path) -> None:
    deeper = tiny_llama(tmp_path / "deeper", seed=0, layers=4)
    assert compared(llama, deeper).problems == (f"{deeper}: it has 4 layers, the reference has 2",)


def test_another_width_is_not_a_list_of_everything(llama: Path, tmp_path: Path) -> None:
    wider = tiny_llama(tmp_path / "wider", seed=0, hidden=32)
    problems = compared(llama, wider).problems
    assert len(problems) < 8
    assert "more tensors have other shapes" in problems[-1]


def test_padded_embeddings(tied: Path, tmp_path: Path) -> None:
    padded = perturbed(tied, tmp_path / "padded", seed=1)
    name = "model.embed_tokens.weight"
    rewrite(padded, lambda tensors: tensors.update({name: torch.nn.functional.pad(tensors[name], (0, 0, 0, 5))}))
    (problem,) = compared(tied, padded).problems
    assert "has shape [264, 16], the reference has [259, 16]" in problem
    assert "resize_token_embeddings" in problem


def test_another_architecture(llama: Path, tmp_path: Path) -> None:
    problems = compared(llama, tiny("gpt2", tmp_path / "gpt2", 0)).problems
    assert any("model_type is 'gpt2', the reference has 'llama'" in problem for problem in problems)
    assert any("architectures is ['GPT2LMHeadModel']" in problem for problem in problems)
    assert any("none of its tensor names" in problem for problem in problems)


def test_config_fields_that_change_the_meaning(llama: Path, expert: Path, copy_of: Callable[..., Path]) -> None:
    folder = copy_of(expert)
    edit_json(folder / "config.json", num_attention_heads=2, rms_norm_eps=1e-3)
    comparison = compared(llama, folder)
    assert comparison.problems == (f"{folder}: config field num_attention_heads is 2, the reference has 4",)
    assert comparison.warnings == (f"{folder}: config field rms_norm_eps is 0.001, the reference has 1e-06",)


class TestVocabulary:
    """Token ids, not sizes: the same number of tokens may be other tokens."""

    def change_tokenizer(self, folder: Path, change: Callable[[dict], None]) -> None:
        path = folder / "tokenizer.json"
        data = json.loads(path.read_text(encoding="utf-8"))
        change(data)
        path.write_text(json.dumps(data), encoding="utf-8")

    def test_swapped_ids(self, llama: Path, expert: Path, copy_of: Callable[..., Path]) -> None:
        folder = copy_of(expert)

        def swap(data: dict) -> None:
            vocab = data["model"]["vocab"]
            vocab["a"], vocab["b"] = vocab["b"], vocab["a"]

        self.change_tokenizer(folder, swap)
        (problem,) = compared(llama, folder).problems
        assert "differs from the reference's in 2 tokens" in problem
        assert "'a' has id" in problem

    def test_added_token(self, llama: Path, expert: Path, copy_of: Callable[..., Path]) -> None:
        folder = copy_of(expert)
        tiny_tokenizer(folder, extra=("<tool>",))
        (problem,) = compared(llama, folder).problems
        assert "'<tool>' added (id 259)" in problem

    def test_missing_token(self, llama: Path, expert: Path, copy_of: Callable[..., Path]) -> None:
        folder = copy_of(expert)
        self.change_tokenizer(folder, lambda data: data["model"]["vocab"].pop("z"))
        (problem,) = compared(llama, folder).problems
        assert "'z' missing" in problem

    def test_no_tokenizer_is_a_warning(self, llama: Path, expert: Path, copy_of: Callable[..., Path]) -> None:
        folder = copy_of(expert)
        (folder / "tokenizer.json").unlink()
        comparison = compared(llama, folder)
        assert not comparison.problems
        assert "could not be compared" in comparison.warnings[0]

    def test_older_tokenizer_files(self, llama: Path, expert: Path, copy_of: Callable[..., Path]) -> None:
        """The same vocabulary as vocab.json and added_tokens.json, or as lines of vocab.txt, is the same."""
        data = json.loads((llama / "tokenizer.json").read_text(encoding="utf-8"))
        vocab = dict(data["model"]["vocab"])
        for name in ("pair", "lines"):
            folder = copy_of(expert, name)
            (folder / "tokenizer.json").unlink()
            if name == "pair":
                added = {token: vocab[token] for token in ("<pad>", "<bos>", "<eos>")}
                plain = {token: index for token, index in vocab.items() if token not in added}
                (folder / "vocab.json").write_text(json.dumps(plain), encoding="utf-8")
                (folder / "added_tokens.json").write_text(json.dumps(added), encoding="utf-8")
            else:
                lines = sorted(vocab, key=lambda token: vocab[token])
                (folder / "vocab.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
            assert compared(llama, folder) == Comparison((), ())

    def test_other_merge_rules_are_a_warning(self, llama: Path, expert: Path, copy_of: Callable[..., Path]) -> None:
        folder = copy_of(expert)
        self.change_tokenizer(folder, lambda data: data["model"].update(merges=["a b"]))
        comparison = compared(llama, folder)
        assert not comparison.problems
        assert "merge rules" in comparison.warnings[0]

    def test_same_sentencepiece_model(self, llama: Path, expert: Path, copy_of: Callable[..., Path]) -> None:
        folders = [copy_of(llama, "a"), copy_of(expert, "b")]
        for folder in folders:
            (folder / "tokenizer.json").unlink()
            (folder / "tokenizer.model").write_bytes(b"pieces")
        assert compared(*folders) == Comparison((), ())
        (folders[1] / "tokenizer.model").write_bytes(b"other pieces")
        assert "could not be compared" in compared(*folders).warnings[0]


class TestTies:
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

    def test_untied_reference_tied_expert(self, tied: Path, llama: Path) -> None:
        (problem,) = compared(llama, tied).problems
        assert "tied to its input embeddings" in problem
        assert "missing" not in problem

    def test_both_untied(self, llama: Path, expert: Path) -> None:
        assert compared(llama, expert).problems == ()


def test_tables_that_models_compute_do_not_matter(llama: Path, expert: Path, copy_of: Callable[..., Path]) -> None:
    old = copy_of(expert)

    def add(tensors: Tensors) -> None:
        tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(2)

    rewrite(old, add)
    assert compared(llama, old) == Comparison((), ())
    assert compared(old, llama) == Comparison((), ())


def test_dtype_template_and_end_tokens_are_warnings(llama: Path, tmp_path: Path) -> None:
    folder = tiny_llama(tmp_path / "float", seed=5, dtype=torch.float32)
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    edit_json(folder / "generation_config.json", eos_token_id=[2, 7])
    comparison = compared(llama, folder)
    assert comparison.problems == ()
    assert [warning.removeprefix(f"{folder}: ").split(";")[0] for warning in comparison.warnings] == [
        "its weights are float32, the reference's are bfloat16",
        "its chat template is not the reference's",
        "eos_token_id in generation_config.json is [2, 7], the reference has 2, which the merged model gets",
    ]


def test_template_in_the_tokenizer_config_is_the_same(llama: Path, expert: Path, copy_of: Callable[..., Path]) -> None:
    folder = copy_of(expert)
    path = folder / "chat_template.jinja"
    edit_json(folder / "tokenizer_config.json", chat_template=path.read_text(encoding="utf-8"))
    path.unlink()
    assert compared(llama, folder) == Comparison((), ())
