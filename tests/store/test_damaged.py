"""Folders that something else has written into: the message names the file, and nothing is taken for something else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evomerge.cli.main import BAD_INPUT, main
from evomerge.errors import InputError
from evomerge.store import RunStore
from tests.store.test_store import IDENTITY, answers, evaluation, opened

MANIFEST, ITEM_SETS = "manifest.json", "item_sets.jsonl"
RECORDS, RESPONSES = "records/main.jsonl", "responses/main.jsonl"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    with opened(tmp_path / "run") as store:
        store.append(evaluation("a", 0, 0), answers())
        store.append(evaluation("b", 0, 1), answers(("i2", "i3")))
    return tmp_path / "run"


def with_line(text: bytes) -> Callable[[bytes], bytes]:
    """Puts a line where the second one was."""
    return lambda data: b"".join([data.splitlines(keepends=True)[0], text + b"\n"])


ANOTHER = {"evaluation": {"digest": "b"}, "provenance": {}, "recipe": {}}
DAMAGE: list[tuple[str, Callable[[bytes], bytes], str]] = [
    (MANIFEST, lambda _: b"[]", "manifest.json holds a list, expected an object"),
    (MANIFEST, lambda data: data.replace(b"ties", b"t\xefes"), "manifest.json cannot be read as JSON"),
    (MANIFEST, lambda data: data[:40], "manifest.json cannot be read as JSON"),
    (
        MANIFEST,
        lambda data: data.replace(b"{", b'{"items": {"search": {"t": ["i0", true]}},', 1),
        "manifest.json is not .*'items'",
    ),
    (RECORDS, with_line(b"<<<<<<< HEAD"), "line 2 of .*main.jsonl is damaged"),
    (RECORDS, with_line(b"\xff\xfe"), "line 2 of .*main.jsonl is damaged"),
    (RECORDS, with_line(b"[1]"), "line 2 of .*main.jsonl is damaged"),
    (RECORDS, with_line(json.dumps(ANOTHER).encode()), "line 2 of .*main.jsonl is damaged.*there is no 'split'"),
    (RECORDS, lambda data: data.replace(b'"search"', b'"train"', 1), "line 1 of .*main.jsonl .* unknown split 'train'"),
    (RECORDS, lambda data: data.replace(b'"digest":"a"', b'"digest":3'), "line 1 of .* 'digest' is 3, expected a text"),
    (RECORDS, lambda data: data.replace(b"0.5", b"{}", 1), "line 1 of .* metric 't.acc' is {}, expected a number"),
    (RECORDS, lambda data: data.replace(b'"main.jsonl"', b"0.5"), "line 1 of .* 'file' is 0.5, expected a text"),
    (ITEM_SETS, with_line(b"{}"), "line 2 of .*item_sets.jsonl is damaged"),
    (ITEM_SETS, lambda data: data.splitlines(keepends=True)[0], "item_sets.jsonl lacks 1 of the sets"),
]


@pytest.mark.parametrize(("file", "change", "message"), DAMAGE)
def test_it_is_named_when_the_run_is_opened(
    run: Path, file: str, change: Callable[[bytes], bytes], message: str
) -> None:
    (run / file).write_bytes(change((run / file).read_bytes()))
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    openings: list[Callable[[], Any]] = [lambda: RunStore.read(run), lambda: opened(run)]
    for opening in openings:
        with pytest.raises(InputError, match=message) as caught:
            opening()
        assert str(run) in str(caught.value)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before, "nothing was changed"
    assert main(["report", f"run={run}"]) == BAD_INPUT


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[:-1], "is damaged.*shorter than the records say"),
        (lambda data: b"x" + data, "is damaged"),
        (lambda data: data.replace(b'"item"', b'"name"'), "is damaged.*there is no 'item'"),
        (None, "main.jsonl cannot be read: No such file"),
    ],
)
def test_responses_are_named_when_they_are_looked_at(
    run: Path, change: Callable[[bytes], bytes] | None, message: str
) -> None:
    path = run / RESPONSES
    if change is None:
        path.unlink()
    else:
        path.write_bytes(change(path.read_bytes()))
    store = RunStore.read(run)
    with pytest.raises(InputError, match=message):
        store.responses(store.evaluations()[-1])
    with pytest.raises(InputError, match=message):
        store.find("b", {"t": ("i2",)})


def test_a_run_is_whole_for_those_who_read_while_another_writes(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An evaluation of other items comes after the reader has begun."""
    with RunStore.open(run, {"objectives": []}, IDENTITY) as writer:
        opening = Path.open

        def late(path: Path, mode: str = "r", *others: Any, **options: Any) -> Any:
            if path == run / RECORDS and mode == "rb":
                monkeypatch.undo()
                writer.append(evaluation("c", 0, 2), answers(("i4", "i5")))
            return opening(path, mode, *others, **options)

        monkeypatch.setattr(Path, "open", late)
        reader = RunStore.read(run)
    found = {one.digest: (reader.items(one), reader.responses(one)) for one in reader.evaluations()}
    assert found["c"] == ({"t": ("i4", "i5")}, answers(("i4", "i5")))
    assert reader.find("c", {"t": ("i5",)}) == (answers(("i5",)), {})
