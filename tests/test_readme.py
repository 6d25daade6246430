"""README and the guides say what is there: links, commands, keys, names and rooms."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from evomerge import executors
from evomerge.config import groups, schema
from evomerge.config.help import VERBS

ROOT = Path(__file__).parents[1]
GUIDES = [path for path in sorted((ROOT / "evomerge").glob("*/README.md")) if path.parent.name != "methods"]
PAGES = {
    path: path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *GUIDES, ROOT / "results" / "README.md")
}
TEXT = PAGES[ROOT / "README.md"]
MAP = TEXT.split("## The map")[1].split("\n## ")[0]
CODE = [code for text in PAGES.values() for code in re.findall(r"`([^`\n]+)`", text)]


def anchors(text: str) -> set[str]:
    """The names that GitHub gives a page's headings."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", PAGES[page]) if "://" not in link]
    for link in links:
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), link


def test_every_guide_is_listed() -> None:
    listed = {(ROOT / link).resolve() for link in re.findall(r"^\| \[[^]]+\]\(([^)]+)\)", TEXT, re.MULTILINE)}
    assert listed == set(PAGES) - {ROOT / "README.md"}


def test_every_folder_of_results_is_in_the_table() -> None:
    listed = set(re.findall(r"\]\((\w+)/", PAGES[ROOT / "results" / "README.md"]))
    assert listed == {path.name for path in (ROOT / "results").iterdir() if path.is_dir()}


def test_the_first_two_commands_install_and_run_the_example_and_the_tests() -> None:
    blocks = re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)
    first, second = [line for block in blocks for line in block.splitlines()][:2]
    install = "python3 -m venv .venv && .venv/bin/pip install -c constraints.txt"
    assert first == f"{install} . && .venv/bin/evomerge"
    assert second == f"{install} -e '.[dev]' && .venv/bin/python -m pytest"


def test_every_room_is_on_the_map_with_a_sentence() -> None:
    rooms = {path.parent.name for path in (ROOT / "evomerge").glob("*/__init__.py")}
    assert set(re.findall(r"`evomerge/(\w+)`", MAP)) == rooms
    rows = [row for row in MAP.splitlines() if row.startswith("| `")]
    assert all(len(row.split("|")[2].split()) >= 3 for row in rows)


def test_keys_and_settings_that_are_named_exist() -> None:
    sections = schema.sections(schema.SEARCH)
    named = {word.split("=")[0] for word in CODE if re.fullmatch(r"[a-z_]+\.[a-z_]+(=\S*)?", word)}
    keys = {word for word in named if word.split(".")[0] in sections}
    assert keys
    assert not keys - set(schema.SEARCH)


def test_choices_that_are_listed_are_those_there_are() -> None:
    listed = dict(re.findall(r"`(\w+)=\{([\w,]+)\}`", TEXT))
    known = groups.groups()
    told = {group: set(names.split(",")) for group, names in listed.items()}
    assert told["genome"] == set(known["genome"])
    # A method or an executor that somebody adds is one file, and no line here.
    assert {"local", "processes", "recorded"} <= told["executor"] <= set(executors.names())


def test_every_verb_is_shown() -> None:
    blocks = "".join(re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL))
    shown = set(re.findall(r"^evomerge (\w+)", blocks, re.MULTILINE))
    assert shown == set(VERBS)
