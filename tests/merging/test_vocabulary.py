"""Embeddings of vocabularies that differ: each row of the merged model against one computed by hand."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import tokenizers
import torch
import transformers
from safetensors.torch import load_file
from tokenizers import models

from evomerge.errors import InputError
from evomerge.merging import Checkpoints, LiveModel, Merger, footprint, matching_of, merge_to_folder
from evomerge.recipe import CHAT_TEMPLATES, CheckpointRef, Recipe, Tokenizer
from tests import building
from tests.building import TOKEN_IDS, VOCABULARY, edit_json, perturbed, rewrite, tiny, tiny_tokenizer
from tests.merging.conftest import make_recipe
from tests.vocabularies import EMBEDDING, HEAD, resized, spoken


def shortened(source: Path, folder: Path) -> Path:
    """The same model with the first 259 rows alone."""
    shutil.copytree(source, folder)
    rewrite(folder, lambda tensors: tensors.update({name: tensors[name][:259].clone() for name in (EMBEDDING, HEAD)}))
    edit_json(folder / "config.json", vocab_size=259)
    tiny_tokenizer(folder)
    return folder


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """259 tokens, and rows for five more."""
    folder = tmp_path_factory.mktemp("vocabularies")
    return resized(tiny("llama", folder / "plain", 0), folder / "base", 264, seed=1)


def merged(recipe: Recipe, out: Path) -> dict[str, torch.Tensor]:
    """The model as it is on disk, which must be the one in memory, and load with its tokenizer."""
    checkpoints = Checkpoints.open(recipe)
    assert checkpoints.compare(matching=matching_of(recipe)).problems == ()
    tensors = load_file(merge_to_folder(recipe, out) / "model.safetensors")
    live, merger = LiveModel.load(checkpoints.reference.path), Merger(checkpoints)
    if not live.fits(merger.plan(recipe)):
        live = live.rebuilt(merger.plan(recipe))
    for again in (recipe, recipe):
        live.install(merger, again)
    loaded = transformers.AutoModelForCausalLM.from_pretrained(out)
    for name, value in loaded.state_dict().items():
        assert torch.equal(value.float(), live.model.state_dict()[name]), name
    tokenizer = transformers.AutoTokenizer.from_pretrained(out)
    config = json.loads((out / "config.json").read_text())
    assert max(tokenizer.get_vocab().values()) < config["vocab_size"] == len(tensors[EMBEDDING])
    assert loaded(torch.tensor([tokenizer("ab").input_ids])).logits.shape[-1] == config["vocab_size"]
    return tensors


@pytest.mark.parametrize("method", ["linear", "ties", "dare_ties"])
def test_common_rows_are_merged_and_the_rest_are_the_bases(base: Path, tmp_path: Path, method: str) -> None:
    """Of experts without padding, and with more of it and a token of their own."""
    short = resized(base, tmp_path / "short", 259, seed=2)
    long = resized(base, tmp_path / "long", 272, "<tool>", seed=3)
    found = merged(make_recipe(method, [short, long], base, out_dtype="float32"), tmp_path / "out")
    own = load_file(base / "model.safetensors")
    cut = [shortened(folder, tmp_path / f"cut {folder.name}") for folder in (short, long, base)]
    never = merged(make_recipe(method, cut[:2], cut[2], out_dtype="float32"), tmp_path / "never")
    for name in (EMBEDDING, HEAD):
        assert len(found[name]) == 264
        assert torch.equal(found[name][:259], never[name]), name
        assert torch.equal(found[name][259:], own[name][259:]), name
    if method == "linear":
        weights = make_recipe(method, [short, long], base).coefficients["weight"][-1]
        rows = [load_file(folder / "model.safetensors")[HEAD][:259] for folder in (short, long)]
        expected = (weights[0] * rows[0] + weights[1] * rows[1]) / weights.sum()
        torch.testing.assert_close(found[HEAD][:259], expected.float(), rtol=1e-6, atol=1e-7)


def test_memory_of_padded_embeddings_is_that_of_equal_ones(base: Path, tmp_path: Path) -> None:
    """Rows of mapped files are read in place."""
    short = resized(base, tmp_path / "short", 259, seed=2)
    same = resized(base, tmp_path / "same", 264, seed=2)
    needs = []
    for expert in (short, same):
        recipe = make_recipe("linear", [expert, base], base)
        needs.append(footprint(Checkpoints.open(recipe), recipe))
    assert needs[0].working == needs[1].working
    assert needs[0].live == needs[1].live


def by_token(folder: Path, name: str) -> dict[str, torch.Tensor]:
    """The embedding of each token of a model."""
    vocabulary = transformers.AutoTokenizer.from_pretrained(folder).get_vocab()
    rows = load_file(folder / "model.safetensors")[name]
    return {token: rows[index] for token, index in vocabulary.items()}


def test_union_by_hand(base: Path, tmp_path: Path) -> None:
    """The base's tokens keep their ids; what others have comes behind them, and everyone else gets a default."""
    one = spoken(base, tmp_path / "one", "ab", "<tool>", "<end>", seed=2)
    two = spoken(base, tmp_path / "two", "cd", "<end>", seed=3)
    recipe = make_recipe("linear", [one, two], base, out_dtype="float32", tokenizer=Tokenizer("union"))
    merged(recipe, tmp_path / "out")
    ours = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    vocabulary = ours.get_vocab()
    theirs = transformers.AutoTokenizer.from_pretrained(base).get_vocab()
    assert {token: vocabulary[token] for token in theirs} == theirs
    assert [vocabulary[token] for token in ("ab", "cd", "<tool>", "<end>")] == [259, 260, 261, 262]
    assert ours("ab<end>cdx").input_ids == [259, 262, 260, theirs["x"]]
    assert ours.decode([259, 262], skip_special_tokens=True) == "ab"
    first, second = recipe.coefficients["weight"][-1] / recipe.coefficients["weight"][-1].sum()
    for name in (EMBEDDING, HEAD):
        found = by_token(tmp_path / "out", name)
        a, b = by_token(one, name), by_token(two, name)
        for token in ("x", "<eos>", "<end>"):
            torch.testing.assert_close(found[token], (first * a[token] + second * b[token]).float())
        # A token of a single model is that model's in all of them.
        torch.testing.assert_close(found["<tool>"], a["<tool>"])
        torch.testing.assert_close(found["ab"], a["ab"])
        torch.testing.assert_close(found["cd"], b["cd"])
        rows = load_file(tmp_path / "out" / "model.safetensors")[name]
        assert len(rows) == 264
        assert torch.equal(rows[263:], load_file(base / "model.safetensors")[name][263:])


