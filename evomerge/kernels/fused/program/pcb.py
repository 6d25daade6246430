"""The average of PCB-Merging; see ``reference/pcb.py``."""

from __future__ import annotations

import triton
import triton.language as tl

from evomerge.kernels.fused.program.scores import at_least, clamped, scored
from evomerge.kernels.fused.program.steps import delta, loaded, store


@triton.jit
def pcb_kernel(written, read, numbers, numel, FORM: tl.constexpr, BLOCK: tl.constexpr):
    """Averages one block; ``fused/pcb.py`` says what the arguments are."""
    out, flag = written
    base, models = read
    terms, limits, scale = numbers
    SCORED: tl.constexpr = FORM[0]
    TERMS: tl.constexpr = FORM[1]
    COUNT: tl.constexpr = FORM[2]
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    here = at < numel
    own = loaded(base, at, here)
    update = tl.zeros([BLOCK], tl.float32)
    shares = update
    total = update
    for model in tl.static_range(COUNT):
        x = delta(models[model], own, at, here)
        total = x if model == 0 else total + x
    for term in tl.static_range(TERMS):
        x = delta(models[SCORED[term]], own, at, here)
        inside = clamped(x, limits[term])
        score = scored(x, inside, total, limits[term], COUNT)
        share = at_least(score - terms[term][1], 0.0) * terms[term][2]
        update = update + inside * share * terms[term][0]
        shares = shares + share
    # Negated and taken off, with no negative zeros: so the base's own negative zeros stay.
    store(out, flag, own - (tl.div_rn(update, at_least(shares, 1e-12)) * scale + 0.0), at, here)
