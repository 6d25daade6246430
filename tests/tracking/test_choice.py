"""The choice of trackers: what is wrong with it is told before any work, and what is not chosen is not imported."""

from __future__ import annotations

import importlib
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from evomerge import tracking
from evomerge.config import compose, help
from evomerge.errors import InputError
from evomerge.options import Option
from evomerge.tracking.wandb import known
from tests.apart import Apart
from tests.contracts.copied_package import run_tests_in_a_copy

WORDS = ["models=[A,B]", "base=C", "tasks=[rhymes]", "task_path=[my_tasks]"]


def problems(*words: str) -> list[str]:
    try:
        compose.search([*WORDS, *words])
    except InputError as error:
        return [problem for problem in error.problems if problem.startswith("tracking")]
    return []


def test_a_missing_library_is_told_with_the_command_that_installs_it(
    desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in tracking.names():
        declared = importlib.import_module(f"evomerge.tracking.{name}")
        monkeypatch.setattr(declared, "TRACKER", replace(declared.TRACKER, library="nobody_has_this"))
        expected = f"{name} needs the package nobody_has_this, which is not installed; pip install 'evomerge[{name}]'"
        assert problems(f"tracking=[{name}]") == [f"tracking: {expected}"]


def test_everything_that_is_wrong_is_told_at_once(desk: Path) -> None:
    found = problems(
        "tracking=[wanbd]", "tracking_options={wandb: {mode: onlin}, mlfow: {}, mlflow: {experimen: x}, tensorboard: 3}"
    )
    for expected in (
        "tracking: expected a list of names such as [a,b], came ['wanbd'] (one of mlflow, tensorboard, wandb; did you",
        "tracking_options.wandb: tracker wandb: option mode is 'onlin'; it is one of offline, online; did you mean",
        "tracking_options: there is no tracker 'mlfow'; there are mlflow, tensorboard, wandb",
        "tracking_options.mlflow: tracker mlflow has no option 'experimen'; did you mean 'experiment'?",
        "tracking_options.tensorboard: expected a mapping such as {project: mine}, came 3",
    ):
        assert any(problem.startswith(expected) for problem in found) or expected in found, (expected, found)
    twice = problems("tracking=[wandb,wandb]")
    assert "tracking: wandb is given twice" in twice


def test_an_address_with_a_password_is_refused_without_repeating_it(desk: Path) -> None:
    for address in ("https://ann:s3cret@host/path", "postgresql://ann:s3cret@host/runs"):
        (found,) = problems(f"tracking_options={{mlflow: {{uri: '{address}'}}}}")
        assert found.startswith("tracking_options.mlflow: tracker mlflow: option uri holds a password")
        assert "s3cret" not in found
    assert not problems("tracking_options={mlflow: {uri: 'https://ann@host:5000'}}")
    assert not problems("tracking_options.mlflow.uri=environment")


def test_nobody_is_asked_for_a_key_in_the_middle_of_a_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    run = tracking.TrackedRun("1", "run", tmp_path, {})
    wandb = tracking.load("wandb")
    with pytest.raises(PermissionError, match="nobody is logged in"):
        wandb.make(run, wandb.complete({"mode": "online"}))
    (tmp_path / ".netrc").touch()
    assert known({})
    assert not known({"NETRC": str(tmp_path / "none")})
    assert known({"WANDB_API_KEY": "x"})


def test_an_option_is_set_by_its_dotted_key(desk: Path) -> None:
    config = compose.search([*WORDS, "tracking_options.wandb.project=mine"])
    assert config.tracking.trackers == ()
    assert config.tracking.options == {"wandb": {"project": "mine"}}
    assert config.to_json()["tracking_options"] == {"wandb": {"project": "mine"}}
    page = " ".join(help.verb("search").split())
    assert "wandb.mode online opens connections; offline never does (offline | online; default offline)" in page


def test_libraries_are_imported_by_those_alone_who_use_them() -> None:
    program = (
        "import sys; from evomerge import tracking; "
        "[tracking.load(name) for name in tracking.names()]; "
        "print(*{'wandb', 'mlflow', 'tensorboardX', 'tensorboard'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_names_that_become_one_are_kept_apart() -> None:
    from evomerge.tracking._shared.clean_names import CleanNames

    clean = CleanNames(r"[^-/\w]")
    assert [clean(name) for name in ("a+b", "a b", "a//b/", "a+b")] == ["a_b", "a_b_2", "a/b", "a_b"]


@pytest.mark.slow
def test_the_example_of_a_new_tracker_keeps_the_contract(bare: Apart, tmp_path: Path) -> None:
    text = (tracking.__doc__ or "").split("::\n", 1)[1].split("\n\nNothing else")[0]
    code, printed = run_tests_in_a_copy(bare, tmp_path, {"tracking/mytracker.py": textwrap.dedent(text)}, EXAMPLE)
    assert code == 0, printed[-3000:]


EXAMPLE = """
import json
from evomerge import tracking
from evomerge.contracts.tracker import TrackerContract


class TestMine(TrackerContract):
    spec = tracking.load("mytracker")

    def curves(self, run):
        rows = [json.loads(line) for line in (run.folder / "course.jsonl").read_text().splitlines()]
        return {name: [(row["evaluations"], row[name]) for row in rows] for name in rows[0]}

    def concluded(self, run):
        return {name: [value] for name, value in json.loads((run.folder / "course.end").read_text()).items()}
"""


def test_options_are_declared() -> None:
    declared = [option for name in tracking.names() for option in tracking.load(name).options.values()]
    assert all(isinstance(option, Option) and option.doc for option in declared)
