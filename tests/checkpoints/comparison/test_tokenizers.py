"""Token ids, not sizes: the same number of tokens may be other tokens."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from evomerge.checkpoints import Comparison, compare, open_source
from evomerge.checkpoints.comparison.sentencepiece import read_pieces
from evomerge.checkpoints.comparison.tokenizer_files import read_vocabulary
from tests.building import edit_json, rewrite, tiny_tokenizer


def compared(reference: Path, *others: Path) -> Comparison:
    return compare(open_source(reference), [open_source(other) for other in others])


def change_tokenizer(folder: Path, change: Callable[[dict], None]) -> None:
    path = folder / "tokenizer.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    change(data)
    path.write_text(json.dumps(data), encoding="utf-8")


def test_swapped_ids(llama: Path, expert: Path, copy_of: Callable[..., Path]) -> None:
    folder = copy_of(expert)

    def swap(data: dict) -> None:
        vocab = data["model"]["vocab"]
        vocab["a"], vocab["b"] = vocab["b"], vocab["a"]

    change_tokenizer(folder, swap)
    (problem,) = compared(llama, folder).problems
    assert "differs from the reference's in 2 tokens" in problem
    assert "'a' has id" in problem


def grow(folder: Path, rows: int) -> None:
    """Gives a Llama's embeddings that many rows."""

    def change(tensors: dict[str, torch.Tensor]) -> None:
        for name in ("model.embed_tokens.weight", "lm_head.weight"):
            more = torch.ones(rows - len(tensors[name]), 16, dtype=tensors[name].dtype)
            tensors[name] = torch.cat([tensors[name], more])

    rewrite(folder, change)


def test_tokens_that_one_of_them_has(llama: Path, expert: Path, copy_of: Callable[..., Path]) -> None:
    """The expert's own are left out and named, the reference's stay, and what has no row counts for nothing."""
    folder = copy_of(expert)
    tiny_tokenizer(folder, extra=("<tool>",))
    assert compared(llama, folder) == Comparison(
        (),
        (f"{folder}: its tokenizer has 1 token beyond its 259 embedding rows, which it cannot use: '<tool>' (id 259)",),
    )
    grow(folder, 264)
    comparison = compared(llama, folder)
    assert comparison.problems == ()
    assert "has 1 token, which the reference's lacks: '<tool>' (id 259). They are left out" in comparison.warnings[0]
    assert "264 rows, the reference's 259" in comparison.warnings[1]
    comparison = compared(folder, llama)
    assert comparison.problems == ()
    assert "no embedding of 1 token: '<tool>' (id 259). There the reference's stay" in comparison.warnings[0]


def test_a_row_without_a_token_is_not_merged_with_one_that_has(
    llama: Path, expert: Path, copy_of: Callable[..., Path]
) -> None:
    reference, padded = copy_of(llama, "reference"), copy_of(expert, "padded")
    tiny_tokenizer(reference, extra=("<tool>",))
    for folder in (reference, padded):
        grow(folder, 264)
    (problem,) = compared(reference, padded).problems
    assert "'<tool>' missing (id 259)" in problem
    assert "embeddings=base" in problem
    assert compared(padded, reference).problems == ()


def test_missing_token(llama: Path, expert: Path, copy_of: Callable[..., Path]) -> None:
    folder = copy_of(expert)
    change_tokenizer(folder, lambda data: data["model"]["vocab"].pop("z"))
    (problem,) = compared(llama, folder).problems
    assert "'z' missing" in problem


def test_no_tokenizer_is_a_warning(llama: Path, expert: Path, copy_of: Callable[..., Path]) -> None:
    folder = copy_of(expert)
    (folder / "tokenizer.json").unlink()
    comparison = compared(llama, folder)
    assert not comparison.problems
    assert "could not be compared" in comparison.warnings[0]


def test_older_tokenizer_files(llama: Path, expert: Path, copy_of: Callable[..., Path]) -> None:
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


def test_other_merge_rules_are_a_warning(llama: Path, expert: Path, copy_of: Callable[..., Path]) -> None:
    folder = copy_of(expert)
    change_tokenizer(folder, lambda data: data["model"].update(merges=["a b"]))
    comparison = compared(llama, folder)
    assert not comparison.problems
    assert "merge rules" in comparison.warnings[0]


def test_same_sentencepiece_model(llama: Path, expert: Path, copy_of: Callable[..., Path]) -> None:
    folders = [copy_of(llama, "a"), copy_of(expert, "b")]
    for folder in folders:
        (folder / "tokenizer.json").unlink()
        (folder / "tokenizer.model").write_bytes(b"pieces")
    assert compared(*folders) == Comparison((), ())
    (folders[1] / "tokenizer.model").write_bytes(b"other pieces")
    assert "could not be compared" in compared(*folders).warnings[0]


