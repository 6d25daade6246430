"""Run folders as the first release wrote them: read for ever, never written.

Their records keyed evaluations by recipe and split, metrics of Python functions had no response, and what candidates
were asked stood in the manifest alone.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evomerge.evaluation import Ask, Evaluation, Failure, JsonText, Provenance, ResponseRef
from evomerge.store.files import read_lines
from evomerge.store.item_sets import ItemSets
from evomerge.store.records import Record, checked

FORMAT = 1


def read_records(folder: Path, manifest: Mapping[str, Any], item_sets: ItemSets) -> Iterator[Record]:
    """Reads all records, each recipe's first one on a split.

    Args:
        folder: The run's folder.
        manifest: Its manifest.
        item_sets: Learns what the candidates of each split were asked.
    """
    asked = {split: item_sets.add(items, keep=False) for split, items in manifest.get("items", {}).items()}
    seen: set[tuple[str, str]] = set()
    for path in sorted((folder / "records").glob("*.jsonl")):
        for record in read_lines(path, functools.partial(_read_line, writer=path.stem, asked=asked)):
            key = record.evaluation.digest, record.evaluation.split
            if key not in seen:
                seen.add(key)
                yield record


def _read_line(line: str, writer: str, asked: Mapping[str, str]) -> Record:
    data = json.loads(line)
    error, ref = data.get("error"), data.get("responses")
    item_set = asked.get(data["split"], "")
    evaluation = Evaluation(
        digest=data["digest"],
        recipe=JsonText.of(data["recipe"]),
        ask=Ask(data["split"], int(data["batch"]), int(data["index"])),
        name=data.get("name"),
        metrics=data["metrics"],
        error=Failure(error["kind"], error["message"]) if error else None,
        items=int(data["items"]),
        item_set=item_set,
    )
    answers = ResponseRef.from_json(ref) if ref else None
    return checked(Record(evaluation, Provenance(writer, 1, "", data["seconds"], item_set if ref else "", answers)))
