"""The entry of the command line: takes the verb off, checks every word, and runs the verb.

Nothing heavy is imported before it is needed: ``--help`` answers at once, and the environment of the Hugging Face
libraries is set before any of them is imported.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import io
import os
import shlex
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import evomerge
from evomerge.cli.interrupts import orderly_end
from evomerge.config import help as pages
from evomerge.errors import InputError, suggest
from evomerge.imports import imported
from evomerge.texts import printable

DONE, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
EXAMPLE = ("experiment=example",)
_HELP, _VERSION, _DEBUG, _MULTIRUN = ("-h", "--help", "help"), ("--version", "-V"), "--debug", ("-m", "--multirun")
_HEADERS = "--headers"
_STATISTICS, _NAMED = "statistics", ("statistic=", "model=")  # the words of statistics that are named


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: The words after the program's name; None takes the process's own.

    Returns:
        The exit code: 0 done, 1 failure, 2 bad input, 130 interrupted.
    """
    _open_streams()
    words = list(sys.argv[1:] if argv is None else argv)
    debug = _DEBUG in words or os.environ.get("EVOMERGE_TRACEBACK") == "1"
    try:
        with orderly_end():
            return _run([word for word in words if word != _DEBUG])
    except InputError as error:
        say_problems(error)
        return BAD_INPUT
    except KeyboardInterrupt:
        # Other verbs keep nothing of what they have not finished.
        again = "; the same command goes on from here" if words[:1] in ([], ["search"]) else ""
        print(f"stopped{again}", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
        )  # nobody reads on; flushing at exit must not fail
        return FAILED
    except Exception as error:
        said = sentence(error)
        if debug:
            traceback.print_exc()
        hint = "" if debug else " (--debug shows where)"
        print(f"evomerge: {said}{hint}", file=sys.stderr)
        return FAILED


def _open_streams() -> None:
    """Makes output possible whatever the process was given: closed streams, or an encoding without some letters."""
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - open to the end
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - open to the end
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _run(words: list[str]) -> int:
    if not words:
        return _search(EXAMPLE, ("evomerge",))
    verb, rest = words[0], words[1:]
    if verb in _HELP:
        print(pages.overview(), end="")
        return DONE
    if verb in _VERSION:
        print(f"evomerge {evomerge.__version__}")
        return DONE
    if verb not in pages.VERBS:
        raise InputError(_no_verb(words))
    if any(word in _HELP[:2] for word in rest):
        print(pages.verb(verb), end="")
        return DONE
    return _run_verb(verb, rest)


def _run_verb(verb: str, rest: list[str]) -> int:
    several = any(word in _MULTIRUN for word in rest)
    words = [word for word in rest if word not in _MULTIRUN]
    if several and verb != "search":
        raise InputError(f"-m is for search; {verb} runs once")
    if several:
        from evomerge.cli import sweep

        return sweep.run(words)
    if verb == "check" and rest[:1] and rest[0] in pages.VERBS:
        return _check(rest[0], rest[1:])
    if verb in pages.SEARCH_VERBS:
        options = {"measured": False} if verb == "check" and _HEADERS in words else {}
        words = [word for word in words if not (options and word == _HEADERS)]
        return _search(words, ("evomerge", "search", *words), verb, options)
    if verb == _STATISTICS:
        return _statistics(rest)
    from evomerge.config import compose
    from evomerge.run import environment

    config: Any = getattr(compose, verb)(words)
    environment.prepare(offline=bool(getattr(config, "offline", True)))
    return _call(verb, config)


def _search(
    words: Sequence[str], command: Sequence[str], verb: str = "search", options: Mapping[str, bool] | None = None
) -> int:
    from evomerge.config import compose
    from evomerge.run import environment

    if verb == "submit":
        submission, settings = compose.submit(words, command)
        environment.prepare(offline=bool(submission.offline))
        return int(_verb("submit").run(submission, settings))
    # The methods among which a search chooses load PyTorch.
    with contextlib.nullcontext() if "evomerge.methods" in sys.modules else imported():
        config = compose.search(words, command)
    environment.prepare(offline=bool(config.offline) and verb != "fetch", bars=verb == "fetch")
    return _call(verb, config, options)


