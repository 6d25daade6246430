"""Calibration texts of a search: those of each model, and those that are shared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evomerge.candidate import load_tokenizer
from evomerge.checkpoints import folder_of
from evomerge.errors import Findings, InputError
from evomerge.fitness import TaskSuite, gold_texts, held_out_problems
from evomerge.fitness.inference.encoding import Encoder
from evomerge.merging import Checkpoints
from evomerge.recipe import AdapterRef, CheckpointRef, ModelRef
from evomerge.run import paths
from evomerge.run.run_config import RunConfig
from evomerge.statistics import Calibration, parts_of_text, read_lines

SEARCH_ITEMS = "prompts of the search items with their right answers"


@dataclass(frozen=True, eq=False)
class Written:
    """Texts as they were written.

    Attributes:
        origin: Where they are from, in words: files, or the items of the search.
        texts: The texts.
        names: What each is called in messages.
    """

    origin: str
    texts: tuple[Mapping[str, Any], ...]
    names: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Texts:
    """The calibration texts of a search.

    Attributes:
        shared: The shared ones.
        own: Those of single models, by label; a model that is not in it has the shared ones.
        tokens: Most tokens of a sequence.
        encoders: Encodes for the models; by checkpoint where they have unlike tokens, else under None.
    """

    shared: Written
    own: Mapping[str, Written]
    tokens: int
    encoders: Mapping[CheckpointRef | None, Encoder]
    _made: dict[tuple[int, int], Calibration] = field(default_factory=dict, repr=False)

    def of(self, label: str | None) -> Written:
        """The texts of a model by its label; None: the shared ones."""
        return self.shared if label is None else self.own.get(label, self.shared)

    def calibration(self, label: str | None, reader: ModelRef) -> Calibration:
        """Texts as tokens.

        Args:
            label: Whose texts; None: the shared ones.
            reader: The model that reads them.

        Raises:
            InputError: With everything that is wrong with the texts.
        """
        written, own = self.of(label), checkpoint_of(reader)
        encoder = next((one for ref, one in self.encoders.items() if ref in (None, own)), None)
        if encoder is None:  # known by its fingerprint meanwhile
            encoder = next(one for ref, one in self.encoders.items() if ref is not None and ref.place == own.place)
        key = id(written), id(encoder)
        if key not in self._made:
            self._made[key] = Calibration.of_texts(written.texts, encoder, tokens=self.tokens, names=written.names)
        return self._made[key]


def checkpoint_of(ref: ModelRef) -> CheckpointRef:
    """The checkpoint whose tokenizer and layers a model has: itself, or the one that an adapter is on."""
    return ref.on if isinstance(ref, AdapterRef) else ref


def read_texts(
    config: RunConfig, checkpoints: Checkpoints, suite: TaskSuite, *, unlike: bool, shared: bool = True
) -> Texts:
    """Reads the calibration texts of a search.

    Args:
        config: The search.
        checkpoints: Its opened checkpoints.
        suite: Its tasks; items of their selection and test splits are refused among the texts.
        unlike: Whether the models have tokens of their own, rather than the reference's.
        shared: Whether somebody reads shared texts; else there need be none.

    Raises:
        InputError: With everything that is wrong: files, lines, and items that are held out.
    """
    found, limit = Findings(), config.statistics.sequences
    common = found.attempt(lambda: written(config.calibration, suite, limit)) if shared else Written("", (), ())
    own = {
        label: found.attempt(lambda file=file, label=label: _files([file], f"calibration_of.{label}", suite, limit))  # type: ignore[misc]
        for label, file in config.calibration_of.items()
    }
    encoders = found.attempt(lambda: _encoders(config, checkpoints, suite, unlike=unlike))
    found.settle()
    if common is None or encoders is None:
        raise AssertionError("a stage that failed has reported a problem")
    known = {label: written for label, written in own.items() if written is not None}
    return Texts(common, known, config.statistics.tokens, encoders)


def written(files: Sequence[str], suite: TaskSuite, limit: int) -> Written:
    """Texts of files, or where none are named the search items with their right answers.

    Args:
        files: JSONL files.
        suite: The tasks; items of their selection and test splits are refused among the texts.
        limit: Most texts.

    Raises:
        InputError: With everything that is wrong: files, lines, and items that are held out; or if there are no texts.
    """
    if files:
        return _files(files, "calibration", suite, limit)
    texts = tuple(gold_texts(suite, limit))
    if not texts:
        raise InputError(
            "calibration: texts are read, and the search items have no right answers to make "
            "texts of; name files, calibration=[FILE.jsonl]"
        )
    return Written(SEARCH_ITEMS, texts, tuple(f"search item {number}" for number in range(1, len(texts) + 1)))


def _files(files: Sequence[str], key: str, suite: TaskSuite, limit: int) -> Written:
    try:
        lines = read_lines([Path(paths.expanded(file)) for file in files])
    except InputError as error:
        raise InputError([f"{key}: {problem}" for problem in error.problems]) from error
    if held := held_out_problems(suite, [(name, parts_of_text(text)) for text, name in lines]):
        raise InputError([f"{key}: {problem}" for problem in held])
    chosen = lines[:limit]
    return Written(", ".join(files), tuple(text for text, _ in chosen), tuple(name for _, name in chosen))


def _encoders(
    config: RunConfig, checkpoints: Checkpoints, suite: TaskSuite, *, unlike: bool
) -> dict[CheckpointRef | None, Encoder]:
    if not unlike and suite.encoder is not None:
        return {None: suite.encoder}
    found: dict[CheckpointRef | None, Encoder] = {}
    for ref, source in checkpoints.by_ref.items():
        if isinstance(ref, AdapterRef):
            continue
        tokenizer = load_tokenizer(folder_of(source), config.model.trust_remote_code)
        found[ref] = Encoder.of_model(tokenizer, source.config, None, config.fitness.max_length)
        if not unlike and source is checkpoints.reference:
            return {None: found[ref]}
    return found
