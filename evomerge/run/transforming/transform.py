"""From experts to further experts: a transformation's models as ordinary folders."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evomerge import statistics, transforms
from evomerge.candidate import build_suite, load_tokenizer, resolve_device
from evomerge.checkpoints import CheckpointSource, TensorSpec, is_vocabulary
from evomerge.errors import InputError
from evomerge.merging import Checkpoints, LiveModel, NewModel, model_to_folder
from evomerge.recipe import ModelRef
from evomerge.run import environment, paths
from evomerge.run.configs.verbs import TransformConfig
from evomerge.run.recipes.models import Folders, open_models, with_adapters
from evomerge.run.run_config import RunConfig, fitness_settings
from evomerge.run.statistics.of_model import DTYPE, Asked, LookedAt
from evomerge.run.statistics.texts import read_texts
from evomerge.run.transforming.card import transform_card
from evomerge.run.transforming.forecast import TransformForecast, forecast, forecast_lines
from evomerge.statistics import Calibration, Wanted, write
from evomerge.transforms import Arrays, Made, Transform, Work


@dataclass(frozen=True)
class Transformed:
    """A model that was written.

    Attributes:
        folder: Its folder.
        notes: What people should know of it.
    """

    folder: Path
    notes: tuple[str, ...]


def transform(config: TransformConfig, say: Callable[[str], None] = lambda _: None) -> list[Transformed]:
    """Makes further experts of experts.

    Args:
        config: Which transformation of which models, and where to.
        say: Told of progress.

    Returns:
        The models; none where the transformation has nothing to gain.

    Raises:
        InputError: If models or texts cannot be read, do not go together, or the folder cannot be made.
    """
    own = prepared(config, say)
    for line in own.lines():
        say(line)
    kind, named, out = own.kind, own.named, _out(config)
    work = _with_statistics(kind, own.work, own.looked)
    del own  # and the model that statistics were collected with
    environment.give_back_memory()
    return [_written(made, out / made.label if kind.several else out, config, work, named) for made in kind.make(work)]


def foretell(config: TransformConfig) -> Iterator[str]:
    """Forecast of a transformation, for people; nothing is loaded and nothing written.

    Raises:
        InputError: With everything that is wrong with models or texts.
    """
    yield from prepared(config).lines()


@dataclass(frozen=True)
class Prepared:
    """A transformation before a weight is read.

    Attributes:
        kind: Which one.
        named: The search that texts are those of.
        work: Its work, without statistics.
        looked: Each expert, and its statistics that are read.
    """

    kind: Transform
    named: RunConfig
    work: Work
    looked: Sequence[tuple[LookedAt, Asked]]

    def forecast(self) -> TransformForecast:
        """Its cost, before a weight is read."""
        return forecast(self.kind, self.work, self.looked)

    def lines(self) -> Iterator[str]:
        """The forecast as lines for people."""
        return forecast_lines(self.kind, self.work, self.forecast())


def prepared(config: TransformConfig, say: Callable[[str], None] = lambda _: None) -> Prepared:
    """Opens models and reads texts.

    Args:
        config: Which transformation of which models, and where to.
        say: Told of progress.

    Raises:
        InputError: With everything that is wrong with models or texts.
    """
    kind = transforms.load(config.kind)
    options = kind.resolve(config.options)
    problems = [f"out: {problem}" for problem in [paths.new_folder_problem(_out(config))] if problem]
    problems += _count_problems(kind, config) + _text_problems(kind, config)
    if problems:
        raise InputError(problems)
    find = Folders(config.offline)
    named = with_adapters(_run_config(config), find)
    checkpoints = open_models(named, find, None)
    checkpoints.compare(trust_remote_code=False).check()
    texts = _calibrations(kind, named, checkpoints)
    device = resolve_device(config.device, "device")
    work = Work(
        base=None if named.base is None else checkpoints[named.base],
        experts=[checkpoints[ref] for ref in named.models],
        labels=_labels(named.models),
        texts=[[passage.ids.tolist() for passage in own.passages] for own in texts],
        options=options,
        load=functools.partial(LiveModel.load, checkpoints.reference.path, dtype=DTYPE, device=device),
        gram_limit=config.statistics.gram_limit,
        say=say,
    )
    return Prepared(kind, named, work, list(_looked_at(kind, config, work, texts)))


def _out(config: TransformConfig) -> Path:
    return paths.expanded(config.out).absolute()


def _run_config(config: TransformConfig) -> RunConfig:
    """The search that texts are those of."""
    return RunConfig(
        models=config.models,
        base=config.base,
        offline=config.offline,
        fitness=config.fitness,
        seed=config.seed,
        calibration=config.calibration,
        calibration_of=config.calibration_of,
        statistics=config.statistics,
    )


def _count_problems(kind: Transform, config: TransformConfig) -> list[str]:
    least, most = kind.models
    count = len(config.models)
    if count >= least and (most is None or count <= most):
        return []
    wanted = f"{least}" if least == most else f"{least} or more" if most is None else f"{least} to {most}"
    return [f"models: {kind.name} takes {wanted} models; {count} are named"]


def _text_problems(kind: Transform, config: TransformConfig) -> list[str]:
    """Reasons why texts are wanted that nobody names, or named that nobody reads."""
    labels = _labels(config.models)
    problems = [
        f"calibration_of: {label} is none of the models ({', '.join(labels)})"
        for label in config.calibration_of
        if label not in labels
    ]
    if kind.texts == "none":
        return problems
    silent = [label for label in labels if label not in config.calibration_of]
    if silent and not config.calibration and not config.fitness.tasks:
        problems.append(
            f"calibration: {kind.name} reads texts of every model, and there are none of {', '.join(silent)}; write "
            "calibration=[FILE.jsonl], calibration_of.MODEL=FILE.jsonl, or tasks=[...], whose search items are read"
        )
    return problems


def _labels(models: Sequence[ModelRef]) -> list[str]:
    """Labels of models, told apart by their numbers where folders have one name."""
    labels = [ref.label for ref in models]
    return [label if labels.count(label) == 1 else f"{label}_{index}" for index, label in enumerate(labels)]


def _calibrations(kind: Transform, config: RunConfig, checkpoints: Checkpoints) -> list[Calibration]:
    """The texts of each expert, as tokens of the reference; none where the transformation reads none."""
    if kind.texts == "none":
        return []
    reference = checkpoints.reference
    settings = fitness_settings(config.fitness, config.seed)
    suite = build_suite(settings, reference, load_tokenizer(reference.path, False) if settings.tasks else None)
    labels = _labels(config.models)
    shared = any(label not in config.calibration_of for label in labels)
    texts = read_texts(config, checkpoints, suite, unlike=False, shared=shared)
    return [texts.calibration(label, ref) for label, ref in zip(labels, config.models, strict=True)]


def _looked_at(
    kind: Transform, config: TransformConfig, work: Work, texts: Sequence[Calibration]
) -> Iterator[tuple[LookedAt, Asked]]:
    """Each expert in the model that is loaded once for all, and its statistics that the transformation reads."""
    loaded = functools.cache(work.load)

    def filled(expert: CheckpointSource) -> LiveModel:
        live = loaded()
        write(live, {name: expert.tensor(name) for name in live.places})
        return live

    wanted = tuple(Wanted(name, _options_of(name, config, work)) for name in kind.statistics)
    for label, expert, own in zip(work.labels, work.experts, texts if wanted else (), strict=bool(wanted)):
        load = functools.partial(filled, expert)
        looked = LookedAt(label, work.reference, expert.fingerprint(), load, config.statistics, work.say)
        yield looked, Asked(own, wanted)


def _with_statistics(kind: Transform, work: Work, looked: Sequence[tuple[LookedAt, Asked]]) -> Work:
    """The work with the statistics that the transformation reads: found in the folder, or collected now."""
    arrays: dict[str, list[Arrays]] = {name: [] for name in kind.statistics}
    transposed: set[str] = set()
    for one, asked in looked:
        folder, [keyed] = one.folder, one.fill([asked])
        for own in keyed:
            arrays[own.wanted.statistic].append(functools.partial(folder.tensor, own.key))
            transposed |= set(folder.about(own.key)["transposed"])
    return replace(work, statistics=arrays, transposed=frozenset(transposed))


def _options_of(statistic: str, config: TransformConfig, work: Work) -> Mapping[str, Any]:
    """Options that follow from the settings; a limit that changes nothing is left out, so that keys are a search's."""
    limit, specs = config.statistics.gram_limit, work.reference.specs
    widest = max((max(s.shape) for name, s in specs.items() if len(s.shape) > 1 and not is_vocabulary(name)), default=0)
    return {"limit": limit} if widest > limit and "limit" in statistics.load(statistic).options else {}


