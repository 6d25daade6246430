"""The plan of a merge: the tensors of the merged model, and the tensors that each of them is made from.

A recipe names sources and, where it puts a model together from layers, the layers of each output layer. From that and
the opened sources follow the output tensors (`derivation`), which all candidates of a search have in common. A
candidate's plan (`MergePlan`) adds its coefficients. The merge loop knows nothing but plans.
"""

from evomerge.merging.plan.derivation import derive_outputs
from evomerge.merging.plan.inputs import Input
from evomerge.merging.plan.merge_plan import MergePlan
from evomerge.merging.plan.outputs import DTYPES, Outputs, OutputTensor
from evomerge.merging.plan.recipe_source import RecipeSource
from evomerge.merging.plan.unbuilt import unbuilt

__all__ = [
    "DTYPES",
    "Input",
    "MergePlan",
    "OutputTensor",
    "Outputs",
    "RecipeSource",
    "derive_outputs",
    "unbuilt",
]
