"""The model card of an exported merge: parents, method, licence, held-out scores, recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from evomerge.recipe import CheckpointRef, Recipe


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
    except (yaml.YAMLError, IndexError):
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
    title: str, recipe: Recipe, licences: Mapping[str, str | None], scores: Sequence[Mapping[str, Any]], items: str = ""
) -> str:
    """Writes the card.

    Args:
        title: Heading.
        recipe: What was built.
        licences: Parent label to licence.
        scores: Rows of the score table: ``metric``, then one value per column.
        items: One sentence saying what the scores were measured on.
    """
    parents = _parents(recipe)
    licence, warnings = inherited_licence(licences)
    header: dict[str, Any] = {
        "base_model": [parent.hub_id or parent.source for parent in parents],
        "base_model_relation": "merge",
        "library_name": "transformers",
        "tags": ["merge", "evomerge"],
    }
    if licence:
        header["license"] = licence
    lines = ["---", yaml.safe_dump(header, sort_keys=False, allow_unicode=True).rstrip(), "---", "", f"# {title}", ""]
    lines += [
        f"A merge of {len(recipe.models)} model{'s' if len(recipe.models) != 1 else ''} by `{recipe.method}`, "
        "found and checked with evomerge.",
        "",
    ]
    lines += ["## Parents", ""]
    for parent in parents:
        role = "base" if parent == recipe.base else "merged"
        stated = licences.get(parent.label) or "not stated"
        weights = f", weights sha256 `{parent.fingerprint[:16]}`" if parent.fingerprint else ""
        lines.append(f"- `{parent.hub_id or parent.source}` ({role}; licence: {stated}{weights})")
    lines += [""] + [f"> **Licence:** {warning}." for warning in warnings] + ([""] if warnings else [])
    if scores:
        lines += ["## Held-out scores", "", *_table(scores), ""]
        if items:
            lines += [items, ""]
    lines += ["## Recipe", "", *_recipe(recipe), ""]
    return "\n".join(lines)


def _parents(recipe: Recipe) -> list[CheckpointRef]:
    parents = list(recipe.models)
    if recipe.base is not None and recipe.base not in parents:
        parents.insert(0, recipe.base)
    return parents


def _table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    columns = list(rows[0])
    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    for row in rows:
        cells = (f"{value:.4f}" if isinstance(value, float) else str(value) for value in row.values())
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _recipe(recipe: Recipe) -> list[str]:
    options = ", ".join(f"{key}={value}" for key, value in recipe.options.items()) or "none"
    lines = [
        f"Method `{recipe.method}`, options: {options}; computed in float32 from {recipe.dtype} inputs, stored as "
        f"{recipe.out_dtype}; digest `{recipe.digest[:16]}`. The whole recipe is in `recipe.json`.",
        "",
    ]
    labels = [model.label for model in recipe.models]
    for name, values in recipe.coefficients.items():
        heads = labels if values.ndim == 2 else [name]
        lines += [f"`{name}` by group:", "", "| group | " + " | ".join(heads) + " |", "|" + " --- |" * (len(heads) + 1)]
        for group, row in zip(recipe.groups.groups, values.reshape(len(values), -1), strict=True):
            cells = ["frozen"] * len(heads) if group.frozen else [f"{value:.4f}" for value in row]
            lines.append(f"| {group.label} | " + " | ".join(cells) + " |")
        lines.append("")
    return lines
