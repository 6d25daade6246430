"""Where a generated answer begins and ends: end of thinking, end tokens, stop texts, and the text between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evomerge.fitness.inference.generation.thinking import ThinkEnd

# A stop text may be spelled with more tokens than the tokenizer would choose, so a few more are decoded.
LOOK_BACK = 2


class Ends:
    """Ends of the answers of prompts with the same stop texts.

    Args:
        tokenizer: Encodes stop texts and decodes answers.
        stop: Stop texts of the task.
        think_end: What comes before it is left out of answers; None leaves nothing out.
    """

    def __init__(self, tokenizer: Any, stop: Sequence[str], think_end: ThinkEnd | None = None) -> None:
        self._tokenizer = tokenizer
        self._think_end = think_end
        end = tokenizer.eos_token_id
        own = () if end is None else (str(tokenizer.decode(end, skip_special_tokens=False)),)
        self.texts = (*stop, *own)
        lengths = [len(tokenizer.encode(text, add_special_tokens=False)) for text in self.texts]
        self.window = max(lengths, default=0) + LOOK_BACK

    def stopped(self, recent: Sequence[Sequence[int]]) -> list[bool]:
        """Whether a stop text is in each of some texts, given by their last ``window`` tokens."""
        decoded = self._tokenizer.batch_decode([list(tokens) for tokens in recent])
        return [any(term in text for term in self.texts) for text in decoded]

    def text(self, tokens: Sequence[int]) -> str:
        """The text of an answer: after the end of thinking, up to the first stop text."""
        if self._think_end is not None:
            text = self._think_end.answer(self._tokenizer, tokens)
        else:  # an end token that is no special one is part of the text, as in lm-eval
            text = str(self._tokenizer.decode(list(tokens), skip_special_tokens=True))
        for term in self.texts:
            text = text.split(term)[0]
        return text


def end_tokens(settings: Mapping[str, Any]) -> set[int]:
    """Tokens that end an answer."""
    ends = settings.get("eos_token_id")
    if ends is None:
        return set()
    return {int(ends)} if isinstance(ends, int) else {int(end) for end in ends}
