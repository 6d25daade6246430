"""Texts from anywhere: no pipes, no files without an end, no control characters, no patterns that never end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from evomerge.recipe import DEFAULT_LAYER_PATTERN, DEFAULT_PATTERNS
from evomerge.texts import LARGEST, may_never_end, printable, read_text, too_deep


def test_only_files_of_a_texts_size_are_read(tmp_path: Path) -> None:
    text, pipe, endless = tmp_path / "text", tmp_path / "pipe", tmp_path / "endless"
    text.write_bytes(b"a\r\nb")
    os.mkfifo(pipe)
    with endless.open("wb") as file:
        file.truncate(LARGEST + 1)
    assert read_text(text) == "a\nb"
    for path, said in (
        (pipe, "a pipe, a socket or a device"),
        (Path("/dev/zero"), "a device"),
        (endless, "bytes"),
        (tmp_path, "directory"),
    ):
        with pytest.raises(OSError, match=said):
            read_text(path)


def test_depth_is_counted_without_recursion() -> None:
    deep: object = 1
    for _ in range(100_000):
        deep = [deep]
    assert too_deep(deep)
    assert not too_deep({"a": [{"b": [1] * 1000}]})
    assert not too_deep(1)


def test_messages_hold_no_control_characters() -> None:
    assert printable("a\x1b[2Jb\0c\n\td\u202e") == "a\\x1b[2Jb\\x00c\n\td\\u202e"
    assert len(printable("x" * 100_000)) < 3000


def test_patterns_that_never_end() -> None:
    assert all(map(may_never_end, ("(a+)+$", "(.*)*x", "(a{2,})*", "(?:x|y*)+")))
    assert not any(map(may_never_end, (DEFAULT_LAYER_PATTERN, *(pattern for _, pattern in DEFAULT_PATTERNS))))
