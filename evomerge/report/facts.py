"""Facts of a run, gathered once; the page, the tables and the text are views of them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from evomerge.analysis import Interval
from evomerge.evaluation import SPLITS
from evomerge.report import caveats, costs
from evomerge.report.archive.competition import Competition, competition
from evomerge.report.archive.elites import Archive, archives
from evomerge.report.findings.genes import Genes, genes
from evomerge.report.findings.headline import headline, margin_words
from evomerge.report.findings.indicators import Indicators, by_split, examples, indicator_words
from evomerge.report.findings.preference import Written, read_preference
from evomerge.report.findings.procedure import Procedure, procedure
from evomerge.report.findings.scoring import scoring
from evomerge.report.findings.sentences import chosen_sentences, objective_sentence
from evomerge.report.findings.serving import Serving, serving, serving_words
from evomerge.report.members import Comparison, Member, choice, compare, front_members, n_comparisons
from evomerge.report.results import EXPERT, Results, model_label, short_name
from evomerge.report.samples import samples
from evomerge.report.trace import Trace, trace
from evomerge.report.wording import SPLIT_WORDS, count
from evomerge.store import RunStore

_UNKNOWN_FOLDER = "RUN_FOLDER"


@dataclass(frozen=True)
class Baseline:
    """The base, an expert, the uniform average or the tuned reference.

    Attributes:
        name: Its name in the records.
        short: Its name for people.
        kind: ``base``, ``expert``, ``uniform`` or ``tuned``.
        search: Objective label to score on the search split.
        selection: Objective label to score on the selection split; empty where nothing was compared there.
        test: Objective label to score on held-out items.
        versus_expert: Objective label to the comparison with the best expert there, but for that expert itself.
    """

    name: str
    short: str
    kind: str
    search: Mapping[str, Interval]
    selection: Mapping[str, Interval]
    test: Mapping[str, Interval]
    versus_expert: Mapping[str, Comparison]

    def scores(self, split: str) -> Mapping[str, Interval]:
        """Objective label to score on a split; empty when it was not asked there."""
        return {"search": self.search, "selection": self.selection, "test": self.test}[split]


class Facts:
    """A run's facts.

    Args:
        store: The run.
        prefer: Whom to choose instead of the knee, see :mod:`evomerge.report.findings.preference`; None is the knee.

    Attributes:
        results: The run's records.
        preference: The preference as it was read; None where there is none.
        members: Its front.
        baselines: Base, experts, uniform average and tuned reference.
    """

    def __init__(self, store: RunStore, prefer: Written | None = None) -> None:
        self.results = Results(store)
        self.preference = None if prefer is None else read_preference("prefer", prefer, self.results.objectives)
        self.members = front_members(self.results, self.preference)
        self.baselines = [self._baseline(name) for name in self.results.names]

    @property
    def manifest(self) -> dict[str, Any]:
        """The run's manifest."""
        return self.results.store.manifest

    @property
    def confirmed(self) -> list[Member]:
        """The members that were scored on held-out items."""
        return [member for member in self.members if member.test_scores]

    @cached_property
    def unit(self) -> dict[str, str]:
        """Objective label to the unit of its scores; empty where they have none."""
        return {o.label: self.results.unit(o) for o in self.results.objectives}

    @property
    def headline(self) -> str:
        """The sentence to take away."""
        return headline(self.results, self.members, self.preference is not None)

    @property
    def sentences(self) -> dict[str, str]:
        """Objective label to its findings on held-out items."""
        return {o.label: objective_sentence(self.results, self.members, o) for o in self.results.objectives}

    @cached_property
    def chosen(self) -> tuple[str, list[str]]:
        """The model that someone gets who asks for one: a title and sentences; none where none was compared."""
        knee = next((member.id for member in self.members if member.knee), "")
        return f"{self.knee}, {knee}", chosen_sentences(self.results, self.members)

    @property
    def findings(self) -> dict[str, list[str]]:
        """Title to findings: of the chosen model, then of each objective."""
        title, sentences = self.chosen
        return {title: sentences} | {label: [sentence] for label, sentence in self.sentences.items() if sentence}

    @cached_property
    def procedure(self) -> Procedure:
        """The yield of the choice by selection scores on fresh items, and how optimistic they are."""
        return procedure(self.results)

    @cached_property
    def trace(self) -> Trace:
        """Course of the search."""
        return trace(self.results)

    @cached_property
    def indicators(self) -> dict[str, Indicators]:
        """Split to indicators of the front there: of all feasible candidates, then of members by their own scores."""
        return by_split(self.results, self.members)

    @cached_property
    def genes(self) -> Genes | None:
        """Genes that search scores hang on; None of a run without scored candidates."""
        return genes(self.results)

    @property
    def indicator_note(self) -> str:
        """The points that indicators are measured from, in words; those of the scores that are shown first."""
        split = next((split for split in reversed(self.indicators)), None)
        return "" if split is None else indicator_words(self.results, self.indicators[split], split, self.unit)

    @property
    def preferring(self) -> tuple[str, str]:
        """Preferences as a person may write them: more of the first objective, and the best scores there are."""
        return examples(next(iter(self.indicators.values()), None), len(self.results.objectives))

    @cached_property
    def archives(self) -> list[Archive]:
        """Archives of elites, of a searcher that keeps some."""
        return archives(self.results)

    @cached_property
    def competition(self) -> Competition | None:
        """The archive of M2N2."""
        return competition(self.results)

    @cached_property
    def samples(self) -> dict[str, Any]:
        """Answers side by side."""
        return samples(self.results, self.members)

    @cached_property
    def costs(self) -> dict[str, Any]:
        """Seconds and items."""
        return costs.costs(self.results)

    @cached_property
    def serving(self) -> Serving | None:
        """How quantised scores agree with unquantised ones; None where nothing was quantised."""
        return serving(self.results)

    @cached_property
    def scoring(self) -> list[str]:
        """How candidates were scored, where they were quantised, or not all were asked every search item."""
        served = [] if self.serving is None else serving_words(self.serving, self.unit)
        return [*served, *scoring(self.results)]

    @cached_property
    def failures(self) -> list[dict[str, Any]]:
        """Failed evaluations by kind."""
        return costs.failures(self.results)

    @cached_property
    def warnings(self) -> list[str]:
        """Warnings to read before the numbers."""
        return caveats.warnings(self.results, self.members)

    @cached_property
    def optimism(self) -> dict[str, dict[str, tuple[float, float | None]]]:
        """Search and selection minus held-out scores, of the members and of the baselines."""
        return caveats.optimism(self.results, self.members)

    @cached_property
    def compared(self) -> int:
        """Number of candidates compared on the selection split; 0 where finalists were chosen by search scores."""
        return len({e.digest for e in self.results.store.evaluations("selection") if e.name is None})

    @property
    def asked(self) -> str:
        """The search items behind candidates' scores, in words."""
        return f"{'parts of ' if self.results.estimates else ''}{count(self.items('search'), 'search item')}"

    @property
    def margin(self) -> str:
        """How much worse than the best expert still counts as held, in words."""
        return margin_words(self.results)

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits whose scores are shown: without the selection split where nothing was compared on it."""
        return tuple(split for split in SPLITS if split != "selection" or self.compared)

    @property
    def knee(self) -> str:
        """The name for people of the chosen member: of a single objective that with the best score it is chosen by."""
        if self.preference is not None:
            return self.preference.words
        return "knee" if len(self.results.objectives) > 1 else f"best {SPLIT_WORDS[self.choice]} score"

    @property
    def choice(self) -> str:
        """The split by whose scores the chosen member is chosen."""
        return choice(self.members)[1]

    @property
    def recommended(self) -> int:
        """Number of candidates that the searcher recommended without having proposed them."""
        return sum(e.recommended for e in self.results.candidates)

    @property
    def shown(self) -> str:
        """The split whose scores are shown first: the one that had least part in choosing members."""
        if self.confirmed:
            return "test"
        return "selection" if any(member.selection_scores for member in self.members) else "search"

    @property
    def comparisons(self) -> int:
        """Number of comparisons that the marks were corrected for."""
        return n_comparisons(self.members)

    @property
    def intervals(self) -> str:
        """The words that say which intervals are shown."""
        clusters = " and count whole clusters of items that belong together" if self.results.clusters else ""
        return f"intervals are 95 %{clusters}"

    @property
    def failed(self) -> int:
        """Number of failed candidates."""
        return sum(e.error is not None for e in self.results.candidates)

    def items(self, split: str) -> int:
        """Number of items of a split that each model was asked, over all tasks."""
        return self.results.items(split)

    @property
    def command(self) -> str:
        """The command that repeats the run, or an empty string."""
        return shlex.join(str(word) for word in self.manifest.get("command") or ())

    @property
    def run_dir(self) -> str:
        """The run's folder as its command named it; the report does not depend on where the folder lies now."""
        words = [str(word) for word in self.manifest.get("command") or ()]
        given = [word.removeprefix("run_dir=") for word in words if word.startswith("run_dir=")]
        config = self.manifest.get("config") or {}
        return given[-1] if given else str(config.get("run_dir") or _UNKNOWN_FOLDER)

    def export_command(self, member: str) -> str:
        """The command that builds a member's model folder."""
        out = f"merged-{member}" if member != "ID" and ":" not in member else "FOLDER"
        return f"evomerge export {shlex.quote(f'run={self.run_dir}')} member={member} out={out}"

    @property
    def export_note(self) -> str:
        """A sentence on the run's folder in `export_command` where its command did not name one; else empty."""
        unknown = self.run_dir == _UNKNOWN_FOLDER
        return f"{_UNKNOWN_FOLDER} stands for the run's folder, in which this report was written." if unknown else ""

    @property
    def title(self) -> str:
        """Method and models, in a line."""
        method = (self.manifest.get("method") or {}).get("name", "merge")
        labels = [model_label(model) for model in self.manifest.get("models") or ()]
        return f"{method} of {', '.join(labels)}" if labels else str(method)

    def _baseline(self, name: str) -> Baseline:
        labels = [o.label for o in self.results.objectives]
        search, selection, on_test = (self.results.intervals(self.results.baseline(name, split)) for split in SPLITS)
        best = {label: self.results.best_expert(label, "test") for label in labels}
        against = {label: other for label, other in best.items() if other and other != name}
        test = self.results.baseline(name, "test")
        kind = "expert" if name.startswith(EXPERT) else "tuned" if name == self.results.tuned else name
        versus = compare(self.results, test, against)
        return Baseline(name, short_name(name), kind, search, selection, on_test, versus)
