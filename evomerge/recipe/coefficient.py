"""A number that a merge method, or a step after the merge, takes, and that a search may turn into genes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Coefficient:
    """Declares one coefficient of a merge method or of a step after the merge.

    Attributes:
        name: The field's name for it: ``weight``, ``density``, ``lambda``, ``t``.
        low: Lower default bound of the search.
        high: Upper default bound of the search.
        neutral: The value at which the coefficient has no effect of its own.
        per_model: Whether each merged model has its own value; otherwise one value is shared by all.
        simplex: Whether only the proportions between the models matter. The values are then non-negative and sum to
            one, and n models give n - 1 genes.
        searched: Whether it is searched unless the user says otherwise.
        minimum: Smallest value that has a meaning, or None.
        maximum: Largest value that has a meaning, or None.
        off: The value at which a model takes no part, so that alone it would leave the base as it is; None if there is
            none, as where the values of the other models then count for more.
        whole: Whether it says something of the whole model: a search has one value for all groups.
        doc: One sentence for people.
    """

    name: str
    low: float
    high: float
    neutral: float
    per_model: bool = True
    simplex: bool = False
    searched: bool = True
    minimum: float | None = None
    maximum: float | None = None
    doc: str = ""
    off: float | None = None
    whole: bool = False

    def __post_init__(self) -> None:
        """Refuses a declaration that contradicts itself."""
        if not self.low < self.high:
            raise ValueError(f"coefficient {self.name}: low {self.low} is not below high {self.high}")
        if self.simplex and not self.per_model:
            raise ValueError(f"coefficient {self.name}: a simplex lies over models, so it must be per model")
