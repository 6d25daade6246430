"""Experts whose vocabularies are not the base's."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from tests.building import edit_json, perturbed, rewrite, tiny_tokenizer

EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"


def resized(source: Path, folder: Path, rows: int, *extra: str, seed: int = 0) -> Path:
    """An expert whose vocabulary has that many rows, with tokens of its own behind the first 259."""
    perturbed(source, folder, seed)

    def change(tensors: dict[str, torch.Tensor]) -> None:
        for name in {EMBEDDING, HEAD} & tensors.keys():
            more = torch.full((max(0, rows - len(tensors[name])), 16), float(seed + 1)).to(tensors[name].dtype)
            tensors[name] = torch.cat([tensors[name][:rows], more])

    rewrite(folder, change)
    edit_json(folder / "config.json", vocab_size=rows)
    tiny_tokenizer(folder, extra=extra)
    return folder


def spoken(source: Path, folder: Path, order: str, *extra: str, seed: int = 0) -> Path:
    """An expert with the base's tokens in another order, and tokens of its own: piece ``order`` and those given."""
    perturbed(source, folder, seed)
    base = json.loads((source / "tokenizer.json").read_text())
    tokens = list(base["model"]["vocab"])
    shuffled = [*tokens[:3], *reversed(tokens[3:]), order]
    base["model"]["vocab"] = {token: index for index, token in enumerate(shuffled)}
    base["model"]["merges"] = [list(order)]
    properties = base["added_tokens"][0] | {"special": True}
    base["added_tokens"] += [
        properties | {"id": len(shuffled) + number, "content": token} for number, token in enumerate(extra)
    ]
    (folder / "tokenizer.json").write_text(json.dumps(base))
    rows = len(shuffled) + len(extra)

    def change(tensors: dict[str, torch.Tensor]) -> None:
        for name in {EMBEDDING, HEAD} & tensors.keys():
            more = torch.randn(rows, 16, generator=torch.Generator().manual_seed(seed))
            tensors[name] = torch.cat([tensors[name], more.to(tensors[name].dtype)])[:rows]

    rewrite(folder, change)
    edit_json(folder / "config.json", vocab_size=rows)
    return folder
