"""Input errors: every problem found, one sentence each; what was expected in words, and what was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")


class InputError(ValueError):
    """Input that cannot be used, with every problem found in it.

    A command that meets it prints the problems and exits with code 2.

    Args:
        problems: One sentence per problem: what was expected, what came, where, and what to do.

    Attributes:
        problems: The problems, in the order they were found.
    """

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))


class Findings:
    """The problems of several stages, so that one message names them all.

    Attributes:
        problems: Those found so far, each once.
    """

    def __init__(self) -> None:
        self.problems: list[str] = []

    def attempt(self, stage: Callable[[], T]) -> T | None:
        """The value of a stage; None where it found problems, which are kept."""
        try:
            return stage()
        except InputError as error:
            self.problems += [problem for problem in error.problems if problem not in self.problems]
            return None

    def settle(self) -> None:
        """Raises what was found.

        Raises:
            InputError: If that is anything.
        """
        if self.problems:
            raise InputError(self.problems)


def a_number(low: float | None = None, high: float | None = None, *, whole: bool = False) -> str:
    """A number in the words that follow "expected".

    Args:
        low: The smallest that is accepted; None where there is no limit.
        high: The largest.
        whole: Whether it has no fraction.

    Returns:
        Such as ``"a whole number of at least 1"``.
    """
    kind = "a whole number" if whole else "a number"
    least, most = (None if end is None else str(int(end)) if whole else f"{end:g}" for end in (low, high))
    if least is not None and most is not None:
        return f"{kind} from {least} to {most}"
    return f"{kind} of at least {least}" if least is not None else f"{kind} of at most {most}" if most else kind


def suggest(word: str, known: Iterable[str]) -> str:
    """Ends an error message with the word that was probably meant.

    Args:
        word: What came.
        known: What would have been accepted.

    Returns:
        ``"; did you mean 'ties'?"``, or an empty string when nothing known is similar.
    """
    choices = sorted({str(name) for name in known})
    close = difflib.get_close_matches(str(word), choices, n=1, cutoff=0.6)
    if not close:
        lowered = {name.lower().replace("-", "_"): name for name in choices}
        close = difflib.get_close_matches(str(word).lower().replace("-", "_"), list(lowered), n=1, cutoff=0.6)
        close = [lowered[name] for name in close]
    return f"; did you mean {close[0]!r}?" if close else ""
