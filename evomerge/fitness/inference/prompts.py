"""Groups prompts into batched generations, once for all candidates."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from evomerge.fitness.inference.batches import Limits, PromptBatch
from evomerge.fitness.inference.requests import Prompt

Asked = tuple[int, Prompt]

# Prompts that agree in their first tokens are candidates for a shared prefix, if there are enough of them and it is
# long enough.
_ALIKE = 32
_LEAST_PROMPTS = 4
_LEAST_SHARE = 0.25


def prompt_batches(prompts: Sequence[Asked], limits: Limits, *, share: bool) -> Iterator[PromptBatch]:
    """Groups prompts with the same stop texts, limit and options into batches, the longest first.

    Args:
        prompts: Prompts and the indices of their requests.
        limits: Bounds of a batch.
        share: Whether a prefix that many prompts share is run once.
    """
    kinds: dict[str, list[Asked]] = defaultdict(list)
    for index, prompt in prompts:
        kinds[_kind(prompt)].append((index, prompt))
    for kind in sorted(kinds):
        for shared, members in _by_prefix(kinds[kind]) if share else [(0, kinds[kind])]:
            for part in _cut(members, limits):
                yield PromptBatch(tuple(prompt for _, prompt in part), tuple(index for index, _ in part), shared)


def rejoined(batches: Sequence[PromptBatch]) -> list[PromptBatch]:
    """Batches that were cut for their size, put together again: equal stop texts, limits, options and shared prefix."""
    found: dict[Any, list[PromptBatch]] = defaultdict(list)
    for batch in batches:
        first = batch.prompts[0]
        found[_kind(first), batch.shared, first.tokens[: batch.shared].tobytes()].append(batch)
    return [
        PromptBatch(
            tuple(prompt for batch in parts for prompt in batch.prompts),
            tuple(request for batch in parts for request in batch.requests),
            shared,
        )
        for (_, shared, _), parts in found.items()
    ]


def _kind(prompt: Prompt) -> str:
    return repr((prompt.stop, prompt.max_new, sorted(prompt.options.items())))


def _by_prefix(prompts: Sequence[Asked]) -> Iterator[tuple[int, list[Asked]]]:
    """Groups of prompts with the length of their common prefix; the rest form one group with 0."""
    alike: dict[bytes, list[Asked]] = defaultdict(list)
    for index, prompt in prompts:
        alike[prompt.tokens[:_ALIKE].tobytes()].append((index, prompt))
    rest: list[Asked] = []
    for prefix in sorted(alike):
        members = alike[prefix]
        shared = _common([prompt for _, prompt in members])
        saved = (len(members) - 1) * shared
        if len(members) < _LEAST_PROMPTS or saved < _LEAST_SHARE * sum(len(p.tokens) for _, p in members):
            rest += members
        else:
            yield shared, members
    if rest:
        yield 0, rest


def _common(prompts: Sequence[Prompt]) -> int:
    """Length of the common prefix, leaving each prompt at least one token of its own."""
    length = min(len(prompt.tokens) for prompt in prompts) - 1
    first = prompts[0].tokens[:length]
    for prompt in prompts[1:]:
        unlike = (prompt.tokens[:length] != first[:length]).nonzero()[0]
        length = int(unlike[0]) if len(unlike) else length
    return length


def _cut(prompts: Sequence[Asked], limits: Limits) -> Iterator[list[Asked]]:
    ordered = sorted(prompts, key=lambda pair: (-len(pair[1].tokens), pair[1].tokens.tobytes(), pair[0]))
    part: list[Asked] = []
    for pair in ordered:
        longest = len(part[0][1].tokens) if part else len(pair[1].tokens)
        size = (len(part) + 1) * (longest + pair[1].max_new)
        logits = (len(part) + 1) * (longest if limits.logits == "all" else 1)
        full = size > limits.cached or logits > limits.positions or len(part) == (limits.rows or -1)
        if part and full:
            yield part
            part = []
        part.append(pair)
    if part:
        yield part
