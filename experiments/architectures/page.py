"""The table of architectures as Markdown."""

from __future__ import annotations

from typing import Any

from experiments.architectures.architecture import CAUSAL, Architecture
from experiments.architectures.catalogue import ARCHITECTURES
from experiments.architectures.steps import STEPS

_HEADER = """\
# Architectures

Tiny random models of transformers' `model_type`s, a base and two experts each, through every step:

- **merged**: a recipe of the two experts gives a folder, and every tensor in it is their average computed by hand;
- **loaded**: the live model is built by the class that config.json names, and every element of every tensor lies where
  transformers puts it;
- **searched**: two candidates of TIES, with a gene for each layer and expert, are installed in it and scored: on an
  lm-eval task where a causal model is asked one, else by a Python objective alone; their scores differ;
- **exported**: a member is exported and proved to be what was scored; its tensors have the base's names, shapes and
  types;
- **reloaded**: what transformers loads from that folder misses no tensor, and answers as the live model does with that
  candidate, to the last bit (float32, one thread; logits, or hidden states where there is no head; with an image or a
  sound where the model takes one).
"""

_LIMITS = """
## What this does not show

- Tasks of lm-eval are asked of causal language models alone, and of models of images and texts without an image; all
  others are searched by Python functions, which hold nothing out.
- Everything runs on transformers' own torch code, on a CPU in float32; kernels that some state-space models have for a
  GPU are not used. Models whose code comes with the checkpoint are none of transformers' and not in the table.
- Tensors whose names no pattern knows are refused, and the message shows the pattern to add (`patterns=`). Of the
  models in transformers with a language head, a classifier or a decoder these are about a dozen, such as I-BERT, LiLT,
  LayoutLMv3, Janus, Kyutai's codec.
"""


def page(data: dict[str, Any]) -> str:
    """The committed page.

    Args:
        data: ``machine`` and ``rows``, see the study.
    """
    about, rows = data["machine"], data["rows"]
    works = [name for name, row in rows.items() if _works(row)]
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    lines = [
        _HEADER,
        f"{len(works)} of {len(rows)} go through all steps. {about['cpu']}, {about['date']}; {versions}.",
        "",
        f"| architecture | `model_type` | class | tensors | {' | '.join(STEPS[1:])} | scored on | remarks |",
        "|---|---|---|---|" + "---|" * (len(STEPS) + 1),
        *(_row(ARCHITECTURES[name], row["steps"]) for name, row in rows.items()),
    ]
    failed = {name: row for name, row in rows.items() if not _works(row)}
    if failed:
        lines += ["", "## What does not work, and why", ""]
        for name, row in failed.items():
            lines += [f"- **{ARCHITECTURES[name].title}**: {_reasons(row['steps'])}"]
    return "\n".join(lines) + "\n" + _LIMITS


def _works(row: dict[str, Any]) -> bool:
    return all(row["steps"].get(step, {}).get("ok") for step in STEPS)


def _row(architecture: Architecture, steps: dict[str, Any]) -> str:
    cells = [("yes" if steps[step]["ok"] else "**no**") if step in steps else "" for step in STEPS[1:]]
    kind, _, tensors = steps["built"]["text"].partition(", ") if steps["built"]["ok"] else ("", "", "")
    loaded = steps.get("loaded", {})
    asked = f"Python: `{architecture.objective}`" if architecture.objective else "lm-eval"
    name = loaded["text"] if loaded.get("ok") else architecture.loader.replace(CAUSAL, "")
    return (
        f"| {architecture.title} | `{kind}` | {name} | {tensors.removesuffix(' tensors')} | {' | '.join(cells)} "
        f"| {asked} | {architecture.why} |"
    )


def _reasons(steps: dict[str, Any]) -> str:
    return "; ".join(f"{step}: {found['text']}" for step, found in steps.items() if not found["ok"]).replace("|", "\\|")
