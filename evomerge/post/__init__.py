"""Steps after the merge: mathematics of the merged delta, whatever method has merged it.

The folder is the registry: a file's name is its step's name. A step is a :class:`PostProcess` called ``STEP`` in a file
of its own, ``_shared`` holds what they share. A new one is the file ``evomerge/post/mystep.py``: :func:`load` finds it,
``post=[mystep]`` takes it, its coefficients join the search space as ``mystep.NAME``, and the contract tests run on it.

A recipe's steps run in their order on the merged delta of each tensor that is merged (not on frozen ones and copies),
in float32, before base plus delta is rounded. Steps need a base; which method has merged does not matter.
"""

from evomerge.post._shared.declaration import DeltaSet, Options, PostProcess, StepContext, Values
from evomerge.post._shared.registry import load, names
from evomerge.post._shared.steps import Step, coefficients_of, step_problems, steps_of

__all__ = [
    "DeltaSet",
    "Options",
    "PostProcess",
    "Step",
    "StepContext",
    "Values",
    "coefficients_of",
    "load",
    "names",
    "step_problems",
    "steps_of",
]
