"""Procedures of a search: which items its candidates are asked, how they are judged, and which one is returned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["PEERS", "PROCEDURES", "Procedure"]


@dataclass(frozen=True)
class Procedure:
    """One way to spend a budget of items.

    Attributes:
        label: Its name in tables.
        policy: Chooses the window of each batch; ``independent``: every candidate has its own random items.
        race: Decides who of a batch is asked the rest of the window.
        growing: Whether windows grow as candidates get more alike.
        estimator: What candidates are judged by.
        outside: Whether the estimator knows the outside pool's answers to everything, at no cost.
        shrunk: Whether estimates are drawn towards those of their batch before the best is chosen.
        promoted: How many finalists are compared on further items, of which the best is asked others once more for its
            claim; a fifth of the budget is for that.
        ocba: Whether those that are hard to tell from the best are asked more of these.
        proxy: Whether candidates are judged by the log-probability of the right answer, finalists by right and wrong.
        options: Options of the policy.
    """

    label: str
    policy: str = "rotating"
    race: str = "none"
    growing: bool = False
    estimator: str = "mean"
    outside: bool = False
    shrunk: bool = True
    promoted: int = 0
    ocba: bool = False
    proxy: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)


# What mergekit-evolve and Mergenetic do: items drawn once, the plain mean or gmp-IRT, the best observed value returned.
PEERS = (
    Procedure("peers: fixed, mean, best observed", "fixed", shrunk=False),
    Procedure("peers: fixed, gmp-IRT, best observed", "fixed", estimator="gmp_irt", outside=True, shrunk=False),
)
PROCEDURES = (
    *PEERS,
    Procedure("independent, mean, best observed", "independent", shrunk=False),
    Procedure("rotating, mean, best observed", shrunk=False),
    Procedure("rotating, mean"),
    Procedure("rotating, control variate", estimator="control_variate"),
    Procedure("rotating, low rank", estimator="low_rank"),
    Procedure("rotating, posterior", estimator="posterior"),
    Procedure("rotating, posterior, outside pool", estimator="posterior", outside=True),
    Procedure("growing, posterior", growing=True, estimator="posterior"),
    Procedure("fixed, posterior", "fixed", estimator="posterior"),
    Procedure("stratified, mean", "stratified"),
    Procedure("stratified, posterior", "stratified", estimator="posterior"),
    Procedure("informative, mean", "informative"),
    Procedure("informative, posterior", "informative", estimator="posterior"),
    Procedure("disagreement, mean", "disagreement"),
    Procedure("rank preserving, mean", "rank_preserving"),
    Procedure("halving, mean", race="halving"),
    Procedure("cut, mean", race="cut"),
    Procedure("sequential, mean", race="sequential"),
    Procedure("Wilcoxon, mean", race="wilcoxon"),
    Procedure("cut, posterior", race="cut", estimator="posterior"),
    Procedure("fixed, mean, promoted", "fixed", promoted=5),
    Procedure("fixed, mean, promoted by OCBA", "fixed", promoted=5, ocba=True),
    Procedure("rotating, mean, promoted", promoted=5),
    Procedure("fixed, log-probability, promoted", "fixed", promoted=5, proxy=True),
    Procedure("rotating, log-probability, promoted", promoted=5, proxy=True),
    Procedure("rotating, posterior of log-probability, promoted", estimator="posterior", promoted=5, proxy=True),
    Procedure("rotating, posterior, promoted", estimator="posterior", promoted=5),
    Procedure("cut, posterior, promoted", race="cut", estimator="posterior", promoted=5),
)
