"""Questions about words of two dictionaries: training examples of two skills, and the items of their lm-eval tasks.

Skills are ``kinds`` (what kind of thing a noun names, in ten kinds of WordNet) and ``sounds`` (how a word is spoken,
in the symbols of the CMU Pronouncing Dictionary). No word that is evaluated occurs in its skill's training.

Run from the repository root: ``python -m experiments.smollm2.dictionaries.items`` writes ``tasks/kinds.jsonl`` and
``tasks/sounds.jsonl``, always the same.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from experiments.smollm2.data import SEED, TASKS_FOLDER, Item, jsonl, pose

EVALUATED = 1200
# Sounds that are written alike or made alike; a wrong answer has one of its own set in another's place.
_ALIKE = (
    frozenset({"AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW"}),
    frozenset({"P", "B", "T", "D", "K", "G"}),
    frozenset({"F", "V", "TH", "DH", "S", "Z", "SH", "ZH", "HH", "CH", "JH"}),
    frozenset({"M", "N", "NG", "L", "R", "W", "Y"}),
)


@cache
def table(skill: str) -> tuple[tuple[str, str], ...]:
    """The words of a skill and their answers, in random order."""
    lines = (Path(__file__).parent / f"{skill}.tsv").read_text(encoding="utf-8").splitlines()
    rows = [(word, answer) for word, _, answer in (line.partition("\t") for line in lines)]
    random.Random(f"smollm2/{SEED}/{skill}").shuffle(rows)
    return tuple(rows)


def kind_question(word: str) -> str:
    """Ask the kind of a noun."""
    return f"Word: {word}\nKind:"


def sound_question(word: str) -> str:
    """Ask the sounds of a word."""
    return f"Word: {word}\nSounds:"


def other_kinds(rng: random.Random, kind: str) -> list[str]:
    """The other kinds of the table."""
    return sorted({other for _, other in table("kinds")} - {kind})


def misheard(rng: random.Random, sounds: str) -> str:
    """Put another sound, much alike, in the place of one."""
    heard = sounds.split()
    place = rng.randrange(len(heard))
    alike = next(group for group in _ALIKE if heard[place] in group)
    heard[place] = rng.choice(sorted(alike - {heard[place]}))
    return " ".join(heard)


def other_sounds(rng: random.Random, sounds: str) -> list[str]:
    """Three wrong pronunciations, one of them misheard from a wrong one, so that nothing stands in their midst."""
    while True:
        first, second = misheard(rng, sounds), misheard(rng, sounds)
        wrong = {first, second, misheard(rng, first)} - {sounds}
        if len(wrong) == 3:
            return sorted(wrong)


QUESTIONS: dict[str, tuple[Callable[[str], str], Callable[[random.Random, str], list[str]]]] = {
    "kinds": (kind_question, other_kinds),
    "sounds": (sound_question, other_sounds),
}


def evaluation_items(skill: str) -> list[Item]:
    """The items of one task.

    Args:
        skill: A key of ``QUESTIONS``.

    Returns:
        Items with distinct words, which are their keys.
    """
    rng = random.Random(f"smollm2/{SEED}/evaluation/{skill}")
    ask, others = QUESTIONS[skill]
    return [pose(rng, word, ask(word), answer, others(rng, answer)) for word, answer in table(skill)[:EVALUATED]]


def training_examples(skill: str, seed: int = SEED) -> Iterator[tuple[str, str]]:
    """Endless training examples of one skill: all words that are not evaluated, again and again in other orders.

    Args:
        skill: A key of ``QUESTIONS``.
        seed: Seed of the stream.

    Yields:
        A prompt without trailing space, and its answer.
    """
    rng = random.Random(f"smollm2/{seed}/training/{skill}")
    ask, _ = QUESTIONS[skill]
    rows = list(table(skill)[EVALUATED:])
    while True:
        rng.shuffle(rows)
        yield from ((ask(word), answer) for word, answer in rows)


def main() -> None:
    """Write the items of both tasks beside their YAML files."""
    for skill in QUESTIONS:
        items = evaluation_items(skill)
        (TASKS_FOLDER / f"{skill}.jsonl").write_text(jsonl(items), encoding="utf-8")
        print(f"{skill}: {len(items)} items")


if __name__ == "__main__":
    main()