def test_embeddings_of_the_base(base: Path, tmp_path: Path) -> None:
    """Whatever the experts' are: of other tokens, of another number, or none."""
    one = spoken(base, tmp_path / "one", "ab", seed=2)
    two = resized(base, tmp_path / "two", 300, seed=3)
    rewrite(two, lambda tensors: tensors.pop(HEAD))
    recipe = make_recipe("ties", [one, two], base, out_dtype="float32")
    (problem,) = (p for p in Checkpoints.open(recipe).compare().problems if str(one) in p)
    assert "256 tokens" in problem
    assert "embeddings=base" in problem
    recipe = make_recipe("ties", [one, two], base, out_dtype="float32", embeddings="base")
    found = merged(recipe, tmp_path / "out")
    own = load_file(base / "model.safetensors")
    for name in (EMBEDDING, HEAD):
        assert torch.equal(found[name], own[name])
    gate = "model.layers.0.mlp.gate_proj.weight"
    assert not torch.equal(found[gate], own[gate])
    assert (tmp_path / "out" / "tokenizer.json").read_bytes() == (base / "tokenizer.json").read_bytes()


def test_chat_templates(base: Path, tmp_path: Path) -> None:
    """Of a source, a known one, one's own; and each of the known ones speaks."""
    one = perturbed(base, tmp_path / "one", 2)
    tiny_tokenizer(one, chat_template="{{ 'one: ' + messages[0]['content'] }}")
    (one / "additional_chat_templates").mkdir()
    (one / "additional_chat_templates" / "tools.jinja").write_text("{{ tools }}")
    bare = perturbed(base, tmp_path / "bare", 3)
    tiny_tokenizer(bare, chat_template=None)
    (bare / "chat_template.jinja").unlink(missing_ok=True)
    said = [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}]
    spoken = {}
    for number, choice in enumerate((None, 0, "base", "chatml", "{{ 'own' }}")):
        recipe = make_recipe("linear", [one, bare], base, chat_template=choice)
        out = merge_to_folder(recipe, tmp_path / str(number))
        tokenizer = transformers.AutoTokenizer.from_pretrained(out)
        spoken[choice] = tokenizer.apply_chat_template(said, tokenize=False, add_generation_prompt=True)
    usual = "<bos>system: S<eos>\n<bos>user: U<eos>\n"
    chatml = "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\n"
    assert spoken == {None: usual, 0: "one: S", "base": usual, "chatml": chatml, "{{ 'own' }}": "own"}
    assert (tmp_path / "1" / "additional_chat_templates" / "tools.jinja").read_text() == "{{ tools }}"
    with pytest.raises(InputError, match="has no chat template"):
        merge_to_folder(make_recipe("linear", [one, bare], base, chat_template=1), tmp_path / "none")
    said.append({"role": "assistant", "content": "A"})
    written = {
        name: tokenizer.apply_chat_template(said, chat_template=text, tokenize=False)
        for name, text in CHAT_TEMPLATES.items()
    }
    start, end = "<|start_header_id|>", "<|end_header_id|>\n\n"
    turns = [
        f"{start}{role}{end}{text}<|eot_id|>" for role, text in (("system", "S"), ("user", "U"), ("assistant", "A"))
    ]
    assert written == {
        "chatml": f"{chatml}A<|im_end|>\n",
        "llama3": "<bos>" + "".join(turns),
        "alpaca": "S\n\n### Instruction:\nU\n\n### Response:\nA<eos>\n\n",
        "mistral": "<bos>[INST] S\n\nU [/INST] A<eos>",
        "exaone": "[|system|]S[|endofturn|]\n[|user|]U\n[|assistant|]A[|endofturn|]\n",
    }


