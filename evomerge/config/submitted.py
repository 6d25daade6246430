"""The configuration of a submission: a search's, and what a batch system is asked for."""

from __future__ import annotations

from collections.abc import Sequence

from evomerge.config import compose, groups, parse, schema
from evomerge.config.overrides import flattened
from evomerge.config.parse import Override
from evomerge.config.validate import read_values
from evomerge.run.cluster.settings import SubmitSettings
from evomerge.run.run_config import RunConfig
from evomerge.settings import from_json

_SECTION = "submit"


def submitted(words: Sequence[str], command: Sequence[str] = ()) -> tuple[RunConfig, SubmitSettings]:
    """The configuration of a search that is submitted, and what the batch system is asked for.

    Args:
        words: The command line after the verb.
        command: Words that repeat the run.

    Raises:
        InputError: With everything that is wrong.
    """
    found, problems = parse.read(words, {**schema.SEARCH, **schema.SUBMIT}, groups.groups())
    others = [override for override in found if override.key.partition(".")[0] != _SECTION]
    settings = _settings([override for override in found if override not in others], problems)
    problems += _problems(others)
    config = compose.resolve([Override("executor", "folder", group=True), *others], problems, command)
    return config, settings


def _settings(found: Sequence[Override], problems: list[str]) -> SubmitSettings:
    flat = schema.defaults(schema.SUBMIT)
    for override in found:
        flat |= flattened({override.key: override.value}, schema.SUBMIT, problems)
    values = read_values(flat, schema.SUBMIT, problems)
    own = {key.partition(".")[2]: value for key, value in values.items()}
    return from_json(SubmitSettings, {_SECTION: own}, f"{_SECTION}.")


def _problems(found: Sequence[Override]) -> list[str]:
    """What is wrong with words of a search because it is to be submitted."""
    given = {override.key: override.value for override in found}
    problems = []
    if given.get("run_dir") is None:
        problems.append("run_dir: missing; write run_dir=FOLDER, on a disk that all machines see under the same path")
    named = {given[key] for key in ("executor", "executor.name") if isinstance(given.get(key), str)} - {"folder"}
    if named:
        problems.append(f"executor: workers of a submission share the run's folder; leave {named.pop()} out")
    return problems
