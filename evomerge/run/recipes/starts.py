"""Known points of a search: those of its method, subsets of the experts, or the recipe that is searched.

Starts of the method hold all experts or one. Where an expert is in the way of the others, every gene of its weight has
to be found to be near zero, at every layer, before their merge is seen; so a search also starts from subsets that leave
experts out. They are few, as every start is a candidate, and those of CMA-ES's first batch are all of it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from evomerge.analysis import loss_weights
from evomerge.errors import InputError
from evomerge.evaluation import EXPERT, Evaluation
from evomerge.genome import GenomeSpec, NotExpressible, PathGenes
from evomerge.merging import Checkpoints
from evomerge.methods import MergeMethod
from evomerge.recipe import Coefficient, Recipe
from evomerge.report import front_members
from evomerge.run import paths
from evomerge.run.members import empty_front
from evomerge.run.recipes.searched import SearchedRecipe
from evomerge.run.recipes.steps import WrittenSteps
from evomerge.run.run_config import RunConfig
from evomerge.store import RunStore

__all__ = [
    "LOSSES",
    "RECIPE",
    "SUBSET",
    "at_shares",
    "by_losses",
    "front_of",
    "known_starts",
    "loss_notes",
    "subset_starts",
    "without_subsets",
]

RECIPE = "recipe"  # the recipe that is searched, as a start
SUBSET = "subset:"  # begins the names of starts that leave experts out, which runs from before there were any lack
LOSSES = "losses"
_LOSS = ".gold_logprob"
_ALIKE = 1e-12  # shares that are equal but for rounding
_MOST = 6  # experts, from where leaving one out says little, and too many subsets leave two out

Point = Mapping[str, float | Sequence[float]]


def known_starts(
    checkpoints: Checkpoints,
    spec: GenomeSpec,
    method: MergeMethod,
    searched: SearchedRecipe | None,
    config: RunConfig | None = None,
) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Names and genomes ``(k, n_var)`` of known points; of a recipe that is searched it is the only one.

    Args:
        checkpoints: The opened checkpoints.
        spec: The search space.
        method: The merge method.
        searched: The recipe that is searched, if there is one.
        config: The search; a run that is gone on with keeps the starts that it began with. None: a new run's.
    """
    if searched is not None:
        return (RECIPE,), spec.encode(searched.opened(checkpoints).recipe)[None]
    if isinstance(spec.depth, PathGenes) and not spec.gene_blocks:
        return spec.starts({})  # plain paths, whatever the method has
    count, options = len(spec.template.sources), method.resolve(spec.template.options)
    points = dict(method.starts(count, options)) | subset_starts(method, options, count)
    if config is not None and config.post and (changing := WrittenSteps.read(config.post).change_alone):
        points = {"+".join((name, *changing)): point for name, point in points.items()}  # what comes is another model
    began = None if config is None else _began(config)
    if began is not None:
        points = {name: point for name, point in points.items() if name in began or not name.startswith(SUBSET)}
    return spec.starts(points)


def subset_starts(method: MergeMethod, options: Mapping[str, object], count: int) -> dict[str, Point]:
    """Points at which some experts take no part: ``subset:0+1:0.5`` is half of the first two experts' deltas.

    Of three experts these are the pairs, by their mean (0.5) and by their sum (1); of four the pairs, by their sum; of
    five and six all but one expert, each with half of its delta. Where only the proportions of weights matter, members
    have equal ones, and the name ends after the members. There are none for methods that cannot leave an expert out.

    Args:
        method: The merge method.
        options: Its resolved options.
        count: Number of experts.

    Returns:
        Name to coefficients, each with one value per expert or one for all; at most six.
    """
    known = method.starts(count, options)
    declared = {coefficient.name: coefficient for coefficient in method.coefficients(options)}
    if not 3 <= count <= _MOST or not all(f"model:{i}" in known for i in range(count)):
        return {}
    if not any(c.per_model and (c.simplex or c.off is not None) for c in declared.values()):
        return {}
    free = any(c.off is not None for c in declared.values())
    size, scales = (2, (0.5, 1.0)) if count == 3 else (2, (1.0,)) if count == 4 else (count - 1, (0.5,))
    singles = [known[f"model:{i}"] for i in range(count)]
    found: dict[str, Point] = {}
    for members in combinations(range(count), size):
        named = SUBSET + "+".join(map(str, members))
        for scale in scales if free else (None,):
            name = named if scale is None else f"{named}:{scale:g}"
            found[name] = {c: _together(declared[c], [singles[i][c] for i in members], scale) for c in declared}
    return found


