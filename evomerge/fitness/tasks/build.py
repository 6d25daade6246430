"""Opens the tasks of a run: loads them, checks and builds their items, and divides these into splits and samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lm_eval.api.task import Task

from evomerge.errors import InputError
from evomerge.evaluation import SPLITS
from evomerge.fitness.inference.encoding import Encoder
from evomerge.fitness.settings import FitnessSettings
from evomerge.fitness.splits import sample, split_of, strata
from evomerge.fitness.tasks import groups, jsonl_task, loader
from evomerge.fitness.tasks.benchmark import Benchmark
from evomerge.fitness.tasks.checks import contamination, examples, overlap
from evomerge.fitness.tasks.checks.documents import check_examples, check_items, is_declared
from evomerge.fitness.tasks.checks.fields import ANY_ERROR, compiled_once, first_line
from evomerge.fitness.tasks.clusters import cluster_labels, document_of
from evomerge.fitness.tasks.code.stand_in import permitted
from evomerge.fitness.tasks.documents import document_keys, source
from evomerge.fitness.tasks.isolated_rng import isolated_rng, quiet

ItemSplits = Mapping[str, Mapping[str, tuple[str, ...]]]


@dataclass(frozen=True)
class Opened:
    """The tasks of a run.

    Attributes:
        benchmarks: Tasks with all their items, by name.
        groups: Groups of them.
        items: Split name to task name to ids of the items that are asked.
    """

    benchmarks: Mapping[str, Benchmark]
    groups: groups.Groups
    items: ItemSplits


def open_tasks(settings: FitnessSettings, encoder: Encoder | None) -> Opened:
    """Loads the tasks of a run, builds their items, divides them, and judges made-up answers of those that are asked.

    Args:
        settings: Tasks, prompts, splits and samples.
        encoder: For chat templates.

    Raises:
        InputError: With everything that is wrong.
    """
    problems: list[str] = []
    benchmarks: dict[str, Benchmark] = {}
    with isolated_rng(settings.fewshot_seed), quiet(), compiled_once():
        loaded = loader.load(settings)
    for name, task in loaded.tasks.items():
        try:
            benchmarks[name] = _open(name, task, settings, encoder, builtin=name in loaded.builtin)
        except InputError as error:
            problems += error.problems
    for spec in settings.tasks:
        if not isinstance(spec, str) and (told := jsonl_task.warning(spec)) and (name := spec["task"]) in benchmarks:
            benchmarks[name] = benchmarks[name].warn(f"task {name!r} {told}")
    if problems:
        raise InputError(problems)
    items = divide(settings, benchmarks)
    benchmarks = _warn_of_overlap(benchmarks, items)
    for name, benchmark in tuple(benchmarks.items()):
        asked = benchmark.keep({item for split in SPLITS for item in items[split][name]})
        with isolated_rng(settings.fewshot_seed), quiet(), permitted(settings.code):
            wrong, fragile = asked.rehearse()
        problems += wrong
        benchmarks[name] = replace(benchmark, warnings=(*benchmark.warnings, *fragile))
    if problems:
        raise InputError(problems)
    return Opened(benchmarks, groups.Groups(loaded.groups), items)


def _open(name: str, task: Task, settings: FitnessSettings, encoder: Encoder | None, *, builtin: bool) -> Benchmark:
    warnings = configure(task, name, settings)
    # Each task starts from the same numbers, whichever tasks were built before it, and whatever was looked at first.
    with isolated_rng(settings.fewshot_seed), quiet(), compiled_once():
        warnings += _checked(name, task, builtin=builtin)
    with isolated_rng(settings.fewshot_seed), quiet(), compiled_once(), permitted(settings.code):
        benchmark = Benchmark.build(name, task, settings, encoder)
    docs = [item.doc for item in benchmark.items.values()]
    with isolated_rng(settings.fewshot_seed), quiet():
        labels = zip(benchmark.items, cluster_labels(task, name, docs), strict=True)
    benchmark = replace(benchmark, clusters={item: label for item, label in labels if label is not None})
    if settings.split_rule > 1:
        with isolated_rng(settings.fewshot_seed), quiet():
            keys, found = document_keys(task, docs)
        documents = dict(zip(benchmark.items, keys, strict=True))
        documents |= {item: document_of(label) for item, label in benchmark.clusters.items()}
        benchmark = replace(benchmark, documents=documents, source=None if found else source(task))
    split = task.get_config("test_split") or task.get_config("validation_split")
    if told := contamination.warning(name if builtin else None, task.get_config("dataset_path"), split):
        benchmark = benchmark.warn(f"task {name!r} {told}")
    return replace(benchmark, warnings=(*warnings, *benchmark.warnings))


def configure(task: Task, name: str, settings: FitnessSettings) -> list[str]:
    """Gives a task the run's number of examples, their seed and the arguments of generation.

    Returns:
        Sentences that people should read.

    Raises:
        InputError: If there are fewer examples than asked for.
    """
    warnings = []
    own = task.get_config("num_fewshot")
    if settings.num_fewshot is not None and own == 0 and settings.num_fewshot > 0:
        warnings.append(f"task {name!r} fixes num_fewshot to 0; num_fewshot={settings.num_fewshot} is not applied")
    elif settings.num_fewshot is not None:
        task.set_config("num_fewshot", settings.num_fewshot)
    elif own is None:
        task.set_config("num_fewshot", 0)
    if settings.gen_kwargs and task.OUTPUT_TYPE == "generate_until":
        task.set_config("generation_kwargs", dict(settings.gen_kwargs), update=True)
    task.set_fewshot_seed(settings.fewshot_seed)
    if told := examples.problem(task, name):
        raise InputError(told)
    if told := examples.warning(task):
        warnings.append(f"task {name!r} {told}")
    return warnings


def _checked(name: str, task: Task, *, builtin: bool) -> list[str]:
    """Warnings about the documents of a task.

    Raises:
        InputError: If some of them cannot be asked or judged.
    """
    if not is_declared(task):
        return []
    try:
        docs: Sequence[Any] = list(task.eval_docs)
    except ANY_ERROR as error:  # code of the task ran
        raise InputError(f"task {name!r}: its items could not be read: {first_line(error)}") from error
    if not docs:
        raise InputError(f"task {name!r} has no items")
    found = [check_items(task, name, docs, lenient=builtin)]
    if (shown := examples.pool(task)) and not examples.drawn_from_items(task):
        found.append(check_examples(task, name, shown[: examples.MOST_READ], lenient=builtin))
    if problems := [problem for part in found for problem in part.problems]:
        raise InputError(problems)
    return [warning for part in found for warning in part.warnings]


def _warn_of_overlap(benchmarks: Mapping[str, Benchmark], items: ItemSplits) -> dict[str, Benchmark]:
    """Warns of tasks that may search on what another one holds out."""
    sources = {name: source(benchmark.task) for name, benchmark in benchmarks.items()}
    warned = dict(benchmarks)
    for name, benchmark in benchmarks.items():
        if told := overlap.rebuilt(name, benchmark.source, sources):
            warned[name] = benchmark.warn(told)
    others = [name for name in benchmarks if warned[name] is benchmarks[name] and benchmarks[name].documents]
    documents = {name: {item.id: item.doc for item in benchmarks[name].items.values()} for name in others}
    for name, told in overlap.shared_texts(documents, items):
        warned[name] = warned[name].warn(told)
    return warned


def divide(settings: FitnessSettings, benchmarks: Mapping[str, Benchmark]) -> dict[str, dict[str, tuple[str, ...]]]:
    """Puts the items of each task into splits and draws the samples.

    Under split rule 2 the split follows from an item's cluster, else from the document behind it, under rule 1 from the
    item's name, of which that of the task is a part.

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
        places = {item: split_of(benchmark.documents.get(item, item), settings.splits) for item in benchmark.items}
        counts: dict[str, int] = {}
        for split in SPLITS:
            members = [item for item, place in places.items() if place == split]
            # What is held out does not follow the run's seed, so that runs with other seeds stay comparable.
            seed = settings.seed if split == "search" else 0
            items[split][name] = sample(members, layers, settings.limit(split), seed)
            counts[split] = len(members)
        problems += [
            f"task {name!r}: none of its {len(benchmark.items)} items falls into the {split} split "
            f"({', '.join(f'{key} {count}' for key, count in counts.items())}{_in_clusters(benchmark)}); give it more "
            "items, or other fractions with splits"
            for split, count in counts.items()
            if not count and settings.splits.get(split, 0.0) > 0.0 and split != "selection"
        ]
    if problems:
        raise InputError(problems)
    return items


def _in_clusters(benchmark: Benchmark) -> str:
    """How many clusters a task's items form, each of which falls into one split."""
    count = len(set(benchmark.clusters.values()))
    return f"; they form {count} cluster{'s' * (count != 1)}, which stay{'s' * (count == 1)} whole" if count else ""
