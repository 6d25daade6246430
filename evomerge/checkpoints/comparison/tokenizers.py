"""Comparison of vocabularies: an embedding row must mean the same token in all checkpoints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
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
from evomerge.checkpoints.heads import embedding_rows
from evomerge.checkpoints.source import CheckpointSource

_SHOWN = 5
_REMEDY = (
    "use checkpoints with one tokenizer, keep the base's embeddings (embeddings=base), or merge them token by token "
    "(tokenizer=base or union)"
)


@dataclass(frozen=True)
class _Tokens:
    """The tokens of one checkpoint.

    Attributes:
        ids: Token to id, of tokens that have a row.
        beyond: Those that have none.
        rows: Number of rows of its embeddings, None where that is not known.
    """

    ids: Mapping[str, int]
    beyond: Mapping[str, int]
    rows: int | None

    @classmethod
    def of(cls, vocabulary: Mapping[str, int], rows: int | None) -> _Tokens:
        """Splits a vocabulary at the end of the embeddings."""
        inside = {token: index for token, index in vocabulary.items() if rows is None or index < rows}
        beyond = {token: index for token, index in vocabulary.items() if token not in inside}
        return cls(inside, beyond, rows)

    def without(self, other: _Tokens) -> dict[str, int]:
        """The tokens whose ids mean nothing in the other, that has not the tokens either."""
        taken = set(other.ids.values())
        return {token: i for token, i in self.ids.items() if token not in other.ids and i not in taken}


def tokenizer_differences(
    reference: CheckpointSource, other: CheckpointSource, matching: str = "row"
) -> tuple[list[str], list[str]]:
    """Compares the vocabularies of two checkpoints, by their files; no tokenizer is loaded.

    Tokens that only the other one has are left out of a merge, and rows that it does not have are the reference's, so
    neither forbids merging. An id that means one token here and another, or none, there does.

    Args:
        reference: The checkpoint whose rows stand for tokens in the merged model.
        other: One that is merged with it.
        matching: How embeddings are merged: by ``row``; by ``token``, or not at all (``none``), which bridges all.

    Returns:
        Differences that merging cannot bridge, and those to know about.
    """
    rows = embedding_rows(reference), embedding_rows(other)
    noted = list(_rows(*rows))
    if same_file(reference.path, other.path, "tokenizer.json") and rows[0] == rows[1]:
        return [], []
    ours, theirs = read_vocabulary(reference.path), read_vocabulary(other.path)
    if ours is None or theirs is None:
        return [], [*_uncertain(reference.path, other.path), *noted] if matching == "row" else []
    if matching != "row":
        unlike = vocabulary_differences(ours, theirs)
        done = "they are merged token by token" if matching == "token" else "its embeddings are not used"
        few = f"its vocabulary differs from the reference's in {len(unlike)} tokens: {_some(unlike)}; {done}"
        return [], [few] if unlike else []
    differences, notes = _compared(_Tokens.of(ours, rows[0]), _Tokens.of(theirs, rows[1]))
    if differences:
        return [
            f"its vocabulary differs from the reference's in {len(differences)} tokens: {_some(differences)}. Merging "
            f"would mix the embeddings of different tokens; {_REMEDY}"
        ], []
    merges = read_merges(reference.path), read_merges(other.path)
    if None not in merges and merges[0] != merges[1]:
        notes.insert(0, "its tokenizer has other merge rules than the reference's, which the merged model gets")
    return [], [*notes, *noted]


def _compared(ours: _Tokens, theirs: _Tokens) -> tuple[list[str], list[str]]:
    """Phrases for tokens that forbid a merge by rows, and sentences about those that do not."""
    added, absent = theirs.without(ours), ours.without(theirs)
    # What the other one has no row for keeps the reference's; a row without a token would be merged as if it had one.
    rowless = {token: i for token, i in absent.items() if theirs.rows is not None and i >= theirs.rows}
    left = {token: i for token, i in ours.ids.items() if token not in rowless}
    differences = vocabulary_differences(left, {token: i for token, i in theirs.ids.items() if token not in added})
    beyond = {token: i for token, i in theirs.beyond.items() if token not in ours.ids}
    notes = []
    if added:
        notes.append(
            f"its vocabulary has {_counted(added)}, which the reference's lacks: {_named(added)}. They are left out; "
            "tokenizer=union keeps them"
        )
    if rowless:
        notes.append(f"it has no embedding of {_counted(rowless)}: {_named(rowless)}. There the reference's stay")
    if beyond:
        notes.append(
            f"its tokenizer has {_counted(beyond)} beyond its {theirs.rows} embedding rows, which it cannot use: "
            f"{_named(beyond)}"
        )
    return differences, notes


def _rows(ours: int | None, theirs: int | None) -> Iterator[str]:
    if ours is not None and theirs is not None and ours != theirs:
        rest = f"the others are the reference's {ours - theirs}" if ours > theirs else "its others are left out"
        both = f"the first {min(ours, theirs)} are merged"
        yield f"its embeddings have {theirs} rows, the reference's {ours}: {both}, {rest}"


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


def _counted(tokens: Mapping[str, int]) -> str:
    return "1 token" if len(tokens) == 1 else f"{len(tokens)} tokens"


def _named(tokens: Mapping[str, int]) -> str:
    return _some([f"{token!r} (id {index})" for token, index in sorted(tokens.items(), key=lambda pair: pair[1])])


def _some(differences: Sequence[str]) -> str:
    return ", ".join(differences[:_SHOWN]) + (", ..." if len(differences) > _SHOWN else "")
