"""Inspect's logs: ``.json``, or ``.eval``, a zip archive with one JSON file per sample."""

from __future__ import annotations

import hashlib
import json
import lzma
import math
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evomerge.errors import InputError
from evomerge.evaluation.samples import SAMPLE, Sample, Samples
from evomerge.texts import LARGEST, too_deep

# Inspect's grades as numbers, and the words that count as such.
_GRADES = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0, "yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
_DONE = "success"
_SHOWN = 200  # characters of a message
_CUT = ("max_tokens", "model_length")
_DAMAGE = (
    *(OSError, EOFError, KeyError, TypeError, ValueError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError),
)


def is_log(data: Any) -> bool:
    """Whether the content of a JSON file is a log of Inspect's."""
    return isinstance(data, Mapping) and isinstance(data.get("eval"), Mapping) and "samples" in data


def read_log(where: str, data: Mapping[str, Any]) -> Samples:
    """Reads the content of a ``.json`` log.

    Args:
        where: What to call it.
        data: The content.

    Raises:
        InputError: If samples are damaged, there twice in one epoch, or none.
    """
    return _samples(where, data, data["samples"] if isinstance(data["samples"], list) else [])


def read_archive(where: str, path: Path) -> Samples:
    """Reads an ``.eval`` log.

    Raises:
        InputError: If it is no such archive, or compressed in a way that this Python cannot unpack.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.startswith("samples/") and name.endswith(".json")]
            header = _entry(archive, "header.json")
            if not is_log({"samples": names} | header):
                raise ValueError("its header.json names no evaluation")
            return _samples(where, header, [_entry(archive, name) for name in sorted(names)])
    except NotImplementedError as error:  # Zstandard, before Python 3.14
        raise InputError(
            f"{where} is packed in a way that this Python cannot unpack; write it as JSON: "
            f"inspect log convert {where} --to json --output-dir FOLDER"
        ) from error
    except _DAMAGE as error:
        raise InputError(f"{os.fspath(path)} is no log of Inspect's, or a damaged one: {error}") from error


def _entry(archive: zipfile.ZipFile, name: str) -> Any:
    """The JSON of an archive's file.

    Raises:
        ValueError: If it is none, or larger or deeper than any sample is.
    """
    if archive.getinfo(name).file_size > LARGEST:
        raise ValueError(f"{name} has more than {LARGEST} bytes")
    data = json.loads(archive.read(name))
    if too_deep(data):
        raise ValueError(f"{name} is nested too deeply")
    return data


def log_files(folder: Path) -> list[Path]:
    """The archives of logs in a folder, sorted."""
    return sorted(folder.glob("*.eval"))


def _samples(where: str, log: Mapping[str, Any], entries: list[Any]) -> Samples:
    task = str(log["eval"].get("task", ""))
    failed = 0
    epochs: dict[str, list[Sample]] = {}
    seen: dict[tuple[str, Any], int] = {}
    problems: list[str] = []
    for number, entry in enumerate(entries, 1):
        if isinstance(entry, Mapping) and entry.get("error") is not None and not entry.get("scores"):
            failed += 1
            continue
        if not isinstance(entry, Mapping) or not isinstance(entry.get("scores"), Mapping):
            problems.append(f"{where}, sample {number}: it has no scores; score the log: inspect score {where}")
            continue
        key = _key(entry)
        place = (key, entry.get("epoch", 1))
        if seen.setdefault(place, number) != number:
            problems.append(f"{where}, sample {number}: it is there twice, first as sample {seen[place]}; keep one")
            continue
        metadata = entry.get("metadata")
        fields = {**(metadata if isinstance(metadata, Mapping) else {}), "id": entry.get("id")}
        epochs.setdefault(key, []).append(Sample(task, {SAMPLE: key}, dict(_metrics(entry)), _truncated(entry), fields))
    if len(problems) > 3:
        problems = [*problems[:3], f"{where}: {len(problems) - 3} more of its samples are no better"]
    if not entries:
        problems.append(f"{where} holds no samples; a log of headers alone cannot be compared")
    elif failed == len(entries):
        problems.append(f"{where}: all of its samples failed ({failed}); the first said: {_said(entries[0])}")
    if problems:
        raise InputError(problems)
    repeated = max(map(len, epochs.values()))
    status = log.get("status", _DONE)
    told = {
        f"{where}: the run ended with the status {status!r}": status != _DONE,
        f"{where}: {failed} of {len(entries)} samples failed and are left out": failed,
        f"{where}: each sample was asked up to {repeated} times, and counts with its mean": repeated > 1,
    }
    warnings = tuple(text for text, needed in told.items() if needed)
    return Samples(where, tuple(map(_mean, epochs.values())), generated={task: ()}, warnings=warnings)


def _said(entry: Mapping[str, Any]) -> str:
    """The beginning of the message that a sample failed with."""
    error = entry["error"]
    return str(error.get("message") if isinstance(error, Mapping) else error)[:_SHOWN]


def _key(entry: Mapping[str, Any]) -> str:
    """A hash of what was asked; messages have ids of their own in every log."""
    asked = {name: entry.get(name) for name in ("id", "input", "choices", "target")}
    if isinstance(asked["input"], list):
        asked["input"] = [
            [message.get("role"), message.get("content")] if isinstance(message, Mapping) else message
            for message in asked["input"]
        ]
    return hashlib.sha256(json.dumps(list(asked.values()), sort_keys=True).encode()).hexdigest()


def _metrics(entry: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Values by scorer, and by scorer and name where it gives several."""
    for name, score in entry["scores"].items():
        value = score.get("value") if isinstance(score, Mapping) else score
        if isinstance(value, Mapping):
            yield from ((f"{name}.{part}", _number(inner)) for part, inner in value.items())
        else:
            yield str(name), _number(value)


def _number(value: Any) -> Any:
    if isinstance(value, str) and (known := _GRADES.get(value, _GRADES.get(value.lower()))) is not None:
        return known
    try:
        return float(value) if isinstance(value, bool | int | float | str) else value
    except (ValueError, OverflowError):  # a text, or a whole number of hundreds of digits
        return value


def _truncated(entry: Mapping[str, Any]) -> bool | None:
    output = entry.get("output")
    choices = output.get("choices") if isinstance(output, Mapping) else None
    reasons = [choice.get("stop_reason") for choice in choices or () if isinstance(choice, Mapping)]
    return any(reason in _CUT for reason in reasons) if reasons else None


def _mean(epochs: list[Sample]) -> Sample:
    """One sample for all the times that it was asked."""
    first, *others = epochs
    if not others:
        return first
    metrics = {
        name: math.fsum(float(one.metrics[name]) for one in epochs) / len(epochs)
        for name in first.metrics
        if all(isinstance(one.metrics.get(name), float) for one in epochs)
    }
    known = [one.truncated for one in epochs if one.truncated is not None]
    return Sample(first.task, first.keys, metrics, any(known) if known else None, first.fields)
