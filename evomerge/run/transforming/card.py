"""The card of a transformed model: parents, transformation, notes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from evomerge.recipe import ModelRef
from evomerge.run.paths import is_hub_id
from evomerge.transforms import Transform


def transform_card(
    title: str, kind: Transform, models: Sequence[ModelRef], base: ModelRef | None, notes: Sequence[str]
) -> str:
    """Writes the card. Parents are named by hub id or by the last part of their folder.

    Args:
        title: Heading.
        kind: The transformation.
        models: The experts that went in.
        base: Their base.
        notes: What people should know.
    """
    parents = [*models, *([base] if base is not None else [])]
    header: dict[str, Any] = {
        "base_model": [_name(parent) for parent in parents],
        "base_model_relation": "merge",
        "library_name": "transformers",
        "tags": ["merge", "evomerge"],
    }
    lines = ["---", yaml.safe_dump(header, sort_keys=False, allow_unicode=True).rstrip(), "---", "", f"# {title}", ""]
    lines += [f"Made by `evomerge transform kind={kind.name}`: {kind.summary}", "", f"Paper: {kind.paper}", ""]
    lines += [
        "## Parents",
        "",
        *(f"- `{_name(parent)}`{' (base)' if parent == base else ''}" for parent in parents),
        "",
    ]
    lines += ["> **Licence:** that of the parents; find out before publishing.", ""]
    lines += ["## Notes", "", *(f"- {note}" for note in notes), ""] if notes else []
    return "\n".join(lines)


def _name(ref: ModelRef) -> str:
    return ref.hub_id or (ref.source if is_hub_id(ref.source) else ref.label)
