"""Names that a tracker accepts, for labels in the user's own words."""

from __future__ import annotations

import re

__all__ = ["CleanNames"]


class CleanNames:
    """Replaces characters that a tracker refuses, and keeps names apart that would become one.

    Args:
        refused: Matches a character that is replaced by an underscore.
        flags: Of the regular expression.
    """

    def __init__(self, refused: str, flags: int = 0) -> None:
        self._refused = re.compile(refused, flags)
        self._known: dict[str, str] = {}

    def __call__(self, name: str) -> str:
        """The name that stands for one, always the same."""
        if name not in self._known:
            plain = re.sub("/+", "/", self._refused.sub("_", name)).strip("/")
            taken, found, count = set(self._known.values()), plain, 1
            while found in taken:
                count += 1
                found = f"{plain}_{count}"
            self._known[name] = found
        return self._known[name]
