"""The round that a search is in, for who watches it, and the seconds that models of later rounds' elites take."""

from __future__ import annotations

from pathlib import Path

import pytest

from evomerge.evaluation import Ask, Evaluation
from evomerge.search import AtRound, Progress, RoundSettings
from evomerge.search.events import Phase, Round, Scored
from evomerge.search.progress import Watch
from evomerge.search.rounds.watched import RoundWatch
from evomerge.store import RunStore
from tests.search.analytic import in_rounds, plan
from tests.search.sessions import search, status

ROUNDS = RoundSettings(3, elites=2, evaluations=4)


class Clock:
    """Wall seconds that a test sets."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def elapsed(self) -> float:
        return self.seconds


def scored(place: int, merge: float = 1.0, *, fresh: bool = True) -> Scored:
    evaluation = Evaluation(f"{place}", {}, Ask("search", 1, place), metrics={"quiz.acc": 0.5})
    return Scored(evaluation, {"merge": merge, "score": 2.0}, fresh=fresh)


def test_a_round_has_its_share_and_the_last_what_is_left() -> None:
    watch = RoundWatch(ROUNDS)
    watch(Phase("baselines", 4))
    watch(scored(100))
    assert watch.now() is None
    watch(Phase("search", 10))
    assert watch.now() == AtRound(1, 3, 0, 4)
    for place in (0, 1, 1, 2, 3):  # one of them on two sets of items
        watch(scored(place))
    assert watch.now() == AtRound(1, 3, 4, 4)
    watch(Round(2, ("a", "b")))
    watch(scored(4))
    assert watch.now() == AtRound(2, 3, 1, 4)
    watch(Round(3, ("a", "b")))
    watch(scored(5))
    assert watch.now() == AtRound(3, 3, 1, 5)
    assert AtRound.of(AtRound(3, 3, 1, None).to_json()) == AtRound(3, 3, 1, None)
    watch(Phase("confirmation", 3))
    watch(scored(6))
    assert watch.now() == AtRound(3, 3, 1, 5), "as the search left it"


def test_models_of_elites_are_made_at_the_beginning_of_each_later_round() -> None:
    """Two elites in each of two rounds; by how much they delay candidates is known once some were made."""
    watch = RoundWatch(ROUNDS)
    watch(Phase("search", 12))
    assert watch.making() == (0.0, 0.0)
    watch(scored(0, merge=3.0))
    assert watch.making() == (0.0, (2 + 2) * 10 * 3.0)
    watch(Round(2, ("a", "b")))
    watch(scored(1, merge=3.0))
    watch(scored(2, merge=9.0))
    watch(scored(3, merge=7.0))
    assert watch.making() == (6.0, 2 * 3.0)
    again = RoundWatch(ROUNDS)
    again(Phase("search", 12))
    for event in (scored(0, fresh=False), Round(2, (), fresh=False), scored(1, fresh=False), scored(2, fresh=False)):
        again(event)
    again(scored(3, merge=3.0))
    assert again.making() == (0.0, 2 * 10 * 3.0), "an earlier session has made those of the second round"


def test_the_time_that_is_left_counts_models_of_elites() -> None:
    clock, said = Clock(), list[Progress]()
    watch = Watch(clock, ROUNDS, said.append)  # type: ignore[arg-type]
    watch(Phase("search", 12))
    for place in range(4):
        clock.seconds += 3.0
        watch(scored(place))
    assert said[-1].remaining == 8 * 3.0 + 2 * 2 * 10 * 1.0
    watch(Round(2, ("a", "b")))
    for place, longer in enumerate((2.0, 2.0, 0.0), 4):
        clock.seconds += 3.0 + longer
        watch(scored(place, 1.0 + longer))
    # Seconds of models that were made are none of the candidates', so the pace stays what it was.
    assert said[-1].remaining == pytest.approx(5 * 3.0 + 4.0)
    assert said[-1].round == AtRound(2, 3, 3, 4)


def test_a_search_says_its_round_while_it_runs_and_when_it_is_over(tmp_path: Path) -> None:
    work, said = in_rounds(plan("nsga2", evaluations=30, depth="linear"), 3, 11, elites=2), list[Progress]()
    search(tmp_path, work, progress=said.append)
    seen = [own.round for own in said if own.phase == "search" and own.round is not None]
    assert len(seen) == len([one for one in RunStore.read(tmp_path).evaluations("search") if one.batch])
    assert [(own.number, own.done) for own in seen] == [
        (number, done) for number, count in ((1, 11), (2, 11), (3, 8)) for done in range(1, count + 1)
    ]
    assert {(own.number, own.count, own.total) for own in seen} == {(1, 3, 11), (2, 3, 11), (3, 3, 8)}
    assert status(tmp_path)["round"] == {"number": 3, "count": 3, "done": 8, "total": 8}
    search(tmp_path / "alone", plan("nsga2", evaluations=8, depth="linear"), progress=said.append)
    assert said[-1].round is None
    assert "round" not in status(tmp_path / "alone")