def test_merge_rules_in_either_form(llama: Path, expert: Path, copy_of: Callable[..., Path]) -> None:
    """Older versions write a rule as one text, newer ones as a pair, and the oldest as lines of merges.txt."""
    folders = [copy_of(llama, "pairs"), copy_of(expert, "texts"), copy_of(expert, "lines")]
    change_tokenizer(folders[0], lambda data: data["model"].update(merges=[["a", "b"], ["c", "d"]]))
    change_tokenizer(folders[1], lambda data: data["model"].update(merges=["a b", "c d"]))
    (folders[2] / "vocab.json").write_text(json.dumps(read_vocabulary(llama)))
    (folders[2] / "merges.txt").write_text("#version: 0.2\na b\nc d\n")
    (folders[2] / "tokenizer.json").unlink()
    assert compared(*folders) == Comparison((), ())
    (folders[2] / "merges.txt").write_text("#version: 0.2\nc d\na b\n")
    assert "merge rules" in compared(*folders).warnings[0]


def test_added_tokens_wherever_they_are_written(llama: Path, expert: Path, copy_of: Callable[..., Path]) -> None:
    one, other = copy_of(llama, "one"), copy_of(expert, "other")
    for folder in (one, other):
        grow(folder, 264)
    tiny_tokenizer(one, extra=("<tool>",))
    edit_json(other / "tokenizer_config.json", added_tokens_decoder={"259": {"content": "<tool>"}})
    assert compared(one, other).problems == ()
    edit_json(other / "tokenizer_config.json", added_tokens_decoder=None)
    (other / "added_tokens.json").write_text(json.dumps({"<tool>": 259}))
    assert compared(one, other).problems == ()
    (other / "added_tokens.json").write_text(json.dumps({"<tool>": 260}))
    assert "'<tool>' has id 260 instead of 259" in compared(one, other).problems[0]


class TestSentencePiece:
    """A base with tokenizer.model alone beside experts that newer versions saved with tokenizer.json."""

    def pieces(self, folder: Path, texts: list[str]) -> None:
        """Writes a model as the library does: pieces of text, score and type, then a field that is not read."""
        data = b""
        for text in texts:
            encoded = text.encode()
            piece = b"\x0a" + bytes([len(encoded)]) + encoded + b"\x15" + struct.pack("<f", -1.5) + b"\x18\x01"
            data += b"\x0a" + bytes([len(piece)]) + piece
        (folder / "tokenizer.json").unlink()
        (folder / "tokenizer.model").write_bytes(data + b"\x12\x02\x08\x01")

    def test_same_tokens(self, llama: Path, expert: Path, copy_of: Callable[..., Path]) -> None:
        old, new = copy_of(llama, "old"), copy_of(expert, "new")
        vocabulary = read_vocabulary(llama)
        assert vocabulary is not None
        texts = sorted(vocabulary, key=vocabulary.__getitem__)
        self.pieces(old, texts)
        assert compared(old, new) == compared(new, old) == Comparison((), ())
        tiny_tokenizer(new, extra=("<tool>",))
        (old / "added_tokens.json").write_text(json.dumps({"<tool>": 259}))
        assert compared(old, new) == Comparison((), ())

    def test_other_tokens_are_no_certain_difference(self, llama: Path, copy_of: Callable[..., Path]) -> None:
        old = copy_of(llama)
        self.pieces(old, ["<unk>", "a", "b"])
        comparison = compared(llama, old)
        assert comparison.problems == ()
        assert "could not be compared for certain" in comparison.warnings[0]

    @pytest.mark.parametrize(
        "data", [b"", b"\xff" * 20, b"\x0a\xff\x01", b"\x0a\x03\x0a\x09a", b"\x0b", b"\x0a\x02\x10\x01"]
    )
    def test_files_that_are_no_such_model(self, tmp_path: Path, data: bytes) -> None:
        (tmp_path / "tokenizer.model").write_bytes(data)
        assert read_pieces(tmp_path / "tokenizer.model") is None


@pytest.mark.parametrize(
    "text", ["{oops", "[]", '{"model": 3}', '{"model": {"vocab": 3, "merges": 4}, "added_tokens": 5}']
)
def test_broken_tokenizer_file(llama: Path, expert: Path, copy_of: Callable[..., Path], text: str) -> None:
    """Reading it is the tokenizer library's business; the comparison only says that it could not compare."""
    folder = copy_of(expert)
    (folder / "tokenizer.json").write_text(text)
    comparison = compared(llama, folder)
    assert comparison.problems or comparison.warnings
    if not text.startswith('{"'):
        assert str(folder / "tokenizer.json") in comparison.warnings[0]
