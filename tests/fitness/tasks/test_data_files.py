"""Data files in whatever form people have them: read as meant, or refused with file, line and a way out."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from evomerge.errors import InputError
from evomerge.fitness.tasks.data_files import find, read_rows
from tests.fitness.conftest import write_jsonl
from tests.fitness.tasks.declaring import INLINE, problems, simple

ROWS = [{"q": f"café {number}", "a": number} for number in range(4)]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)


@pytest.mark.parametrize(
    "data",
    [
        LINES.encode(),
        b"\xef\xbb\xbf" + LINES.encode(),
        LINES.replace("\n", "\r\n").encode(),
        LINES.replace("\n", "\r").encode(),
        LINES.replace("\n", "\n\n  \n").encode(),
        LINES.replace("\n", "").encode(),
        LINES.rstrip("\n").encode(),
        json.dumps(ROWS).encode(),
        b"\n " + json.dumps(ROWS, indent=2).encode(),
        gzip.compress(LINES.encode(), mtime=0),
        "\n\n".join(json.dumps(row, indent=2) for row in ROWS).encode(),
    ],
    ids=["plain", "mark", "crlf", "cr", "blank", "one-line", "no-end", "list", "indented", "gzip", "spread"],
)
def test_forms_that_are_read(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(data)
    assert read_rows(path) == ROWS


def test_separators_inside_texts_end_no_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [{"q": "a\u2028b\x85c\x1cd", "a": 1}]
    path.write_text(json.dumps(rows[0], ensure_ascii=False) + "\n", encoding="utf-8")
    assert read_rows(path) == rows


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (LINES.encode("latin-1"), ", line 1: byte 0xe9 is not UTF-8 (an older encoding?); save the file as UTF-8"),
        (b'{"q": 1}\r\n{"q": "\xe9"}', ", line 2: byte 0xe9 is not UTF-8"),
        (LINES.encode("utf-16"), ", line 1: the file is UTF-16 or UTF-32, not UTF-8; save it as UTF-8"),
        (LINES.encode("utf-16-le"), ", line 1: the file is UTF-16"),
        (LINES.encode("utf-32"), ", line 1: the file is UTF-16 or UTF-32"),
        (gzip.compress(LINES.encode(), mtime=0)[:-9], " cannot be read: "),
        (b"PK\x03\x04...", ": expected JSON Lines in UTF-8; the file is a zip archive or a spreadsheet; "),
        (
            b"version https://git-lfs.github.com/spec/v1\noid",
            "the file is a pointer of Git LFS; fetch the data with `git",
        ),
        (b"<!DOCTYPE html>", "the file is a web page; fetch the data again"),
        (b'{\n  "q": 1\n}\n{\n  "q": "x"\n}', ", line 4: field 'q' is a text, but a number on line 1"),
        (b"PAR1...", "the file is a Parquet file; declare it in a task file with dataset_path: parquet"),
        (b"", " is empty; a task needs at least one item"),
        (b" \n\r\n", " is empty; a task needs at least one item"),
        (b'{"q": 1}\n{"q": \n', ", line 2: expected a JSON object: Expecting value"),
        (b"{'q': 1}\n", ", line 1: expected a JSON object: Expecting property name enclosed in double quotes"),
        (b'{"q": 1}\n\nnull\n', ", line 3: expected a JSON object, came null"),
        (b'["a", {"q": 1}]', ", row 1: expected a JSON object, came a text"),
        (b'[\n{"q": 1},\n{"q" 1}]', ", line 3: expected a JSON list of objects: Expecting ':' delimiter"),
        (b'{"q": NaN}\n', ", line 1: expected a JSON object: NaN is not a JSON value; write null"),
        (b'{"q": -Infinity}\n', ", line 1: expected a JSON object: -Infinity is not a JSON value"),
        (b'{"q": 1, "q": 2}\n', ", line 1: expected a JSON object: field 'q' is given twice; keep one"),
        (b'{"q": 99999999999999999999}\n', ", line 1: 99999999999999999999... has more than 64 bits"),
        (b'{"q": ["\\ud800"]}\n', ", line 1: a text holds '\\ud800', half of a surrogate pair"),
        (b"[" * 100_000, ", the list: expected a JSON list of objects: nested too deeply"),
        (b'{"q": 1}\n{"q": "x"}\n', ", line 2: field 'q' is a text, but a number on line 1"),
    ],
)
def test_what_cannot_be_read_is_told_with_file_and_line(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        read_rows(path)
    assert caught.value.problems[0].startswith(f"{path}{said}") or said in caught.value.problems[0]
    assert len(caught.value.problems) == 1


def test_a_table_is_declared_otherwise(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("q,a\nx,1\n")
    with pytest.raises(InputError, match=r"rows.csv: expected JSON Lines; declare a .csv file in a task file with"):
        read_rows(tmp_path / "rows.csv")


def test_all_broken_lines_are_told_but_no_more_than_help(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"q": 1}\n' + '{"q": \n' * 9)
    with pytest.raises(InputError) as caught:
        read_rows(path)
    assert [told.partition(", line ")[2][:1] for told in caught.value.problems[:3]] == ["2", "3", "4"]
    assert caught.value.problems[3].endswith("6 more of its lines are no better")


def test_a_folder_is_no_data_file(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").mkdir()
    with pytest.raises(InputError, match=r"data 'rows.jsonl' is a folder .*; name a file in it"):
        find("rows.jsonl", [tmp_path], "t")
    simple(tmp_path, "t")
    assert "is a folder; name files, for example rows.jsonl/*.jsonl" in problems(tmp_path, "t")


def test_task_files_read_the_same_forms(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    simple(tmp_path, "t")
    path.write_bytes(LINES.encode("latin-1"))
    assert f"task 't': {path}, line 1: byte 0xe9 is not UTF-8" in problems(tmp_path, "t")
    path.write_bytes(b'{"stem": "a", "stem": "b"}\n')
    assert f"task 't': {path}, line 1: expected a JSON object: field 'stem' is given twice" in problems(tmp_path, "t")


def test_values_of_several_types_are_named_by_line_and_field(folder: Path) -> None:
    rows = [{"question": "a", "options": ["x", "y"], "gold": 0}, {"question": "b", "options": ["x", 3], "gold": "y"}]
    write_jsonl(folder / "mixed.jsonl", rows)
    told = problems(folder, INLINE | {"data": "mixed.jsonl"})
    assert "mixed.jsonl, line 2: field 'gold' is a text, but a number on line 1" in told
    assert "mixed.jsonl, line 2: field 'options[]' is a number, but a text on line 1" in told
    assert "Arrow" not in told
