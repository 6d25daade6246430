"""From a configuration to everything a search needs, with all problems found before any work is done."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from evomerge import executors, methods
from evomerge.analysis.diversity.grid import Grid
from evomerge.candidate import UserFunction, gpu_count, resolve_home
from evomerge.checkpoints import CheckpointSource, FolderStamp, find_nonfinite, fingerprint_of, folder_of
from evomerge.errors import Findings, InputError
from evomerge.evaluation import Constraint, Measure, Objective
from evomerge.fitness import TaskSuite
from evomerge.genome import Chosen, GenomeSpec
from evomerge.merging import Blueprint, Checkpoints, Entry, Merger, Outputs
from evomerge.methods import MergeMethod
from evomerge.recipe import AdapterRef, ModelRef, Recipe
from evomerge.run import asked, paths
from evomerge.run.recipes import rounds
from evomerge.run.recipes.layer_paths import checked_spec, exemplar
from evomerge.run.recipes.layout import few_evaluations, laid_out
from evomerge.run.recipes.models import Folders, equal_weights, open_models, other_bases, with_adapters
from evomerge.run.recipes.searched import SearchedRecipe, read_recipe
from evomerge.run.recipes.searching import check_searcher, pool_of
from evomerge.run.recipes.space import baselines, build_spec, compare_models, scaled, tower_notes
from evomerge.run.recipes.starts import front_of, known_starts, loss_notes
from evomerge.run.run_config import RunConfig
from evomerge.run.statistics.required import Required
from evomerge.run.statistics.search_texts import calibration, keyed_spec, required_of, unread
from evomerge.run.statistics.texts import Texts
from evomerge.search import ExpertPool, Problem
from evomerge.search.searchers import Pushes, pushed
from evomerge.store import foreign_problem


@dataclass(frozen=True)
class Assembly:
    """A search, ready to be planned.

    Attributes:
        written: What the user wrote.
        config: The same with what was left to us: adapters among the models named as such, the genome's layout, the
            policy that chooses items.
        checkpoints: The opened checkpoints.
        spec: The search space; its template names method, models and base.
        method: The merge method.
        suite: The tasks.
        functions: The user's own metrics.
        objectives: What to improve.
        constraints: What must hold.
        measures: What an archive of elites is spread over; none for searchers that keep none.
        start_names: Names of the known points in the initial population.
        starts: Their genomes, ``(k, n_var)``.
        device: Where candidates live.
        attention: The attention implementation of candidates.
        warnings: What people should know before they trust the result.
        searched: The recipe whose numbers are searched, if there is one.
        layout: The layout of the genome where that was left to us.
        stamps: Stamp by folder of the checkpoints whose weights have been read.
        texts: The calibration texts, where method or steps read statistics.
        statistics: The statistics that candidates read, in the order of their keys; keys are right once the weights
            have been read. None where a recipe names keys of its own.
        later: Number of genes of each later round, with as many elites as there may be.
    """

    written: RunConfig
    config: RunConfig
    checkpoints: Checkpoints
    spec: GenomeSpec
    method: MergeMethod
    suite: TaskSuite
    functions: tuple[UserFunction, ...]
    objectives: tuple[Objective, ...]
    constraints: tuple[Constraint, ...]
    measures: tuple[Measure, ...]
    start_names: tuple[str, ...]
    starts: NDArray[np.float64]
    device: str
    attention: str
    warnings: tuple[str, ...]
    searched: SearchedRecipe | None = None
    layout: Chosen | None = None
    stamps: Mapping[str, FolderStamp] = field(default_factory=dict)
    texts: Texts | None = None
    statistics: tuple[Required, ...] = ()
    later: tuple[int, ...] = ()

    @property
    def template(self) -> Recipe:
        """The recipe of every candidate but for its coefficients."""
        return self.spec.template

    @property
    def baselines(self) -> dict[str, Recipe]:
        """Base, each expert alone and their uniform average, which every candidate is compared with."""
        base = self.config.base and self.known(self.config.base)
        return baselines(self.template, base, self.experts, self.checkpoints)

    @property
    def scaled(self) -> dict[str, Recipe]:
        """Task arithmetic with one scale for all experts; none where answers are looked up that nobody recorded.

        Nor are there any where models have no delta, being of unlike depth.
        """
        if executors.load(self.config.executor.name).identity or self.exemplar is not self.template:
            return {}
        base = self.config.base and self.known(self.config.base)
        return scaled(self.template, base, self.experts, self.config.confirm.scales)

    @property
    def experts(self) -> tuple[ModelRef, ...]:
        """The models that are merged, each of which is a baseline."""
        return tuple(map(self.known, self.config.models))

    @functools.cached_property
    def pool(self) -> ExpertPool | None:
        """The experts, for searchers that choose among them; None for all others."""
        return None if self.searched else pool_of(self.config, self.spec, self.method, self.checkpoints)

    @functools.cached_property
    def exemplar(self) -> Recipe:
        """A recipe that has the tensors of every candidate, but for its layers where models are of unlike depth."""
        return exemplar(self.spec, self.checkpoints, self.config.base and self.known(self.config.base))

    @functools.cached_property
    def outputs(self) -> Outputs:
        """The tensors, the config and the tokenizer of every candidate."""
        return Merger(self.checkpoints).outputs(self.exemplar)

    @property
    def has_own_tokens(self) -> bool:
        """Whether candidates have other tokens or chat templates than the reference."""
        return self.outputs.tokenizer is not None or self.outputs.chat_templates is not None

    @functools.cached_property
    def account(self) -> tuple[Entry, ...]:
        """The account of every tensor of the models, the same for every candidate."""
        return Merger(self.checkpoints).account(self.exemplar)

    def known(self, ref: ModelRef) -> ModelRef:
        """A reference as the checkpoints know it, with its fingerprint where that has been read."""
        return next((r for r in self.checkpoints.by_ref if r.place == ref.place), ref)


def assemble(config: RunConfig) -> Assembly:
    """Opens and checks everything a search needs; reads headers, task files, and weights until models differ.

    Raises:
        InputError: With everything that is wrong.
    """
    found, written = Findings(), config
    if config.run_dir is not None and (problem := foreign_problem(paths.expanded(config.run_dir))):
        found.problems.append(f"run_dir: {problem}")
    device, thin = _place(config, found)
    before = len(found.problems)
    find = Folders(config.offline)
    config = found.attempt(lambda: with_adapters(config, find)) or config
    searched = found.attempt(lambda: read_recipe(config))
    method = found.attempt(lambda: methods.load(searched.recipe.method if searched else config.method))
    readable = len(found.problems) == before or config.recipe is None
    checkpoints = found.attempt(lambda: open_models(config, find, method, searched)) if readable else None
    functions = found.attempt(lambda: asked.functions(config)) or ()
    warnings: list[str] = [*(searched.notes if searched else ()), *thin]
    if checkpoints is not None:
        comparison = compare_models(config, checkpoints, searched)
        found.problems += comparison.problems
        warnings += [*comparison.warnings, *equal_weights(config, checkpoints, method), *other_bases(checkpoints)]
    attention = found.attempt(lambda: _attention(config, checkpoints)) if checkpoints is not None else None
    spec, layout = None, None
    if checkpoints is not None and method is not None:
        config = rounds.settled(config, method)
        config, layout = found.attempt(lambda: laid_out(config, checkpoints, method)) or (config, None)
        spec = found.attempt(lambda: checked_spec(config, checkpoints, method, searched))
        if spec is not None:
            warnings += [*tower_notes(config, checkpoints, spec), *few_evaluations(config, spec.n_var, layout)]
    suite, metrics = asked.tasks(config, checkpoints, spec, found)
    if metrics is None:
        found.settle()
        raise AssertionError("tasks without metrics are a problem that settle reports")
    metrics |= {function.metric: function.higher_is_better for function in functions}
    objectives, constraints, measures = asked.wishes(config, metrics, suite, found)
    found.problems += asked.proxy_problems(config, objectives, metrics)
    start_names, starts = tuple[str, ...](), np.zeros((0, 0))
    if checkpoints is not None and method is not None and spec is not None:
        start_names, starts = known_starts(checkpoints, spec, method, searched, config)
        choose = functools.partial(pool_of, config, spec, method, checkpoints) if searched is None else lambda: None
        check_searcher(config, _problem(config, spec, len(objectives), len(measures), starts), choose, found)
        warnings += [*loss_notes(config, method, spec, metrics), *rounds.extension_notes(written)]
    later = rounds.genes(config, checkpoints, method, spec, found, warnings)
    texts = found.attempt(lambda: calibration(config, checkpoints, suite, spec))
    found.settle()
    if checkpoints is None or method is None or spec is None or suite is None or device is None or attention is None:
        raise AssertionError("a stage that failed has reported a problem")
    warnings += [*asked.notes(config, metrics, suite), *unread(config, texts)]
    config = replace(config, allocation=asked.allocation(config, suite))
    return Assembly(
        written, config, checkpoints, spec, method, suite, functions, objectives, constraints, measures, start_names,
        starts, device, attention, tuple(dict.fromkeys(warnings)), searched, layout, texts=texts,
        statistics=required_of(spec, texts, config, checkpoints), later=later,
    )  # fmt: skip


def _problem(config: RunConfig, spec: GenomeSpec, n_obj: int, n_measures: int, starts: NDArray[np.float64]) -> Problem:
    """The searcher's problem but for what follows from the baselines: ranges of measures, who is the best expert."""
    grid = Grid.spanning([], [(None, None)] * n_measures, config.cells) if n_measures else None
    pushes = None if spec.template.base is None else Pushes(functools.partial(pushed, spec), (0,) * n_obj)
    return Problem(spec.n_var, n_obj, 1, starts, grid, pushes=pushes)


