"""Settings of the fit of DAM's coefficients (Gauthier-Caron et al. 2024, arXiv:2410.08371)."""

from __future__ import annotations

from dataclasses import dataclass, field

from evomerge.settings import section, setting

SECTION = "dam"


@dataclass(frozen=True)
class Terms:
    """Weights of the terms of the loss; 0 leaves a term out. Defaults are those published.

    Attributes:
        divergence: Kullback-Leibler divergence from the expert's distribution of the next token, on the expert's texts.
        squares: Mean squared difference of the logits.
        entropy: Entropy of the merged model's distribution.
        similarity: Mean cosine of two experts' coefficients, summed over matrices.
        absolute: L1 norms of the coefficients.
        euclidean: L2 norms of the coefficients.
        overlap: Sum over columns of the smaller of two experts' coefficients, as a mean over pairs.
        temperature: Of the distributions.
    """

    divergence: float = field(
        default=1.0, metadata=setting("weight of the divergence from the experts' next tokens", low=0.0)
    )
    squares: float = field(
        default=0.0, metadata=setting("weight of squared differences from the experts' logits; the release: 1", low=0.0)
    )
    entropy: float = field(default=0.0, metadata=setting("weight of the merged model's entropy; the release: 0.1"))
    similarity: float = field(
        default=0.01, metadata=setting("weight of the cosine of two experts' factors, which keeps them apart")
    )
    absolute: float = field(
        default=0.0, metadata=setting("weight of the factors' L1 norms; the release: 1e-6", low=0.0)
    )
    euclidean: float = field(
        default=0.0, metadata=setting("weight of the factors' L2 norms; the release: 1e-6", low=0.0)
    )
    overlap: float = field(
        default=0.0, metadata=setting("weight of what two experts' factors share; the release: 1e-5", low=0.0)
    )
    temperature: float = field(default=2.0, metadata=setting("of the distributions of tokens", low=0.01, high=100.0))


@dataclass(frozen=True)
class DamSettings:
    """How coefficients are fitted. Defaults are those published.

    Attributes:
        epochs: Passes over the texts.
        batch: Texts of each expert in a step.
        rate: Learning rate.
        share: Share of a vector's entries that move in a step.
        decay: Weight decay.
        largest: Largest norm of all gradients together.
        terms: Weights of the terms of the loss.
    """

    epochs: int = field(default=1, metadata=setting("passes over the texts while DAM's factors are fitted", low=1))
    batch: int = field(default=1, metadata=setting("texts of each expert in a step", low=1))
    rate: float = field(default=1e-3, metadata=setting("learning rate", low=1e-9, high=10.0))
    share: float = field(
        default=0.3, metadata=setting("share of a vector's factors that move in a step; 1: all", low=0.001, high=1.0)
    )
    decay: float = field(default=0.01, metadata=setting("weight decay", low=0.0, high=1.0))
    largest: float = field(default=1.0, metadata=setting("largest norm of all gradients together", low=1e-9))
    terms: Terms = field(default_factory=Terms, metadata=section(SECTION))

    def problems(self) -> list[str]:
        """Reasons why nothing could be fitted."""
        terms = self.terms
        looking = (terms.divergence, terms.squares, terms.entropy)
        return (
            [] if any(looking) else [f"{SECTION}: divergence, squares and entropy are all 0, so no text is looked at"]
        )
