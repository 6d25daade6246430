"""lm-eval's logged samples: ``samples_TASK_DATE.jsonl``, one line per document and filter.

The lines name neither task nor model: the task is in the file's name. They do not say whether a generated answer
reached its length limit either, only what that was.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from evomerge.dialects.samples.json_lines import json_lines
from evomerge.errors import InputError
from evomerge.evaluation.samples import DOCUMENT, Sample, Samples

_NAME = re.compile(r"samples_(.+?)_\d{4}-\d\d-\d\dT.*\.jsonl?")
_PATTERNS = ("samples_*.jsonl", "samples_*.json")  # published collections name the same lines .json
_PLAIN = "none"  # lm-eval's name for the answers as they are
_OTHERS = frozenset(
    {"doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics", "doc_hash", "prompt_hash"}
    | {"target_hash"}
)


def is_lm_eval(data: Mapping[str, Any]) -> bool:
    """Whether the object of a line is one of lm-eval's samples."""
    return "doc" in data and ("doc_hash" in data or "doc_id" in data)


def is_results(data: Any) -> bool:
    """Whether the content of a JSON file is what lm-eval writes of scores alone, without samples."""
    return isinstance(data, Mapping) and isinstance(data.get("results"), Mapping) and "configs" in data


def sample_files(folder: Path) -> list[Path]:
    """The files of logged samples in a folder, sorted.

    Those of the only model's folder in it are taken too: lm-eval makes one for each model under ``--output_path``.

    Raises:
        InputError: If several models have folders there.
    """
    if own := _logged(folder):
        return own
    inner = {path: files for path in sorted(folder.iterdir()) if path.is_dir() and (files := _logged(path))}
    if len(inner) > 1:
        raise InputError(f"{folder} has samples of {len(inner)} models: name one of {', '.join(map(str, inner))}")
    return next(iter(inner.values()), [])


def _logged(folder: Path) -> list[Path]:
    return sorted(path for pattern in _PATTERNS for path in folder.glob(pattern))


def read_samples(where: str, files: Iterable[Path]) -> Samples:
    """Reads one model's logged samples.

    Args:
        where: What to call them.
        files: The files, one per task.

    Raises:
        InputError: If a line is damaged or no sample, a document is there twice, or a task has several files.
    """
    samples: list[Sample] = []
    problems: list[str] = []
    generated: dict[str, tuple[int, ...]] = {}
    seen: dict[str, Path] = {}
    for path in files:
        match = _NAME.fullmatch(path.name)
        task = match[1] if match else ""
        if task in seen:
            problems.append(f"{where}: {seen[task].name} and {path.name} are of one task; name one of the files")
            continue
        seen[task] = path
        try:
            lines = json_lines(path)
            samples += _of_task(path, task, lines)
        except InputError as error:
            problems += error.problems
            continue
        found = [settings for _, line in lines for settings in _generation(line)]
        if found:
            limits = {one["max_gen_toks"] for one in found if isinstance(one.get("max_gen_toks"), int)}
            generated[task] = tuple(sorted(limits))
    if problems:
        raise InputError(problems)
    return Samples(where, tuple(samples), generated=generated)


def _of_task(path: Path, task: str, lines: Iterable[tuple[int, dict[str, Any]]]) -> list[Sample]:
    """The documents of a file, each with its metrics under all filters."""
    found: dict[str, Sample] = {}
    first: dict[tuple[str, str], int] = {}
    problems: list[str] = []
    for number, line in lines:
        if not is_lm_eval(line):
            problems.append(f"{path}, line {number}: no sample of lm-eval's, which has doc and doc_hash")
            continue
        chain, hashed = str(line.get("filter", _PLAIN)), str(line.get("doc_hash") or _hash(line["doc"]))
        place = str(line.get("doc_id", hashed))
        before = first.setdefault((place, chain), number)
        if before != number:
            problems.append(
                f"{path}, line {number}: document {place} is there twice, first on line {before}; the file holds more "
                "than one run: keep one"
            )
            continue
        known = found.get(place)
        if known is not None and known.keys[DOCUMENT] != hashed:
            problems.append(f"{path}, line {number}: doc_id {place} is another document under another filter")
            continue
        metrics = {**(known.metrics if known else {}), **_metrics(line, chain)}
        fields = line["doc"] if isinstance(line["doc"], Mapping) else {}
        prompt = line.get("prompt_hash")
        found[place] = Sample(task, {DOCUMENT: hashed}, metrics, None, fields, None, prompt and str(prompt))
    if len(problems) > 3:
        problems = [*problems[:3], f"{path}: {len(problems) - 3} more of its lines are no better"]
    if problems:
        raise InputError(problems)
    return list(found.values())


def _metrics(line: Mapping[str, Any], chain: str) -> dict[str, Any]:
    names = line.get("metrics")
    names = names if isinstance(names, list) else [name for name in line if name not in _OTHERS]
    return {name if chain == _PLAIN else f"{name},{chain}": line[name] for name in map(str, names) if name in line}


def _generation(line: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Settings of the generations that a document asked for; none where options were compared."""
    arguments = line.get("arguments")
    requests = arguments.values() if isinstance(arguments, Mapping) else ()
    return [
        request["arg_1"]
        for request in requests
        if isinstance(request, Mapping) and isinstance(request.get("arg_1"), dict)
    ]


def _hash(doc: Any) -> str:
    return hashlib.sha256(json.dumps(doc, indent=2, ensure_ascii=False).encode()).hexdigest()
