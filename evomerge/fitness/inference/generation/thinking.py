"""Answers of reasoning models without their thinking, by the rules of lm-eval's Hugging Face models.

There, ``think_end_token`` names the end of thinking: what comes after its last occurrence is judged, without blanks at
its beginning, and an answer without it is judged whole. Stop texts are cut from what is left. They end the generation
wherever they come, in the thinking too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

AUTO = "auto"
MARK = "</think>"  # of DeepSeek-R1, Qwen3 and most models after them


@dataclass(frozen=True)
class ThinkEnd:
    """The end of thinking in generated tokens.

    Attributes:
        text: How it reads.
        token: Its token where decoding leaves that out, as special tokens are; None where the text is looked for.
    """

    text: str
    token: int | None = None

    @classmethod
    def of(cls, tokenizer: Any, wanted: str | None, *, chat: bool) -> ThinkEnd | None:
        """The end of thinking by a setting.

        Args:
            tokenizer: A ``transformers`` tokenizer.
            wanted: ``auto``, a text, or None for models that do not think.
            chat: Whether prompts pass through the chat template; only then does ``auto`` find anything: ``</think>``,
                where the template speaks of it.
        """
        text = (MARK if chat and MARK in _template(tokenizer) else None) if wanted == AUTO else wanted
        if text is None:
            return None
        token = tokenizer.convert_tokens_to_ids(text)
        return cls(text, token if token in tokenizer.all_special_ids else None)

    def answer(self, tokenizer: Any, tokens: Sequence[int]) -> str:
        """The text of generated tokens after the last end of thinking; all of it where there is none."""
        if self.token is None:
            found: str = tokenizer.decode(list(tokens), skip_special_tokens=True)
            return found.split(self.text)[-1].lstrip()
        last = max((place for place, token in enumerate(tokens) if token == self.token), default=-1)
        return str(tokenizer.decode(list(tokens[last + 1 :]), skip_special_tokens=True)).lstrip()


def _template(tokenizer: Any) -> str:
    """The chat template that prompts pass through."""
    try:
        return str(tokenizer.get_chat_template())
    except ValueError:  # there is none, or several without a default
        return ""
