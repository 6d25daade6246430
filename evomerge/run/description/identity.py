"""The identity of a run: everything that changes a score or a proposal. A folder of another identity is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evomerge import executors
from evomerge.candidate import WorkerSettings, companion_digests, device_info
from evomerge.executors import ExecutorSettings
from evomerge.recipe import AdapterRef, ModelRef
from evomerge.run.assemble import Assembly
from evomerge.run.attach import DATA_KEYS, TASK_FILES
from evomerge.run.recipes.searching import searcher_settings
from evomerge.run.recipes.starts import LOSSES
from evomerge.run.recipes.steps import WrittenSteps

# Settings of the fitness that say where files lie or how many items are used (the items are in the identity),
# or that enter only where they are not what runs had before them. A new setting of the fitness enters by itself, and so
# refuses every run that began without it, unless it is named here and added below as prefixes and others are.
_NOT_IDENTITY = (
    "task_path", "items_per_task", "test_items_per_task", "prefixes", "drafts", "split_rule", "think_end",
    "chat_template_args", "code",
)  # fmt: skip


def run_identity(assembly: Assembly, settings: WorkerSettings) -> dict[str, Any]:
    """Everything that changes a score or a proposal: not budgets, not the place of scoring, not the report."""
    config, template = assembly.config, assembly.template
    fitness = asdict(settings.fitness)
    return {
        "models": [_content(ref) for ref in assembly.experts],
        "base": _content(assembly.known(config.base)) if config.base else None,
        "files": companion_digests(assembly.checkpoints.reference),
        "method": {"name": template.method, "options": dict(template.options)},
        **({"post": WrittenSteps.read(config.post).to_json()} if config.post else {}),
        "genome": {"settings": config.genome.to_json(), "labels": list(assembly.spec.labels)}
        | ({"patterns": plain(config.patterns)} if config.patterns else {})
        | ({"layer_pattern": config.layer_pattern} if config.layer_pattern else {})
        | ({"recipe": template.digest} if config.recipe else {}),
        "starts": {
            "points": list(assembly.start_names),
            "genomes": hashlib.sha256(assembly.starts.tobytes()).hexdigest(),
            **({LOSSES: config.start_temperature} if config.start_temperature is not None else {}),
            **_sensitivities(assembly),
        },
        "objectives": [objective.to_json() for objective in assembly.objectives],
        "constraints": [constraint.to_json() for constraint in assembly.constraints],
        **({"unmatched": config.unmatched} if config.unmatched != "refuse" else {}),
        **({"embeddings": template.embeddings} if template.embeddings != "merge" else {}),
        **(_tokenizer(assembly) | measures_json(assembly)),
        **({"statistics": list(template.statistics)} if template.statistics else {}),
        "functions": {function.name: function.content for function in assembly.functions},
        "fitness": {name: plain(value) for name, value in fitness.items() if name not in _NOT_IDENTITY}
        | ({"prefixes": "shared"} if settings.fitness.prefixes == "shared" else {})
        | ({"drafts": settings.fitness.drafts} if settings.fitness.drafts != "off" else {})
        | ({"split_rule": settings.fitness.split_rule} if settings.fitness.split_rule != 1 else {})
        | ({"think_end": end.text} if (end := assembly.suite.think_end) is not None else {})
        | ({"chat_template_args": plain(given)} if (given := settings.fitness.chat_template_args) else {})
        | ({"code": settings.fitness.code} if settings.fitness.code != "refuse" else {}),
        "items": settings.items,
        "judging": dict(assembly.suite.judging),
        "searcher": plain(asdict(searcher_settings(config))),
        **({"rounds": config.round.to_json()} if config.round.count > 1 else {}),
        **({"mode": config.mode} if config.asynchronous else {}),
        **({"allocation": plain(allocation)} if (allocation := config.allocation.identity()) else {}),
        "seed": config.seed,
        "model": {
            "dtype": settings.dtype,
            "attention": settings.attention,
            "device": device_info(settings.device)["type"],
            **_served(settings),
            "threads": settings.threads,
            "merge_dtype": template.dtype,
            "out_dtype": template.out_dtype,
        },
        **_executor(config.executor),
    }


def measures_json(assembly: Assembly) -> dict[str, Any]:
    """The measures and cells of an archive of elites, where one is kept."""
    if not assembly.measures:
        return {}
    return {"measures": [measure.to_json() for measure in assembly.measures], "cells": assembly.config.cells}


def worded(identity: Mapping[str, Any], tasks: Sequence[Any], stored: Mapping[str, Any] | None) -> dict[str, Any]:
    """An identity whose tasks are in the words that the run began with, else in the user's.

    Where a task's file lies is no part of what a run is: its items are, and how they are judged. So a run goes on from
    another folder, or on machines that see its files under other paths, and those share it that need them absolute.

    Args:
        identity: As :func:`run_identity` made it.
        tasks: The tasks as the user wrote them.
        stored: The identity of the run that the folder holds; None where it holds none.
    """
    fitness, words = identity["fitness"], plain(tasks)
    then = ((stored or {}).get("fitness") or {}).get("tasks")
    if isinstance(then, list) and list(map(_placeless, then)) == list(map(_placeless, words)):
        words = then
    return {**identity, "fitness": {**fitness, "tasks": words}}


def _placeless(task: Any) -> Any:
    """A task without the folders of the files that it names."""
    if isinstance(task, str):
        return Path(task).name if task.endswith(TASK_FILES) else task
    if not isinstance(task, Mapping):
        return task
    files = {key: Path(task[key]).name for key in DATA_KEYS if isinstance(task.get(key), str)}
    return {**task, **files}


def _served(settings: WorkerSettings) -> dict[str, Any]:
    """How weights are rounded for scoring, where they are, and where layers lie, as far as sums depend on that."""
    rounded = {"quantise": settings.quantise} if settings.quantise != "none" else {}
    return rounded | _devices(settings.device_map)


def _devices(device_map: tuple[str, ...]) -> dict[str, Any]:
    """The types of the devices that layers are spread over, where there are several types, as each has its own sums."""
    types = [] if device_map == ("auto",) else [name.partition(":")[0] for name in device_map]
    return {"devices": types} if len(set(types)) > 1 else {}


def _content(ref: ModelRef) -> Any:
    """The fingerprint of a model's weights; of an adapter, with that of what it is on."""
    return {"adapter": ref.fingerprint, "on": ref.on.fingerprint} if isinstance(ref, AdapterRef) else ref.fingerprint


def _tokenizer(assembly: Assembly) -> dict[str, Any]:
    """The tokens of candidates, where embeddings are merged token by token: they change with each model's tokenizer."""
    tokenizer = assembly.outputs.tokenizer
    return {} if tokenizer is None else {"tokenizer": tokenizer.digest}


def _executor(chosen: ExecutorSettings) -> dict[str, Any]:
    """The executor's part in outcomes: none, unless it answers from records, which are not the models' own."""
    spec = executors.load(chosen.name)
    return {"executor": spec.identity(spec.complete(spec.given(chosen)))} if spec.identity else {}


def plain(value: Any) -> Any:
    """A value as JSON holds it: lists for tuples, texts for keys."""
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def _sensitivities(assembly: Assembly) -> dict[str, Any]:
    """Temperatures of starts by sensitivity, and the texts that it is measured on."""
    temperatures, texts = assembly.config.start_sensitivity, assembly.texts
    if not temperatures or texts is None:
        return {}
    digests = [texts.calibration(model.label, model).digest for model in assembly.experts]
    return {"sensitivity": list(temperatures), "sensitivity_texts": digests}
