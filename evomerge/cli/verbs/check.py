"""``evomerge check``: all that headers and task files tell about a search, without scoring anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from evomerge import executors, kernels
from evomerge.checkpoints import AdapterSource, adapter_of, stored_dtype, untied_heads
from evomerge.evaluation import SPLITS
from evomerge.fitness import TaskSuite
from evomerge.options import Option
from evomerge.run.assemble import Assembly, assemble, searcher_settings
from evomerge.run.requirements import requirements
from evomerge.run.run_config import RunConfig
from evomerge.search import searchers
from evomerge.search.allocation import policies, races
from evomerge.texts import printable

_SHOWN_GENES = 40


def run(config: RunConfig) -> int:
    """Prints what a search would do: models, genes, items, memory and disk; problems end it before."""
    for note in config.notes:
        print(note)
    assembly = assemble(config)
    for line in (*_models(assembly), *_genes(assembly), *_tasks(assembly), *_needs(assembly), *_warnings(assembly)):
        print(printable(line))
    print("no problems found")
    return 0


def _models(assembly: Assembly) -> Iterator[str]:
    config, reference = assembly.config, assembly.checkpoints.reference
    yield "models"
    for ref, checkpoint in assembly.checkpoints.by_ref.items():
        role = "base" if ref == config.base else "expert"
        if (adapted := adapter_of(checkpoint)) is not None:
            yield f"  {role:7} {ref.source}: LoRA adapter, {_adapter(adapted)}, on {adapted.path}"
            continue
        weights = sum(info.numel for info in checkpoint.specs.values())
        kind = str(stored_dtype(checkpoint)).removeprefix("torch.")
        yield f"  {role:7} {ref.source}: {weights / 1e6:.1f} M weights in {len(checkpoint.specs)} tensors, {kind}"
    layers = {assembly.template.groups.place(name).layer for name in assembly.checkpoints.merged_names} - {None}
    kind = reference.config.get("model_type", "unknown type")
    yield f"  {kind}, {len(layers)} layers, {'untied' if untied_heads(reference) else 'tied'} embeddings"
    yield "tensors"
    yield from (f"  {entry.line()}" for entry in assembly.account)
    yield f"method {assembly.method.name}: {assembly.method.summary}"
    yield f"  paper: {assembly.method.paper}"
    options = assembly.method.resolve(assembly.template.options)
    yield from _options("method_options", assembly.method.options, options)


def _adapter(source: AdapterSource) -> str:
    weights = sum(info.numel for info in source.adapter.specs.values())
    return f"{weights / 1e6:.1f} M weights that change {len(source.changed)} of {len(source.specs)} tensors"


def _options(key: str, declared: Mapping[str, Option], values: Mapping[str, Any]) -> Iterator[str]:
    """One line for each option that a plugin declares: its value here, what else it may be, what it means."""
    for name, option in declared.items():
        yield f"  {key}.{name}={values[name]} ({option.accepted()}): {option.doc}"


def _genes(assembly: Assembly) -> Iterator[str]:
    labels = assembly.spec.labels
    yield from _search(assembly)
    yield f"genes: {assembly.spec.n_var}"
    for label in labels[:_SHOWN_GENES]:
        yield f"  {label}"
    if len(labels) > _SHOWN_GENES:
        yield f"  ... and {len(labels) - _SHOWN_GENES} more"
    frozen = [group.label for group in assembly.spec.groups if group.frozen]
    if frozen:
        yield f"  frozen: {', '.join(frozen)}"
    yield f"initial population holds: {', '.join(assembly.start_names) or 'no known point'}"


def _search(assembly: Assembly) -> Iterator[str]:
    spec = searchers.load(assembly.config.searcher.name)
    settings = spec.complete(searcher_settings(assembly.config))
    yield f"searcher {spec.name}: {spec.title}"
    yield f"  population: {settings.population or 'follows from the number of genes'}"
    yield from _options("searcher.options", spec.options, settings.options)
    yield f"  constraints: {spec.constraints} ({spec.handling})"
    executor = executors.load(assembly.config.executor.name)
    yield f"executor {executor.name}: {executor.title}"


def _clusters(suite: TaskSuite, task: str) -> str:
    """How many clusters each split of a task has; an item that stands alone is one."""
    found = {split: {suite.cluster.get(item, item) for item in suite.items[split][task]} for split in SPLITS}
    return ", ".join(f"{len(labels)} {split}" for split, labels in found.items())


def _tasks(assembly: Assembly) -> Iterator[str]:
    items = assembly.suite.items
    for task in items["search"]:
        counts = ", ".join(f"{len(items[split][task])} {split}" for split in SPLITS)
        metrics = sorted(key.rpartition(".")[2] for key in assembly.suite.metrics if key.rpartition(".")[0] == task)
        yield f"task {task}: {counts}; metrics {', '.join(metrics)}"
        if field := assembly.suite.cluster_fields.get(task):
            yield f"  items with one {field} belong together: {_clusters(assembly.suite, task)} clusters"
    for objective in assembly.objectives:
        yield f"objective {objective.label} ({'higher' if objective.higher_is_better else 'lower'} is better)"
    for constraint in assembly.constraints:
        yield f"constraint {constraint.label}"
    allocation = assembly.config.allocation
    if not allocation.plain:
        yield from _allocation(assembly)
        return
    each = sum(len(ids) for ids in items["search"].values())
    budget = assembly.config.budgets.evaluations
    total = f", {budget} candidates x {each} = {budget * each} in all" if budget else ""
    yield f"items per candidate: {each}{total}" if items["search"] else "items per candidate: none, functions alone"


def _allocation(assembly: Assembly) -> Iterator[str]:
    """Windows and races, and how many items they cost as far as can be told before the first answer."""
    config, allocation = assembly.config, assembly.config.allocation
    pools = {task: len(ids) for task, ids in assembly.suite.items["search"].items()}
    windows = {task: min(allocation.items or size, size) for task, size in pools.items()}
    asked = ", ".join(f"{windows[task]} of {size} {task}" for task, size in pools.items())
    grows = ", more as candidates get alike" if allocation.growth != "none" else ""
    yield f"items of a batch: {asked}{grows}; policy {allocation.policy}: {policies.load(allocation.policy).title}"
    if policies.load(allocation.policy).probe:
        yield f"items of the first batch: all {sum(pools.values())}, which the policy learns from"
    if allocation.race != "none":
        race = races.load(allocation.race)
        yield f"race {race.name}, at most {allocation.rungs} rungs: {race.title}"
    each, spec = sum(windows.values()), searchers.load(config.searcher.name)
    again = " and as many again where survivors are asked a new window" if spec.retell and not spec.partial else ""
    most = "at most " if allocation.race != "none" else ""
    yield f"items per candidate: {most}{each}{again}; baselines are asked all {sum(pools.values())}"


def _needs(assembly: Assembly) -> Iterator[str]:
    needs = requirements(assembly)
    used = kernels.in_use(assembly.device)
    yield f"merging: {used.name} kernels ({used.reason})"
    yield (
        f"memory: {_size(needs.worker)} per worker (program {_size(needs.program)}, live model {_size(needs.live)}, "
        f"merging {_size(needs.working)}, scoring {_size(needs.scoring)}, mapped checkpoints {_size(needs.mapped)}, "
        f"prepared {_size(needs.prepared['disk'] + needs.prepared['memory'])})"
    )
    if needs.workers > 1:
        yield f"  {_size(needs.together)} for {needs.workers} workers, which share what is mapped"
    if needs.prepared["nowhere"]:
        yield (
            f"  {_size(needs.prepared['nowhere'])} of what the method prepares find no room, so they are prepared anew "
            "for every candidate; raise model.prepared_disk or model.prepared_memory"
        )
    kept = f"{_size(needs.prepared['disk'])} while the search goes on; " if needs.prepared["disk"] else ""
    yield f"disk: nothing per candidate; {kept}{_size(needs.exported)} per exported member ({_size(needs.free)} free)"


def _warnings(assembly: Assembly) -> Iterator[str]:
    for warning in assembly.warnings:
        yield f"warning: {warning}"


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:  # which three digits would round to a thousand
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
