"""Family trees of members that are merged from other merges."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evomerge.recipe import Recipe
from evomerge.report import front_members
from evomerge.report.findings.family import ancestors, family
from evomerge.report.results import Results
from evomerge.store import RunStore
from tests.report.browser import Browser, program

RunOf = Callable[[str], Path]


def test_a_family_is_all_that_members_come_from(run_of: RunOf) -> None:
    results = Results(RunStore.read(run_of("bred")))
    members = front_members(results)
    relatives = family(results, members)
    assert {one.depth for one in relatives.values()} == {0, 1, 2, 3}
    member = next(one for one in members if relatives[one.digest].depth == 3)
    recipe = Recipe.from_json(member.recipe)
    own = relatives[member.digest]
    assert (own.name, own.batch, own.index) == (member.digest[:8], member.search.batch, member.search.index)
    assert own.scores == {label: score.mean for label, score in member.search_scores.items()}
    live = [row for row, group in enumerate(recipe.groups.groups) if not group.frozen]
    for place, (parent, source) in enumerate(zip(own.parents, recipe.sources, strict=True)):
        weights = recipe.coefficients["weight"][live, place]
        assert (parent.share, parent.low, parent.high) == pytest.approx((weights.mean(), weights.min(), weights.max()))
        assert isinstance(source, Recipe)
        assert parent.key == source.digest
        assert f"{parent.share:.3g} ({parent.low:.3g} to {parent.high:.3g}) of {source.digest[:8]}" in own.words(
            relatives
        )
    every = ancestors(relatives, member.digest)
    assert every[0] == member.digest
    assert len(every) == len(set(every))
    experts = [relatives[key] for key in every if relatives[key].depth == 0]
    assert {one.name for one in experts} == {Path(model["source"]).name for model in results.store.manifest["models"]}
    assert [one.name for one in experts if one.scores] == ["expert_l"], "as a baseline; the other's name is a path"


def test_the_tree_is_in_the_data_and_in_the_text(run_of: RunOf, front_of: Callable[[str], dict[str, Any]]) -> None:
    front = front_of("bred")
    found = front["family"]
    assert {member["digest"] for member in front["members"]} <= set(found)
    assert all(parent["model"] in found for one in found.values() for parent in one.get("merged_from", ()))
    text = (run_of("bred") / "report.md").read_text(encoding="utf-8")
    assert "## Family tree of member `" in text
    section = text.partition("## Family tree")[2].partition("\n## ")[0]
    assert "\\<img" in section
    assert "<" not in section.replace("\\<", "")
    assert "family" not in front_of("two")
    for name in ("report.md", "report.html"):
        assert "Family tree" not in (run_of("two") / name).read_text(encoding="utf-8").split("<script")[0]


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1366])
def test_the_tree_is_drawn_for_the_chosen_member(run_of: RunOf, width: int) -> None:
    results = Results(RunStore.read(run_of("bred")))
    members = front_members(results)
    relatives = family(results, members)
    executable = program()
    assert executable is not None
    with Browser(executable) as browser:
        browser.open((run_of("bred") / "report.html").as_uri(), width, 900)
        for member in members[:3]:
            browser.run(f"document.querySelector('.pick[data-member=\"{member.id}\"]').click()")
            drawn = ancestors(relatives, member.digest)
            assert browser.run("document.querySelectorAll('#family .relative').length") == len(drawn)
            lines = sum(len(relatives[key].parents) for key in drawn)
            assert browser.run("document.querySelectorAll('#family .kin').length") == lines
            listed = sum(bool(relatives[key].parents) for key in drawn)
            assert browser.run("document.querySelectorAll('#family li').length") == listed
            label = browser.run("document.querySelector('#family svg').getAttribute('aria-label')")
            assert (
                label == f"Family tree of member {member.id}: {len(drawn) - 1} ancestors; the list below says the same."
            )
            cells = browser.run("document.querySelector('#heat svg').textContent")
            sources = [source.label for source in Recipe.from_json(member.recipe).sources]
            assert sources[-1] in cells, "numbers stand beside what they are of"
        assert browser.run("document.title") != "owned"
        assert browser.run("document.querySelectorAll('img').length") == 0
        assert browser.errors == []
