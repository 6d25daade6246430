"""The token ids of a checkpoint, read from its tokenizer files without loading a tokenizer."""

from __future__ import annotations

import filecmp
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from evomerge.checkpoints.json_files import read_object, read_optional
from evomerge.errors import InputError

_SHOWN = 5
_MOST = 1 << 31  # ids of tokens; the largest vocabularies have a few hundred thousand
_JSON = ("tokenizer.json", "vocab.json", "added_tokens.json", "tokenizer_config.json")


def read_vocabulary(folder: Path) -> dict[str, int] | None:
    """Reads the map from token to id.

    Args:
        folder: The checkpoint.

    Returns:
        The map with added tokens, or None where no file with the ids themselves is there.
    """
    model = _tokenizer(folder).get("model")
    vocabulary: dict[str, int] | None = None
    if isinstance(model, dict):
        vocabulary = _ids(model.get("vocab"))
    elif (folder / "vocab.json").is_file():
        vocabulary = _ids(read_optional(folder / "vocab.json"))
    elif (folder / "vocab.txt").is_file():
        lines = (folder / "vocab.txt").read_text(encoding="utf-8", errors="replace").split("\n")
        vocabulary = {token: index for index, token in enumerate(lines) if token or index < len(lines) - 1}
    return None if vocabulary is None else {**vocabulary, **read_added(folder, vocabulary)}


def unreadable(folder: Path) -> list[str]:
    """Why JSON files of a tokenizer that are there cannot be read, so that they read as if they were not."""
    problems: list[str] = []
    for name in _JSON:
        try:
            if (folder / name).is_file():
                read_object(folder / name)
        except InputError as error:
            problems += error.problems
    return problems


def tokenizer_problems(folder: Path) -> list[str]:
    """The reasons why nobody can tell which row belongs to which token: files that are missing or cannot be read.

    Args:
        folder: The checkpoint.

    Returns:
        One sentence per problem: no tokenizer, broken files, tokens and ids that are given twice, ids that are none.
    """
    names = (*_JSON[:2], "vocab.txt", "tokenizer.model")
    if not any((folder / name).is_file() for name in names) and not any(folder.glob("*.model")):
        return [f"{str(folder)!r} has no tokenizer; expected tokenizer.json, or the files of an older one"]
    problems = unreadable(folder)
    path = folder / "tokenizer.json"
    if problems or not path.is_file():
        return problems
    return [f"{str(path)!r}: {problem}" for problem in _repeated(path)]


def _repeated(path: Path) -> Iterator[str]:
    """Tokens that ``tokenizer.json`` gives twice, ids that it gives to two tokens, and ids that are none."""
    twice: list[str] = []

    def pairs(fields: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(fields)
        if len(found) < len(fields):
            twice.extend(_more_than_once(name for name, _ in fields))
        return found

    model = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=pairs).get("model")
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    if isinstance(vocabulary, list):
        texts = [str(entry[0]) for entry in vocabulary if isinstance(entry, list) and entry]
        if len(texts) < len(vocabulary):
            yield "its vocabulary holds entries that are no pair of token and score"
        twice.extend(_more_than_once(texts))
    elif isinstance(vocabulary, dict):
        yield from _bad_ids(vocabulary)
    if twice:
        yield f"{', '.join(map(repr, twice))} is given twice"


def _more_than_once(texts: Iterable[str]) -> list[str]:
    return [text for text, count in Counter(texts).items() if count > 1][:_SHOWN]


def _bad_ids(vocabulary: Mapping[str, Any]) -> Iterator[str]:
    owners: dict[int, str] = {}
    for token, index in vocabulary.items():
        if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < _MOST:
            yield f"the id of token {token!r} is {index!r}; expected an integer from 0 on"
            return
        if index in owners:
            yield f"tokens {owners[index]!r} and {token!r} have one id, {index}"
            return
        owners[index] = token


def read_added(folder: Path, vocabulary: Mapping[str, int]) -> dict[str, int]:
    """Reads the tokens that were added to a vocabulary, from wherever some version of transformers writes them.

    Args:
        folder: The checkpoint.
        vocabulary: The tokens that are there already; files of less authority do not change their ids.

    Returns:
        Token to id, of tokens to add or to change.
    """
    entries = _tokenizer(folder).get("added_tokens")
    listed = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    added = {str(entry.get("content")): entry["id"] for entry in listed if isinstance(entry.get("id"), int)}
    others = _ids(read_optional(folder / "added_tokens.json"))
    decoder = read_optional(folder / "tokenizer_config.json").get("added_tokens_decoder")
    for index, entry in decoder.items() if isinstance(decoder, dict) else ():
        if isinstance(entry, dict) and str(index).isdigit():
            others.setdefault(str(entry.get("content")), int(index))
    return {**{token: index for token, index in others.items() if token not in vocabulary}, **added}


def same_file(reference: Path, other: Path, name: str) -> bool:
    """Whether both folders have a file of that name, equal byte for byte."""
    paths = reference / name, other / name
    return all(path.is_file() for path in paths) and filecmp.cmp(*paths, shallow=False)


def read_merges(folder: Path) -> str | None:
    """The merge rules of a byte-pair tokenizer as one comparable string, or None where none are written down."""
    model = _tokenizer(folder).get("model")
    merges = model.get("merges") if isinstance(model, dict) else None
    if isinstance(merges, list):
        return "\n".join(merge if isinstance(merge, str) else " ".join(map(str, merge)) for merge in merges)
    path = folder / "merges.txt"
    if isinstance(model, dict) or not path.is_file():
        return None
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(line for line in lines if line and not line.startswith("#version"))


def vocabulary_differences(reference: Mapping[str, int], other: Mapping[str, int]) -> list[str]:
    """Lists every token whose id is not the same in both, in the order of the ids.

    Args:
        reference: Token to id.
        other: Token to id.

    Returns:
        One phrase per token, such as ``'<tool>' only in the second (id 32000)``.
    """
    found: list[tuple[int, str]] = []
    for token in reference.keys() | other.keys():
        first, second = reference.get(token), other.get(token)
        if first == second:
            continue
        if second is None:
            found.append((first or 0, f"{token!r} missing (id {first})"))
        elif first is None:
            found.append((second, f"{token!r} added (id {second})"))
        else:
            found.append((first, f"{token!r} has id {second} instead of {first}"))
    return [phrase for _, phrase in sorted(found)]


def _tokenizer(folder: Path) -> dict[str, Any]:
    return read_optional(folder / "tokenizer.json")


def _ids(vocabulary: Any) -> dict[str, int]:
    if isinstance(vocabulary, dict):
        return {str(token): index for token, index in vocabulary.items() if isinstance(index, int)}
    if isinstance(vocabulary, list):  # Unigram: a list of (token, score), the id is the position
        pairs = [entry for entry in vocabulary if isinstance(entry, list) and entry]
        return {str(entry[0]): index for index, entry in enumerate(pairs)}
    return {}
