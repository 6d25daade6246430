"""All mixtures, specialised by the steps that one has; see ``reference/mixture.py``."""

from __future__ import annotations

import triton
import triton.language as tl

from evomerge.kernels.fused.program.steps import (
    agreed,
    count,
    delta,
    in_window,
    loaded,
    sparsified,
    store,
    values,
    voted,
)


@triton.jit
def mix_kernel(written, read, numbers, place, FORM: tl.constexpr, BLOCK: tl.constexpr):
    """Mixes one block; ``fused/mixture.py`` says what the arguments are."""
    out, flag, counts = written
    base, models, ranks, chosen = read
    masks, factors, window, share, scale, tie = numbers
    start, numel = place
    KINDS: tl.constexpr = FORM[0]
    PARTS: tl.constexpr = FORM[1]
    CHOSEN: tl.constexpr = FORM[2]
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    here = at < numel
    result = tl.zeros([BLOCK], tl.float32)
    own = result if base is None else loaded(base, at, here)
    selected = result
    if CHOSEN > 0:
        selected = in_window(values(chosen, own, at, here, share, CHOSEN), at, window)
    kept = ()
    for part in tl.static_range(PARTS):
        x = loaded(models[part], at, here) if base is None else delta(models[part], own, at, here)
        x = sparsified(x, (at, here, start), ranks[part], masks[part], KINDS, part) * factors[part][0]
        if CHOSEN > 0:
            x = x * selected
        kept += (x,)
    if FORM[3]:
        votes = voted(kept, factors, PARTS)
        if counts is not None:
            count(counts, kept, factors, votes, here, PARTS)
        elected = tl.where(votes > 0, 1.0, tl.where(votes < 0, -1.0, tie))
        result = agreed(kept, factors, elected, PARTS, FORM[4])
    else:
        for part in tl.static_range(PARTS):
            term = kept[part] * factors[part][1]
            result = term if part == 0 else result + term
    if out is not None:
        if base is not None:
            # Negated and taken off, with no negative zeros: so the base's own negative zeros stay.
            result = own - (result * scale + 0.0)
        store(out, flag, result, at, here)
