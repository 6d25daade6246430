"""Random keys: hashes that say which random mask an expert's tensor gets."""

from __future__ import annotations

import functools
import hashlib
import json

_WORD = (1 << 32) - 1


def random_key(*parts: int | str | None) -> int:
    """Hashes the owner of a random mask, such as a seed, an expert and a tensor's name, into a 64-bit key."""
    data = json.dumps(parts, separators=(",", ":")).encode()
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


@functools.lru_cache(maxsize=1 << 16)
def key_words(key: int, high: int) -> tuple[int, int]:
    """The two 32-bit words that are mixed with indices from ``high * 2**32`` on.

    Hashed once more, because the mixing function separates unrelated words well, but not words that differ in a bit or
    two.
    """
    hashed = random_key(int(key), high)
    return hashed & _WORD, hashed >> 32 & _WORD
