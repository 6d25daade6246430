"""The YAML files: each composes, and says what the code says."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from evomerge import executors
from evomerge.config import compose, groups, overrides, schema
from evomerge.errors import InputError
from evomerge.fitness import FitnessSettings
from evomerge.genome import GenomeSettings
from evomerge.run.run_config import RunConfig, method_names
from evomerge.search import searchers

GOOD = ("models=[A,B]", "base=C", "tasks=[rhymes]", "task_path=[my_tasks]")
CONF = groups.conf_folder()
CHOICES = [(group, name) for group, names in groups.groups().items() for name in names if group != "experiment"]
GIVEN = ("models", "base", "fitness", "genome", "searcher", "offline")
EXPERIMENTS = groups.groups()["experiment"]


def test_no_group_is_named_like_a_key() -> None:
    assert not set(groups.groups()) & set(schema.SEARCH)


def test_every_file_belongs_to_a_group() -> None:
    known = {folder.name for folder in CONF.iterdir() if folder.is_dir()}
    assert known <= set(groups.groups())
    assert [file.name for file in CONF.glob("*.yaml")] == ["config.yaml"]


def test_the_defaults_name_every_key(desk: Path) -> None:
    """The JSON of a configuration nests every key by its section and leaves none out."""
    assert set(compose.search(GOOD).to_json()) == {name.split(".")[0] for name in schema.SEARCH}
    flat = {
        f"{section}.{name}"
        for section, inner in compose.search(GOOD).to_json().items()
        if section in schema.sections(schema.SEARCH)
        for name in inner
    }
    assert flat == {name for name in schema.SEARCH if "." in name}


@pytest.mark.parametrize(("group", "name"), CHOICES)
def test_every_choice_composes(desk: Path, group: str, name: str) -> None:
    single = group == "searcher" and name != "auto" and not searchers.load(name).fits(2)
    metrics = ["rhymes.acc"] if single else ["rhymes.acc", "rhymes.acc_norm"]
    home = {"executor": executors, "searcher": searchers}.get(group)
    library = home.load(name).library if home is not None and name != "auto" else None
    if library and importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    found = compose.search([*GOOD, f"objectives=[{','.join(metrics)}]", f"{group}={name}"]).to_json()
    chosen = {"genome": "depth", "searcher": "name", "executor": "name"}.get(group)
    if chosen and name != "auto":
        assert found[group][chosen] == name


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_composes(name: str) -> None:
    """What is missing in this checkout may be models that a study makes first, and nothing else."""
    found: list[str] = []
    try:
        compose.search([f"experiment={name}"])
    except InputError as error:
        found = [problem for problem in error.problems if "there is no folder experiments/" not in problem]
    assert found == []


def test_what_is_chosen_has_the_declared_defaults(desk: Path) -> None:
    config = compose.search([*GOOD, "genome=smooth", "searcher=de"])
    assert config.genome == GenomeSettings("smooth")
    assert config.searcher.options == {"weight": 0.7, "crossover": 0.5}
    assert config.searcher.population == 16
    assert config.fitness == FitnessSettings(("rhymes",), ("my_tasks",))
    assert config == replace(RunConfig(), **{name: getattr(config, name) for name in GIVEN})


def test_yaml_files_repeat_no_default() -> None:
    """Choices of the main file and named studies hold only what differs from the declarations."""
    content = yaml.safe_load((CONF / "config.yaml").read_text())
    assert set(content) == {"defaults", "hydra"}
    plain = schema.defaults(schema.SEARCH)
    for name in EXPERIMENTS:
        study = yaml.safe_load((CONF / "experiment" / f"{name}.yaml").read_text())
        study.pop("defaults")
        flat = overrides.flattened(study, schema.SEARCH, [])
        repeated = {key for key, value in flat.items() if schema.SEARCH[key].kind.read(value) == plain[key]}
        assert repeated <= {"method"}, "a study says which method it is about"


def test_methods_are_named_without_importing_them() -> None:
    from evomerge import methods

    assert method_names() == tuple(sorted(methods.names()))


def test_the_example_needs_nothing_but_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = compose.search(["experiment=example"])
    assert config.offline
    assert all(ref.source.startswith("example:") for ref in (*config.models, config.base) if ref)
    assert config.searcher.name == "nsga2"
