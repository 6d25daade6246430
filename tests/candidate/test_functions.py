"""Files of user-defined metrics: everything that can be wrong with one is said before a model is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from evomerge.candidate import find_function
from evomerge.candidate.functions import FunctionError, call_function
from evomerge.errors import InputError


def test_found_with_its_direction(tmp_path: Path) -> None:
    file = tmp_path / "metrics.py"
    file.write_text("def size(model, tokenizer):\n    return 3\n\n\nsize.higher_is_better = False\n")
    found = find_function(f"{file}:size")
    assert (found.metric, found.higher_is_better) == ("python.size", False)
    assert call_function(found.load(), found.metric, torch.nn.Linear(1, 1), None, candidate="a" * 64) == 3.0


def test_a_file_is_a_module_like_any_other(tmp_path: Path) -> None:
    """Dataclasses with annotations as texts look their module up; files of one name in two folders are two modules."""
    text = """
from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Count:
    number: int = {number}


def size(model, tokenizer):
    return Count().number
"""
    found = []
    for number in (3, 4):
        file = tmp_path / str(number) / "metrics.py"
        file.parent.mkdir()
        file.write_text(text.format(number=number))
        found.append(find_function(f"{file}:size"))
    functions = [one.load() for one in found]
    assert [function(None, None) for function in functions] == [3, 4]


@pytest.mark.parametrize("change", ["another", "gone"])
def test_a_file_that_has_changed_since_it_was_found_is_another_metric(tmp_path: Path, change: str) -> None:
    """As a process that replaces a dead one would find it, in the middle of a run."""
    file = tmp_path / "metrics.py"
    file.write_text("def size(model, tokenizer):\n    return 3\n")
    found = find_function(f"{file}:size")
    if change == "gone":
        file.unlink()
    else:
        file.write_text("def size(model, tokenizer):\n    return 4\n")
    with pytest.raises(InputError, match=r"metrics\.py' has changed since the run began"):
        found.load()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("def sise(model, tokenizer):\n    return 3\n", "defines no function 'size'; did you mean 'sise'"),
        ("size = 3\n", "defines no function 'size' (it has none)"),
        ("def size(:\n", "is not Python: line 1"),
        ("def size(model, tokenizer):\n    return 3\x00\n", "is not Python"),
        ("def size(model, tokenizer):\n    return 3\n\n\nraise OSError('no\\nluck')\n", "OSError: no"),
        ("import sys\n\n\ndef size(model, tokenizer):\n    return 3\n\n\nsys.exit('enough')\n", "SystemExit: enough"),
        ("def size(model):\n    return 3\n", "takes (model); write def size(model, tokenizer) that returns a number"),
        ("def size(model, tokenizer, more):\n    return 3\n", "takes (model, tokenizer, more); write def size("),
        ("def size(model, tokenizer):\n    yield 3\n", "yields values; write def size(model, tokenizer)"),
        ("def size(model, tokenizer):\n    return 3\n\n\nsize = 3\n", "is no function any more"),
    ],
)
def test_what_is_wrong_with_a_file(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "metrics.py"
    file.write_text(text)
    with pytest.raises(InputError) as caught:
        find_function(f"{file}:size")
    assert reason in str(caught.value)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["metrics.py", "metrics.txt:size", "metrics.py:3", ":size"])
def test_what_names_no_function(text: str) -> None:
    with pytest.raises(InputError, match="write FILE"):
        find_function(text)


def test_a_function_that_ends_the_program_is_an_error_of_its_candidate(tmp_path: Path) -> None:
    file = tmp_path / "metrics.py"
    file.write_text("import sys\n\n\ndef size(model, tokenizer):\n    sys.exit(3)\n")
    found = find_function(f"{file}:size")
    with pytest.raises(FunctionError, match=r"python\.size \(metrics\.py:5\) raised SystemExit: 3"):
        call_function(found.load(), found.metric, torch.nn.Linear(1, 1), None, candidate="a" * 64)


@pytest.mark.parametrize(
    "value", ["'0.5'", "'much'", "b'1'", "None", "[1.0]", "1j", "10**400", "__import__('torch').ones(2)"]
)
def test_what_is_no_number(tmp_path: Path, value: str) -> None:
    file = tmp_path / "metrics.py"
    file.write_text(f"def size(model, tokenizer, more=1):\n    return {value}\n")
    found = find_function(f"{file}:size")
    with pytest.raises(FunctionError, match=r"python\.size returned .*; expected a number"):
        call_function(found.load(), found.metric, torch.nn.Linear(1, 1), None, candidate="a" * 64)
