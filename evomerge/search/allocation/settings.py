"""Settings of the allocation: which items a batch is asked, and which of its candidates are asked more of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from evomerge import settings as declarations
from evomerge.analysis import estimators
from evomerge.search.allocation import policies, races
from evomerge.settings import setting

__all__ = ["AUTO", "MEAN", "AllocationSettings"]

AUTO = "auto"
MEAN = "mean"
_FIXED = "fixed"
_FEW = 20  # items of a task that `auto` asks at first


def _policies() -> tuple[str, ...]:
    return AUTO, *policies.names()


@dataclass(frozen=True)
class AllocationSettings:
    """The user's choice of what candidates are asked.

    Attributes:
        policy: Name of the policy that chooses the items of a batch. ``auto`` is what `settled` makes of it, and
            ``fixed`` until then.
        items: Items of a task in a batch's window; None for all of the pool. The pool is what ``items_per_task`` says.
        options: Options of the policy; those left out have their defaults.
        growth: ``converging`` lets windows grow as candidates get more alike.
        race: Name of the race that decides which candidates are asked more items.
        rungs: Into how many nested parts a race divides a window at most, each three times as large.
        race_options: Options of the race.
        estimator: Name of the estimator that makes candidates comparable that were asked different items, in a batch
            and between batches.
        estimator_options: Options of the estimator.
        proxy: A smooth metric of items that ranks candidates of a batch where it agrees with an objective's metric over
            candidates; None for none. Constraints, promotion and reports look at the objective's alone.
        seed: Root of the random numbers of windows and races, 0 or more.
    """

    policy: str = field(
        default=AUTO,
        metadata=setting(
            "how the items of a batch are chosen; auto: informative ones, 20 and more of a task that has more, unless "
            "anything else of allocation is set",
            choices=_policies,
        ),
    )
    items: int | None = field(
        default=None, metadata=setting("items of a task that a batch is asked; null: all of items_per_task", low=1)
    )
    options: Mapping[str, Any] = field(default_factory=dict, metadata=setting("further settings of the policy"))
    growth: str = field(
        default="none",
        metadata=setting("converging: more items as candidates get more alike", choices=("none", "converging")),
    )
    race: str = field(
        default="none", metadata=setting("which candidates of a batch are asked more items", choices=races.names)
    )
    rungs: int = field(
        default=3, metadata=setting("nested parts of a race's items, each three times as large", low=1, high=8)
    )
    race_options: Mapping[str, Any] = field(default_factory=dict, metadata=setting("further settings of the race"))
    estimator: str = field(
        default=MEAN,
        metadata=setting("by which candidates that were asked different items compare", choices=estimators.names),
    )
    estimator_options: Mapping[str, Any] = field(
        default_factory=dict, metadata=setting("further settings of the estimator")
    )
    proxy: str | None = field(
        default=None,
        metadata=setting("a smooth metric, such as gold_logprob, that ranks where it agrees with the objective's"),
    )
    seed: int = 0

    @property
    def plain(self) -> bool:
        """Whether every candidate is asked all items of the pool, once."""
        return self.race == "none" and self.acting == _FIXED and self.items is None and self.proxy is None

    @property
    def acting(self) -> str:
        """Name of the policy; ``fixed`` for an ``auto`` that is not settled."""
        return _FIXED if self.policy == AUTO else self.policy

    def settled(self, pools: Iterable[int]) -> AllocationSettings:
        """The settings with a policy that is known.

        Where nothing is set, a batch is asked the items that tell candidates apart: of the presets that were compared
        at an equal budget of answers it gave the best models.

        Args:
            pools: How many items may be asked of each task.
        """
        if self.policy != AUTO:
            return self
        if self == AllocationSettings(seed=self.seed) and max(pools, default=0) > _FEW:
            return replace(self, policy="informative", items=_FEW, growth="converging")
        return replace(self, policy=_FIXED)

    def problems(self, prefix: str = "allocation.") -> list[str]:
        """Problems of the settings, one sentence each.

        Args:
            prefix: Put before each name.
        """
        found = declarations.problems(self, prefix)
        if found:
            return found
        found += [f"{prefix}options: {problem}" for problem in policies.load(self.acting).problems(self.options)]
        found += [f"{prefix}race_options: {problem}" for problem in races.load(self.race).problems(self.race_options)]
        estimator = estimators.load(self.estimator)
        options = estimator.problems(self.estimator_options)
        if self.estimator == MEAN and self.estimator_options and not options:
            options = ["the mean is taken over a batch's own items, and has no options here; leave them out"]
        found += [f"{prefix}estimator_options: {problem}" for problem in options]
        if self.growth != "none" and self.items is None:
            found.append(f"{prefix}growth: windows can grow only from a number; set {prefix}items")
        if self.plain and self.estimator != MEAN:
            found.append(
                f"{prefix}estimator: {self.estimator} has nothing to estimate where everyone is asked everything; set "
                f"{prefix}items, a policy or a race"
            )
        if self.proxy is not None and estimator.unit:
            found.append(
                f"{prefix}estimator: {self.estimator} needs answers between 0 and 1, which a proxy's are not; leave "
                f"{prefix}proxy out, or choose another estimator"
            )
        if self.items is None and policies.load(self.acting).chooses:
            found.append(f"{prefix}policy: {self.policy} chooses among items; say how many, {prefix}items=20")
        return found

    def _estimator_options(self) -> dict[str, Any]:
        return estimators.load(self.estimator).complete(self.estimator_options)

    def identity(self) -> dict[str, Any]:
        """The part of a run's identity; empty where all is as runs had it before there was a choice."""
        if self.plain:
            return {}
        policy, race = policies.load(self.acting), races.load(self.race)
        return {
            "policy": {"name": self.acting, **policy.complete(self.options)},
            "items": self.items,
            "growth": self.growth,
            "race": {"name": self.race, **({"rungs": self.rungs} if self.race != "none" else {})}
            | race.complete(self.race_options),
            "estimator": self.estimator,
            **({"estimator_options": own} if self.estimator != MEAN and (own := self._estimator_options()) else {}),
            "proxy": self.proxy,
        }
