"""Composes the configuration: Hydra's groups and experiments, then the values of the command line on top."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from evomerge.config import groups, parse, schema, validate, value_types
from evomerge.config.overrides import expanded, flattened, overrides_of
from evomerge.config.parse import Override
from evomerge.config.schema import Key
from evomerge.config.verbs import mixtures
from evomerge.config.verbs import statistics as of_models
from evomerge.config.verbs import transform as transforming
from evomerge.errors import InputError
from evomerge.run.cluster.settings import SubmitSettings
from evomerge.run.run_config import RunConfig
from evomerge.settings import from_json

CONFIG = "config"
_SUBMIT = "submit"
T = TypeVar("T")


def search(words: Sequence[str], command: Sequence[str] = ()) -> RunConfig:
    """The configuration of a search.

    Args:
        words: The command line after the verb.
        command: Words that repeat the run.

    Raises:
        InputError: With everything that is wrong.
    """
    found, problems = parse.read(words, schema.SEARCH, groups.groups())
    try:
        return resolve(found, problems, command)
    except InputError as error:
        raise InputError(_with_origin(error.problems, found)) from error


def submit(words: Sequence[str], command: Sequence[str] = ()) -> tuple[RunConfig, SubmitSettings]:
    """The configuration of a search that is submitted, and what the batch system is asked for.

    Args:
        words: The command line after the verb.
        command: Words that repeat the run.

    Raises:
        InputError: With everything that is wrong.
    """
    found, problems = parse.read(words, {**schema.SEARCH, **schema.SUBMIT}, groups.groups())
    others = [override for override in found if override.key.partition(".")[0] != _SUBMIT]
    settings = _submit_settings([override for override in found if override not in others], problems)
    problems += _submit_problems(others)
    if command:
        command = (*command[:2], "executor=folder", *(word for word in command[2:] if not word.startswith(_SUBMIT)))
    config = resolve([Override("executor", "folder", group=True), *others], problems, command)
    return config, settings


def _submit_settings(found: Sequence[Override], problems: list[str]) -> SubmitSettings:
    flat = schema.defaults(schema.SUBMIT)
    for override in found:
        flat |= flattened({override.key: override.value}, schema.SUBMIT, problems)
    values = validate.read_values(flat, schema.SUBMIT, problems)
    own = {key.partition(".")[2]: value for key, value in values.items()}
    settings = from_json(SubmitSettings, {_SUBMIT: own}, f"{_SUBMIT}.")
    problems += settings.problems()
    return settings


def _submit_problems(found: Sequence[Override]) -> list[str]:
    """Problems of words of a search that come of its submission."""
    given = {override.key: override.value for override in found}
    problems = []
    folder = given.get("run_dir")
    if folder is None:
        problems.append("run_dir: missing; write run_dir=FOLDER, on a disk that all machines see under the same path")
    elif not str(folder).isprintable() or set(str(folder)) & set('"\\'):
        problems.append(f"run_dir: a batch script cannot name {str(folder)!r}; choose a name of letters and digits")
    named = {given[key] for key in ("executor", "executor.name") if isinstance(given.get(key), str)} - {"folder"}
    if named:
        problems.append(f"executor: workers of a submission share the run's folder; leave {named.pop()} out")
    return problems


def _with_origin(problems: Sequence[str], found: Sequence[Override]) -> list[str]:
    """Puts the file's name before problems of keys that nobody has set, where a file sets keys: defaults have none."""
    files = [str(override.value) for override in found if override.key == "recipe"]
    files = [name for name in files if name.endswith((".yaml", ".yml", ".json"))]
    if len(files) != 1:
        return list(problems)
    given = {override.key for override in found}
    given |= {key for key in schema.SEARCH for one in found if one.group and key.startswith(f"{one.key}.")}
    unset = {key for key in schema.SEARCH if key not in given}
    return [
        f"{files[0]}: {problem}" if problem.partition(": ")[0] in unset and files[0] not in problem else problem
        for problem in problems
    ]


def from_values(values: Mapping[str, Any]) -> RunConfig:
    """The configuration of a search from Python values.

    Args:
        values: Key to value, nested or dotted; a group's name stands for that choice of the group
            (``genome="blocks"``), a mapping for settings of it (``genome={"block_size": 4}``); paths may be
            ``os.PathLike``.

    Returns:
        The configuration, with the command line that says the same as its ``command``.

    Raises:
        InputError: With everything that is wrong.
    """
    problems: list[str] = []
    found = overrides_of(_without_paths(values), problems)
    words = [f"{override.key}={parse.written(override.value)}" for override in found]
    return resolve(found, problems, ("evomerge", "search", *words))


def words_of(values: Mapping[str, Any]) -> list[str]:
    """The words of a verb from Python values by key; paths may be ``os.PathLike``."""
    return [f"{name}={parse.written(value)}" for name, value in _without_paths(values).items()]


def resolve(found: Sequence[Override], problems: list[str], command: Sequence[str] = ()) -> RunConfig:
    """The configuration that some overrides give.

    Raises:
        InputError: With ``problems`` and everything else that is wrong.
    """
    notes: list[str] = []
    found = expanded(found, problems, notes)
    flat, given = _values(found, schema.SEARCH, problems)
    return validate.run_config(flat, problems, command=tuple(command), given=given, notes=tuple(notes))


