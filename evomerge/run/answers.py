"""What a run recorded of its candidates' answers, or a clear word that it is not there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from evomerge.errors import InputError
from evomerge.evaluation import Evaluation, Response
from evomerge.store import RunStore


def recorded_answers(store: RunStore, recorded: Evaluation) -> list[Response]:
    """What a candidate answered, all of it: to compare with a part would check less than it says.

    Args:
        store: The run.
        recorded: The candidate's evaluation.

    Raises:
        InputError: If answers are missing or cannot be read.
    """
    with reading_answers(store):
        answers = store.responses(recorded)
    found = len({(answer.task, answer.item) for answer in answers})
    if not found or found != len(answers) or found != recorded.items:
        raise InputError(
            f"the run's answers are missing: {recorded.items} {recorded.split} items were scored, and "
            f"{store.folder / 'responses'} holds the answers to {found}; without them no export can be checked"
        )
    return answers


@contextmanager
def reading_answers(store: RunStore) -> Iterator[None]:
    """Says in a user's words what is wrong with files of answers."""
    try:
        yield
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"the run's answers are missing: {error.filename}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"the run's answers cannot be read, in {store.folder / 'responses'}: {error}") from error
