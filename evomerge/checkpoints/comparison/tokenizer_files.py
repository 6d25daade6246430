"""The token ids of a checkpoint, read from its tokenizer files without loading a tokenizer."""

from __future__ import annotations

import filecmp
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def read_vocabulary(folder: Path) -> dict[str, int] | None:
    """Reads the map from token to id.

    Args:
        folder: The checkpoint.

    Returns:
        The map with added tokens, or None where no readable tokenizer file is there.
    """
    data = _json(folder / "tokenizer.json")
    if isinstance(data, dict) and isinstance(data.get("model"), dict):
        vocabulary = _plain(data["model"].get("vocab"))
        for token in data.get("added_tokens") or ():
            vocabulary[token["content"]] = token["id"]
        return vocabulary
    data = _json(folder / "vocab.json")
    if isinstance(data, dict):
        return {**_plain(data), **_plain(_json(folder / "added_tokens.json"))}
    if (folder / "vocab.txt").is_file():
        lines = (folder / "vocab.txt").read_text(encoding="utf-8").split("\n")
        return {token: index for index, token in enumerate(lines) if token or index < len(lines) - 1}
    return None


def same_tokenizer_file(reference: Path, other: Path) -> bool:
    """Whether both have the same ``tokenizer.json``, byte for byte, so that nothing needs to be read in detail."""
    paths = reference / "tokenizer.json", other / "tokenizer.json"
    return all(path.is_file() for path in paths) and filecmp.cmp(*paths, shallow=False)


def sentencepiece_digest(folder: Path) -> str | None:
    """SHA-256 of the SentencePiece model, where there is one: all that can be compared without reading it."""
    path = folder / "tokenizer.model"
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def read_merges(folder: Path) -> str | None:
    """The merge rules of a byte-pair tokenizer as one comparable string, or None where it has none."""
    data = _json(folder / "tokenizer.json")
    model = data.get("model") if isinstance(data, dict) else None
    merges = model.get("merges") if isinstance(model, dict) else None
    if not merges:
        return None
    return "\n".join(merge if isinstance(merge, str) else " ".join(merge) for merge in merges)


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


def _plain(vocab: Any) -> dict[str, int]:
    if isinstance(vocab, dict):
        return {str(token): int(index) for token, index in vocab.items()}
    if isinstance(vocab, list):  # Unigram: a list of (token, score), the id is the position
        return {str(entry[0]): index for index, entry in enumerate(vocab)}
    return {}


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError):
        return None
