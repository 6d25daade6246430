"""Declaration of a transformation: what goes in, what comes out, and the function in between."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from evomerge.checkpoints import CheckpointSource
from evomerge.merging import LiveModel
from evomerge.options import Option, RecipeOptions

Options = Mapping[str, Any]
Arrays = Callable[[str], torch.Tensor | None]
"""A statistic of one expert: the array of a tensor by its name on disk, None where it has none."""


@dataclass(frozen=True)
class Work:
    """All that a transformation gets.

    Attributes:
        base: The base, where one is given.
        experts: The experts, in the base's form, or the first expert's.
        labels: Their names.
        texts: Token ids of each expert's own texts; empty where the transformation reads none.
        options: Its options, resolved.
        load: Loads the model that weights are written into: the reference, which is the base, else the first expert.
        statistics: Statistic to its arrays, of each expert.
        transposed: Names of matrices that lie on disk as (inputs, outputs).
        gram_limit: Most inputs of a matrix whose inner products are all used; None: of any.
        say: Told of progress.
    """

    base: CheckpointSource | None
    experts: Sequence[CheckpointSource]
    labels: Sequence[str]
    texts: Sequence[Sequence[Sequence[int]]]
    options: Options
    load: Callable[[], LiveModel]
    statistics: Mapping[str, Sequence[Arrays]] = field(default_factory=dict)
    transposed: Collection[str] = frozenset()
    gram_limit: int | None = None
    say: Callable[[str], None] = lambda _: None

    @property
    def reference(self) -> CheckpointSource:
        """Whose names, config and tokenizer the result has."""
        return self.experts[0] if self.base is None else self.base


@dataclass(frozen=True)
class Made:
    """One model that came out.

    Attributes:
        label: Name of its folder among several; that of the transformation where it makes one model.
        template: The checkpoint whose files it gets, and all tensors that are not changed.
        changed: Name on disk to new values.
        config: Fields of ``config.json`` that are others than the template's.
        notes: What people should know.
    """

    label: str
    template: CheckpointSource
    changed: Mapping[str, torch.Tensor]
    config: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cost:
    """Prediction of a transformation's work, the collecting of its statistics apart.

    Attributes:
        passes: How often all texts go through a model.
        operations: Floating-point operations of matrix products.
        memory: Most bytes at one time, beside the program and the files of models and statistics, which are mapped.
        at_most: Whether the operations are a bound, as where iterations end when they converge.
    """

    passes: int
    operations: float
    memory: int
    at_most: bool = False


@dataclass(frozen=True)
class Transform(RecipeOptions, sort="transform"):
    """Declares one transformation.

    Attributes:
        name: Its name and that of its file.
        summary: One sentence for people.
        paper: Whose idea it is.
        make: ``make(work)`` gives the models that come out; none where there is nothing to gain.
        cost: ``cost(work)`` predicts the work from headers and texts; nothing is loaded, and no statistic is there.
        models: Fewest and most experts; None is any number.
        texts: Whether it reads each expert's own texts, or none.
        several: Whether it makes a model of each expert, rather than one of all.
        statistics: Names of the statistics of each expert that it reads.
        options: The options it takes.
        agrees_with: Whose results it is compared with.
    """

    name: str
    summary: str
    paper: str
    make: Callable[[Work], Iterator[Made]]
    cost: Callable[[Work], Cost]
    models: tuple[int, int | None] = (2, None)
    texts: Literal["own", "none"] = "own"
    several: bool = False
    statistics: tuple[str, ...] = ()
    options: Mapping[str, Option] = field(default_factory=dict)
    agrees_with: str = ""
