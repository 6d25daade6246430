"""Drafts by looking up what followed the same last tokens before, in a row's own text and in known answers.

The idea is prompt lookup decoding (Saxena 2023, https://github.com/apoorvumang/prompt-lookup-decoding), with answers of
other candidates as further texts.
"""

from __future__ import annotations

from collections.abc import Sequence

Tokens = tuple[int, ...]

LEAST = 2  # tokens that must agree
MOST = 16  # tokens that are compared
_TRIED = 24  # places that are compared, the newest first


class Lookup:
    """Finds where the end of a text occurred before.

    Args:
        own: The row's prompt.
        known: Known answers, the newest last.
    """

    def __init__(self, own: Sequence[int], known: Sequence[Tokens]) -> None:
        self._own = list(own)
        self._texts: list[Sequence[int]] = [self._own, *known]
        self._places: dict[tuple[int, ...], list[tuple[int, int]]] = {}
        for index, text in enumerate(self._texts):
            for end in range(LEAST, len(text)):  # a place at the very end has nothing behind it
                self._places.setdefault(tuple(text[end - LEAST : end]), []).append((index, end))

    def extend(self, tokens: Sequence[int]) -> None:
        """Adds what the row has generated to its own text."""
        for token in tokens:
            end = len(self._own)
            if end >= LEAST:
                self._places.setdefault(tuple(self._own[end - LEAST :]), []).append((0, end))
            self._own.append(token)

    def find(self, most: int) -> tuple[Sequence[int], int]:
        """The tokens behind the longest agreement with the end of the row's text.

        Args:
            most: Most tokens to return.

        Returns:
            The tokens, none where nothing agrees, and how many agreed before them.
        """
        best, found = (0, 0, 0), None
        for index, end in reversed(self._places.get(tuple(self._own[-LEAST:]), [])[-_TRIED:]):
            agreed = self._agreed(self._texts[index], end)
            if (agreed, index, end) > best:
                best, found = (agreed, index, end), (index, end)
        if found is None:
            return (), 0
        return self._texts[found[0]][found[1] : found[1] + most], best[0]

    def _agreed(self, text: Sequence[int], end: int) -> int:
        length = LEAST
        while length < min(MOST, end, len(self._own)) and text[end - length - 1] == self._own[-length - 1]:
            length += 1
        return length
