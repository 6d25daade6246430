"""Comparison of vocabularies: an embedding row must mean the same token in all checkpoints."""

from __future__ import annotations

from pathlib import Path

from evomerge.checkpoints.comparison.sentencepiece import read_pieces
from evomerge.checkpoints.comparison.tokenizer_files import (
    read_added,
    read_merges,
    read_vocabulary,
    same_file,
    unreadable,
    vocabulary_differences,
)

_SHOWN = 5


def tokenizer_differences(reference: Path, other: Path) -> tuple[list[str], list[str]]:
    """Compares the tokenizer files of two checkpoint folders; no tokenizer is loaded.

    Returns:
        Differences that merging cannot bridge, and those to know about.
    """
    if same_file(reference, other, "tokenizer.json"):
        return [], []
    ours, theirs = read_vocabulary(reference), read_vocabulary(other)
    if ours is None or theirs is None:
        return [], _uncertain(reference, other)
    differences = vocabulary_differences(ours, theirs)
    if differences:
        return [
            f"its vocabulary differs from the reference's in {len(differences)} tokens: {_some(differences)}. Merging "
            "would mix the embeddings of different tokens; use checkpoints with one tokenizer"
        ], []
    merges = read_merges(reference), read_merges(other)
    if None not in merges and merges[0] != merges[1]:
        return [], ["its tokenizer has the same tokens as the reference's but other merge rules"]
    return [], []


def _uncertain(reference: Path, other: Path) -> list[str]:
    """The remark on tokenizers of which at least one is a SentencePiece model, or none.

    The positions of its pieces are nearly always the token ids, but some tokenizers shift them: equal ones show that
    the tokens are the same, unequal ones do not show that they are not.
    """
    broken = [problem for folder in (reference, other) for problem in unreadable(folder)]
    if broken:
        return [f"the vocabularies could not be compared: {'; '.join(broken)}"]
    ours, theirs = (read_vocabulary(folder) or _pieces(folder) for folder in (reference, other))
    if ours is None and theirs is None and same_file(reference, other, "tokenizer.model"):
        return []
    if ours is None or theirs is None:
        which = "neither has" if ours is None and theirs is None else "one of the two has no"
        return [
            f"the vocabularies could not be compared: {which} tokenizer.json, vocab.json, vocab.txt or tokenizer.model"
        ]
    differences = vocabulary_differences(ours, theirs)
    if not differences:
        return []
    return [
        f"the vocabularies could not be compared for certain: by tokenizer.model they differ in {len(differences)} "
        f"tokens: {_some(differences)}. Load both with transformers and save them again to make sure"
    ]


def _pieces(folder: Path) -> dict[str, int] | None:
    pieces = read_pieces(folder / "tokenizer.model")
    return None if pieces is None else {**pieces, **read_added(folder, pieces)}


def _some(differences: list[str]) -> str:
    return ", ".join(differences[:_SHOWN]) + (", ..." if len(differences) > _SHOWN else "")
