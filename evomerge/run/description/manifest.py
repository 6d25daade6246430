"""The manifest of a run, for people, reports and exports; `evomerge/store/README.md` lists its fields."""

from __future__ import annotations

import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

import evomerge
from evomerge import kernels
from evomerge.candidate import WorkerSettings, device_info, library_versions
from evomerge.checkpoints import folder_of
from evomerge.evaluation import SPLITS
from evomerge.post import Step
from evomerge.recipe import ModelRef
from evomerge.run.assemble import Assembly
from evomerge.run.description.identity import measures_json
from evomerge.run.model_folder.card import licence_of
from evomerge.run.run_config import RunConfig, child_seed
from evomerge.search import searchers


def run_manifest(assembly: Assembly, settings: WorkerSettings, folder: Path) -> dict[str, Any]:
    """The description of a run for people, reports and exports; `evomerge/store/README.md` lists the fields."""
    config, suite, template = assembly.config, assembly.suite, assembly.template
    metrics = {task: sorted(k for k in suite.metrics if k.rpartition(".")[0] == task) for task in suite.items["search"]}
    items = {split: {task: list(ids) for task, ids in tasks.items()} for split, tasks in suite.items.items()}
    command = [*(config.command or ("evomerge", "search"))]
    if not any(word.startswith("run_dir=") for word in command) and len(command) > 1:
        command.append(f"run_dir={folder}")
    return {
        "created_by": f"evomerge {evomerge.__version__}",
        "command": command,
        "config": assembly.written.to_json(),
        "method": {
            "name": template.method,
            "options": assembly.method.resolve(template.options),
            "summary": assembly.method.summary,
            "paper": assembly.method.paper,
        },
        **_further(assembly),
        "models": [_model(ref, assembly) for ref in assembly.experts],
        "base": _model(assembly.known(config.base), assembly) if config.base else None,
        "genome": {
            "settings": config.genome.to_json(),
            "n_var": assembly.spec.n_var,
            "labels": list(assembly.spec.labels),
            "groups": [group.to_json() for group in assembly.spec.groups],
            **({} if assembly.layout is None else {"chosen": assembly.layout.describe()}),
        },
        **({} if config.allocation.plain else {"allocation": asdict(config.allocation)}),
        "tensors": [entry.to_json() for entry in assembly.account],
        "starts": list(assembly.start_names),
        "objectives": [objective.to_json() for objective in assembly.objectives],
        "constraints": [constraint.to_json() for constraint in assembly.constraints],
        **measures_json(assembly),
        "tasks": {
            task: {"items": {split: len(items[split][task]) for split in SPLITS}, "metrics": keys}
            | ({"cluster": suite.cluster_fields[task]} if task in suite.cluster_fields else {})
            for task, keys in metrics.items()
        },
        "items": items,
        "content": dict(suite.content),
        "seeds": {
            "root": config.seed,
            **{name: child_seed(config.seed, name) for name in ("search", "sample", "masks")},
        },
        "versions": _versions(config),
        "device": device_info(settings.device),
        "kernels": asdict(kernels.in_use()),
        "threads": settings.threads,
        "budgets": asdict(config.budgets),
        "warnings": list(assembly.warnings),
    }


def _versions(config: RunConfig) -> dict[str, str]:
    """Versions of Python and of the libraries that proposals and scores depend on, the searcher's own among them."""
    return {"python": platform.python_version(), **library_versions(searchers.load(config.searcher.name).library)}


def _further(assembly: Assembly) -> dict[str, Any]:
    """Steps and statistics, where there are any."""
    steps = [_step(step) for step in assembly.outputs.steps] if assembly.template.post else []
    return {key: own for key, own in (("post", steps), ("statistics", _statistics(assembly))) if own}


def _statistics(assembly: Assembly) -> list[dict[str, Any]]:
    """The statistics that candidates read, each with its texts; by key alone where a recipe names keys."""
    return [one.to_json() for one in assembly.statistics] or [{"key": key} for key in assembly.template.statistics]


def _step(step: Step) -> dict[str, Any]:
    process = step.process
    return {"name": process.name, "options": dict(step.options), "summary": process.summary, "paper": process.paper}


def _model(ref: ModelRef, assembly: Assembly) -> dict[str, Any]:
    return {"label": ref.label, **ref.to_json(), "license": licence_of(folder_of(assembly.checkpoints[ref]))}
