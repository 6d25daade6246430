"""The search space: which numbers are searched, and what merge every point of the unit cube means.

A genome is a vector in ``[0, 1]^n``; `GenomeSpec.decode` turns it into a recipe and `GenomeSpec.encode` goes back.
Decoding is linear over depth (see `curves`), proportions between models use one gene less than there are models (see
`simplex`), and nothing is ever clamped: different genomes inside the cube are different recipes. Switches alone, which
take an expert out of a kind of modules, know no more than on and off (see `switches`), of the genes that let layers go
only the order counts (see `layers.fusion`), and those of paths through layers are whole numbers (see `layers.walks`).
"""

from evomerge.genome.automatic import Chosen, choose, few_for
from evomerge.genome.build import build
from evomerge.genome.from_recipe import from_recipe
from evomerge.genome.layers.fusion import KEPT
from evomerge.genome.layers.genes import PathGenes
from evomerge.genome.model_facts import ModelFacts
from evomerge.genome.settings import AUTO, BASES, DEPTHS, GenomeSettings
from evomerge.genome.spec import GenomeSpec, NotExpressible, is_number

__all__ = [
    "AUTO",
    "BASES",
    "DEPTHS",
    "KEPT",
    "Chosen",
    "GenomeSettings",
    "GenomeSpec",
    "ModelFacts",
    "NotExpressible",
    "PathGenes",
    "build",
    "choose",
    "few_for",
    "from_recipe",
    "is_number",
]
