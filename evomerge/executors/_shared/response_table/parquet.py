"""Response tables as a folder of Parquet files.

``candidates.parquet`` has a row for each candidate, ``items.parquet`` one for each item, and
``responses-TASK-PART.parquet`` one for each answer, sorted by item, in parts of less than 4 MiB. The page
``experiments/responses/README.md`` describes the columns.
"""

from __future__ import annotations

import io
import itertools
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from evomerge.errors import InputError
from evomerge.evaluation import Failure
from evomerge.executors._shared.response_table.columns import (
    as_array,
    as_column,
    by_item,
    distinct,
    is_truth,
    known,
    widened,
)
from evomerge.executors._shared.response_table.table import Array, Recorded, RecordedItem, ResponseTable
from evomerge.recipe import Recipe

__all__ = ["read", "write"]

FORMAT = 2
LARGEST = 4 * 2**20 - 1  # bytes of a file
CANDIDATES, ITEMS, RESPONSES = "candidates.parquet", "items.parquet", "responses-*.parquet"
PROBABILITIES = "probabilities"
_META = b"evomerge.response_table"
_OWN = ("candidate", "task", "item")


def write(folder: Path, table: ResponseTable, digits: int | None = None, largest: int = LARGEST) -> None:
    """Writes a table; files of an earlier one in the folder go.

    Args:
        folder: The folder; it is made where it is missing.
        table: The table.
        digits: Values are :func:`.columns.rounded` to so many binary digits; None to keep them.
        largest: Bytes that a part of the answers may have.
    """
    files = {ITEMS: _bytes(_items(table), {})}
    for task in table.values:
        name = re.sub(r"[^\w.-]", "_", task)
        for part, data in enumerate(_parts(_answers(table, task, digits), table.size[task], largest)):
            files[f"responses-{name}-{part}.parquet"] = data
    # Last, and a table without it is refused: no reader takes half a table for a whole one.
    files[CANDIDATES] = _bytes(_candidates(table), {"about": table.about})
    folder.mkdir(parents=True, exist_ok=True)
    for old in sorted(folder.glob("*.parquet")):  # the candidates first
        old.unlink()
    for name, data in files.items():
        (folder / name).write_bytes(data)


def read(folder: Path) -> ResponseTable:
    """Reads a table; metrics of its candidates are looked up in its arrays.

    Raises:
        InputError: If a file is missing, cannot be read, or is none of a table; it names the file.
    """
    file = folder / CANDIDATES
    try:
        found, head = _read(file)
        about = str(head["about"])
        candidates = tuple(map(_candidate, found.to_pylist()))
        file = folder / ITEMS
        items = tuple(map(_item, _read(file)[0].to_pylist()))
        table = ResponseTable(candidates, items, {}, {}, about)
        values: dict[str, dict[str, Array]] = {}
        for file in sorted(folder.glob(RESPONSES)):
            _fill(table, values, *_read(file))
    except OSError as error:
        raise InputError(
            f"the response table {folder} cannot be read: {file.name}: {error.strerror or error}"
        ) from error
    except InputError as error:
        raise InputError([f"{file}: {problem}" for problem in error.problems]) from error
    except (pa.ArrowException, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{file}: is no file of a response table ({type(error).__name__}: {error}); expected what "
            "experiments/responses writes"
        ) from error
    if not values and not all(candidate.error for candidate in candidates):
        raise InputError(f"the response table {folder} has no {RESPONSES}; the folder is not complete")
    probabilities = {task: columns.pop(PROBABILITIES) for task, columns in values.items() if PROBABILITIES in columns}
    return ResponseTable(candidates, items, values, probabilities, about).looked_up()


def _read(file: Path) -> tuple[pa.Table, dict[str, Any]]:
    """A file, and what its head says."""
    found = pq.read_table(io.BytesIO(file.read_bytes()))
    head = json.loads((found.schema.metadata or {}).get(_META, b"{}"))
    if head.get("format") != FORMAT:
        raise InputError(f"has table format {head.get('format')!r}; expected {FORMAT}")
    return found, head


def _bytes(table: pa.Table, head: Mapping[str, Any], **options: Any) -> bytes:
    text = json.dumps({"format": FORMAT, **head}, ensure_ascii=False)
    memory = io.BytesIO()
    kept = table.replace_schema_metadata({_META: text.encode()})
    pq.write_table(kept, memory, compression="zstd", compression_level=19, **options)
    return memory.getvalue()


