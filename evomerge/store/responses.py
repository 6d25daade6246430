"""Responses by item: what a recipe has answered is never asked again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from evomerge.errors import InputError
from evomerge.evaluation import Evaluation, ItemLists, Response, ResponseRef, compact
from evomerge.store.files import Log, damaged
from evomerge.store.item_sets import ItemSets


class Responses:
    """The responses of a run, kept in ``responses/<writer>.jsonl``.

    Only responses that a record refers to exist. Those of a candidate that was being kept when the process was killed
    lie in the file and are not found: how far it had come with writing them must not make a difference.

    Args:
        folder: The folder of the files.
        writer: Name of this process's own file; None to read only.
        item_sets: Which items a digest stands for.
        kept: Where the responses of a recipe in a variant lie, each with the digest of the items that they answer.
    """

    def __init__(
        self,
        folder: Path,
        writer: str | None,
        item_sets: ItemSets,
        kept: Callable[[str, str], Sequence[tuple[str, ResponseRef]]],
    ) -> None:
        self._folder = folder
        self._log = Log(folder / f"{writer}.jsonl") if writer is not None else None
        self._item_sets = item_sets
        self._kept = kept

    def find(
        self, digest: str, items: ItemLists, variant: str = ""
    ) -> tuple[list[Response], dict[str, tuple[str, ...]]]:
        """Looks up what a recipe has answered.

        Args:
            digest: The recipe's.
            items: Task to item ids: what is to be known.
            variant: The form the model is served in.

        Returns:
            The known responses in the order of ``items``, and what is missing: task to item ids, without tasks that
            miss nothing.
        """
        wanted = [(task, item) for task, ids in items.items() for item in ids]
        found: dict[tuple[str, str], Response] = {}
        for answered, ref in self._kept(digest, variant):
            if not self._item_sets.members(answered).isdisjoint(wanted):
                found.update((response.key, response) for response in self.read(ref))
        missing = {task: tuple(item for item in ids if (task, item) not in found) for task, ids in items.items()}
        return [found[key] for key in wanted if key in found], {task: ids for task, ids in missing.items() if ids}

    def answered(self, digest: str, variant: str = "") -> set[tuple[str, str]]:
        """The (task, item) pairs that a recipe has answered."""
        kept = self._kept(digest, variant)
        return {key for answered, _ in kept for key in self._item_sets.members(answered)}

    def check(self, evaluation: Evaluation, asked: ItemLists, given: Sequence[Response]) -> None:
        """Refuses answers that do not go with an evaluation.

        Args:
            evaluation: The evaluation that they are brought for.
            asked: What it was asked.
            given: What was answered for it.

        Raises:
            ValueError: If an item is answered that was answered before or not asked, one that was asked has no answer
                and there is no failure, or there are answers beside a failure.
        """
        keys = {response.key for response in given}
        known = self.answered(evaluation.digest, evaluation.variant)
        name = f"recipe {evaluation.digest[:12]}"
        if len(keys) < len(given) or not keys.isdisjoint(known):
            raise ValueError(f"{name} has already answered some of the items that {evaluation.ask} brings answers to")
        wanted = {(task, item) for task, ids in asked.items() for item in ids}
        if not keys <= wanted:
            raise ValueError(f"{name} brings answers to {len(keys - wanted)} items that {evaluation.ask} did not ask")
        if evaluation.error is not None and given:
            raise ValueError(f"{name} has failed at {evaluation.ask} and brings {len(given)} answers all the same")
        if evaluation.error is None and not wanted <= keys | known:
            raise ValueError(f"{name} has no answer to {len(wanted - keys - known)} items that {evaluation.ask} asked")

    def write(self, responses: Iterable[Response]) -> ResponseRef | None:
        """Appends responses and waits until they are on disk; None when there are none."""
        assert self._log is not None
        lines = b"".join((compact(response.to_json()) + "\n").encode() for response in responses)
        if not lines:
            return None
        return ResponseRef(self._log.path.name, self._log.append(lines), len(lines))

    def read(self, ref: ResponseRef) -> list[Response]:
        """Reads a piece of a file of responses.

        Raises:
            InputError: If the file is missing, or something else than responses lies there.
        """
        path = self._folder / Path(ref.file).name
        try:
            with path.open("rb") as file:
                file.seek(ref.start)
                data = file.read(ref.length)
            if len(data) < ref.length or not data.endswith(b"\n"):
                raise ValueError("the file is shorter than the records say, or other lines are in it")
            return [Response.from_json(json.loads(line)) for line in data.splitlines()]
        except OSError as error:
            raise InputError(
                f"{path} cannot be read: {error.strerror or error}. The records beside it need it: take it from a copy "
                "of the run's folder"
            ) from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(damaged(f"{path}, {ref.length} bytes from {ref.start},", error)) from error

    def close(self) -> None:
        """Closes the file."""
        if self._log is not None:
            self._log.close()


def listed(responses: Iterable[Response]) -> Mapping[str, tuple[str, ...]]:
    """Task to the items that responses answer, in their order."""
    found: dict[str, list[str]] = {}
    for response in responses:
        found.setdefault(response.task, []).append(response.item)
    return {task: tuple(ids) for task, ids in found.items()}
