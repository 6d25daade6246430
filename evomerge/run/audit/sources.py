"""The word that names a model's answers, and the reader of what it names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from evomerge.dialects.samples import inspect_logs, lm_eval
from evomerge.dialects.samples.json_lines import has_lines, json_lines
from evomerge.errors import InputError
from evomerge.evaluation.samples import Samples
from evomerge.run import paths
from evomerge.run.audit import own
from evomerge.texts import read_text, too_deep

_MANIFEST = "manifest.json"
_GZIP = b"\x1f\x8b"
_INDENTED = (b"{\n", b"{\r\n")  # begins what ``evaluate`` writes, whatever the file's name ends with
_EXPECTED = (
    "a run's folder with a model (RUN:knee, RUN:base), a file of `evomerge evaluate out=FILE`, responses one a line, "
    "lm-eval's samples_*.jsonl or their folder, or a log of Inspect's (.json, .eval)"
)


def read_samples(key: str, word: str, split: str) -> Samples:
    """Reads one model's answers.

    Args:
        key: The key that the word was given for, which problems begin with.
        word: The file or folder, a run's with ``:`` and the name of one of its models.
        split: The split of a run's items.

    Raises:
        InputError: If there is nothing, it is of no known kind, or it is damaged.
    """
    try:
        return _read(word, split)
    except InputError as error:
        raise InputError([f"{key}: {problem}" for problem in error.problems]) from error


def _read(word: str, split: str) -> Samples:
    path = paths.expanded(word)
    if paths.is_folder(path):
        return _of_folder(word, path)
    if paths.is_file(path):
        return _of_file(word, path)
    for at, letter in enumerate(word):
        folder = paths.expanded(word[:at])
        if letter == ":" and at and paths.is_file(folder / _MANIFEST):
            return own.read_run(word, folder, word[at + 1 :], split)
    raise InputError(f"there is no {word}{paths.sibling(path)}; expected {_EXPECTED}")


def _of_folder(word: str, folder: Path) -> Samples:
    if paths.is_file(folder / _MANIFEST):
        raise InputError(f"{word} is a run's folder; name one of its models: {word}:NAME ({own.model_names(folder)})")
    files = lm_eval.sample_files(folder)
    if not files:
        logs = inspect_logs.log_files(folder)
        told = f"; it has logs, such as {logs[0].name}: name one of them" if logs else f"; expected {_EXPECTED}"
        raise InputError(f"{word} is a folder without samples_*.jsonl{told}")
    return lm_eval.read_samples(word, files)


def _of_file(word: str, path: Path) -> Samples:
    with path.open("rb") as file:
        start = file.read(4)
    if start == b"PK\x03\x04":
        return inspect_logs.read_archive(word, path)
    if start.startswith(_GZIP):
        raise InputError(f"{word} is packed with gzip; unpack it first: gzip -d {word}")
    if (path.suffix == ".json" or start.startswith(_INDENTED)) and not has_lines(path):
        return _of_json(word, path, _json(path))
    lines = json_lines(path)
    if lm_eval.is_lm_eval(lines[0][1]):
        return lm_eval.read_samples(word, [path])
    if own.is_response(lines[0][1]):
        return own.of_responses(word, lines)
    raise InputError(f"{word}, line {lines[0][0]}: no answer of a kind that is known; expected {_EXPECTED}")


def _of_json(word: str, path: Path, data: Any) -> Samples:
    if isinstance(data, dict) and lm_eval.is_lm_eval(data):
        return lm_eval.read_samples(word, [path])
    if inspect_logs.is_log(data):
        return inspect_logs.read_log(word, data)
    if isinstance(data, dict) and isinstance(data.get("responses"), list):
        return own.read_evaluation(word, data)
    if lm_eval.is_results(data):
        raise InputError(
            f"{word} holds lm-eval's scores, but no answers item by item: name the samples_*.jsonl beside it, which "
            "lm-eval writes with --log_samples"
        )
    raise InputError(f"{word} holds no answers item by item; expected {_EXPECTED}")


def _json(path: Path) -> Any:
    try:
        data = json.loads(read_text(path))
        if too_deep(data):
            raise ValueError("nested too deeply")
        return data
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(
            f"{path} cannot be read as JSON ({reason}); it is damaged or cut off, write it again"
        ) from error
