"""Arranges prompts into batched generations, once for all candidates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from evomerge.fitness.passes import Limits, PromptBatch
from evomerge.fitness.requests import Prompt


def prompt_batches(prompts: Sequence[tuple[int, Prompt]], limits: Limits) -> Iterator[PromptBatch]:
    """Batches prompts of one kind, the longest first.

    Args:
        prompts: With the places of their requests.
        limits: What bounds a batch.
    """
    kinds: dict[str, list[tuple[int, Prompt]]] = {}
    for index, prompt in prompts:
        kind = repr((prompt.stop, prompt.max_new, sorted(prompt.options.items())))
        kinds.setdefault(kind, []).append((index, prompt))
    for kind in sorted(kinds):
        ordered = sorted(kinds[kind], key=lambda pair: (-len(pair[1].tokens), pair[1].tokens.tobytes(), pair[0]))
        part: list[tuple[int, Prompt]] = []
        for pair in ordered:
            longest = len(part[0][1].tokens) if part else len(pair[1].tokens)
            size = (len(part) + 1) * (longest + pair[1].max_new)
            full = size > limits.tokens or len(part) + 1 > limits.positions or len(part) == (limits.rows or -1)
            if part and full:
                yield _prompt_batch(part)
                part = []
            part.append(pair)
        if part:
            yield _prompt_batch(part)


def _prompt_batch(part: Sequence[tuple[int, Prompt]]) -> PromptBatch:
    return PromptBatch(tuple(prompt for _, prompt in part), tuple(index for index, _ in part))
