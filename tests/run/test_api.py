"""The Python interface: the same runs as on the command line, and as far from the network."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

import evomerge
from evomerge.cli.main import main
from evomerge.config import compose
from tests.apart import Apart
from tests.run.family import Family, records

_FRESH = """
import json, sys
import evomerge

evomerge.search(**json.loads(sys.argv[1]))
import huggingface_hub.constants, datasets.config
print(huggingface_hub.constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE)
"""


def values(family: Family, run: Path, **changes: Any) -> dict[str, Any]:
    """The small search of the tests as Python values, some nested and some dotted."""
    return {
        "models": [str(family.folder / "one"), str(family.folder / "two")],
        "base": str(family.folder / "base"),
        "method": "ties",
        "method_options": {"scope": "tensor"},
        "genome": {"depth": "blocks", "block_size": 1},
        "tasks": ["first", "second"],
        "task_path": [str(family.folder / "tasks")],
        "evaluations": 6,
        "items_per_task": 8,
        "test_items_per_task": 8,
        "searcher": "nsga2",
        "searcher.population": 6,
        "model": {"threads": 1},
        "progress": "none",
        "run_dir": str(run),
    } | changes


def test_the_command_of_a_search_from_python_goes_on_with_the_same_run(family: Family, tmp_path: Path) -> None:
    run = evomerge.search(**values(family, tmp_path / "it's a run"))
    command = run.manifest["command"]
    assert command[:2] == ["evomerge", "search"]
    before = records(run.folder)
    assert main(command[1:]) == 0
    assert records(run.folder) == before
    # The store refuses a folder with another run's identity, so going further shows that it is the same run.
    assert main([*command[1:], "evaluations=9"]) == 0
    assert len(records(run.folder)) > len(before)
    assert evomerge.Run(run.folder).manifest["config"]["genome"]["block_size"] == 1


def test_paths_may_be_path_objects_and_a_run_says_what_it_is(family: Family, tmp_path: Path) -> None:
    given = values(family, tmp_path / "run", base=family.folder / "base", run_dir=tmp_path / "run")
    given |= {"models": (family.folder / "one", family.folder / "two"), "task_path": [family.folder / "tasks"]}
    config = compose.from_values(given)
    assert config.to_json() == compose.from_values(values(family, tmp_path / "run")).to_json()
    run = evomerge.search(**given)
    assert repr(run) == f"evomerge.Run({str(tmp_path / 'run')!r}, 6 candidates)"


def test_the_package_lists_what_it_offers() -> None:
    assert {"Run", "merge", "search", "__version__"} <= set(dir(evomerge))


def test_a_search_without_a_folder_names_it_in_its_command(
    family: Family, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = values(family, tmp_path)
    del given["run_dir"]
    run = evomerge.search(**given)
    assert main(run.manifest["command"][1:]) == 0
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [run.folder.name]


def test_merge_takes_a_recipe_its_json_or_its_file(finished: Path, tmp_path: Path) -> None:
    exported = evomerge.Run(finished).export("knee", tmp_path / "exported").folder
    text = (exported / "recipe.json").read_text()
    for name, recipe in (("file", exported / "recipe.json"), ("json", json.loads(text))):
        out = evomerge.merge(recipe, tmp_path / name)
        assert (out / "model.safetensors").read_bytes() == (exported / "model.safetensors").read_bytes()


def test_local_models_keep_a_python_search_off_the_hub(family: Family, tmp_path: Path, bare: Apart) -> None:
    unset = dict.fromkeys(name for name in os.environ if name.endswith("_OFFLINE"))
    process = bare.start(_FRESH, json.dumps(values(family, tmp_path / "run")), err=True, **unset)
    printed, said = process.communicate()
    assert process.returncode == 0, said
    assert printed.split()[-2:] == ["True", "True"]


def test_members_of_a_front_outlive_the_folder(family: Family, tmp_path: Path) -> None:
    run = evomerge.search(**values(family, tmp_path / "run", **{"confirm.finalists": 1}))
    known = {one.digest: dict(one.recipe) for one in run.evaluations()}
    front = run.front
    shutil.rmtree(run.folder)
    assert front
    for member in front:
        held = [one.recipe for one in (member.search, member.selection, member.test) if one is not None]
        assert [dict(recipe) for recipe in (member.recipe, *held)] == [known[member.digest]] * (1 + len(held))