def _statistics(rest: Sequence[str]) -> int:
    """A word says what is done with statistics; ``collect`` takes the words of a search, or names them."""
    actions = {"list": "listing", "collect": "collect", "remove": "remove"}
    action, words = (rest[0], rest[1:]) if rest else ("", ())
    if action not in actions:
        what = f"{action}: not a word for what to do" if action else "a word for what to do is missing"
        raise InputError(f"{what}{suggest(action, actions)}; write evomerge statistics {' | '.join(actions)}")
    from evomerge.config import compose
    from evomerge.run import environment

    config: Any
    run = actions[action]
    if action != "collect":
        config = compose.statistics(words)
    elif any(word.startswith(_NAMED) for word in words):
        run, config = "collect_named", compose.collect(words)
    else:
        config = compose.search(words, ("evomerge", "search", *words))
    environment.prepare(offline=bool(getattr(config, "offline", True)))
    return int(getattr(_verb(_STATISTICS), run)(config))


def _check(verb: str, words: Sequence[str]) -> int:
    """Says what a verb would take that is no search; of statistics it collects those of one model."""
    if verb == "search":
        return _run_verb("check", list(words))
    if verb not in pages.CHECKED:
        raise InputError(f"check {verb}: {pages.not_checked(verb)}")
    if verb == _STATISTICS and words[:1] and "=" not in words[0]:
        if words[0] != "collect":
            raise InputError(
                f"check statistics {words[0]}: of statistics, check says what collecting would take: evomerge check "
                "statistics model=... statistic=[...] calibration=[...]; without check there are evomerge statistics "
                "list | collect | remove"
            )
        words = words[1:]
        if words and not any(word.startswith(_NAMED) for word in words):
            return _run_verb("check", list(words))  # nothing is named: a search's check says what that reads
    from evomerge.config import compose
    from evomerge.run import environment

    config: Any = getattr(compose, "collect" if verb == _STATISTICS else verb)(words)
    environment.prepare(offline=bool(config.offline))
    return int(_verb(verb).check(config))


def _call(verb: str, config: object, options: Mapping[str, bool] | None = None) -> int:
    return int(_verb(verb).run(config, **(options or {})))


def _verb(verb: str) -> Any:
    """The module of a verb, with all that it needs."""
    name = f"evomerge.cli.verbs.{verb}"
    if name not in sys.modules:
        with imported():
            importlib.import_module(name)
    return sys.modules[name]


def _no_verb(words: Sequence[str]) -> str:
    first = words[0]
    if "=" in first or first.startswith("-m"):
        # With dashes before keys, which other programs want.
        rest = shlex.join(word.lstrip("-") if "=" in word else word for word in words)
        return (
            f"{first}: a verb comes first. For a search of your own: evomerge search {rest}. "
            f"For the embedded example with other settings: evomerge search experiment=example {rest}"
        )
    return f"{first}: unknown verb{suggest(first, pages.VERBS)} (there are {', '.join(pages.VERBS)})"


def sentence(error: Exception) -> str:
    """An error in words: of the operating system, the file and what is the matter with it; else its type and text."""
    if isinstance(error, OSError) and error.strerror:
        hint = "; make room and repeat the command" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        place = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
        return f"{place}{error.strerror}{hint}"
    return f"{type(error).__name__}: {error}"


def say_problems(error: InputError) -> None:
    """Prints every problem, a line each."""
    count = len(error.problems)
    print("evomerge: 1 problem" if count == 1 else f"evomerge: {count} problems", file=sys.stderr)
    for problem in error.problems:
        print(f"  - {printable(problem)}", file=sys.stderr)