def test_tokens_one_by_one_and_padding(base: Path, tmp_path: Path) -> None:
    """What a recipe says about single tokens, rows up to a multiple, and a source's own tokenizer."""
    one = spoken(base, tmp_path / "one", "ab", "<tool>", seed=2)
    edit_json(one / "config.json", eos_token_id=259, bos_token_id=None)
    edit_json(one / "generation_config.json", eos_token_id=[260, 2], bos_token_id=None)
    two = spoken(base, tmp_path / "two", "cd", seed=3)
    tokens = {
        "<tool>": {"source": "zero"},
        "x": {"source": 1, "token": "y", "force": True},
        "<new>": {"source": "base", "token_id": 263},
    }
    tokenizer = Tokenizer(0, tokens, 32)
    recipe = make_recipe("linear", [one, two], base, out_dtype="float32", tokenizer=tokenizer)
    found = merged(recipe, tmp_path / "out")
    ours = transformers.AutoTokenizer.from_pretrained(tmp_path / "out").get_vocab()
    theirs = transformers.AutoTokenizer.from_pretrained(one).get_vocab()
    assert ours == {**theirs, "<new>": 261}
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (config["vocab_size"], config["eos_token_id"], config["pad_token_id"]) == (288, 259, 0)
    assert json.loads((tmp_path / "out" / "generation_config.json").read_text())["eos_token_id"] == [260, 2]
    first, second = recipe.coefficients["weight"][-1] / recipe.coefficients["weight"][-1].sum()
    rows, last = by_token(tmp_path / "out", HEAD), load_file(base / "model.safetensors")[HEAD][263]
    a, b = by_token(one, HEAD), by_token(two, HEAD)
    torch.testing.assert_close(rows["<tool>"], (first * a["<tool>"]).float())
    torch.testing.assert_close(rows["x"], b["y"].float())
    torch.testing.assert_close(rows["<new>"], last.float())
    torch.testing.assert_close(rows["z"], (first * a["z"] + second * b["z"]).float())
    average = found[HEAD][:262].mean(dim=0)
    torch.testing.assert_close(found[HEAD][262:], average.expand(26, -1), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("model", ["Unigram", "WordPiece"])
def test_other_kinds_of_tokenizers(base: Path, tmp_path: Path, model: str) -> None:
    """Pieces keep working as pieces: by the scores of the source that they are from, or by length."""
    pieces = ["<pad>", "<bos>", "<eos>", "a", "b", "c"]

    def write(folder: Path, *extra: str) -> Path:
        perturbed(base, folder, len(extra))
        texts = [*pieces, *extra]
        kind = (
            models.Unigram([(text, -float(index)) for index, text in enumerate(texts)], unk_id=0)
            if model == "Unigram"
            else models.WordPiece(
                {text: index for index, text in enumerate(texts)}, unk_token="<pad>", continuing_subword_prefix=""
            )
        )
        fast = transformers.PreTrainedTokenizerFast(
            tokenizer_object=tokenizers.Tokenizer(kind), pad_token="<pad>", bos_token="<bos>", eos_token="<eos>",
            extra_special_tokens=[f"<{folder.name}>"],
        )  # fmt: skip
        fast.save_pretrained(folder)
        return folder

    folders = [write(tmp_path / name, *extra) for name, extra in (("b", ()), ("one", ("ab",)), ("two", ("bc", "ab")))]
    recipe = make_recipe("linear", folders[1:], folders[0], tokenizer=Tokenizer("union", pad_to_multiple_of=1))
    assert len(merged(recipe, tmp_path / "out")[HEAD]) == 11
    found = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    assert [found.get_vocab()[token] for token in ("<b>", "ab", "bc", "<one>", "<two>")] == [6, 7, 8, 9, 10]
    assert found("ab<two>c<b>").input_ids == [7, 10, 5, 6]


def test_tokenizers_that_nobody_can_match(base: Path, tmp_path: Path) -> None:
    """All of them at once, each with its file."""
    folders = [perturbed(base, tmp_path / name, 1) for name in ("twice", "shared", "none", "broken", "negative")]
    path = [folder / "tokenizer.json" for folder in folders]
    text = path[0].read_text()
    path[0].write_text(text.replace('"x":', '"y":', 1))
    path[1].write_text(re.sub(r'"x": ?\d+', '"x": 5', text, count=1))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folders[2] / name).unlink()
    path[3].write_text(text[:100])
    path[4].write_text(re.sub(r'"x": ?\d+', '"x": -5', text, count=1))
    recipe = make_recipe("linear", folders, base, tokenizer=Tokenizer("union"))
    with pytest.raises(InputError) as caught:
        merge_to_folder(recipe, tmp_path / "out")
    said = "\n".join(caught.value.problems)
    for part, file in zip(
        ("'y' is given twice", "have one id, 5", "has no tokenizer", "cannot be read as JSON", "is -5; expected"),
        (path[0], path[1], folders[2], path[3], path[4]),
        strict=True,
    ):
        assert any(part in problem and str(file) in problem for problem in caught.value.problems), said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["qwen2", "phi", "llava"])
