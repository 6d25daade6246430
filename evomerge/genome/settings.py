"""The user's choices of a search space."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from evomerge import settings
from evomerge.errors import suggest
from evomerge.genome.layers.fusion import KEPT, MERGED, REMOVED
from evomerge.genome.layers.genes import MODELS, THROUGH
from evomerge.genome.weight_rules import AGES, FREE, RULES
from evomerge.recipe import MODULE_KINDS
from evomerge.settings import setting

__all__ = ["AUTO", "BASES", "DEPTHS", "GenomeSettings"]

AUTO = "auto"
DEPTHS = (AUTO, "model", "blocks", "layer", "linear", "smooth")
BASES = ("points", "cosine")
ENDS = ("own", "nearest")
_OF_PATHS = ("through", "jumps", "longest", "repeats", "scales", "outside")
OF_WEIGHTS = ("bounds", "fixed", "frozen", "shared", "modules", "weights")  # and of no use where nothing is merged
# Settings that runs which began before there were any do not have.
_LATER = (
    "filters", "ends", "control_every", "searched", "modules", "weights", "averaging", "metrics", "layers", "fewer",
    "influence", *_OF_PATHS,
)  # fmt: skip
ALL, SEARCHED, NONE = "all", "searched", "none"
PATHS = ("path", "data_flow")
WEIGHT = "weight"  # the coefficient that rules give


@dataclass(frozen=True)
class GenomeSettings:
    """Spread of the coefficients over the model, and what is left out of the search.

    Attributes:
        depth: ``model`` one set for all layers; ``blocks`` one per block of layers; ``layer`` one per layer;
            ``linear`` a straight line over depth, given by its values at the first and the last layer; ``smooth`` a
            curve over depth with few control values; ``auto`` the finest of these that the budget carries, only before
            the model is known.
        block_size: Layers per block where ``depth`` is ``blocks``.
        control_points: Control values per curve where ``depth`` is ``smooth``.
        control_every: Layers for each control value instead, so that their number follows from the model.
        basis: Curve where ``depth`` is ``smooth``: ``points`` joins the control values by straight lines, ``cosine`` is
            a cosine series.
        split_kinds: Whether attention, MLP and the rest get coefficients of their own in every layer, block or curve.
        filters: Parts of tensor names, each of which gets coefficients of its own in every layer, block or curve; the
            first that occurs in a name has it, and one more takes the rest.
        ends: Coefficients of what is in no layer and no group of its own: ``own``, or those of the ``nearest`` layers:
            of embeddings those of the first, of all else those of the last.
        own_groups: Module kinds that are one group of their own, whatever the depth. The router of a mixture of experts
            always is. A vision or audio tower with its projector is too, and frozen unless it is named here.
        frozen: Module kinds, or patterns of group labels, whose tensors stay those of the reference checkpoint.
        fixed: Pattern of group labels, or module kind that is a group of its own, to coefficient to value, which is one
            number, or one per model. Never searched.
        bounds: Coefficient to ``[low, high]``. Naming a coefficient that is not searched by default makes it searched.
        shared: Coefficients with one value (per model) for the whole model, whatever the depth.
        modules: ``all`` experts take part everywhere; ``searched``: for each expert and kind of modules, or each of
            ``filters``, one more gene says whether it takes part there, whatever its weights are.
        weights: ``free``, or the rule by which the weights of all models follow from a few genes, see
            :mod:`evomerge.genome.weight_rules`.
        averaging: How weights fall with a checkpoint's age where ``weights`` is ``trajectory``: ``sma``, ``wma``,
            ``ema``, or ``free``.
        metrics: The models' own scores where ``weights`` is ``metric``.
        layers: ``kept`` as they are; ``merged``: genes say which layers are merged into the layer before, so that fewer
            are left, and how much of that layer is kept; ``removed``: which are left out. What is merged of several
            models is shortened then. ``path`` and ``data_flow``: genes say which layers of which models follow each
            other, see :mod:`evomerge.genome.layers.walks`.
        fewer: The fewest and the most layers that go; empty: one to a quarter of them.
        influence: How much each layer changes what it gets, for the order in which the search's first models let
            layers go; ``evomerge layers`` measures it.
        through: What a path goes through: the ``models`` as they are, so that nothing is merged; their ``merge`` alone;
            or ``both``, the merge being one more model.
        jumps: Jumps of a ``path``.
        longest: Most layers of a path; None is half as many again as the deepest model.
        repeats: How often all layers are repeated as slots in ``data_flow``.
        scales: Whether the scale of the hidden state at a jump is ``searched``, or ``none``.
        outside: Position, from 0, of the model whose embeddings, last norm and head all paths have; None: a gene.
        searched: Numbers of a given recipe that are searched: coefficients, or ``COEFFICIENT@GROUP``, where the group
            is a pattern of group labels, a module kind or a filter of groups. Empty: all.
    """

    depth: str = field(
        default="auto", metadata=setting("how coefficients may differ over depth; auto: by the budget", choices=DEPTHS)
    )
    block_size: int = field(default=4, metadata=setting("layers per block, where depth is blocks", low=1))
    control_points: int = field(default=4, metadata=setting("control values per curve, where depth is smooth", low=2))
    control_every: int | None = field(
        default=None, metadata=setting("layers per control value, instead of control_points", low=1)
    )
    basis: str = field(
        default="points", metadata=setting("curve from the control values, where depth is smooth", choices=BASES)
    )
    split_kinds: bool = field(default=False, metadata=setting("attention and MLP get coefficients of their own"))
    filters: tuple[str, ...] = field(
        default=(), metadata=setting("parts of tensor names with coefficients of their own, [self_attn,mlp]")
    )
    ends: str = field(
        default="own",
        metadata=setting("coefficients of what is in no layer: their own, or the nearest layers'", choices=ENDS),
    )
    own_groups: tuple[str, ...] = field(
        default=("embedding", "norm", "head"),
        metadata=setting("module kinds outside the layers that form groups of their own"),
    )
    frozen: tuple[str, ...] = field(
        default=(), metadata=setting("module kinds or groups that stay the reference model's")
    )
    fixed: Mapping[str, Mapping[str, float | Sequence[float]]] = field(
        default_factory=dict, metadata=setting("values that are not searched, {group: {coefficient: value}}")
    )
    bounds: Mapping[str, Sequence[float]] = field(
        default_factory=dict, metadata=setting("search range per coefficient, {weight: [-0.5, 1.5]}")
    )
    shared: tuple[str, ...] = field(default=(), metadata=setting("coefficients with one value for the whole depth"))
    modules: str = field(
        default=ALL,
        metadata=setting("searched: genes that switch an expert off by kind of modules", choices=(ALL, SEARCHED)),
    )
    weights: str = field(
        default=FREE, metadata=setting("a rule that gives all models' weights from a few genes", choices=RULES)
    )
    averaging: str = field(
        default="free", metadata=setting("fall of weights with age, where weights is trajectory", choices=AGES)
    )
    metrics: tuple[float, ...] = field(
        default=(),
        metadata=setting("each model's own score, higher ones better, where weights is metric", form="numbers"),
    )
    layers: str = field(
        default=KEPT,
        metadata=setting(
            "fewer layers: some are merged into the layer before them, or removed; or a path through the layers of the "
            "models: of few jumps, or data_flow with a gene for each layer",
            choices=(KEPT, MERGED, REMOVED, *PATHS),
        ),
    )
    fewer: tuple[float, ...] = field(
        default=(),
        metadata=setting(
            "fewest and most layers that go, [1,4]; none: one to a quarter of them", form="numbers", low=0
        ),
    )
    influence: tuple[float, ...] = field(
        default=(),
        metadata=setting(
            "block influence of each layer, as `evomerge layers` measures it: those with least go first in the "
            "search's first models",
            form="numbers",
        ),
    )
    through: str = field(
        default=MODELS,
        metadata=setting("what a path goes through: models as they are, their merge, or both", choices=THROUGH),
    )
    jumps: int = field(default=2, metadata=setting("jumps of a path, where layers is path", low=1))
    longest: int | None = field(
        default=None,
        metadata=setting("most layers of a path; none: half as many again as the deepest model", low=1),
    )
    repeats: int = field(default=2, metadata=setting("how often layers may come, where layers is data_flow", low=1))
    scales: str = field(
        default=SEARCHED, metadata=setting("scale of the hidden state at jumps of a path", choices=(SEARCHED, NONE))
    )
    outside: int | None = field(
        default=None,
        metadata=setting("place of the model with the embeddings and head of all paths, from 0; none: a gene", low=0),
    )
    searched: tuple[str, ...] = field(
        default=(), metadata=setting("numbers of recipe= that are searched: [weight,'density@mlp']; none: all")
    )

    @property
    def merges(self) -> bool:
        """Whether models are merged, so that there are coefficients; paths may take layers as they are."""
        return self.layers not in PATHS or self.through != MODELS

    def of_round(self, number: int, count: int) -> GenomeSettings:
        """The settings of one round of a search: of several, paths are those of the last, after merges.

        Args:
            number: Of the round, from 1.
            count: Number of rounds.
        """
        if count == 1 or self.layers not in PATHS:
            return self
        plain = GenomeSettings()
        if number < count:
            return replace(self, layers=KEPT, **{name: getattr(plain, name) for name in _OF_PATHS})
        return self if self.merges else replace(self, **{name: getattr(plain, name) for name in OF_WEIGHTS})

    def problems(self) -> Iterator[str]:
        """Says what is wrong with the settings by themselves, before any model or method is known."""
        yield from settings.problems(self, "genome.")
        for kind in self.own_groups:
            if kind not in MODULE_KINDS:
                kinds = ", ".join(MODULE_KINDS)
                yield f"genome.own_groups names {kind!r}; expected one of {kinds}{suggest(kind, MODULE_KINDS)}"
        if self.filters and self.split_kinds:
            yield "genome.filters and genome.split_kinds both divide layers into parts; choose one of them"
        if self.weights != FREE:
            yield from self._rule_problems()
        yield from self._depth_problems()
        for part in sorted({part for part in self.filters if self.filters.count(part) > 1}):
            yield f"genome.filters names {part!r} twice"

    def _depth_problems(self) -> Iterator[str]:
        if self.layers not in (MERGED, REMOVED) and (self.fewer or self.influence):
            yield "genome.fewer and genome.influence say which layers go; write genome.layers=merged or removed"
        paths = [name for name in _OF_PATHS if getattr(self, name) != getattr(type(self), name)]
        if self.layers not in PATHS and paths:
            yield f"genome.{' and genome.'.join(paths)} shape a path; write genome.layers=path or data_flow"
        for name, other in (("jumps", PATHS[0]), ("repeats", PATHS[1])):
            if self.layers in PATHS and name in paths and self.layers != other:
                yield f"genome.{name} belongs to genome.layers={other}, but genome.layers is {self.layers}"
        if self.fewer and (len(self.fewer) > 2 or any(n != int(n) for n in self.fewer) or self.fewer[-1] < 1):
            yield f"genome.fewer is {list(self.fewer)}; expected two whole numbers, the fewest and the most"
        elif list(self.fewer) != sorted(self.fewer):
            yield f"genome.fewer is {list(self.fewer)}; expected the smaller number first"

    def _rule_problems(self) -> Iterator[str]:
        rule = f"genome.weights={self.weights}"
        if self.modules == SEARCHED:
            yield f"{rule} gives every model its weight, so genome.modules=searched cannot take it out again"
        if WEIGHT in self.bounds or WEIGHT in self.shared:
            yield f"{rule} makes the weights, so genome.bounds and genome.shared have no use for {WEIGHT}"
        if self.weights == "metric" and not (self.metrics and min(self.metrics) > 0):
            yield f"{rule} needs genome.metrics=[...]: a positive score of each model, higher ones better"

    def to_json(self) -> dict[str, Any]:
        """The settings as a JSON object, for a run's manifest and identity; later ones if they say something."""
        plain = {entry.name for entry in fields(self) if getattr(self, entry.name) == entry.default}
        found = settings.as_json(self)
        return {name: value for name, value in found.items() if not (name in _LATER and name in plain)}
