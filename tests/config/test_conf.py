"""The YAML files: each composes, and says what the code says."""

from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from evomerge.config import compose, schema
from evomerge.errors import InputError
from evomerge.fitness import FitnessSettings
from evomerge.genome import LAYOUTS, GenomeSettings
from evomerge.search import searchers

GOOD = ("models=[A,B]", "base=C", "tasks=[rhymes]", "task_path=[my_tasks]")
CONF = schema.conf_folder()
CHOICES = [(group, name) for group, names in schema.groups().items() for name in names if group != "experiment"]
EXPERIMENTS = schema.groups()["experiment"]


def test_no_group_is_named_like_a_key() -> None:
    assert not set(schema.groups()) & set(schema.SEARCH)


def test_every_file_belongs_to_a_group() -> None:
    found = {file.relative_to(CONF).as_posix() for file in CONF.rglob("*.yaml")}
    named = {f"{group}/{name}.yaml" for group, names in schema.groups().items() for name in names}
    assert found == named | {"config.yaml"}


def test_the_defaults_name_every_key(desk: Path) -> None:
    """A key that the table lacks is unknown, one that the YAML lacks would have no value: both fail here."""
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
    metrics = ["rhymes.acc"] if name in searchers.SINGLE else ["rhymes.acc", "rhymes.acc_norm"]
    found = compose.search([*GOOD, f"objectives=[{','.join(metrics)}]", f"{group}={name}"]).to_json()
    chosen = {"genome": "layout", "searcher": "name", "executor": "name"}.get(group)
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


def test_genomes_are_the_layouts_with_the_same_defaults(desk: Path) -> None:
    assert set(schema.groups()["genome"]) == set(LAYOUTS)
    for layout in LAYOUTS:
        assert compose.search([*GOOD, f"genome={layout}"]).to_json()["genome"] == GenomeSettings(layout).to_json()


def test_searchers_are_the_algorithms_with_their_own_defaults() -> None:
    assert set(schema.groups()["searcher"]) == {*searchers.SEARCHERS, "auto"}
    for name, options in searchers.OPTIONS.items():
        content = yaml.safe_load((CONF / "searcher" / f"{name}.yaml").read_text())
        assert content["options"] == {option: default for option, (default, _, _) in options.items()}
        assert content["population"] in (None, searchers.POPULATION)


def test_fitness_is_its_settings_with_the_same_defaults(desk: Path) -> None:
    plain = FitnessSettings(("rhymes",))
    section = dict(compose.search(GOOD).fitness)
    assert section == {name: getattr(plain, name) for name in section}
    own_keys = {"tasks", "task_path", "items_per_task", "test_items_per_task", "seed"}
    assert set(section) == {field.name for field in fields(FitnessSettings)} - own_keys


def test_methods_are_named_without_importing_them() -> None:
    from evomerge import methods

    assert schema.method_names() == tuple(sorted(methods.names()))


def test_the_example_needs_nothing_but_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = compose.search(["experiment=example"])
    assert config.offline
    assert all(ref.source.startswith("example:") for ref in (*config.models, config.base) if ref)
    assert config.searcher.name == "nsga2"
