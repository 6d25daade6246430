"""A tokenizer with tokens of others behind its own.

``tokenizer.json`` of the tokenizers library is changed as data, so that every kind of model works. All tokens, added
ones too, are written into the model's own vocabulary with their ids: the library numbers added tokens anew where the
vocabulary does not say what they are.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evomerge.errors import InputError
from evomerge.merging.vocabulary.stored import load_tokenizer

# Below the worst piece, so that texts are cut into pieces of the tokenizer's own kind where they can be.
_WORSE = 10.0
_PROPERTIES = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": True, "special": False}


@dataclass(frozen=True)
class NewToken:
    """A token that a tokenizer gets.

    Attributes:
        content: Its text, as vocabularies write it.
        of: Which of the others it is from; None where the recipe names it.
        added: The properties of an added token, which is found in texts before they are cut into pieces; None for a
            piece.
    """

    content: str
    of: int | None
    added: Mapping[str, Any] | None = None


def extended(
    state: Mapping[str, Any],
    new: Sequence[NewToken],
    others: Sequence[Mapping[str, Any]],
    ids: Mapping[str, int],
) -> dict[str, Any]:
    """The content of ``tokenizer.json`` with more tokens.

    Pieces become pieces: of byte-pair encodings with the other tokenizer's rules that make them, which are tried after
    the tokenizer's own; of unigram models with the other's scores. Added tokens become added tokens.

    Args:
        state: The content without them.
        new: The tokens.
        others: The contents of the tokenizers that they are from.
        ids: Token to id, of all tokens.

    Raises:
        InputError: If the tokenizer is of a kind that takes no tokens, or its ids have gaps that it cannot have.
    """
    found = copy.deepcopy(dict(state))
    model = found["model"]
    if isinstance(model.get("vocab"), list):
        model["vocab"] = _scored(model["vocab"], new, others, ids)
    elif isinstance(model.get("vocab"), dict):
        model["vocab"] = dict(ids)
    else:
        raise InputError(f"tokens cannot be added to a tokenizer of type {model.get('type')!r}")
    if "merges" in model:
        model["merges"] = [*map(_pair, model["merges"]), *_rules(model, new, others, ids)]
    listed = [dict(entry) | {"id": ids[entry["content"]]} for entry in found.get("added_tokens") or ()]
    more = [token for token in new if token.added is not None]
    listed += [_PROPERTIES | dict(t.added or {}) | {"id": ids[t.content], "content": t.content} for t in more]
    found["added_tokens"] = listed
    return found


def write_extended(tokenizer: Any, state: Mapping[str, Any], ids: Mapping[str, int], folder: Path) -> None:
    """Writes a tokenizer's files, and makes sure that transformers reads the same tokens from them.

    Args:
        tokenizer: The tokenizer without its new tokens, as transformers loads it.
        state: The content of its ``tokenizer.json``.
        ids: Token to id.
        folder: Where to.

    Raises:
        InputError: If transformers reads other tokens.
    """
    tokenizer.save_pretrained(folder)
    (folder / "tokenizer.json").write_text(json.dumps(state, ensure_ascii=False), encoding="utf-8")
    if _read_back(folder, ids) is None:
        return
    # Classes of single models build a tokenizer of their own from what they read; the general one takes it as it is.
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config |= {"tokenizer_class": "PreTrainedTokenizerFast", "model_input_names": list(tokenizer.model_input_names)}
    path.write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if problem := _read_back(folder, ids):
        raise InputError(f"the merged tokenizer cannot be written: {problem}")


def _read_back(folder: Path, ids: Mapping[str, int]) -> str | None:
    """The first token that transformers reads otherwise, in words; None if all are right."""
    try:
        found = load_tokenizer(folder).get_vocab()
    except InputError as error:
        return str(error)
    unlike = [token for token in (*ids, *found) if found.get(token) != ids.get(token)]
    if not unlike:
        return None
    token = unlike[0]
    return f"transformers reads token {token!r} as {found.get(token)}, its embedding is row {ids.get(token)}"


def _scored(
    vocabulary: Sequence[Sequence[Any]],
    new: Sequence[NewToken],
    others: Sequence[Mapping[str, Any]],
    ids: Mapping[str, int],
) -> list[list[Any]]:
    """A unigram model's pieces with their scores, in the order of the ids, which are their positions."""
    scores = {str(text): float(score) for text, score in vocabulary}
    least = min(scores.values(), default=0.0) - _WORSE
    theirs = [_scores(other) for other in others]
    for token in new:
        if token.of is not None and token.added is None and token.content in theirs[token.of]:
            scores[token.content] = theirs[token.of][token.content]
    ordered = sorted(ids, key=ids.__getitem__)
    if [ids[token] for token in ordered] != list(range(len(ordered))):
        raise InputError("tokens cannot be added to a unigram tokenizer whose ids have gaps")
    return [[token, scores.get(token, least)] for token in ordered]


def _scores(state: Mapping[str, Any]) -> dict[str, float]:
    vocabulary = state["model"].get("vocab")
    return {str(t): float(score) for t, score in vocabulary} if isinstance(vocabulary, list) else {}


def _rules(
    model: Mapping[str, Any], new: Sequence[NewToken], others: Sequence[Mapping[str, Any]], ids: Mapping[str, int]
) -> Iterator[list[str]]:
    """The rules of other byte-pair encodings by which new pieces are made."""
    known = {tuple(_pair(rule)) for rule in model["merges"]}
    prefix = model.get("continuing_subword_prefix") or ""
    pieces = {token.content for token in new if token.added is None}
    for other in others:
        for rule in other["model"].get("merges") or ():
            left, right = _pair(rule)
            whole = left + right.removeprefix(prefix)
            if whole in pieces and left in ids and right in ids and (left, right) not in known:
                known.add((left, right))
                yield [left, right]


def _pair(rule: str | Iterable[str]) -> list[str]:
    return rule.split(" ", 1) if isinstance(rule, str) else list(rule)
