"""Whether drafts can be verified: models whose attention is chosen by name, and settings that are plain greedy ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from evomerge.fitness.inference.generation.draft_tree import DraftTree
from evomerge.fitness.inference.generation.jumps import Jumps
from evomerge.fitness.inference.generation.packed import PackedAttention
from evomerge.fitness.inference.generation.segments import Segment
from evomerge.fitness.inference.generation.settings import beyond_greedy, settings_of
from evomerge.fitness.inference.masks import windows
from evomerge.fitness.inference.probe import agrees, exact_copy, obstacle
from evomerge.fitness.inference.requests import Prompt

PLAINLY = "answers are generated plainly, without drafts"
_TOKENS = 192  # of a prompt that a model is tried with


@dataclass(frozen=True)
class Drafting:
    """Whether answers of earlier candidates are verified.

    Attributes:
        drafts: Whether they are.
        reason: Explanation for people; empty where there is nothing to tell.
    """

    drafts: bool
    reason: str = ""


def choose_drafting(model: torch.nn.Module, prompts: Sequence[Prompt]) -> Drafting:
    """Tries a model, and looks at the settings of prompts.

    Args:
        model: The model that candidates are built in, with any finite weights.
        prompts: All prompts of the run.
    """
    if not prompts:
        return Drafting(False)
    barred = sorted({name for prompt in prompts for name in beyond_greedy(settings_of(model, prompt))})
    if barred and all(beyond_greedy(settings_of(model, prompt)) for prompt in prompts):
        return Drafting(False, f"{PLAINLY}: generation settings ask for {', '.join(barred)}")
    longest = max(prompts, key=lambda prompt: len(prompt.tokens) + prompt.max_new)
    found = obstacle(model, len(longest.tokens) + longest.max_new)
    if len({parameter.device for parameter in model.parameters()}) > 1:
        found = "its layers lie on several devices"
    if found is None:
        try:
            with Jumps() as jumps:
                found = _hindrance(exact_copy(model), longest)
            if found is None and jumps.found and next(model.parameters()).dtype == torch.float32:
                # Whether a choice of tokens is close says nothing of it; a large model's routers are close too often.
                found = f"rounding may lead layers that choose ({', '.join(sorted(jumps.found))}) to another expert"
        except (torch.OutOfMemoryError, MemoryError):
            raise
        except Exception as error:  # each architecture fails in its own way; plain generation needs none of this
            first = (str(error).splitlines() or [""])[0][:200]
            found = f"the model refuses ({type(error).__name__}: {first})"
    if found is not None:
        return Drafting(False, f"{PLAINLY}: {found}")
    return Drafting(True, f"some {PLAINLY}: generation settings ask for {', '.join(barred)}" if barred else "")


@torch.inference_mode()
def _hindrance(model: torch.nn.Module, prompt: Prompt) -> str | None:
    """Reason why packed passes do not give the logits of sequences that are read alone; None where they do."""
    tokens = prompt.tokens[-_TOKENS:].astype(np.int64)
    tokens = np.resize(tokens, max(8, len(tokens)))
    whole, half = len(tokens) * 3 // 4, len(tokens) // 2
    endings = tokens[whole:], np.roll(tokens, 1)[whole:]
    tree = DraftTree()
    for ending in endings:
        parent = -1
        for token in ending:
            parent = tree.add(int(token), parent)
    packed = PackedAttention(2, 2 * len(tokens))
    _read(model, packed, [Segment.chain(1, 0, tokens[:half]), Segment.chain(0, 0, tokens[:whole])])
    forked = Segment(0, whole, np.asarray(tree.tokens), tree.depths(), tree.ends())
    found = _read(model, packed, [forked, Segment.chain(1, half, tokens[half:])])
    stems = (*((tokens[:whole], ending) for ending in endings), (tokens[:half], tokens[half:]))
    alone = torch.cat(list(_alone(model, stems)))
    again = torch.cat(list(_alone(model, stems, rows=2)))
    if not agrees(found, alone, again):
        return "reading several rows in one pass changes what the model answers"
    # What is read here is too short to show it. Some architectures have windows in their masks alone.
    length = len(prompt.tokens) + prompt.max_new
    meant, told = (
        {size for size in sizes if size is not None and size < length}
        for sizes in (windows(model.config).values(), packed.windows.values())
    )
    return None if meant == told else "the attention function is not told the sliding windows of the configuration"


def _read(model: torch.nn.Module, packed: PackedAttention, segments: Sequence[Segment]) -> torch.Tensor:
    with packed.reading(model, segments) as arguments:
        logits: torch.Tensor = model(**arguments).logits[0]
    return logits


def _alone(
    model: torch.nn.Module, stems: Sequence[tuple[np.ndarray, np.ndarray]], rows: int = 1
) -> Iterator[torch.Tensor]:
    """Logits of the tokens of endings behind their stems, each sequence read whole, beside itself in so many rows."""
    device = next(model.parameters()).device
    for stem, ending in stems:
        given = torch.from_numpy(np.concatenate([stem, ending])).to(device).expand(rows, -1)
        yield model(input_ids=given, use_cache=False).logits[0, len(stem) :]
