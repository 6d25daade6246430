"""Verification of a worker before its first candidate: libraries, bytes of the checkpoints, and known answers.

Records of one run must not depend on which worker made them. So the first worker of a run answers a few items as a
known candidate and leaves the answers in the run's folder, and every worker after it, on whatever machine and in
whatever session, has to give the same ones. That costs one merge and a handful of items for each start of a worker.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evomerge.candidate.known_answers import ANSWERS, KnownAnswers
from evomerge.candidate.versions import library_versions
from evomerge.checkpoints import CheckpointSource, FolderStamp, fingerprint_of, folder_of
from evomerge.errors import InputError
from evomerge.evaluation import Ask, Job, Outcome
from evomerge.lease import this_machine
from evomerge.merging import Checkpoints, companions
from evomerge.recipe import ModelRef, Recipe

__all__ = ["Examined", "Verification", "companion_digests", "refuse_unlike", "verify"]

_EACH = 2  # items of a task
_MOST = 32  # items of all tasks; of more tasks than that one each


@dataclass(frozen=True)
class Verification:
    """Everything that a worker is compared with.

    Attributes:
        folder: The run's folder, where the answers of the first worker lie.
        recipes: Known candidates by name; the first that has a score is asked.
        tolerance: How far log-likelihoods may differ, relative to their size where that is above 1; 0 asks for equal
            answers to the last bit.
        exact_alike: Whether the tolerance is for workers of other circumstances alone, such as another processor.
        versions: Version by library of those that the manifest names.
        files: Digest by name of the reference's files beside its weights, see :func:`companion_digests`.
        stamps: Stamp by folder of the checkpoints whose bytes were read when the run began here: as long as it is the
            same they need not be read again.
        known: The answers that were there when the session began, for machines that do not see the run's folder.
    """

    folder: str
    recipes: tuple[tuple[str, Recipe], ...]
    tolerance: float = 0.0
    exact_alike: bool = False
    versions: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    stamps: tuple[tuple[str, FolderStamp], ...] = ()
    known: KnownAnswers | None = None


def companion_digests(reference: CheckpointSource) -> dict[str, str]:
    """The reference's config, tokenizer and template files, which change scores as much as weights do."""
    paths = [reference.path / "config.json", *companions(reference)]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in paths}


def refuse_unlike(wanted: Verification, checkpoints: Checkpoints) -> None:
    """Compares libraries and checkpoints with the manifest's.

    Args:
        wanted: The manifest's.
        checkpoints: The worker's, under the references that recipes name them by.

    Raises:
        InputError: If any differ; all of them, and what to do.
    """
    problems = [*_versions(wanted), *_files(wanted, checkpoints.reference)]
    read: set[int] = set()
    for ref, source in checkpoints.by_ref.items():
        if ref.fingerprint is not None and id(source) not in read and not _stamped(wanted, source):
            read.add(id(source))
            if fingerprint_of(source) != ref.fingerprint:
                problems.append(_other_weights(ref, folder_of(source)))
            source.release()
    if problems:
        raise InputError(problems)


def _versions(wanted: Verification) -> list[str]:
    here = library_versions()
    unlike = [name for name in here if wanted.versions.get(name, here[name]) != here[name]]
    if not unlike:
        return []
    words = ", ".join(f"{name} {here[name]} instead of {wanted.versions[name]}" for name in unlike)
    return [
        f"a worker on {_host()} has {words}, and scores of other libraries are not this run's; install on it what the "
        "run's manifest.json names under versions, or choose another run_dir"
    ]


def _files(wanted: Verification, reference: CheckpointSource) -> list[str]:
    here = companion_digests(reference) if wanted.files else {}
    unlike = sorted(name for name in {**wanted.files, **here} if wanted.files.get(name) != here.get(name))
    if not unlike:
        return []
    return [
        f"{', '.join(unlike)} in {reference.path} on {_host()} are not what the run began with; copy the folder that "
        "the run began with there, or choose another run_dir"
    ]


def _stamped(wanted: Verification, source: CheckpointSource) -> bool:
    """Whether the bytes are known without reading them: this run has read them on this machine, and nobody wrote."""
    folder = folder_of(source)
    known = dict(wanted.stamps).get(str(folder))
    return known is not None and known.machine == this_machine() and known == FolderStamp.of(folder)


def _other_weights(ref: ModelRef, folder: Path) -> str:
    return (
        f"the weights of {ref.source} in {folder} on {_host()} are not those that the run began with, whose "
        f"fingerprint is {str(ref.fingerprint)[:12]}; copy the folder that the run began with "
        "there, or choose another run_dir"
    )


