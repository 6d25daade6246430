"""Vocabulary of the generated data: English words and plain facts, and the made-up language Zovian."""

from __future__ import annotations

import json
import random
from pathlib import Path

_VOCABULARY = json.loads((Path(__file__).parent / "vocabulary.json").read_text())

NOUNS: tuple[str, ...] = tuple(_VOCABULARY["nouns"])
# Lists draw from all nouns; the first 64 have a Zovian word.
NOUNS_IN_ZOVIAN = NOUNS[:64]
ADJECTIVES: list[str] = _VOCABULARY["adjectives"]
NAMES: list[str] = _VOCABULARY["names"]
THINGS: list[str] = _VOCABULARY["things"]
DAYS: list[str] = _VOCABULARY["days"]
# Tables from a word to the answer about it.
CAPITALS: dict[str, str] = _VOCABULARY["capitals"]
OPPOSITES: dict[str, str] = _VOCABULARY["opposites"]
PAST_TENSE: dict[str, str] = _VOCABULARY["past_tense"]
# Tables from an answer to the words it holds for.
KINDS: dict[str, list[str]] = _VOCABULARY["kinds"]
CONTINENTS: dict[str, list[str]] = _VOCABULARY["continents"]


def zovian_dictionary() -> dict[str, str]:
    """Invent the Zovian word of every adjective and of every noun in ``NOUNS_IN_ZOVIAN``.

    Returns:
        English word to Zovian word; Zovian words are distinct, nouns end in a consonant and adjectives in ``i``.
    """
    rng = random.Random("zovian")
    taken: set[str] = set()

    def invent(ending: str) -> str:
        while True:
            onsets = rng.sample("bdfgklmnprstvz", 2)
            word = onsets[0] + rng.choice("aeou") + onsets[1] + rng.choice("aeou") + rng.choice(ending)
            if word[:4] not in taken:
                taken.add(word[:4])
                return word

    nouns = {noun: invent("knrstx") for noun in NOUNS_IN_ZOVIAN}
    return nouns | {adjective: invent("dlm") + "i" for adjective in ADJECTIVES}
