"""``evomerge check``: all that headers and task files tell about a search, and the seconds that it takes here."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from evomerge import executors, kernels
from evomerge.analysis import estimators
from evomerge.checkpoints import AdapterSource, adapter_of, stored_dtype, untied_heads
from evomerge.cli.verbs.statistics import collecting, statistic_lines
from evomerge.evaluation import SCALED, SPLITS
from evomerge.fitness import TaskSuite
from evomerge.options import Option
from evomerge.run.assemble import Assembly, assemble
from evomerge.run.forecast.duration import Duration, NotMeasured, duration, measure
from evomerge.run.forecast.requirements import Requirements, requirements
from evomerge.run.recipes.searched import depths_of
from evomerge.run.recipes.searching import searcher_settings
from evomerge.run.run_config import RunConfig
from evomerge.run.search import search_plan
from evomerge.search import searchers
from evomerge.search.allocation import MEAN, policies, races
from evomerge.sizes import amount, span
from evomerge.texts import printable

_SHOWN_GENES = 40


def run(config: RunConfig, *, measured: bool = True) -> int:
    """Prints what a search would do: models, genes, items, memory, disk and seconds; problems end it before.

    Args:
        config: The search.
        measured: Whether candidates are merged and scored, to say how many seconds a search takes.
    """
    for note in config.notes:
        print(note)
    assembly = assemble(config)
    needs = requirements(assembly)
    asked = (*_tasks(assembly), *statistic_lines(assembly, needs.collected))
    told = (*_models(assembly), *_genes(assembly, needs), *asked, *_needs(assembly, needs), *_warnings(assembly))
    for line in told:
        print(printable(line))
    if measured:
        print("measuring how long candidates take here", file=sys.stderr, flush=True)
        assembly, missing = collecting(assembly)
        for line in missing or _seconds(assembly, needs):
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
    depths = sorted(set(depths_of(list(assembly.checkpoints.by_ref), assembly.checkpoints, assembly.template.groups)))
    kind = reference.config.get("model_type", "unknown type")
    ends = "untied" if untied_heads(reference) else "tied"
    yield f"  {kind}, {' and '.join(map(str, depths))} layers, {ends} embeddings"
    yield "tensors"
    yield from (f"  {entry.line()}" for entry in assembly.account)
    yield f"method {assembly.method.name}: {assembly.method.summary}"
    yield f"  paper: {assembly.method.paper}"
    if assembly.config.round.count == 1 and not assembly.config.genome.merges:
        yield "  takes no part: genome.through=models takes layers as they are"
    options = assembly.method.resolve(assembly.template.options)
    yield from _options("method_options", assembly.method.options, options)
    for step in assembly.outputs.steps:
        more = "; takes one more merge of every candidate" if step.measures else ""
        yield f"then step {step.label}: {step.process.summary}{more}"
        yield f"  paper: {step.process.paper}"
        yield from _options(step.label, step.process.options, step.options)


def _adapter(source: AdapterSource) -> str:
    weights = sum(info.numel for info in source.adapter.specs.values())
    return f"{weights / 1e6:.1f} M weights that change {len(source.changed)} of {len(source.specs)} tensors"


def _options(key: str, declared: Mapping[str, Option], values: Mapping[str, Any]) -> Iterator[str]:
    """One line for each option that a plugin declares: its value here, what else it may be, what it means."""
    for name, option in declared.items():
        yield f"  {key}.{name}={values[name]} ({option.accepted()}): {option.doc}"


def _genes(assembly: Assembly, needs: Requirements) -> Iterator[str]:
    labels = assembly.spec.labels
    yield from _search(assembly)
    if assembly.pool is not None:
        yield f"chosen among: {', '.join(expert.label for expert in assembly.experts)}"
        return
    yield f"genes: {assembly.spec.n_var}" + (f" ({assembly.layout.describe()})" if assembly.layout else "")
    for label in labels[:_SHOWN_GENES]:
        yield f"  {label}"
    if len(labels) > _SHOWN_GENES:
        yield f"  ... and {len(labels) - _SHOWN_GENES} more"
    yield from _rounds(assembly, needs)
    frozen = [group.label for group in assembly.spec.groups if group.frozen]
    if frozen:
        yield f"  frozen: {', '.join(frozen)}"
    yield f"initial population holds: {', '.join(assembly.start_names) or 'no known point'}"


def _rounds(assembly: Assembly, needs: Requirements) -> Iterator[str]:
    """The rounds after the first, and what they cost that a single one does not."""
    rounds = assembly.config.round
    if rounds.count == 1:
        return
    experts = f" and the {len(assembly.experts)} experts" if rounds.experts else ""
    yield f"rounds: {rounds.count}, of {rounds.evaluations} candidates each but the last, which has what is left"
    for number, genes in enumerate(assembly.later, 2):
        merged = (
            "adds low-rank noise to the best"
            if rounds.is_noise(number)
            else (f"merges at most {rounds.elites} elites{experts}")
        )
        yield f"  round {number} {merged}: {genes} genes"
    each, most = needs.elites.size, max(needs.elites.rounds)
    yield f"  models of elites, at most {most} of {amount(each)} in a round, are made once and kept where there is room"
    if lacking := max(needs.elites.nowhere):
        yield (
            f"  {amount(lacking * each)} of them find none beside what methods prepare, so they are merged anew for "
            "every candidate; raise model.prepared_disk or model.prepared_memory"
        )


def _search(assembly: Assembly) -> Iterator[str]:
    spec = searchers.load(assembly.config.searcher.name)
    settings = spec.complete(searcher_settings(assembly.config))
    yield f"searcher {spec.name}: {spec.title}"
    own = "the models, then what follows from them" if spec.recipes else "follows from the number of genes"
    yield f"  population: {own if spec.recipes else settings.population or own}"
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
    for one in assembly.measures:
        ends = "what base and experts reach" if one.low is None else f"{one.low:g} to {one.high:g}"
        yield f"measure {one.label}: {assembly.config.cells} cells over {ends}"
    if assembly.config.confirm.finalists and assembly.scaled:
        scales = ", ".join(name.removeprefix(SCALED) for name in assembly.scaled)
        yield f"reference without a search: task arithmetic with the best of the scales {scales} on the search items"
    promote = assembly.config.promote
    if promote.allocation != "equal" and assembly.config.confirm.finalists:
        yield f"selection items: {promote.share:.0%} of all, shared out by OCBA among the candidates compared"
    allocation = assembly.config.allocation
    if not allocation.plain:
        yield from _allocation(assembly)
        return
    each = sum(len(ids) for ids in items["search"].values())
    limits = [limit for limit in (assembly.config.budgets.evaluations, search_plan(assembly).most) if limit is not None]
    budget = min(limits, default=None)
    total = f", {budget} candidates x {each} = {budget * each} in all" if budget else ""
    yield f"items per candidate: {each}{total}" if items["search"] else "items per candidate: none, functions alone"


def _allocation(assembly: Assembly) -> Iterator[str]:
    """Windows and races, and how many items they cost as far as can be told before the first answer."""
    config, allocation = assembly.config, assembly.config.allocation
    pools = {task: len(ids) for task, ids in assembly.suite.items["search"].items()}
    windows = {task: min(allocation.items or size, size) for task, size in pools.items()}
    fields = assembly.suite.cluster_fields
    whole = {task: f" in whole clusters of {fields[task]}" if task in fields else "" for task in pools}
    asked = ", ".join(f"{windows[task]} of {size} {task}{whole[task]}" for task, size in pools.items())
    grows = ", more as candidates get alike" if allocation.growth != "none" else ""
    yield f"items of a batch: {asked}{grows}; policy {allocation.policy}: {policies.load(allocation.policy).title}"
    if policies.load(allocation.policy).probe:
        yield f"items of the first batch: all {sum(pools.values())}, which the policy learns from"
    if allocation.race != "none":
        race = races.load(allocation.race)
        yield f"race {race.name}, at most {allocation.rungs} rungs: {race.title}"
    if allocation.estimator != MEAN:
        yield f"estimator {allocation.estimator}: {estimators.load(allocation.estimator).title}"
    each, spec = sum(windows.values()), searchers.load(config.searcher.name)
    again = " and as many again where survivors are asked a new window" if spec.retell else ""
    most = "at most " if allocation.race != "none" else ""
    yield f"items per candidate: {most}{each}{again}; baselines are asked all {sum(pools.values())}"


def _needs(assembly: Assembly, needs: Requirements) -> Iterator[str]:
    used = kernels.in_use(assembly.device)
    yield f"merging: {used.name} kernels ({used.reason})"
    elites = needs.elites.at("disk") + needs.elites.at("memory")
    models = f", models of elites {amount(elites)}" if elites else ""
    yield (
        f"memory: {amount(needs.worker)} per worker (program {amount(needs.program)}, live model {amount(needs.live)}, "
        f"merging {amount(needs.working)}, scoring {amount(needs.scoring)}, mapped checkpoints {amount(needs.mapped)}, "
        f"prepared {amount(needs.prepared['disk'] + needs.prepared['memory'])}{models})"
    )
    for device, weights in needs.devices.items():
        room = needs.rooms.get(device)
        free = "" if room is None else f" of {amount(room)}" + (", which do not fit" if weights > room else "")
        yield f"  {device}: {amount(weights)} of weights{free}, beside scoring and what merging reads"
    if needs.workers > 1:
        yield f"  {amount(needs.together)} for {needs.workers} workers, which share what is mapped"
    if needs.prepared["nowhere"]:
        yield (
            f"  {amount(needs.prepared['nowhere'])} of what the method prepares find no room, so they are prepared "
            "anew for every candidate; raise model.prepared_disk or model.prepared_memory"
        )
    stored = needs.prepared["disk"] + needs.elites.at("disk")
    kept = f"{amount(stored)} while the search goes on; " if stored else ""
    yield f"disk: nothing per candidate; {kept}{amount(needs.exported)} per exported member ({amount(needs.free)} free)"


def _seconds(assembly: Assembly, needs: Requirements) -> Iterator[str]:
    """The seconds of a search, at the pace of candidates that are merged and scored now."""
    if needs.available is not None and needs.together > needs.available:
        yield f"seconds: not measured, as it takes {amount(needs.together)} and {amount(needs.available)} are free"
        return
    try:
        pace = measure(assembly)
    except NotMeasured as error:
        yield f"seconds: not measured, as {error}"
        return
    found = duration(assembly, pace, needs.elites)
    about = "about" if assembly.config.allocation.race == "none" else "at most about"
    whole = "no budget counts candidates" if found.whole is None else f"{about} {span(found.whole)}"
    yield f"seconds: {whole}{_phases(found)}"
    each = pace.wave / pace.capacity
    parts = f": merging {span(pace.merge)}, scoring {span(pace.score)}" if pace.merge or pace.score else ""
    at_once = f", {pace.capacity} at a time" if pace.capacity > 1 else ""
    yield f"  {span(each)} per candidate of {pace.items} items{at_once}{parts}"
    count = "one candidate" if pace.capacity == 1 else f"{pace.capacity} candidates"
    yield f"  measured just now on {count} after as many that warmed up"
    yield (
        "  not included: reading all weights once, the searcher's own work, writing answers and the report, and "
        "candidates that fail or take longer than these"
    )


def _phases(found: Duration) -> str:
    if found.search is None:
        return ""
    count = f"{found.candidates} candidates" if found.candidates is not None else "the budget of seconds"
    phases = [(found.start, "start"), (found.search, f"base, experts and {count}")]
    if found.elites:
        phases[1] = (found.search, f"{phases[1][1]}, models of elites ({span(found.elites)}) among them,")
    phases += [(found.promotion, "selection items"), (found.confirmation, "held-out items")]
    return " (" + ", ".join(f"{name} {span(seconds)}" for seconds, name in phases if seconds) + ")"


def _warnings(assembly: Assembly) -> Iterator[str]:
    for warning in assembly.warnings:
        yield f"warning: {warning}"
