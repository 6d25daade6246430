r"""AIM: the merged delta counts less in the input channels that the base uses most.

Every element of the merged delta is multiplied by ``1 - importance^exponent * (1 - omega)`` of its input channel
(Nobari et al. 2025). The importance of a channel is how large it is in the base on shared texts, in the mean over
tokens, divided by that of the tensor's largest channel. An ``omega`` of 1 changes nothing; with 0 the most important
channel of every tensor stays the base's.

| | Nobari et al. 2025 and their code | here |
|---|---|---|
| omega | 0.2 to 0.6, 0.4 in their script | searched from 0 to 1, in each group |
| exponent | 1, or another function of the importance | 1, or with ``exponent=searched`` from 1/4 to 4 |
| norms, output head | as matrices | as matrices |
| embeddings, biases | stay as they were merged | stay as they were merged |
| type | bfloat16 | float32, rounded once |

Where embeddings are tied the tensor is the output head's too, and is treated as such, in their code as well. It is
multiplied in while the base is added, so it costs a candidate next to nothing, unless a step comes after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from evomerge.methods import Need, TensorSources
from evomerge.methods._shared.needs import channel_shapes, chosen, sound
from evomerge.options import Option
from evomerge.post._shared.declaration import Options, PostProcess, StepContext, Values
from evomerge.recipe import Coefficient

if TYPE_CHECKING:
    import torch

_NEED = Need("channel_abs", of="base", texts="shared")
_OMEGA = Coefficient(
    "omega",
    0.0,
    1.0,
    1.0,
    per_model=False,
    minimum=0.0,
    maximum=1.0,
    doc="factor of the merged delta in the base's most active channel: unchanged (1) down to the base itself (0)",
)
_LOG_EXPONENT = Coefficient(
    "log2_exponent",
    -2.0,
    2.0,
    0.0,
    per_model=False,
    doc="binary logarithm of the exponent of importance: fewer channels count as important above 0, more below",
)


def _coefficients(options: Options) -> tuple[Coefficient, ...]:
    return (_OMEGA,) if options["exponent"] == "fixed" else (_OMEGA, _LOG_EXPONENT)


def _factors(context: StepContext, shape: Sequence[int], values: Values) -> torch.Tensor | None:
    given = chosen("step aim", context.name, (_NEED,), context.statistics, 1)[_NEED.key]
    found = sound(context.name, "channel_abs", given, channel_shapes(shape))
    if found is None or not found[0].numel():
        return None
    largest = found[0].max()
    if largest <= 0:
        return None
    importance = found[0] / largest
    if "log2_exponent" in values:
        importance = importance**2.0 ** values["log2_exponent"]
    return 1.0 - importance * (1.0 - values["omega"])


def _apply(context: StepContext, sources: TensorSources, delta: torch.Tensor, values: Values) -> None:
    factors = _factors(context, delta.shape, values)
    if factors is not None:
        delta.mul_(factors.to(delta.device))


def _identity(values: Values, options: Options) -> bool:
    return values["omega"] == 1.0


STEP = PostProcess(
    name="aim",
    summary="AIM: the merged delta counts less in the input channels that the base uses most on shared texts.",
    paper="Nobari et al. 2025, Activation-informed merging of large language models, https://arxiv.org/abs/2502.02421",
    apply=_apply,
    coefficients=_coefficients,
    options={
        "exponent": Option("fixed", ("fixed", "searched"), str, "exponent of a channel's importance: 1, or searched")
    },
    needs=lambda options: (_NEED,),
    identity=_identity,
    factors=_factors,
    agrees_with="the authors' code",
    cost="next to nothing as the last step, else a pass over the merged delta",
)
