"""The loss of DAM and its fit.

Each text goes through the model alone, without the positions that the case masks at its end: a causal model gives the
same logits, and masked positions count for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from safetensors.torch import load_file

from evomerge.checkpoints import open_source
from evomerge.merging import LiveModel
from evomerge.statistics._fits import dam_terms
from evomerge.statistics._fits.dam import DamFit, fit
from evomerge.statistics._fits.settings import DamSettings, Terms
from tests.golden.data_table.case import Compute, DataFamily
from tests.golden.table.case import Tensors

GIVEN = "dam_apply_none"
MASKED = 5  # positions of the second text of the first task


def batch(family: DataFamily) -> list[list[list[int]]]:
    """The first two texts of each task."""
    tokens = family.inputs("tokens")
    texts = [tokens[name.replace("expert", "task")][:2].tolist() for name in family.experts]
    texts[0][1] = texts[0][1][:-MASKED]
    return texts


def model(family: DataFamily, others: Tensors | None = None) -> DamFit:
    """The merged model."""
    experts = [open_source(family.folder / name) for name in family.experts]
    return DamFit(LiveModel.load(family.folder / "base"), experts, others)


def named(columns: Sequence[Tensors], prefix: str = "") -> Tensors:
    """Coefficients under their official names."""
    return {
        f"{prefix}{name.removesuffix('.weight')}.mergers.{number}": values
        for number, own in enumerate(columns)
        for name, values in own.items()
    }


def loss(family: DataFamily) -> Tensors:
    """All terms, whether they count or not, and the gradient of those that do."""
    settings = family.settings
    coefficients = load_file(family.root / GIVEN / "statistics.safetensors")
    merged = family.expected(GIVEN)
    fitted = model(family, merged)
    columns = [
        {name: coefficients[f"{name.removesuffix('.weight')}.mergers.{number}"] for name in fitted.names}
        for number in range(len(family.experts))
    ]
    temperature = settings["temperature"]
    terms = Terms(similarity=settings["lambda_similarity"], temperature=temperature)
    total, slopes = fitted.gradient(columns, batch(family), terms)
    found = {"total": torch.tensor([total])}
    for number, texts in enumerate(batch(family)):
        tokens = sum(map(len, texts))
        pairs = [(fitted.logits(columns, ids), fitted.expert_logits(number, ids)) for ids in texts]
        sums = {
            "kl_loss": sum(dam_terms.divergence(*pair, temperature) for pair in pairs) / len(texts),
            "mse_loss": settings["lambda_mse"] * sum(dam_terms.squared_difference(*pair) for pair in pairs),
            "entropy_loss": settings["lambda_entropy"] * sum(dam_terms.entropy(own, temperature) for own, _ in pairs),
        }
        found |= {f"{name}_{number + 1}": torch.as_tensor(value / tokens)[None] for name, value in sums.items()}
    found |= of_coefficients(family, [[own[name] for own in columns] for name in fitted.names], fitted.names)
    return found | named(slopes, "grad/")


def of_coefficients(
    family: DataFamily, coefficients: Sequence[Sequence[torch.Tensor]], names: Sequence[str]
) -> dict[str, torch.Tensor]:
    """The terms that look at coefficients alone."""
    settings = family.settings
    one = {
        "similarity_loss": Terms(similarity=settings["lambda_similarity"]),
        "l1_l2_reg": Terms(similarity=0.0, absolute=settings["lambda_l1"], euclidean=settings["lambda_l2"]),
        "overlap_loss": Terms(similarity=0.0, overlap=settings["lambda_overlap"]),
    }
    found = {name: dam_terms.of_coefficients(coefficients, terms)[None] for name, terms in one.items()}
    weighted, base = torch.zeros(()), family.model("base")
    for name, own in zip(names, coefficients, strict=True):
        weights = dam_terms.angle_weights([family.model(expert)[name] - base[name] for expert in family.experts])
        weighted += settings["lambda_overlap"] * dam_terms.overlap(own, weights)
    return found | {"weighted_overlap_loss": weighted[None]}


def steps(family: DataFamily) -> Tensors:
    """The fit on one batch, three times."""
    settings = family.settings
    found = fit(
        model(family),
        batch(family),
        DamSettings(
            epochs=3,
            batch=2,
            rate=settings["lr"],
            share=settings["alpha"],
            largest=settings["max_grad_norm"],
        ),
    )
    return named(found)


CASES: dict[str, Compute] = {"dam_loss": loss, "dam_train_3_steps": steps}
