"""Folders and files that cannot be made are named before any work, and nothing is made."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from evomerge.cli.main import main, sentence
from evomerge.config import compose
from evomerge.errors import InputError
from evomerge.run.paths import expanded, new_folder_problem, resolve
from tests.building import plain_recipe

GOOD = ("models=[A,B]", "base=C", "tasks=[rhymes]", "task_path=[my_tasks]")

IMPOSSIBLE = [
    ("file", "file is a file"),
    ("file/below", "is a file, so there can be nothing below it"),
    ("/dev/null/below", "/dev/null is a file"),
    ("n" * 300, "name too long"),
    ("new/" + "n" * 300, "is longer than 255 bytes"),
    ("/".join(["n" * 200] * 40), "name too long"),
    ("dangling", "is a link that leads nowhere"),
    ("dangling/below", "is a link that leads nowhere"),
    ("loop/below", "loop"),
    ("~nobody-of-this-name/x", "there is no home folder ~nobody-of-this-name"),
    ("a\0b", "null byte"),
    (os.fsdecode(b"caf\xe9"), r"'caf\udce9' is not UTF-8"),
]
POSSIBLE = [
    "a b",
    "ünï",
    "50%",
    "a=b",
    "-x",
    "slash/",
    "q'uo\"te",
    "new\nline",
    "#;*?:",
    "deep/er/still",
    "3",
    "true",
    "./~x",
]


@pytest.fixture
def odd(desk: Path) -> Path:
    (desk / "recipe.json").write_text(json.dumps(plain_recipe("A")))
    (desk / "file").write_text("")
    (desk / "dangling").symlink_to("nowhere/at/all")
    (desk / "loop").symlink_to("loop")
    return desk


def problems(compose_verb: Callable[[list[str]], object], words: list[str]) -> list[str]:
    before = sorted(Path().rglob("*"))
    with pytest.raises(InputError) as caught:
        compose_verb(words)
    assert sorted(Path().rglob("*")) == before
    return list(caught.value.problems)


@pytest.mark.parametrize(("path", "expected"), IMPOSSIBLE)
def test_a_run_folder_that_cannot_be_made(odd: Path, path: str, expected: str) -> None:
    found = problems(compose.search, [*GOOD, f"run_dir={path}"])
    assert len(found) == 1
    assert found[0].startswith("run_dir: ")
    assert expected in found[0]


@pytest.mark.parametrize(("path", "expected"), IMPOSSIBLE)
def test_a_model_folder_that_cannot_be_made(odd: Path, path: str, expected: str) -> None:
    found = problems(compose.merge, ["recipe=recipe.json", f"out={path}"])
    assert len(found) == 1
    assert found[0].startswith("out: ")
    assert expected in found[0]


@pytest.mark.parametrize(
    ("path", "expected"), [*IMPOSSIBLE[1:6], ("A", "is a folder; expected the name of a file"), (".", "is a folder")]
)
def test_a_file_of_scores_that_cannot_be_written(odd: Path, path: str, expected: str) -> None:
    found = problems(compose.evaluate, ["model=A", "tasks=[rhymes]", "task_path=[my_tasks]", f"out={path}"])
    assert len(found) == 1
    assert expected in found[0]


def test_a_model_folder_with_something_in_it_is_refused_an_empty_one_is_not(odd: Path) -> None:
    assert "exists and is not empty" in problems(compose.merge, ["recipe=recipe.json", "out=my_tasks"])[0]
    assert compose.merge(["recipe=recipe.json", "out=A"]).out == "A"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_to(odd: Path) -> None:
    (odd / "closed").mkdir(mode=0o500)
    assert "nothing may be written to" in problems(compose.search, [*GOOD, "run_dir=closed/x"])[0]


@pytest.mark.parametrize("path", POSSIBLE)
def test_a_run_folder_may_have_any_other_name(odd: Path, path: str) -> None:
    assert compose.search([*GOOD, f"run_dir={path}"]).run_dir == path
    values = {"models": ["A", "B"], "base": "C", "tasks": ["rhymes"], "task_path": ["my_tasks"], "run_dir": path}
    config = compose.from_values(values)
    assert config.run_dir == path
    assert compose.search(config.command[2:], config.command) == config, "its command repeats it"


def test_a_folder_whose_name_begins_with_a_tilde_is_written_with_a_dot(odd: Path) -> None:
    """Libraries would look for the home of somebody of that name."""
    for name in ("~run", "~model"):
        (odd / name).mkdir()
    (odd / "~run" / "manifest.json").write_text('{"format": 2}')
    (odd / "~recipe.json").write_text(json.dumps(plain_recipe("./~model")))
    assert compose.report(["run=./~run"]).run == str(odd / "~run")
    assert compose.export(["run=./~run", "member=knee", "out=./~out"]).out == str(odd / "~out")
    assert compose.merge(["recipe=./~recipe.json", "out=m"]).recipe == str(odd / "~recipe.json")
    assert compose.search([*GOOD[1:], "models=[A,./~model]", "start_from=./~run"]).start_from == "./~run"
    assert resolve("./~model") == str(expanded("./~model")) == str(odd / "~model")
    assert resolve("org/name") == "org/name"


def test_a_folder_that_a_disk_is_mounted_on_cannot_be_replaced() -> None:
    places = (Path(line.split()[1]) for line in Path("/proc/self/mounts").read_text().splitlines())
    ours = [place for place in places if place.is_dir() and os.access(place, os.R_OK | os.W_OK)]
    empty = [place for place in ours if not any(place.iterdir())]
    if not empty:
        pytest.skip("no empty folder that may be written to is one here")
    assert "name a new folder in it" in str(new_folder_problem(empty[0]))


def test_an_error_of_the_operating_system_names_the_file(odd: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A disk that fails in the middle of the work is nobody's bad input."""
    error = OSError(28, "No space left on device", "run/records/main.jsonl")
    assert sentence(error) == ("run/records/main.jsonl: No space left on device; make room and repeat the command")
    assert sentence(OSError("odd")) == "OSError: odd"


@pytest.mark.parametrize(
    ("manifest", "expected"),
    [
        ("[]", "holds a list, expected an object"),
        ("{}", "run format None"),
        ('{"format": 9}', "run format 9"),
        ('{"format": 2, "objectives": [3]}', "'objectives' is no list of objects"),
        ('{"format": 2, "config": []}', "'config' is list, expected an object"),
        ('{"format": 2, "config": {"seed": 0}, "objectives": [{"label": "x"}]}', "cannot be read"),
        ('{"format": 2, "base": "x"}', "'base' is neither an object nor null"),
        ("{", "cannot be read as JSON"),
    ],
)
def test_a_damaged_manifest_is_refused_by_name(
    desk: Path, capsys: pytest.CaptureFixture[str], manifest: str, expected: str
) -> None:
    (desk / "run").mkdir()
    (desk / "run" / "manifest.json").write_text(manifest)
    for words in (["report", "run=run"], ["export", "run=run", "member=knee", "out=x"]):
        assert main(words) == 2
        assert expected in capsys.readouterr().err
