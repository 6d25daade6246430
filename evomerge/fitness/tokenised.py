"""The items of a suite as token requests."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evomerge.errors import InputError
from evomerge.fitness.inference.encoding import Encoder
from evomerge.fitness.inference.generation.settings import CHECKPOINT, asked_tokens, most_tokens, token_limits
from evomerge.fitness.inference.requests import Request
from evomerge.fitness.splits import canonical
from evomerge.fitness.tasks.checks.findings import shown
from evomerge.fitness.tasks.items import Item

# For each of lm-eval's requests of an item: one token request or, for a rolling window, several.
ItemRequests = tuple[tuple[Request, ...], ...]


@dataclass(frozen=True)
class Tokenised:
    """Token requests of many items.

    Args:
        requests: By item id.
        cut: Number of items, by task, that lost their beginning because they are too long for the model.
        warnings: Tasks whose texts the tokenizer cannot tell apart or does not know.
    """

    requests: Mapping[str, ItemRequests]
    cut: Mapping[str, int]
    warnings: tuple[str, ...] = ()


def tokenise(encoder: Encoder, items: Iterable[tuple[str, Item]]) -> Tokenised:
    """Encodes every request of the items, once.

    Args:
        encoder: Encodes.
        items: Task name and item.

    Returns:
        The requests.

    Raises:
        InputError: With what cannot be asked, each kind of problem once.
    """
    requests: dict[str, ItemRequests] = {}
    cut: dict[str, set[str]] = {}
    wrong: dict[tuple[str, str], list[Item]] = {}
    by_task: dict[str, list[Item]] = {}
    for task, item in items:
        by_task.setdefault(task, []).append(item)
        before = encoder.cut
        try:
            requests[item.id] = tuple(encoder.requests(*asked) for asked in zip(item.kind, item.arguments, strict=True))
        except InputError as error:
            for problem in error.problems:
                wrong.setdefault((task, problem), []).append(item)
        if encoder.cut > before:
            cut.setdefault(task, set()).add(item.id)
    problems = [
        f"task {task!r}: {problem} ({len(found)} of {len(by_task[task])} items, the first is "
        f"{shown(found[0].description['question'])})"
        for (task, problem), found in wrong.items()
    ]
    problems += [
        told for task, listed in by_task.items() for told in _beyond_embedding(task, listed, requests, encoder)
    ]
    if problems:
        raise InputError(problems)
    warnings = [
        told
        for task, listed in by_task.items()
        for told in _warnings(task, listed, requests, encoder, cut.get(task, frozenset()))
    ]
    return Tokenised(requests, {task: len(found) for task, found in cut.items()}, tuple(warnings))


def _beyond_embedding(
    task: str, items: Sequence[Item], requests: Mapping[str, ItemRequests], encoder: Encoder
) -> Iterator[str]:
    """The first item with a token that the model has no row for."""
    if encoder.rows is None:
        return
    largest = {
        item.id: max(int(request.tokens.max()) for part in requests[item.id] for request in part)
        for item in items
        if item.id in requests
    }
    beyond = [item for item, token in largest.items() if token >= encoder.rows]
    if beyond:
        token = largest[beyond[0]]
        yield (
            f"task {task!r}, item {beyond[0]}: token {token} ({encoder.tokenizer.decode([token])!r}) is beyond the "
            f"model's embedding: the tokenizer has {len(encoder.tokenizer)} ids but the model {encoder.rows} rows "
            f"({len(beyond)} of {len(items)} items); take the tokenizer that belongs to the model, or add rows to it"
        )


def _warnings(
    task: str,
    items: Sequence[Item],
    requests: Mapping[str, ItemRequests],
    encoder: Encoder,
    cut: Collection[str],
) -> Iterator[str]:
    """Limits that are not the task's own, and texts that the tokenizer does not know."""
    given = [
        arguments[1]
        for item in items
        for kind, arguments in zip(item.kind, item.arguments, strict=True)
        if kind == "generate_until"
    ]
    for named in dict.fromkeys(tuple(token_limits(arguments).items()) for arguments in given):
        if len({limit for _, limit in named}) > 1:
            listed = ", ".join(f"{name}={limit}" for name, limit in named)
            yield f"task {task!r}: its generation arguments set {listed}; the first counts, as in lm-eval"
    for asked, most in sorted({(asked_tokens(one), most_tokens(one, encoder.generation)) for one in given}):
        if asked != most:
            yield (
                f"task {task!r}: {CHECKPOINT} sets max_new_tokens={most}, which counts instead of "
                f"max_gen_toks={asked}, as in lm-eval"
            )
    # What is left of items that lost their beginnings may well be the same.
    alike = _alike([item for item in items if item.id not in cut], requests)
    if alike * 2 >= len(items) and alike:
        yield (
            f"task {task!r}: {alike} of {len(items)} items are the same tokens as another item or have options that "
            "are: the tokenizer does not know this text"
        )
    unknown, total = _unknown_tokens([requests[item.id] for item in items], encoder.tokenizer.unk_token_id)
    if unknown * 2 > total:
        yield (
            f"task {task!r}: {unknown} of {total} tokens are the unknown token: the tokenizer does not know this text"
        )


def _alike(items: Sequence[Item], requests: Mapping[str, ItemRequests]) -> int:
    """How many items differ as texts, but not as tokens, from another one or among their own requests."""
    texts: dict[Any, set[str]] = {}
    keys: dict[str, Any] = {}
    alike: set[str] = set()
    for item in items:
        parts = [tuple(request.tokens.tobytes() for request in part) for part in requests[item.id]]
        asked = [canonical(arguments) for arguments in item.arguments]
        if len(set(parts)) < len(set(asked)):
            alike.add(item.id)
        keys[item.id] = tuple(parts)
        texts.setdefault(keys[item.id], set()).add(canonical(asked))
    return len(alike | {item for item, key in keys.items() if len(texts[key]) > 1})


def _unknown_tokens(requests: Iterable[ItemRequests], unknown: int | None) -> tuple[int, int]:
    """How many tokens are the unknown one, and how many there are, without the first of each request.

    Some tokenizers use one token for the beginning of a text and for what they do not know.
    """
    tokens = [request.tokens[1:] for item in requests for part in item for request in part]
    found = 0 if unknown is None else sum(int((row == unknown).sum()) for row in tokens)
    return found, sum(row.size for row in tokens)