@dataclass(frozen=True)
class Examined:
    """A worker that is verified.

    Attributes:
        items: The items of the search split by task; none where the user's functions alone are asked.
        answer: The worker itself.
        weights: Gives the checksum of the weights that it has in memory.
        circumstances: What its answers may depend on, for messages.
    """

    items: Mapping[str, tuple[str, ...]]
    answer: Callable[[Job], Outcome]
    weights: Callable[[], str]
    circumstances: Mapping[str, Any]

    @property
    def about(self) -> dict[str, Any]:
        """Its circumstances and its libraries."""
        return {**self.circumstances, "versions": library_versions()}

    def asked(self, recipe: Recipe, items: Mapping[str, tuple[str, ...]]) -> KnownAnswers | str:
        """The answers of a candidate, or why there are none."""
        outcome = self.answer(Job.of(recipe, items, Ask("search", 0, 0)))
        if outcome.error is not None:
            return f"{outcome.error.kind}: {outcome.error.message}"
        return KnownAnswers.of(recipe.digest, self.weights(), outcome.responses, self.about)


def verify(wanted: Verification, worker: Examined) -> None:
    """Compares a worker's answers with those of the run's first worker, which this one may be.

    Without items the merged weights alone are compared. On a machine that does not see the run's folder, answers are
    compared where a session before this one has left some.

    Raises:
        InputError: If the answers are others: what differs by how much, and what to do.
    """
    path = Path(wanted.folder) / ANSWERS
    here = path.parent.is_dir()
    known = KnownAnswers.read(path) if here else wanted.known
    if known is None and not here:
        return  # nothing to compare with on this machine, and nowhere to leave it
    if known is None:
        made = _first(wanted, worker)
        if made is None or made.leave(path):
            return  # where no known candidate has a score, the search says so
        known = KnownAnswers.read(path)
        assert known is not None
    named = {recipe.digest: (name, recipe) for name, recipe in wanted.recipes}
    if known.recipe not in named or any(
        set(ids) - set(worker.items.get(task, ())) for task, ids in known.items.items()
    ):
        raise InputError(
            f"{path} holds answers of another run; remove it, and the next worker that starts makes it again"
        )
    name, recipe = named[known.recipe]
    found = worker.asked(recipe, known.items)
    if isinstance(found, str):
        raise InputError(
            f"a worker on {_host()} cannot score the known candidate {name!r}, which the run's first worker has "
            f"scored: {found}{_because(known.unlike_circumstances(worker.about))}; leave this machine out"
        )
    alike = wanted.exact_alike and not known.unlike_circumstances(found.circumstances)
    tolerance = 0.0 if alike else wanted.tolerance
    if not known.difference(found).within(tolerance):
        raise InputError(_refusal(tolerance, name, known, found))


def _first(wanted: Verification, worker: Examined) -> KnownAnswers | None:
    """The answers of the first known candidate that has a score."""
    items = _chosen(worker.items)
    answers = (worker.asked(recipe, items) for _, recipe in wanted.recipes)
    return next((found for found in answers if isinstance(found, KnownAnswers)), None)


def _chosen(items: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """A few items of every task, by the hash of their ids."""
    each = _EACH if _EACH * len(items) <= _MOST else 1
    ordered = {
        task: sorted(ids, key=lambda item: hashlib.sha256(item.encode()).digest())[:each] for task, ids in items.items()
    }
    return {task: tuple(ids) for task, ids in ordered.items() if ids}


def _refusal(tolerance: float, name: str, known: KnownAnswers, found: KnownAnswers) -> str:
    difference = known.difference(found)
    said = (
        f"a worker on {_host()} does not answer as the run's first worker did, and records would depend on which of "
        f"them a candidate met: its answers as {name!r}, {difference.describe()}"
        f"{_because(known.unlike_circumstances(found.circumstances))}"
    )
    if difference.is_rounding and difference.largest > tolerance:
        enough = f"{_rounded_up(difference.largest):.0e}"
        return (
            f"{said}. Processors and devices of other kinds add up in another order: use machines like the first, or "
            f"set model.tolerance={enough}, with which scores within that of each other count as equal and the "
            "promise of equal records is given up"
        )
    if difference.is_rounding:  # equal scores after unequal weights
        return f"{said}. Use machines like the first, or set model.tolerance=1e-6, which does not ask for equal weights"
    return f"{said}. That is more than another order of sums explains: look for another number type or faulty memory"


def _because(unlike: list[str]) -> str:
    return f"; it has {', '.join(unlike)}" if unlike else "; versions, number type and device are the same"


def _rounded_up(value: float) -> float:
    """The next number with one digit, of twice the value: another item may differ a little more."""
    power = 10.0 ** math.floor(math.log10(2 * value))
    return power * math.ceil(2 * value / power)


def _host() -> str:
    return this_machine().split(" ")[0]
