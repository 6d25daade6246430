"""Options of the genetic algorithms: simulated binary crossover and polynomial mutation (Deb & Agrawal 1995)."""

from __future__ import annotations

from evomerge.options import Option

__all__ = ["VARIATION"]

VARIATION = {
    "crossover_probability": Option(0.9, None, float, "probability that two parents are crossed", 0.0, 1.0),
    "crossover_eta": Option(15.0, None, float, "distribution index; larger keeps children near parents", 0.0, 1000.0),
    "mutation_probability": Option(0.9, None, float, "probability that a child is mutated", 0.0, 1.0),
    "mutation_eta": Option(20.0, None, float, "distribution index; larger mutates by less", 0.0, 1000.0),
}