def _written(made: Made, out: Path, config: TransformConfig, work: Work, named: RunConfig) -> Transformed:
    """Writes one model."""
    template = made.template
    specs: dict[str, TensorSpec] = {}
    for name, spec in template.specs.items():
        changed = made.changed.get(template.aliases.get(name, name))
        specs[name] = spec if changed is None else TensorSpec(spec.dtype, tuple(changed.shape))

    def tensors() -> Iterator[tuple[str, Any]]:
        for name, spec in specs.items():
            own = template.aliases.get(name, name)
            yield name, made.changed[own].to(spec.dtype) if own in made.changed else template.tensor(name)

    about = {
        "transform": config.kind,
        "options": dict(work.options),
        "models": {label: expert.fingerprint() for label, expert in zip(work.labels, work.experts, strict=True)},
        "base": None if work.base is None else work.base.fingerprint(),
        "notes": list(made.notes),
    }
    texts = {
        "transform.json": json.dumps(about, indent=2) + "\n",
        "README.md": transform_card(out.name, transforms.load(config.kind), named.models, named.base, made.notes),
    }
    model = NewModel(template, {**template.config, **made.config}, specs, tensors)
    folder = model_to_folder(model, out, max_shard_size=config.max_shard_size, texts=texts)
    return Transformed(folder, made.notes)
