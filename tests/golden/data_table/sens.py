"""Sens-Merging, as a third party has it: no code of the authors is known."""

from __future__ import annotations

import numpy as np
import torch

from evomerge.checkpoints import open_source
from evomerge.merging import LiveModel
from evomerge.statistics import Calibration, Passage
from evomerge.statistics._fits.sensitivity import measure
from tests.golden.data_table.case import Compute, DataFamily
from tests.golden.table.case import Tensors


def sens(family: DataFamily) -> Tensors:
    """Sensitivities, shares and merged weights; a group is named by the first three parts of its tensors' names."""
    base, tokens = family.model("base"), family.inputs("tokens")
    groups = {
        name: group for group in family.settings["groups"] for name in base if ".".join(name.split(".")[:3]) == group
    }
    texts = [_calibration(tokens[name.replace("expert", "task")]) for name in family.experts]
    experts = [open_source(family.folder / name) for name in family.experts]
    found = measure(LiveModel.load(family.folder / "base"), experts, texts, groups)
    shares = found.shares(family.settings["temperature"])
    merged = {}
    for name, start in base.items():
        weights = len(experts) * shares[:, found.groups.index(groups[name])]
        deltas = [weight * (expert.tensor(name) - start) for weight, expert in zip(weights, experts, strict=True)]
        merged[name] = start + torch.stack(deltas).sum(0).float()
    tables = {"alpha": found.alpha, "tau": found.tau, "sigma": shares}
    return merged | {name: torch.from_numpy(table).float() for name, table in tables.items()}


def _calibration(tokens: torch.Tensor) -> Calibration:
    places = np.arange(tokens.shape[1])
    passages = tuple(Passage(row.numpy().astype(np.int32), places > 0) for row in tokens)
    return Calibration(passages, tokens.shape[1])


CASES: dict[str, Compute] = {"sens_third_party_T0.1": sens, "sens_third_party_T1.0": sens}