def _place(config: RunConfig, found: Findings) -> tuple[str | None, list[str]]:
    """Where candidates live, after a check of the executor with it; and what people should know of that."""
    device = found.attempt(lambda: resolve_home(config.model))
    if device is None:
        return None, []
    chosen = executors.load(config.executor.name)
    found.problems += chosen.problems(chosen.given(config.executor, device))
    if config.model.quantise != "none" and not chosen.needs_model:
        found.problems.append(f"model.quantise: executor={chosen.name} runs no model that could be quantised")
    problem, note = spread_thin(config, device, gpu_count())
    found.problems += [problem] if problem else []
    return device, [note] if note else []


def spread_thin(config: RunConfig, device: str, count: int) -> tuple[str | None, str | None]:
    """Whether workers see too few GPUs for what was asked, or leave some idle: a problem, and a note.

    Args:
        config: What was asked.
        device: Where models run.
        count: Number of GPUs of this machine.
    """
    chosen = executors.load(config.executor.name)
    if "gpus" not in chosen.options or device != "cuda":
        return None, None
    each = chosen.complete(chosen.given(config.executor, device))["gpus"] or 1
    if config.model.device_map == ("auto",) and each <= 1 and not (chosen.local_processes and count <= 1):
        text = (
            "model.device_map=auto spreads a model over the GPUs that its worker sees, which is one: give it more, "
            "executor.options.gpus=2, or leave device_map out"
        )
        return (text, None) if chosen.local_processes else (None, text)
    if chosen.local_processes and count > each and (idle := count % int(each)):
        return None, f"{idle} of {count} GPUs will be idle, as each worker has {each} (executor.options.gpus)"
    return None, None


