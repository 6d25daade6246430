"""WUDI: a merged delta that differs least from every expert's delta on the inputs that this delta reacts to.

For each matrix it minimises the sum over experts of ``|(t - t_i) t_i^T|^2 / |t_i|^2`` by a descent of the merged
delta ``t`` that starts from the sum of the deltas ``t_i`` and is stopped early; no data is needed.

==============  ==========================  ===========================  ==================================
option          Cheng et al. 2025           their code for language      copies of others (MLLMerging)
==============  ==========================  ===========================  ==================================
matrices        layers                      layers                       all, or layers
rest            base                        base                         mean, or base
optimiser       adam                        adam                         adam, or sgd without momentum
learning_rate   1e-5                        2e-5                         1e-5 (adam), 1e-3 (sgd)
steps           300                         300                          300 to 3000
start           sum                         sum                          sum
==============  ==========================  ===========================  ==================================

mergekit has no such method. The defaults are the paper's. ``lambda`` scales the merged delta; the paper's is 1.

Once per search and matrix the descent is run: ``steps`` products of an out x in and an in x in matrix in float32
(``sgd``: an eigendecomposition of an in x in matrix in float64 instead, whatever the number of steps). The matrices of
a model of 135 million parameters take 15 minutes on one core, those of a billion about 40 times as long: there it wants
a GPU, or ``sgd``. While a matrix is prepared, about twice as many in x in matrices in float64 as there are experts are
held, and a few out x in ones: with three and 8192 inputs, 5 GB. Kept are 4 bytes per element, which a candidate adds to
the base.
"""

from __future__ import annotations

from collections.abc import Sequence

from evomerge.methods._shared.inputs import Options
from evomerge.methods._shared.interference.descending import descending
from evomerge.methods._shared.interference.descent import DESCENT_OPTIONS
from evomerge.methods._shared.interference.memory import descent_bytes, interference_bytes
from evomerge.methods._shared.interference.objective import Objective, interference
from evomerge.methods._shared.matrices import MatrixDeltas


def objective(deltas: MatrixDeltas, squares: Sequence[float], options: Options) -> Objective:
    """Interference with the whole deltas."""
    return interference(deltas, squares)


def scratch_bytes(shape: Sequence[int], n_inputs: int, options: Options) -> int:
    """The most that a matrix takes while it is prepared, of objective and descent."""
    if len(shape) != 2:
        return 0
    n_models = n_inputs - 1
    inner = min(n_models * shape[0], shape[1])
    return max(interference_bytes(shape, n_models), descent_bytes(shape, n_models, inner, options))


METHOD = descending(
    name="wudi",
    summary="merged delta of least interference with all experts, by descent on the weights",
    paper="Cheng et al. 2025, Whoever started the interference should end it, https://arxiv.org/abs/2503.08099",
    objective_of=objective,
    scratch_bytes=scratch_bytes,
    options=DESCENT_OPTIONS,
)
