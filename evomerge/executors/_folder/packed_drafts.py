"""Drafts on their way through a shared folder: once in a list of jobs, under a digest that these refer to.

The answers to 64 items, 16 of each and 150 tokens long, are 150,000 numbers or 0.8 MB of JSON, and all jobs of a batch
bring the same. They lie in the list itself, so that nothing else has to be looked after: what is removed with its last
job is no file more. They are compressed, as answers to one item begin alike and every worker reads them over a network.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Iterable

from evomerge.evaluation import Drafts, compact

__all__ = ["PackedDrafts", "unpacked"]


class PackedDrafts:
    """Packs mappings; the last one is remembered, as the next job mostly brings the same."""

    def __init__(self) -> None:
        self._drafts: Drafts = {}
        self._digest = self._text = ""

    def digest(self, drafts: Drafts) -> str:
        """The digest of their content, the same in any session; empty where there are none."""
        if not drafts:
            return ""
        if drafts is not self._drafts:
            text = compact({item: [list(ids) for ids in answers] for item, answers in drafts.items()}).encode()
            self._digest = hashlib.sha256(text).hexdigest()[:32]
            self._text = base64.b64encode(zlib.compress(text, 1)).decode()
            self._drafts = drafts
        return self._digest

    def texts(self, several: Iterable[Drafts]) -> dict[str, str]:
        """Digest to packed drafts, of each content once."""
        found: dict[str, str] = {}
        for drafts in several:
            digest = self.digest(drafts)
            if digest and digest not in found:
                found[digest] = self._text
        return found


def unpacked(text: str) -> Drafts:
    """The drafts that :meth:`PackedDrafts.texts` packed."""
    data = json.loads(zlib.decompress(base64.b64decode(text)))
    return {item: tuple(tuple(ids) for ids in answers) for item, answers in data.items()}