def _verb(check: Callable[[dict[str, Any], list[str]], T], known: Mapping[str, Key]) -> Callable[[Sequence[str]], T]:
    """Reads the words of a verb that no groups belong to: its configuration, or InputError with all that is wrong."""

    def read(words: Sequence[str]) -> T:
        found, problems = parse.read(words, known, {})
        return check(_overridden(schema.defaults(known), found, known, problems), problems)

    return read


evaluate = _verb(validate.evaluate_config, schema.EVALUATE)
merge = _verb(validate.merge_config, schema.MERGE)
build = _verb(mixtures.build_config, schema.BUILD)
layers = _verb(mixtures.layers_config, schema.LAYERS)
condense = _verb(mixtures.condense_config, schema.CONDENSE)
compare = _verb(validate.compare_config, schema.COMPARE)
transform = _verb(transforming.transform_config, schema.TRANSFORM)
audit = _verb(validate.audit_config, schema.AUDIT)
explain = _verb(validate.explain_config, schema.EXPLAIN)
report = _verb(validate.report_config, schema.REPORT)
status = _verb(validate.status_config, schema.STATUS)
export = _verb(validate.export_config, schema.EXPORT)
worker = _verb(validate.worker_config, schema.WORKER)
methods = _verb(validate.methods_config, schema.METHODS)
statistics = _verb(of_models.folder_config, schema.STATISTICS)
collect = _verb(of_models.collect_config, schema.COLLECT)


def hydra_problems(words: Sequence[str]) -> list[str]:
    """Problems of words that set Hydra's own configuration, as Hydra puts them."""
    try:
        _composed(words, with_hydra=True)
    except (HydraException, OmegaConfBaseException) as error:
        said = [(str(part).splitlines() or [""])[0].strip() for part in (error, error.__cause__) if part is not None]
        return [f"{', '.join(words)}: {' '.join(said)}"]
    return []


def register() -> None:
    """Tells Hydra of the choices that no YAML file holds."""
    store = ConfigStore.instance()
    for group, choices in groups.choices().items():
        for name, settings in choices.items():
            store.store(group=group, name=name, node=dict(settings))


def _without_paths(value: Any) -> Any:
    """The same values with every path object as its text."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return {name: _without_paths(inner) for name, inner in value.items()}
    return [_without_paths(inner) for inner in value] if isinstance(value, list | tuple) else value


def _values(
    found: Sequence[Override], known: Mapping[str, Key], problems: list[str]
) -> tuple[dict[str, Any], set[str]]:
    """Dotted key to value: the declared defaults, then what groups and experiments say, then each override in order.

    With the keys that were given a value.
    """
    chosen = {override.key: override.value for override in found if override.group}
    container = _composed([f"{key}={value}" for key, value in chosen.items()])
    composed = flattened(container, known, problems)
    given = {*composed, *(override.key for override in found if not override.group)}
    return _overridden(schema.defaults(known) | composed, found, known, problems), given


def _overridden(
    flat: dict[str, Any], found: Sequence[Override], known: Mapping[str, Key], problems: list[str]
) -> dict[str, Any]:
    for override in found:
        if not override.group:
            _apply(flat, override.key, override.value, known, problems)
    return flat


def _composed(choices: Sequence[str], *, with_hydra: bool = False) -> dict[str, Any]:
    composed = OmegaConf.to_container(_config(tuple(choices), with_hydra), resolve=not with_hydra)
    assert isinstance(composed, dict)
    return {str(name): value for name, value in composed.items()}


@functools.lru_cache(maxsize=64)
def _config(choices: tuple[str, ...], with_hydra: bool) -> DictConfig:
    """The configuration that Hydra composes; jobs of a sweep differ in settings and have their groups in common."""
    register()
    # Hydra keeps one instance per process; a program that is itself run by Hydra gets its own back.
    outer, GlobalHydra.instance().hydra = GlobalHydra.instance().hydra, None
    try:
        with initialize_config_dir(config_dir=str(groups.conf_folder()), job_name="evomerge", version_base="1.3"):
            return hydra_compose(CONFIG, overrides=list(choices), return_hydra_config=with_hydra)
    finally:
        GlobalHydra.instance().hydra = outer


def _apply(flat: dict[str, Any], key: str, value: Any, known: Mapping[str, Key], problems: list[str]) -> None:
    try:
        value = _interpolated(value)
    except OmegaConfBaseException as error:
        problems.append(f"{key}: {value!r} cannot be filled in: {str(error).splitlines()[0]}")
        return
    owner = schema.free_key(key, known)
    if owner is not None:
        try:
            flat[owner] = value_types.mapping().read(flat.get(owner))  # a copy: nothing that was given is changed
        except ValueError:
            return  # what stands there is no mapping, which reading it says
        inner = flat[owner]
        *path, last = key.removeprefix(f"{owner}.").split(".")
        for part in path:
            inner[part] = dict(inner[part]) if isinstance(inner.get(part), Mapping) else {}
            inner = inner[part]
        inner[last] = value
    elif key not in known and isinstance(value, Mapping):
        for name, inner_value in flattened({key: value}, known, problems).items():
            flat[name] = inner_value
    else:
        flat[key] = value


def _interpolated(value: Any) -> Any:
    """Fills in ``${oc.env:HOME}`` and the like."""
    if "${" not in str(value):
        return value
    return OmegaConf.to_container(OmegaConf.create({"value": value}), resolve=True)["value"]  # type: ignore[index,call-overload]
