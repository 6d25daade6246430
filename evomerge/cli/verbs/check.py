"""``evomerge check``: all that headers and task files tell about a search, without scoring anything."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from evomerge import kernels
from evomerge.candidate import resolve_dtype
from evomerge.checkpoints import stored_dtype, untied_heads
from evomerge.evaluation import SPLITS
from evomerge.fitness import ModelTraits, Scorer
from evomerge.merging import PreparedSettings, footprint
from evomerge.run.assemble import Assembly, assemble
from evomerge.run.run_config import RunConfig

_SHOWN_GENES = 40


def run(config: RunConfig) -> int:
    """Prints what a search would do: models, genes, items, memory and disk; problems end it before."""
    assembly = assemble(config)
    for line in (*_models(assembly), *_genes(assembly), *_tasks(assembly), *_needs(assembly), *_warnings(assembly)):
        print(line)
    print("no problems found")
    return 0


def _models(assembly: Assembly) -> Iterator[str]:
    config, reference = assembly.config, assembly.checkpoints.reference
    yield "models"
    for ref, checkpoint in assembly.checkpoints.by_ref.items():
        role = "base" if ref == config.base else "expert"
        weights = sum(info.numel for info in checkpoint.specs.values())
        kind = str(stored_dtype(checkpoint)).removeprefix("torch.")
        yield f"  {role:7} {ref.source}: {weights / 1e6:.1f} M weights in {len(checkpoint.specs)} tensors, {kind}"
    layers = {assembly.template.groups.place(name).layer for name in assembly.checkpoints.merged_names} - {None}
    kind = reference.config.get("model_type", "unknown type")
    yield f"  {kind}, {len(layers)} layers, {'untied' if untied_heads(reference) else 'tied'} embeddings"
    options = ", ".join(f"{name}={value}" for name, value in assembly.template.options.items()) or "none"
    yield f"method {assembly.method.name}: {assembly.method.summary}"
    yield f"  options: {options}; paper: {assembly.method.paper}"


def _genes(assembly: Assembly) -> Iterator[str]:
    labels = assembly.spec.labels
    yield f"genes: {assembly.spec.n_var} ({assembly.config.searcher.name})"
    for label in labels[:_SHOWN_GENES]:
        yield f"  {label}"
    if len(labels) > _SHOWN_GENES:
        yield f"  ... and {len(labels) - _SHOWN_GENES} more"
    frozen = [group.label for group in assembly.spec.groups if group.frozen]
    if frozen:
        yield f"  frozen: {', '.join(frozen)}"
    yield f"first batch holds: {', '.join(assembly.start_names) or 'no known point'}"


def _tasks(assembly: Assembly) -> Iterator[str]:
    items = assembly.suite.items
    for task in items["search"]:
        counts = ", ".join(f"{len(items[split][task])} {split}" for split in SPLITS)
        metrics = sorted(key.rpartition(".")[2] for key in assembly.suite.metrics if key.rpartition(".")[0] == task)
        yield f"task {task}: {counts}; metrics {', '.join(metrics)}"
    for objective in assembly.objectives:
        yield f"objective {objective.label} ({'higher' if objective.higher_is_better else 'lower'} is better)"
    for constraint in assembly.constraints:
        yield f"constraint {constraint.label}"
    each = sum(len(ids) for ids in items["search"].values())
    budget = assembly.config.budgets.evaluations
    total = f", {budget} candidates x {each} = {budget * each} in all" if budget else ""
    yield f"items per candidate: {each}{total}"


def _needs(assembly: Assembly) -> Iterator[str]:
    model, template = assembly.config.model, assembly.template
    model_dtype = resolve_dtype(model.dtype, assembly.checkpoints.reference, assembly.device)
    prepared = PreparedSettings("the run's folder", model.prepared_disk, model.prepared_memory)
    found = footprint(assembly.checkpoints, template, model_dtype=model_dtype, prepared=prepared)
    itemsize, eager = 4 if model_dtype == "float32" else 2, assembly.attention == "eager"
    traits = ModelTraits.expected(assembly.suite.tokenizer, assembly.checkpoints.reference.config)
    scorer = Scorer(assembly.suite, traits)
    scoring = max(scorer.predicted_bytes(split, itemsize, eager=eager) for split in SPLITS)
    workers = assembly.config.executor.workers
    used = kernels.in_use()
    yield f"merging: {used.name} kernels ({used.reason})"
    # Base, experts and their average are scored too: whatever the method needs, all checkpoints are mapped.
    yield (
        f"memory: {_size(found.worker + scoring)} per worker (program {_size(found.program)}, "
        f"live model {_size(found.live)}, merging {_size(found.working)}, scoring {_size(scoring)}, "
        f"mapped checkpoints {_size(found.mapped)}, prepared {_size(sum(found.prepared.values()))})"
    )
    if workers > 1:
        together = (found.own + scoring) * workers + found.shared
        yield f"  {_size(together)} for {workers} workers, which share what is mapped"
    if found.prepared["nowhere"]:
        yield (
            f"  {_size(found.prepared['nowhere'])} of what the method prepares find no room, so they are prepared anew "
            "for every candidate; raise model.prepared_disk or model.prepared_memory"
        )
    here = Path(assembly.config.run_dir or ".").expanduser().absolute()
    existing = next(path for path in (here, *here.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    kept = f"{_size(found.prepared['disk'])} while the search goes on; " if found.prepared["disk"] else ""
    yield f"disk: nothing per candidate; {kept}{_size(found.export)} per exported member ({_size(free)} free)"


def _warnings(assembly: Assembly) -> Iterator[str]:
    for warning in assembly.warnings:
        yield f"warning: {warning}"


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:  # which three digits would round to a thousand
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