def by_losses(
    spec: GenomeSpec, method: MergeMethod, temperature: float, baselines: Mapping[str, Evaluation]
) -> NDArray[np.float64]:
    """The start that weighs experts by their losses, as LM-Cocktail does (`~evomerge.analysis.loss_weights`).

    The loss of an expert is the mean over tasks of what the right answers cost it in nats; tasks without
    log-likelihoods do not count.

    Args:
        spec: The search space.
        method: The merge method.
        temperature: LM-Cocktail has 5.
        baselines: Name to evaluation, of which those of experts count.

    Returns:
        ``(1, n_var)``; ``(0, n_var)`` where a loss is not known, the method does not weigh models, or the space does
        not hold the point.
    """
    experts = [one.metrics for name, one in baselines.items() if name.startswith(EXPERT)]
    known = [key for key in experts[0] if key.endswith(_LOSS) and all(key in own for own in experts)] if experts else []
    if len(experts) != len(spec.template.sources) or not known or not _weighs(method, spec):
        return np.zeros((0, spec.n_var))
    losses = [-float(np.mean([own[key] for key in sorted(known)])) for own in experts]
    shares = loss_weights(losses, temperature)
    return spec.starts({LOSSES: at_shares(method, spec.template.options, shares)})[1]


def loss_notes(config: RunConfig, method: MergeMethod, spec: GenomeSpec, metrics: Iterable[str]) -> list[str]:
    """Why a start that weighs experts by their losses is wanted and cannot be had, which people should know.

    Args:
        config: The search.
        method: The merge method.
        spec: The search space.
        metrics: Keys of the metrics.
    """
    if config.start_temperature is None or config.recipe is not None:
        return []
    wanted = "start_temperature adds no start:"
    if not any(key.endswith(_LOSS) for key in metrics):
        return [f"{wanted} it weighs models by their losses, and no task records {_LOSS[1:]}"]
    return [] if _weighs(method, spec) else [f"{wanted} method {method.name} takes no weights of models"]


def _weighs(method: MergeMethod, spec: GenomeSpec) -> bool:
    """Whether the method has points at which one model alone is taken."""
    return "model:0" in method.starts(len(spec.template.sources), spec.template.options)


def at_shares(method: MergeMethod, options: Mapping[str, object], shares: Sequence[float]) -> Point:
    """Coefficients at which models take part by their shares, which add up to 1: ``uniform`` where these are equal.

    They lie between those of the models alone; where the method's own uniform point does not, as where what agrees is
    counted, they are scaled by what it is to the mean of these.

    Raises:
        InputError: If the method does not merge so many, or has no such points, and shares differ.
    """
    count = len(shares)
    if problems := method.input_problems(count, has_base=True, of="a candidate"):
        raise InputError(problems)
    points = method.starts(count, options)
    even = np.ptp(shares) <= _ALIKE
    if even or not all(f"model:{i}" in points for i in range(count)):
        if not even:
            raise InputError(f"method {method.name} takes no weights, so models have equal shares alone")
        return dict(points.get("uniform") or points.get("neutral") or {})
    singles = [points[f"model:{i}"] for i in range(count)]
    found: dict[str, float | Sequence[float]] = {}
    for name, uniform in points["uniform"].items():
        ends = np.array([single[name] for single in singles])
        mean, own = ends.mean(axis=0), np.asarray(shares) @ ends
        value = own * np.divide(uniform, mean, out=np.ones_like(mean), where=mean != 0.0)
        found[name] = tuple(value.tolist()) if value.ndim else float(value)
    return found


def _together(
    coefficient: Coefficient, values: Sequence[float | Sequence[float]], scale: float | None
) -> float | tuple[float, ...]:
    """A coefficient at which the models take part together whose values alone are given."""
    mean = np.mean(np.array(values, dtype=np.float64), axis=0)
    if coefficient.off is not None and scale is not None:  # each member as it is alone, times the scale
        mean = coefficient.off + scale * (np.sum(np.array(values) - coefficient.off, axis=0))
    return tuple(mean.tolist()) if coefficient.per_model else float(mean)


def _began(config: RunConfig) -> frozenset[str] | None:
    """Names of the starts of the run that is gone on with; None where there is none."""
    if config.run_dir is None:
        return None
    with contextlib.suppress(InputError, KeyError, TypeError):
        return frozenset(RunStore.read(paths.expanded(config.run_dir)).manifest["identity"]["starts"]["points"])
    return None


def without_subsets(names: Sequence[str], starts: NDArray[np.float64]) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """The starts of runs from before there were subsets."""
    places = [place for place, name in enumerate(names) if not name.startswith(SUBSET)]
    return tuple(names[place] for place in places), starts[places]


def front_of(folder: str, spec: GenomeSpec) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Genomes of the members of another run's front, as far as this space holds them.

    Raises:
        InputError: If there is no such run, or it holds none of them.
    """
    store = RunStore.read(paths.expanded(folder))
    names, rows = [], []
    members = front_members(store)
    if not members:
        raise InputError(f"start_from: the front in {folder} is empty: {empty_front(store)}")
    for member in members:
        evaluation = store.lookup(member.digest, "search")
        if evaluation is None:
            continue
        try:
            rows.append(spec.encode(Recipe.from_json(evaluation.recipe)))
        except NotExpressible:
            continue
        names.append(f"{folder}:{member.id}")
    if not rows:
        raise InputError(
            f"start_from: no member of the front in {folder} can be expressed in this search's genome; it needs the "
            "same models, base and method, and groups that are at least as fine"
        )
    return tuple(names), np.array(rows)