def test_every_tensor_with_rows_of_tokens(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tied and untied, with a bias of the head, and of a text model inside: they grow together, and nothing else."""
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    phi = transformers.PhiConfig(vocab_size=VOCABULARY, **sizes, **TOKEN_IDS)
    monkeypatch.setattr(building, "MODEL_TYPES", {**building.MODEL_TYPES, "phi": lambda: phi})
    base = tiny(kind, tmp_path / "base", 0)
    other = perturbed(base, tmp_path / "other", 1)
    tiny_tokenizer(other, extra=("<tool>",))
    own = load_file(base / "model.safetensors")
    rows = {name: len(tensor) for name, tensor in own.items() if tensor.shape[0] == VOCABULARY}

    def grow(tensors: dict[str, torch.Tensor]) -> None:
        for name in rows:
            tensors[name] = torch.cat([tensors[name], torch.ones(1, *tensors[name].shape[1:])])

    rewrite(other, grow)
    text = json.loads((other / "config.json").read_text()).get("text_config")
    grown = {"vocab_size": VOCABULARY + 1}
    edit_json(other / "config.json", **(grown if text is None else {"text_config": {**text, **grown}}))
    recipe = make_recipe("linear", [other, base], base, out_dtype="float32", tokenizer=Tokenizer("union", {}, 1))
    out = merge_to_folder(recipe, tmp_path / "out")
    size = max(transformers.AutoTokenizer.from_pretrained(out).get_vocab().values()) + 1
    tensors = load_file(out / "model.safetensors")
    assert len(rows) == {"qwen2": 1, "phi": 3, "llava": 2}[kind]
    for name, tensor in tensors.items():
        assert tensor.shape == ((size, *own[name].shape[1:]) if name in rows else own[name].shape)
    auto = transformers.AutoModelForImageTextToText if kind == "llava" else transformers.AutoModelForCausalLM
    loaded, info = auto.from_pretrained(out, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    merger = Merger(Checkpoints.open(recipe))
    live = LiveModel.load(base).rebuilt(merger.plan(recipe))
    live.install(merger, recipe)
    for name, value in loaded.state_dict().items():
        assert torch.equal(value, live.model.state_dict()[name]), name


def test_models_of_recipes_bring_their_tokens(base: Path, tmp_path: Path) -> None:
    """A recipe whose base is a union has the union's tokens; one that would mix them with others' is refused."""
    one = spoken(base, tmp_path / "one", "ab", "<tool>", seed=2)
    two = spoken(base, tmp_path / "two", "cd", seed=3)
    union = make_recipe("linear", [one, base], base, tokenizer=Tokenizer("union"), out_dtype="float32")
    outer = replace(make_recipe("linear", [one], out_dtype="float32"), sources=(union,))
    found = merged(outer, tmp_path / "out")
    alone = merged(union, tmp_path / "alone")
    assert torch.equal(found[HEAD], alone[HEAD])
    assert transformers.AutoTokenizer.from_pretrained(tmp_path / "out")("ab").input_ids == [259]
    mixed = replace(make_recipe("linear", [one, two], out_dtype="float32"), sources=(union, CheckpointRef(str(two))))
    with pytest.raises(InputError, match="tokens in other rows than the merged model"):
        Merger(Checkpoints.open(mixed)).plan(mixed)
    both = replace(mixed, tokenizer=Tokenizer("union"))
    merged(both, tmp_path / "both")
    vocabulary = transformers.AutoTokenizer.from_pretrained(tmp_path / "both").get_vocab()
    assert [vocabulary[token] for token in ("ab", "<tool>", "cd")] == [259, 260, 261]
    plan = Merger(Checkpoints.open(both)).plan(both)
    for entry in plan.outputs.tensors[HEAD].inputs:
        assert entry.copied_bytes in (0, entry.read().nbytes)


def test_rows_of_the_base_have_its_tokens(base: Path, tmp_path: Path) -> None:
    one = spoken(base, tmp_path / "one", "ab", seed=2)
    recipe = make_recipe("linear", [one], base, tokenizer=Tokenizer("union"), embeddings="base")
    with pytest.raises(InputError, match=r"embeddings is 'base', .* but tokenizer.source is 'union'"):
        merge_to_folder(recipe, tmp_path / "out")
