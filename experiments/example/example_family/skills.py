"""The two languages, the skills, and the words kept aside for evaluation.

A language is 26 letters in alphabetical order: language A writes `a` to `z`, language B `A` to `Z`. Each letter is a
token of its own, so the two share no symbol, only the words of the commands. A word is a few letters, each a rank in
its language's order; a *mixed* word takes each letter from either language. An *instance* is one line of text, such
as `reverse K M T R = R T M K`.

A fixed fifth of all sequences of ranks is reserved for evaluation, whatever the skill, language or seed: training never
meets them, not even in the other language.
"""

import string
from dataclasses import dataclass

import numpy as np

SYMBOLS = {"A": tuple(string.ascii_lowercase), "B": tuple(string.ascii_uppercase)}
SKILLS = ("copy", "translate", "max", "sort", "reverse", "rotate")
LANGUAGES = ("A", "B", "mixed")
EQUALS = "="
WORD_LENGTH = 6
RANKS = 26
RESERVED_SHARE = 5

Letter = tuple[int, str]
Word = tuple[Letter, ...]


@dataclass(frozen=True)
class Instance:
    """One line of text.

    Attributes:
        skill: what is to be done with the word, one of `SKILLS`.
        word: letters of the question, (rank, language) each.
    """

    skill: str
    word: Word

    @property
    def question(self) -> str:
        """The text up to and including the equals sign."""
        return f"{self.skill} {write(self.word)} {EQUALS}"

    @property
    def answer(self) -> str:
        """The text after the equals sign."""
        return write(solve(self.skill, self.word))

    @property
    def text(self) -> str:
        """Question and answer."""
        return f"{self.question} {self.answer}"


def write(word: Word) -> str:
    """Returns the symbols of a word, separated by blanks."""
    return " ".join(SYMBOLS[language][rank] for rank, language in word)


def solve(skill: str, word: Word) -> Word:
    """Returns the right answer. In `max` and `sort`, rank counts before language.

    Raises:
        ValueError: the skill is not one of `SKILLS`.
    """
    if skill == "copy":
        return word
    if skill == "translate":
        return tuple((rank, "B" if language == "A" else "A") for rank, language in word)
    if skill == "max":
        return (max(word),)
    if skill == "sort":
        return tuple(sorted(word))
    if skill == "reverse":
        return word[::-1]
    if skill == "rotate":
        return word[1:] + word[:1]
    raise ValueError(f"unknown skill {skill!r}, expected one of {', '.join(SKILLS)}")


def is_reserved(ranks: tuple[int, ...]) -> bool:
    """Says whether a sequence of ranks is kept aside for evaluation."""
    code = 1
    for rank in ranks:
        code = code * RANKS + rank
    # The finaliser of splitmix64 scatters neighbouring codes; a plain remainder would reserve whole endings.
    code = (code + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
    code = ((code ^ (code >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    code = ((code ^ (code >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    return (code ^ (code >> 31)) % RESERVED_SHARE == 0


def draw_word(generator: np.random.Generator, language: str, length: int, *, reserved: bool) -> Word:
    """Draws a word, from the reserved words or from the others.

    Args:
        generator: source of the draw.
        language: one of `LANGUAGES`.
        length: number of letters.
        reserved: which side of the fence.
    """
    while True:
        ranks = tuple(generator.integers(0, RANKS, size=length).tolist())
        if is_reserved(ranks) == reserved:
            break
    if language != "mixed":
        return tuple((rank, language) for rank in ranks)
    choices = generator.integers(0, 2, size=length).tolist()
    return tuple((rank, "AB"[choice]) for rank, choice in zip(ranks, choices, strict=True))


@dataclass(frozen=True)
class Lesson:
    """What a model practises: a skill, on words of one language (or mixed) and one length."""

    skill: str
    language: str
    length: int = WORD_LENGTH

    def draw(self, generator: np.random.Generator) -> Instance:
        """Draws one training instance; its word is never a reserved one."""
        return Instance(self.skill, draw_word(generator, self.language, self.length, reserved=False))
