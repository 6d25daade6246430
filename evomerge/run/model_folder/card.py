"""The model card of an exported merge: parents, method, licence, held-out scores, recipe."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from evomerge.evaluation import Response
from evomerge.merging import Entry
from evomerge.recipe import AdapterRef, ModelRef, Recipe, values_of
from evomerge.report.markdown import code
from evomerge.run.evaluate import interval_of
from evomerge.run.paths import is_hub_id


@dataclass(frozen=True)
class Measured:
    """Scores on held-out items.

    Attributes:
        rows: Rows of the score table: ``metric``, then one value per model. Empty if only the search's own items
            were asked.
        items: Task to number of held-out items.
        quantised: How weights were rounded for the scores; empty where they were not.
    """

    rows: tuple[Mapping[str, str], ...] = ()
    items: Mapping[str, int] | None = None
    quantised: str = ""


def measured(
    columns: Mapping[str, tuple[Mapping[str, float], Sequence[Response]]], clusters: Mapping[str, str]
) -> Measured:
    """Makes the card's table.

    Args:
        columns: Model name to its metrics and its answers; the first is the model of the card.
        clusters: Cluster of each item that belongs to one.
    """
    metrics, answers = next(iter(columns.values()))
    rows = [
        {"metric": key} | {name: _score(key, scores, given, clusters) for name, (scores, given) in columns.items()}
        for key in metrics
    ]
    return Measured(tuple(rows), dict(Counter(answer.task for answer in answers)))


def _score(key: str, metrics: Mapping[str, float], answers: Sequence[Response], clusters: Mapping[str, str]) -> str:
    """A score with its standard error, where it is a mean over items."""
    if key not in metrics:
        return ""
    found = interval_of(key, metrics[key], answers, clusters)
    return f"{metrics[key]:.4f}" if found is None else f"{metrics[key]:.4f} ± {found.se:.4f}"


def uncited(recipe: Recipe) -> list[str]:
    """Warns of parents that a card can only name by their folder, not by a hub id that readers could find."""
    names = [parent.label for parent in _parents(recipe) if _hub_id(parent) is None]
    if not names:
        return []
    return [
        f"no hub id is known of {', '.join(names)}, so the card's base_model names the folder alone; write it in "
        "before publishing, or name models as {source: FOLDER, hub_id: ORG/NAME}"
    ]


def licence_of(folder: Path) -> str | None:
    """The licence a checkpoint's own card states, or None when it states none."""
    card = folder / "README.md"
    if not card.is_file():
        return None
    text = card.read_text(encoding="utf-8", errors="replace")
    if not text.startswith("---"):
        return None
    try:
        header = yaml.safe_load(text.split("---", 2)[1])
    except Exception:  # YAML's own errors and whatever a value raises, such as a date without its month
        return None
    licence = header.get("license") if isinstance(header, dict) else None
    return str(licence) if licence else None


def inherited_licence(licences: Mapping[str, str | None]) -> tuple[str | None, list[str]]:
    """The licence a merge inherits from its parents.

    Args:
        licences: Parent label to licence, None where unknown.

    Returns:
        The licence if all parents share one, and warnings where a person has to decide.
    """
    known = {licence for licence in licences.values() if licence}
    unknown = sorted(label for label, licence in licences.items() if not licence)
    warnings = []
    if unknown:
        warnings.append(f"no licence is stated by {', '.join(unknown)}; find out before publishing the merge")
    if len(known) > 1:
        stated = ", ".join(f"{label}: {licence}" for label, licence in sorted(licences.items()) if licence)
        warnings.append(f"the parents' licences differ ({stated}); the merge must satisfy all of them")
    return (known.pop() if len(known) == 1 and not unknown else None), warnings