def with_fingerprints(assembly: Assembly, say: Callable[[str], None] = lambda _: None) -> Assembly:
    """Reads all weights once: what they are, and that every one of them is a number.

    Args:
        assembly: As :func:`assemble` made it.
        say: Told which checkpoint is being read.

    Raises:
        InputError: If weights are NaN or infinite.
    """
    problems: list[str] = []
    known: dict[ModelRef, CheckpointSource] = {}
    prints: dict[tuple[str | None, ...], str] = {}
    stamps: dict[str, FolderStamp] = {}
    for ref, checkpoint in assembly.checkpoints.by_ref.items():
        say(f"reading the weights of {ref.source}")
        stamps[str(folder_of(checkpoint))] = FolderStamp.of(folder_of(checkpoint))
        problems += find_nonfinite(checkpoint)
        fingerprint = fingerprint_of(checkpoint)
        checkpoint.release()  # workers map the files themselves
        prints[ref.place] = fingerprint
        if isinstance(ref, AdapterRef):  # after the checkpoint that it is on
            ref = replace(ref, on=replace(ref.on, fingerprint=prints[ref.on.place]))
        known[replace(ref, fingerprint=fingerprint)] = checkpoint
    if problems:
        raise InputError(problems)
    checkpoints = Checkpoints(known, next(r for r in known if known[r] is assembly.checkpoints.reference))
    spec = build_spec(assembly.config, checkpoints, assembly.method, assembly.searched)
    statistics = required_of(spec, assembly.texts, assembly.config, checkpoints)
    spec = keyed_spec(spec, statistics)
    names, starts = assembly.start_names, assembly.starts
    if assembly.config.start_from:
        # Another run's recipes are recognised by their models' weights, which are known only now.
        more, rows = front_of(assembly.config.start_from, spec)
        names, starts = (*names, *more), np.vstack([starts, rows])
    found = replace(assembly, checkpoints=checkpoints, spec=spec, statistics=statistics)
    return replace(found, start_names=names, starts=starts, stamps=stamps)


def _attention(config: RunConfig, checkpoints: Checkpoints) -> str:
    """The attention implementation of the reference's model, which is built without its weights."""
    model = config.model
    blueprint = Blueprint.of(
        checkpoints.reference,
        attention=model.attention,
        trust_remote_code=model.trust_remote_code,
        causal=bool(config.fitness.tasks),
    )
    return blueprint.attention
