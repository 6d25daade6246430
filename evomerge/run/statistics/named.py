"""Statistics that users name, of one model: collected, or forecast."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from evomerge import statistics
from evomerge.checkpoints import CheckpointSource
from evomerge.errors import InputError, suggest
from evomerge.merging import Checkpoints
from evomerge.run.configs.statistics import CollectConfig
from evomerge.run.export import open_references
from evomerge.run.run_config import RunConfig
from evomerge.run.statistics import ahead
from evomerge.run.statistics.of_model import Asked, LookedAt, looking
from evomerge.statistics import Keyed, Wanted

PER_TOKEN = "per_token"
"""The option that is a mixture's number of experts for a token."""


def looked_at(config: CollectConfig, say: Callable[[str], None] = lambda _: None) -> tuple[LookedAt, Asked]:
    """A model, and the statistics of it that are named.

    Args:
        config: Which statistics of which model on which texts.
        say: Told what is collected.

    Raises:
        InputError: With everything that is wrong with options, the model or the texts.
    """
    _check_options(config.statistic, config.options)
    source = Checkpoints(open_references((config.model,), offline=bool(config.offline))).reference
    looked, texts = looking(config, source, say)
    return looked, Asked(texts, tuple(wanted(name, source, config.options) for name in config.statistic))


def collect_named(config: CollectConfig, say: Callable[[str], None] = lambda _: None) -> tuple[Keyed, ...]:
    """Makes sure that the statistics are in the folder.

    Args:
        config: Which statistics of which model on which texts.
        say: Told what is collected, and what that takes.

    Raises:
        InputError: With everything that is wrong with options, the model or the texts.
    """
    looked, asked = looked_at(config, say)
    [keyed] = looked.collect([asked])
    return keyed


def described(config: CollectConfig | RunConfig) -> dict[str, str]:
    """Collects what is named, or what a search reads, and gives the keys with what each is of."""
    if isinstance(config, RunConfig):
        return {one.key: one.describe() for one in ahead.collect(config)[0]}
    return {one.key: f"{one.wanted.statistic} of {config.model.label}" for one in collect_named(config)}


def foretell(config: CollectConfig) -> Iterator[str]:
    """Forecast of a collection, for people; nothing is loaded.

    Raises:
        InputError: With everything that is wrong with options, the model or the texts.
    """
    looked, asked = looked_at(config)
    yield looked.foretell([asked])


def wanted(name: str, source: CheckpointSource, given: Mapping[str, Any]) -> Wanted:
    """A statistic with those of some options that it has; what a mixture's config says of experts is the default.

    Args:
        name: Of the statistic.
        source: The model.
        given: Options by name.
    """
    known = statistics.load(name).options
    own = {PER_TOKEN: int(source.config.get("num_experts_per_tok", 2))} | dict(given)
    return Wanted(name, {option: value for option, value in own.items() if option in known})


def _check_options(names: Sequence[str], given: Mapping[str, Any]) -> None:
    """Raises InputError with all options that no statistic has, or whose values are refused."""
    problems: list[str] = []
    of = {name: statistics.load(name).options for name in names}
    known = {option: None for own in of.values() for option in own}
    for option in given:
        if option not in known:
            has = "; ".join(f"{name} has {', '.join(own) or 'none'}" for name, own in of.items())
            problems.append(f"options.{option}: no statistic that is named has it{suggest(option, known)} ({has})")
    problems += [f"options: {text}" for text in _values(of, given)]
    if problems:
        raise InputError(problems)


def _values(of: Mapping[str, Mapping[str, Any]], given: Mapping[str, Any]) -> Iterator[str]:
    for name, own in of.items():
        found = (option.problem(key, given[key]) for key, option in own.items() if key in given)
        yield from (f"statistic {name}: {problem}" for problem in found if problem)
