"""``evomerge statistics``: what has been collected, collecting what a search reads, and removing it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from evomerge.cli.interrupts import Interrupts
from evomerge.cli.said import say
from evomerge.errors import InputError
from evomerge.run.assemble import Assembly, with_fingerprints
from evomerge.run.configs.statistics import CollectConfig, StatisticsFolderConfig
from evomerge.run.run_config import RunConfig
from evomerge.run.statistics import ahead, named
from evomerge.run.statistics.forecast import CollectionForecast
from evomerge.run.statistics.told import forecast_text
from evomerge.sizes import amount
from evomerge.statistics import StatisticsFolder, default_folder
from evomerge.texts import printable

__all__ = ["check", "collect", "collect_named", "collecting", "listing", "remove", "statistic_lines"]

_SHOWN = 12  # digits of a key
_NAME = 15  # letters of a statistic's name


def listing(config: StatisticsFolderConfig) -> int:
    """Lists the statistics in a folder, a line each."""
    folder = _folder(config)
    total = 0
    kept = folder.keys()
    for key in kept:
        about = folder.about(key)
        own, size = about["key"], folder.bytes(key)
        total += size
        read = f"{about['sequences']} texts, {about['tokens']} tokens" if about.get("complete") else "not complete"
        model = f"{own['statistic']:<{_NAME}} of model {str(own['model'])[:_SHOWN]}"
        print(f"{key[:_SHOWN]}  {model}  {read}{_options(own.get('options', {}))}, {amount(size)}")
    print(f"{len(kept)} statistics, {amount(total)}, in {folder.path}")
    return 0


def remove(config: StatisticsFolderConfig) -> int:
    """Removes statistics by the beginnings of their keys, or all of them."""
    folder = _folder(config)
    problems: list[str] = []
    chosen: list[str] = []
    for name in config.keys:
        kept = folder.keys()
        found = kept if name == "all" else tuple(key for key in kept if key.startswith(name))
        if len(found) != 1 and name != "all":
            what = "none" if not found else f"{len(found)} that begin so"
            problems.append(f"key: {name!r} is in {folder.path} the key of {what}; see `evomerge statistics list`")
        chosen += found
    if problems:
        raise InputError(problems)
    for key in dict.fromkeys(chosen):
        folder.remove(key)
        print(f"removed {key}")
    return 0


def collect(config: RunConfig) -> int:
    """Collects what the candidates of a search read, and says its keys."""
    with Interrupts() as interrupts:
        read, collector, fresh = ahead.collect(config, say, interrupts.stop)
    for one in read:
        print(printable(f"{one.key}  {one.describe()}{'' if one.key in fresh else ' (was there)'}"))
    print(printable(f"in {collector.folder.path}"))
    return 0


def collect_named(config: CollectConfig) -> int:
    """Collects statistics of one model by name, and says their keys."""
    for one in named.collect_named(config, say):
        said = [f"{name}={value}" for name, value in one.about["options"].items() if value is not None]
        print(printable(" ".join([one.key, "", one.wanted.statistic, *said, f"of {config.model.label}"])))
    print(printable(f"in {config.statistics.path.absolute()}"))
    return 0


def check(config: CollectConfig) -> int:
    """Says what collecting statistics of one model takes, and collects nothing."""
    print("\n".join(named.foretell(config)))
    return 0


def statistic_lines(assembly: Assembly, cost: CollectionForecast | None) -> Iterator[str]:
    """The statistics that candidates read, and what collecting them takes; none without any."""
    own, config = assembly.statistics, assembly.config
    each: dict[tuple[str, str, int], list[str]] = {}
    for one in {one.key: one for one in own}.values():
        place = one.name, one.origin, len(one.calibration.passages)
        each.setdefault(place, []).append(one.model.label)
    for (name, origin, count), labels in each.items():
        yield f"statistic {name} of {', '.join(dict.fromkeys(labels))}: {count} texts, {origin}"
    if cost is not None:
        yield (
            f"  collected before the first candidate, where it is not there yet: {forecast_text(cost)}; in "
            f"{config.statistics.path}"
        )
        yield from (f"  {note}" for note in cost.notes)
    cut = {one.calibration.digest: one.calibration for one in own if one.calibration.cut}
    for calibration in cut.values():
        yield f"  {calibration.cut} of {len(calibration.passages)} texts are longer than statistics.tokens and are cut"


def collecting(assembly: Assembly) -> tuple[Assembly, list[str]]:
    """The part of a check that says whether a search has to collect first.

    Returns:
        The search with what its candidates read known by key, and the lines for people; none where all is there.
    """
    if not assembly.statistics:
        return assembly, []
    assembly = with_fingerprints(assembly, say)
    missing = ahead.collector_of(assembly).missing(assembly.statistics)
    if not missing:
        return assembly, []
    return assembly, [
        f"seconds: not measured, as candidates read statistics of which {len(missing)} are not there yet; `evomerge "
        "statistics collect` with the same words collects them, and so does the search"
    ]


def _options(values: Mapping[str, Any]) -> str:
    """Options of a statistic that are set, after a comma; a fit's are too many for a line."""
    return "".join(f", {name}={value}" for name, value in values.items() if isinstance(value, int | str))


def _folder(config: StatisticsFolderConfig) -> StatisticsFolder:
    return StatisticsFolder(default_folder() if config.folder is None else config.path)
