"""The declaration of a searcher."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from evomerge import settings as declarations
from evomerge.errors import a_number
from evomerge.options import Option, problems, with_defaults
from evomerge.search.searchers._shared.protocol import Problem, Searcher
from evomerge.settings import setting

__all__ = ["ANY", "ONE", "SEVERAL", "SMALLEST_POPULATION", "SearcherSettings", "SearcherSpec"]

ONE: tuple[int, int | None] = (1, 1)
SEVERAL: tuple[int, int | None] = (2, None)
ANY: tuple[int, int | None] = (1, None)

POPULATION = 16
SMALLEST_POPULATION = 5  # differential evolution draws four members besides the target


def _names() -> tuple[str, ...]:
    from evomerge.search import searchers  # the registry, which imports this file

    return ("auto", *searchers.names())


@dataclass(frozen=True)
class SearcherSettings:
    """The user's choice of a searcher.

    Attributes:
        population: Genomes per batch; None for the searcher's default, which suits expensive evaluations.
        seed: Root of its random numbers, 0 or more.
        options: Option to value; options left out have their defaults.
        name: Name of the searcher; ``auto`` only before it is known how many objectives there are.
    """

    population: int | None = field(
        default=None,
        metadata=setting("candidates per batch; null: the algorithm's own number", low=SMALLEST_POPULATION),
    )
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict, metadata=setting("further settings of the algorithm"))
    name: str = field(default="auto", metadata=setting("the algorithm", choices=_names))


@dataclass(frozen=True)
class SearcherSpec:
    """One searcher, as its file declares it.

    Attributes:
        name: Its file's name.
        title: The algorithm with its paper, one line.
        objectives: Least and largest number of objectives; None for no limit.
        constraints: ``native`` if the algorithm handles ``G <= 0`` itself, ``penalty`` if infeasible values are
            replaced, ``none`` if it ignores them.
        handling: How constraints are handled, in a few words.
        make: Makes the searcher; the settings it gets are complete.
        options: Name to declaration.
        population: Default number of genomes per batch; None if it follows from the number of genes.
        partial: Whether some of an ask may be told before the rest, and more be asked meanwhile, as many as are wanted:
            what an asynchronous search needs.
        whole: Why it is not `partial`, in a clause for whoever wants an asynchronous search; empty where nothing more
            is to be said.
        retell: Whether a proposal may be told again with corrected values. A searcher that keeps candidates beyond a
            batch (`Selection.kept`) has to, or it compares values on different items.
        measures: Whether it needs measures (behaviour descriptors): it keeps an archive of elites over them, which is
            then the result of a search. With several objectives the measures are these, in their order.
        recipes: Whether it proposes recipes made of the experts of the problem's pool, not genomes. The search's
            genome then only says what is frozen and fixed.
        items: Whether it needs the scores of single items: candidates are then asked all of them.
        stochastic: Whether its seed matters.
        library: A library that it stands on and that evomerge does not require, which its extra of that name installs.
    """

    name: str
    title: str
    objectives: tuple[int, int | None]
    constraints: Literal["native", "penalty", "none"]
    handling: str
    make: Callable[[Problem, SearcherSettings], Searcher]
    options: Mapping[str, Option] = field(default_factory=dict)
    population: int | None = POPULATION
    partial: bool = False
    whole: str = ""
    retell: bool = False
    measures: bool = False
    recipes: bool = False
    items: bool = False
    stochastic: bool = True
    library: str | None = None

    def fits(self, n_obj: int) -> bool:
        """Whether it takes this number of objectives."""
        least, most = self.objectives
        return least <= n_obj and (most is None or n_obj <= most)

    @property
    def objectives_text(self) -> str:
        """The number of objectives in words."""
        words = {ONE: "one objective", SEVERAL: "several objectives", ANY: "any number of objectives"}
        least, most = self.objectives
        others = f"{least} or more objectives" if most is None else f"{least} to {most} objectives"
        return words.get(self.objectives, f"{least} objectives" if most == least else others)

    def defaults(self) -> dict[str, Any]:
        """Name, population and options as they are where the user gives none."""
        return {"name": self.name, "population": self.population, "options": with_defaults(self.options, {})}

    def problems(self, settings: SearcherSettings) -> list[str]:
        """Problems of settings, one sentence each; or that the library it stands on is not installed."""
        if self.library is not None and importlib.util.find_spec(self.library) is None:
            remedy = f"pip install 'evomerge[{self.library}]'"
            return [f"searcher {self.name}: {self.library} is not installed; {remedy} installs it"]
        found = problems(f"searcher {self.name}", self.options, settings.options)
        found += declarations.problems(settings, f"searcher {self.name}: ")
        seed = settings.seed
        if not (_is_integer(seed) and seed >= 0):
            found.append(f"searcher {self.name}: seed is {seed!r}; expected {a_number(0, whole=True)}")
        return found

    def complete(self, settings: SearcherSettings) -> SearcherSettings:
        """The settings with every default filled in."""
        population = self.population if settings.population is None else settings.population
        return replace(settings, population=population, options=with_defaults(self.options, settings.options))


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
