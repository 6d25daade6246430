"""The page in a real browser, on a desk and in a hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.report.browser import Browser, program
from tests.report.scenarios import EVERY

pytestmark = pytest.mark.browser
RunOf = Callable[[str], Path]
CHOSEN = "document.querySelector('#chosen h3').textContent"
FOCUSED = "document.activeElement.dataset.member || document.activeElement.id || document.activeElement.tagName"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    executable = program()
    assert executable is not None
    with Browser(executable) as started:
        yield started


@pytest.mark.parametrize("width", [390, 1366])
@pytest.mark.parametrize("name", EVERY)
def test_no_error_no_request_no_overflow(browser: Browser, run_of: RunOf, name: str, width: int) -> None:
    address = (run_of(name) / "report.html").as_uri()
    browser.open(address, width, 900, dark=name == "three")
    assert browser.run("document.documentElement.scrollWidth") <= width
    # What sticks out of the page outside a box that scrolls would be cut off.
    out = browser.run(
        "[...document.querySelectorAll('main *, header *')].filter((e) => !e.closest('.scroll, thead, title')"
        f" && e.getBoundingClientRect().right > {width} + 1).map((e) => e.outerHTML.slice(0, 120)).slice(0, 3)"
    )
    assert out == []
    assert browser.errors == []
    assert [url for url in browser.requests if not url.startswith("data:")] == [address]


@pytest.mark.parametrize(
    ("name", "width"), [("two", 1366), ("three", 390), ("single", 390), ("mixed", 1366), ("hostile", 390)]
)
def test_the_page_over_a_sweep(browser: Browser, sweep_of: RunOf, name: str, width: int) -> None:
    address = (sweep_of(name) / "report.html").as_uri()
    browser.open(address, width, 900, dark=name == "three")
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.run("document.title") != "owned"
    plots = browser.run(
        "[...document.querySelectorAll('.plot, .multiples')].map((e) => e.querySelectorAll('svg').length)"
    )
    assert plots
    assert min(plots) > 0
    assert browser.run("[...document.querySelectorAll('svg[role=img]')].every((e) => e.getAttribute('aria-label'))")
    # Only the runs that a button of the legend names stay as they are.
    browser.run("document.querySelector('.light').click()")
    assert browser.run("document.activeElement.getAttribute('aria-pressed')") == "true"
    browser.run("document.querySelector('input[value=search]').click()")
    assert browser.run("document.querySelector('.plot .ground').classList.contains('search')")
    assert browser.errors == []
    assert [url for url in browser.requests if not url.startswith("data:")] == [address]


def test_hostile_text_runs_nothing(browser: Browser, run_of: RunOf) -> None:
    browser.open((run_of("hostile") / "report.html").as_uri(), 1366, 900)
    assert browser.run("document.title") != "owned"
    assert browser.run("document.querySelectorAll('img').length") == 0
    assert browser.run("document.querySelectorAll('script').length") == 2


@pytest.mark.parametrize("width", [390, 1366])
@pytest.mark.parametrize("name", ["two", "three", "single"])
def test_members_are_reached_by_keyboard(browser: Browser, run_of: RunOf, name: str, width: int) -> None:
    browser.open((run_of(name) / "report.html").as_uri(), width, 900)
    inside = "document.activeElement.matches('#front-plot [role=radio]')"
    for _ in range(40):
        browser.press("Tab")
        if browser.run(inside):
            break
    assert browser.run(inside)
    assert browser.run(FOCUSED) == browser.run(CHOSEN)
    total = browser.run("document.querySelectorAll('#front-plot [role=radio]').length")
    assert browser.run("document.querySelectorAll('#front-plot [role=radio][tabindex=\"0\"]').length") == 1
    browser.press("Home")
    seen = [browser.run(CHOSEN)]
    for _ in range(total - 1):
        browser.press("ArrowRight")
        assert browser.run(FOCUSED) == browser.run(CHOSEN)
        assert browser.run("document.activeElement.getAttribute('aria-checked')") == "true"
        seen.append(browser.run(CHOSEN))
    assert len(set(seen)) == total
    assert not browser.run("document.querySelector('.tip').hidden")
    label = browser.run("document.activeElement.getAttribute('aria-label')")
    assert label.startswith(f"Member {seen[-1]}")
    browser.press("Tab")
    assert not browser.run(inside)  # one Tab leaves the group
    assert browser.errors == []


def test_the_table_chooses_a_member_everywhere(browser: Browser, run_of: RunOf) -> None:
    browser.open((run_of("two") / "report.html").as_uri(), 1366, 900)
    chosen = browser.run(CHOSEN)
    every = browser.run("[...document.querySelectorAll('.pick')].map((b) => b.dataset.member)")
    other = next(m for m in every if m != chosen)
    browser.run(f"document.querySelector('.pick[data-member=\"{other}\"]').focus()")
    before = browser.run("document.getElementById('heat').innerHTML")
    browser.press("Enter")
    assert browser.run(CHOSEN) == other
    assert browser.run("document.querySelector('.pick[aria-pressed=true]').dataset.member") == other
    assert browser.run("document.querySelector('tr.chosen-row').dataset.row") == other
    assert f"member={other} " in browser.run("document.getElementById('export').textContent")
    assert browser.run("document.querySelector('.member-select').value") == other
    assert browser.run("document.getElementById('sample-member').value") == other
    assert browser.run("document.getElementById('heat').innerHTML") != before


def test_search_and_held_out_scores_are_never_in_one_plot(browser: Browser, run_of: RunOf) -> None:
    browser.open((run_of("two") / "report.html").as_uri(), 1366, 900)
    labels = (
        "[...document.querySelectorAll('#front-plot [role=radio]')].map((m) => m.getAttribute('aria-label')).join()"
    )
    held_out = browser.run(labels)
    assert browser.run("document.querySelectorAll('#front-plot .stamp').length") == 0
    assert browser.run("document.querySelectorAll('#front-plot .cloud').length") == 0
    assert browser.run("document.querySelectorAll('#front-plot .whisker').length") > 0
    browser.run("document.querySelector('input[value=search]').click()")
    assert browser.run(labels) != held_out
    assert "optimistic" in browser.run("document.querySelector('#front-plot .stamp').textContent")
    assert browser.run("document.querySelectorAll('#front-plot .cloud').length") > 0
    assert "Search scores" in browser.run("document.getElementById('front-caption').textContent")


@pytest.mark.parametrize("name", ["single", "three"])
def test_selection_scores_have_a_plot_of_their_own(browser: Browser, run_of: RunOf, name: str) -> None:
    browser.open((run_of(name) / "report.html").as_uri(), 1366, 900)
    labels = (
        "[...document.querySelectorAll('#front-plot [role=radio]')].map((m) => m.getAttribute('aria-label')).join()"
    )
    held_out = browser.run(labels)
    browser.run("document.querySelector('input[value=selection]').click()")
    assert browser.run(labels) != held_out
    assert "finalists were chosen by them" in browser.run("document.querySelector('#front-plot .stamp').textContent")
    assert browser.run("document.querySelectorAll('#front-plot .cloud').length") == 0
    assert browser.run("document.querySelectorAll('#front-plot .wins').length") == 0
    assert browser.run("document.querySelectorAll('#front-plot .whisker').length") > 0
    caption = browser.run("document.getElementById('front-caption').textContent")
    assert caption.startswith("Selection scores")
    assert ("not compared on selection items" in caption) == (name == "three")
    if name == "three":
        assert browser.run("document.getElementById('parallel-caption').textContent").startswith("Selection scores")
        assert "finalists were chosen by them" in browser.run("document.querySelector('#parallel .stamp').textContent")
    assert "on selection items" in browser.run("document.getElementById('chosen').textContent")
    assert browser.errors == []


def test_axes_of_three_objectives_can_be_chosen(browser: Browser, run_of: RunOf) -> None:
    browser.open((run_of("three") / "report.html").as_uri(), 1366, 900)
    assert browser.run("document.querySelectorAll('#parallel .parallel-line').length") == 14
    browser.run("document.getElementById('axis-y').value = '2'")
    browser.run("document.getElementById('axis-y').dispatchEvent(new Event('change'))")
    assert "wiki_made.perplexity" in browser.run("document.querySelector('#front-plot svg').textContent")
    assert browser.errors == []


def test_the_page_follows_its_width(browser: Browser, run_of: RunOf) -> None:
    browser.open((run_of("two") / "report.html").as_uri(), 1366, 900)
    wide = browser.run("document.querySelector('#front-plot svg').getAttribute('width')")
    browser.call("Emulation.setDeviceMetricsOverride", width=420, height=900, deviceScaleFactor=1, mobile=False)
    browser.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert int(browser.run("document.querySelector('#front-plot svg').getAttribute('width')")) < int(wide)
    assert browser.run("document.documentElement.scrollWidth") <= 420


def test_a_long_table_is_folded_until_asked_for(browser: Browser, run_of: RunOf) -> None:
    browser.open((run_of("many") / "report.html").as_uri(), 390, 900)
    shown = "[...document.querySelectorAll('[data-row]')].filter((r) => r.offsetHeight > 0).length"
    total = browser.run("document.querySelectorAll('[data-row]').length")
    assert total >= 60
    assert browser.run(shown) <= 17
    browser.run("[...document.querySelectorAll('button')].find((b) => b.textContent.startsWith('Show all')).click()")
    assert browser.run(shown) == total


def test_samples_page_through_differences(browser: Browser, run_of: RunOf) -> None:
    browser.open((run_of("two") / "report.html").as_uri(), 390, 900)
    first = browser.run("document.querySelector('.sample .question').textContent")
    assert browser.run("document.querySelectorAll('.sample').length") == 3
    assert browser.run("document.querySelectorAll('.sample .right, .sample .wrong').length") == 9  # three models each
    browser.run("document.getElementById('sample-next').click()")
    assert browser.run("document.querySelector('.sample .question').textContent") != first
    assert browser.errors == []