def model_card(
    title: str,
    recipe: Recipe,
    licences: Mapping[str, str | None],
    scores: Measured | None = None,
    tensors: Sequence[Entry] = (),
) -> str:
    """Writes the card. It names parents by hub id or by the last part of their folder: paths are nobody's business.

    Args:
        title: Heading.
        recipe: What was built.
        licences: Parent label to licence.
        scores: What the search that found the recipe measured; None if it was only built.
        tensors: The account of the merge.
    """
    parents = _parents(recipe)
    _, warnings = inherited_licence(licences)
    lines = [card_header(title, parents, licences)]
    origin = "built with evomerge" if scores is None else "found and checked with evomerge"
    count = f"{len(recipe.sources)} model{'s' if len(recipe.sources) != 1 else ''}"
    lines += [f"A merge of {count} by `{recipe.method}`, {origin}.", ""]
    lines += ["## Parents", ""]
    for parent in parents:
        role = "base" if parent == recipe.base else "merged"
        if isinstance(parent, AdapterRef):
            role = f"LoRA adapter on {code(parent.on.label)}"
        stated = _plain(licences.get(parent.label) or "not stated")
        weights = f", weights sha256 `{parent.fingerprint[:16]}`" if parent.fingerprint else ""
        hub_id = _hub_id(parent)
        cited = f", {code(hub_id)}" if hub_id else ""
        lines.append(f"- {code(parent.label)}{cited} ({role}; licence: {stated}{weights})")
    lines += [""] + [f"> **Licence:** {_plain(warning)}." for warning in warnings] + ([""] if warnings else [])
    if scores is not None and scores.rows:
        asked = ", ".join(f"{count} of {_plain(task)}" for task, count in (scores.items or {}).items())
        lines += ["## Held-out scores", "", *_table(scores.rows), ""]
        lines += [f"Measured on items that the search never asked: {asked}. ± is one standard error over items.", ""]
        if scores.quantised:
            told = f"All of them were scored with weights rounded as {scores.quantised} weight-only quantisation does; "
            lines += [f"{told}the weights here are not quantised.", ""]
    lines += _tensors(tensors)
    lines += ["## Recipe", "", *_recipe(recipe), ""]
    return "\n".join(lines)


def card_header(title: str, parents: Sequence[ModelRef], licences: Mapping[str, str | None]) -> str:
    """The beginning of a card: what hubs read of it, and the heading.

    Args:
        title: Heading; of a path the last part.
        parents: The models that it is made of.
        licences: Parent label to licence.
    """
    licence, _ = inherited_licence(licences)
    header: dict[str, Any] = {
        "base_model": [_hub_id(parent) or parent.label for parent in parents],
        "base_model_relation": "merge",
        "library_name": "transformers",
        "tags": ["merge", "evomerge"],
    }
    if licence:
        header["license"] = licence
    text = yaml.safe_dump(header, sort_keys=False, allow_unicode=True).rstrip()
    return f"---\n{text}\n---\n\n# {_plain(Path(title).name)}\n"


def _plain(text: str) -> str:
    """A name from anywhere on one line, without what Markdown or HTML would read as markup."""
    return re.sub(r"([\\`<>|\[\]])", r"\\\1", " ".join(text.split()))


def _tensors(entries: Sequence[Entry]) -> list[str]:
    """The account of a merge, with every tensor that was not merged by name; nothing where all were."""
    if all(entry.what == "merged" for entry in entries):
        return []
    return ["## Tensors", "", *(f"- {_plain(entry.line(shown=None))}" for entry in entries), ""]


def _hub_id(ref: ModelRef) -> str | None:
    return ref.hub_id or (ref.source if is_hub_id(ref.source) else None)


def _parents(recipe: Recipe) -> list[ModelRef]:
    return list(recipe.references)


def _table(rows: Sequence[Mapping[str, str]]) -> list[str]:
    columns = list(rows[0])
    lines = ["| " + " | ".join(map(_plain, columns)) + " |", "|" + " --- |" * len(columns)]
    for row in rows:
        lines.append("| " + " | ".join(map(_plain, row.values())) + " |")
    return lines


def _options(options: Mapping[str, Any]) -> str:
    return ", ".join(_plain(f"{key}={value}") for key, value in options.items()) or "none"


def _recipe(recipe: Recipe) -> list[str]:
    steps = [f"`{step.name}` (options: {_options(step.options)})" for step in recipe.post]
    after = f"; then on the merged delta {', '.join(steps)}" if steps else ""
    lines = [
        f"Method `{recipe.method}`, options: {_options(recipe.options)}{after}; computed in float32 from "
        f"{recipe.dtype} inputs, stored as {recipe.out_dtype}; digest `{recipe.digest[:16]}`. The whole recipe is in "
        "`recipe.json`.",
        "",
    ]
    labels = [_plain(model.label) for model in recipe.sources]
    if recipe.slots > len(labels):
        labels = [f"input {slot}" for slot in range(recipe.slots)]
    for name, values in values_of(recipe).items():
        heads = labels if values.ndim == 2 else [name]
        lines += [f"`{name}` by group:", "", "| group | " + " | ".join(heads) + " |", "|" + " --- |" * (len(heads) + 1)]
        for group, row in zip(recipe.groups.groups, values.reshape(len(values), -1), strict=True):
            cells = ["frozen"] * len(heads) if group.frozen else [f"{value:.4f}" for value in row]
            lines.append(f"| {_plain(group.label)} | " + " | ".join(cells) + " |")
        lines.append("")
    return lines