def _candidates(table: ResponseTable) -> pa.Table:
    rows = table.candidates
    errors = [row.error for row in rows]
    return pa.table({
        "candidate": pa.array(range(len(rows)), pa.int32()),
        "digest": pa.array([row.recipe.digest for row in rows]),
        "origin": pa.array([row.origin for row in rows]),
        "name": pa.array([row.name for row in rows], pa.string()),
        "batch": pa.array([row.batch for row in rows], pa.int32()),
        "genome": pa.array([list(row.genome) or None for row in rows], pa.list_(pa.float64())),
        "recipe": pa.array([json.dumps(row.recipe.to_json(), allow_nan=False) for row in rows]),
        "seconds": pa.array([row.seconds for row in rows], pa.float64()),
        "error_kind": pa.array([error and error.kind for error in errors], pa.string()),
        "error_message": pa.array([error and error.message for error in errors], pa.string()),
    })  # fmt: skip


def _items(table: ResponseTable) -> pa.Table:
    kinds = {"difficulty": pa.int8(), "options": pa.list_(pa.string())}
    names = list(RecordedItem.__dataclass_fields__)
    columns = {name: [getattr(item, name) for item in table.items] for name in names}
    return pa.table({name: pa.array(columns[name], kinds.get(name, pa.string())) for name in names})


def _candidate(row: Mapping[str, Any]) -> Recorded:
    """Reads a row of the candidates."""
    error = Failure(row["error_kind"], row["error_message"]) if row["error_kind"] else None
    genome = tuple(row["genome"] or ())
    recipe = Recipe.from_json(json.loads(row["recipe"]))
    return Recorded(recipe, {}, error, row["origin"], row["name"], row["batch"], genome, row["seconds"])


def _item(row: Mapping[str, Any]) -> RecordedItem:
    return RecordedItem(**{**row, "options": tuple(row["options"] or ())})


def _parts(make: Callable[[int, int], bytes], size: int, largest: int) -> list[bytes]:
    """The answers to so many items, in as few parts as are small enough."""
    count = 1
    while True:
        edges = np.linspace(0, size, count + 1).round().astype(int)
        parts = [make(start, stop) for start, stop in itertools.pairwise(edges)]
        found = max(map(len, parts))
        if found <= largest or count >= size:
            return parts
        count = min(size, max(count + 1, count * found // largest))


def _answers(table: ResponseTable, task: str, digits: int | None) -> Callable[[int, int], bytes]:
    """Makes the file of a task's answers to its items from one position to another."""
    ids = np.array([item.item for item in table.items_of(task)])
    columns, same = distinct(table.values[task])
    if task in table.probabilities:
        columns[PROBABILITIES] = table.probabilities[task]
    flat = {name: by_item(column) for name, column in columns.items()}
    asked = np.logical_or.reduce([known(column) for column in flat.values()])
    shapes = {name: is_truth(column) for name, column in flat.items()}

    def make(start: int, stop: int) -> bytes:
        items, rows = np.nonzero(asked[start:stop])
        data = {
            "candidate": pa.array(rows.astype(np.int32)),
            "task": pa.array([task] * len(rows), pa.string()).dictionary_encode(),
            "item": pa.DictionaryArray.from_arrays(pa.array(items.astype(np.int32)), pa.array(ids[start:stop])),
        }
        for name, column in flat.items():
            data[name] = as_column(column[start:stop][items, rows], shapes[name], digits)
        floats = [name for name, kind in shapes.items() if not kind and flat[name].ndim == 2]
        options = {"use_dictionary": ["task", "item"], "use_byte_stream_split": floats}
        return _bytes(pa.table(data), {"same": same}, **options, write_statistics=False, data_page_size=2**22)

    return make


def _fill(table: ResponseTable, values: dict[str, dict[str, Array]], found: pa.Table, head: Mapping[str, Any]) -> None:
    """Puts the answers of a file in their places."""
    if not len(found):
        return
    encoded = found["item"].combine_chunks()
    if not pa.types.is_dictionary(encoded.type):
        encoded = encoded.dictionary_encode()
    (task,) = found["task"].unique().to_pylist()
    places = np.array([table.place[task, item] for item in encoded.dictionary.to_pylist()])
    items, rows = places[encoded.indices.to_numpy()], found["candidate"].to_numpy()
    if rows.min() < 0 or rows.max() >= len(table.candidates):
        raise InputError(f"answers of candidate {rows.max()}; {CANDIDATES} has {len(table.candidates)}")
    columns = values.setdefault(task, {})
    shape = (len(table.candidates), table.size[task])
    for name in (name for name in found.column_names if name not in _OWN):
        part = as_array(found[name].combine_chunks())
        before = columns.get(name, np.full((*shape, *part.shape[1:]), np.nan))
        width = max(part.shape[1:] + before.shape[2:], default=0)
        columns[name], part = widened(before, width), widened(part, width)
        if not np.isnan(columns[name][rows, items]).all():
            raise InputError("answers that another file of the table has as well")
        columns[name][rows, items] = part
    for name, other in head["same"].items():
        columns[name] = columns[other]
