"""Opens the tasks of a run: loads them, builds their items, and divides these into splits and samples."""

from __future__ import annotations

from collections.abc import Mapping

from evomerge.errors import InputError
from evomerge.evaluation import SPLITS
from evomerge.fitness.inference.encoding import Encoder
from evomerge.fitness.settings import FitnessSettings
from evomerge.fitness.splits import sample, split_of, strata
from evomerge.fitness.tasks import groups, jsonl_task, loader
from evomerge.fitness.tasks.benchmark import Benchmark
from evomerge.fitness.tasks.checks import contamination
from evomerge.fitness.tasks.isolated_rng import foreign_code, no_progress_bars


def open_benchmarks(settings: FitnessSettings, encoder: Encoder | None) -> tuple[dict[str, Benchmark], groups.Groups]:
    """Loads the tasks of a run and builds all their items.

    Args:
        settings: What to load.
        encoder: For chat templates.

    Raises:
        InputError: With everything that is wrong.
    """
    benchmarks: dict[str, Benchmark] = {}
    problems: list[str] = []
    with foreign_code(settings.fewshot_seed), no_progress_bars():
        loaded = loader.load(settings)
    for name, task in loaded.tasks.items():
        try:
            # Each task starts from the same numbers, whichever tasks were built before it.
            with foreign_code(settings.fewshot_seed), no_progress_bars():
                benchmarks[name] = Benchmark(name, task, settings, encoder)
        except InputError as error:
            problems += error.problems
            continue
        split = task.get_config("test_split") or task.get_config("validation_split")
        known_name = name if name in loaded.builtin else None
        if told := contamination.warning(known_name, task.get_config("dataset_path"), split):
            benchmarks[name].warnings.append(f"task {name!r} {told}")
    for spec in settings.tasks:
        if not isinstance(spec, str) and (told := jsonl_task.warning(spec)) and spec["task"] in benchmarks:
            benchmarks[spec["task"]].warnings.append(f"task {spec['task']!r} {told}")
    if problems:
        raise InputError(problems)
    return benchmarks, groups.Groups(loaded.groups)


def divide(settings: FitnessSettings, benchmarks: Mapping[str, Benchmark]) -> dict[str, dict[str, tuple[str, ...]]]:
    """Puts the items of each task into splits and draws the samples.

    Returns:
        Split name to task name to item ids.

    Raises:
        InputError: If a split that is used has no item of a task.
    """
    items: dict[str, dict[str, tuple[str, ...]]] = {split: {} for split in SPLITS}
    problems = []
    for name, benchmark in benchmarks.items():
        layers = strata(
            {item: found.target for item, found in benchmark.items.items()},
            {item: len(found.options) for item, found in benchmark.items.items()},
        )
        counts: dict[str, int] = {}
        for split in SPLITS:
            members = [item for item in benchmark.items if split_of(item, settings.splits) == split]
            # What is held out does not follow the run's seed, so that runs with other seeds stay comparable.
            seed = settings.seed if split == "search" else 0
            items[split][name] = sample(members, layers, settings.limit(split), seed)
            counts[split] = len(members)
        problems += [
            f"task {name!r}: none of its {len(benchmark.items)} items falls into the {split} split "
            f"({', '.join(f'{key} {count}' for key, count in counts.items())}); give it more items, or other fractions "
            "with splits"
            for split, count in counts.items()
            if not count and settings.splits.get(split, 0.0) > 0.0 and split != "selection"
        ]
    if problems:
        raise InputError(problems)
    return items
