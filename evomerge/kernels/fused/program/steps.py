"""Steps over one block, each the twin of a function of :mod:`evomerge.kernels.reference`."""

from __future__ import annotations

import triton
import triton.language as tl

# Kinds of masks: none; by magnitude; at random with one probability, with one by rank, and divided by it; by rank.
ALL = tl.constexpr(0)
WINDOW = tl.constexpr(1)
BERNOULLI = tl.constexpr(2)
RANKED = tl.constexpr(3)
RESCALED = tl.constexpr(4)
RANKS = tl.constexpr(5)


@triton.jit
def word(packed):
    """The 32-bit integer that ``fused/launch.py`` packed."""
    return (packed >> 5).to(tl.int32)


@triton.jit
def in_window(values, at, window):
    """One where magnitudes lie in a window, else zero; ``window`` is bits and end of both its thresholds."""
    bits = tl.minimum(values.to(tl.int32, bitcast=True) & 0x7FFFFFFF, 0x7F800001)
    least, most = word(window[0]), word(window[2])
    within = (bits > least) | ((bits == least) & (at < word(window[1])))
    beyond = (bits > most) | ((bits == most) & (at < word(window[3])))
    return tl.where(within, tl.where(beyond, 0.0, 1.0), 0.0)


@triton.jit
def scrambled(state):
    """One round of the mixing function, on unsigned words."""
    state = (state ^ (state >> 16)) * 0x85EBCA6B
    state = (state ^ (state >> 13)) * 0xC2B2AE35
    return state ^ (state >> 16)


@triton.jit
def noise(index, key):
    """Uniform numbers in [0, 1) from the lower 32 bits of indices and the two words of a key."""
    state = index.to(tl.uint32, bitcast=True) ^ word(key[0]).to(tl.uint32, bitcast=True)
    state = scrambled(scrambled(state) ^ word(key[1]).to(tl.uint32, bitcast=True))
    return (state >> 8).to(tl.int32).to(tl.float32) * 5.9604644775390625e-08  # 2**-24


@triton.jit
def sparsified(x, place, ranks, numbers, KINDS: tl.constexpr, part: tl.constexpr):
    """Multiplies what a mask drops by zero: so that NaN and infinity stay to be seen."""
    at, here, start = place
    KIND: tl.constexpr = KINDS[part]
    if KIND == WINDOW:
        x = x * in_window(x, at, numbers)
    elif KIND == BERNOULLI:
        x = x * tl.where(noise(at + start, numbers) < numbers[2], 1.0, 0.0)
    elif KIND == RANKS:
        rank = tl.load(ranks + at, here, 0).to(tl.int32)
        x = x * tl.where((rank >= word(numbers[0])) & (rank < word(numbers[1])), 1.0, 0.0)
    elif KIND != ALL:
        probability = tl.load(ranks + at, here, 0).to(tl.int32).to(tl.float32) * numbers[3] + numbers[2]
        x = x * tl.where(noise(at + start, numbers) < probability, 1.0, 0.0)
        if KIND == RESCALED:
            x = tl.div_rn(x, probability)
    return x


@triton.jit
def loaded(tensor, at, here):
    """A block of a tensor in float32."""
    return widened(tl.load(tensor + at, here, 0.0))


@triton.jit
def widened(x):
    """Numbers in float32."""
    if x.dtype == tl.bfloat16:
        # By integers: Triton's interpreter would make zeros of the smallest numbers.
        result = (x.to(tl.uint16, bitcast=True).to(tl.uint32) << 16).to(tl.float32, bitcast=True)
    else:
        result = x.to(tl.float32)
    return result


@triton.jit
def delta(model, base, at, here):
    """A block of a model minus that of the base."""
    return loaded(model, at, here) - base


@triton.jit
def values(models, base, at, here, share, COUNT: tl.constexpr):
    """The variance of several deltas."""
    result = tl.zeros_like(base)
    for one in tl.static_range(COUNT):
        for other in tl.static_range(one):
            away = delta(models[one], base, at, here) - delta(models[other], base, at, here)
            result = result + away * away
    return result * share


@triton.jit
def voted(kept, factors, PARTS: tl.constexpr):
    """The sum of all votes."""
    votes = kept[0] * factors[0][2]
    for part in tl.static_range(1, PARTS):
        votes = votes + kept[part] * factors[part][2]
    return votes


@triton.jit
def count(counts, kept, factors, votes, here, PARTS: tl.constexpr):
    """Adds up the elements whose votes cancel, and the signs of the sums of votes."""
    any_vote = kept[0] * factors[0][2] != 0
    for part in tl.static_range(1, PARTS):
        any_vote = any_vote | (kept[part] * factors[part][2] != 0)
    sign = tl.where(votes > 0, 1, tl.where(votes < 0, -1, 0))
    tied = tl.sum(tl.where(any_vote & (sign == 0) & here, 1, 0), 0)
    signs = tl.sum(tl.where(here, sign, 0), 0)
    tl.atomic_add(counts, tied.to(tl.int64), tied != 0)
    tl.atomic_add(counts + 1, signs.to(tl.int64), signs != 0)


@triton.jit
def agreed(kept, factors, elected, PARTS: tl.constexpr, DIVIDE: tl.constexpr):
    """The sum over the parts that vote as elected, divided by their shares."""
    total, divisor = elected, elected
    for part in tl.static_range(PARTS):
        agrees = tl.where(kept[part] * factors[part][2] * elected > 0, 1.0, 0.0)
        term = kept[part] * agrees * factors[part][1]
        share = agrees * factors[part][3]
        if part == 0:
            total, divisor = term, share
        else:
            total, divisor = total + term, divisor + share
    if DIVIDE:
        total = tl.div_rn(total, divisor + tl.where(divisor == 0, 1.0, 0.0))
    return total


@triton.jit
def narrowed(x, into: tl.constexpr):
    """Float32 numbers in another type, rounded to nearest with ties to even."""
    if into == tl.bfloat16:
        # By integers: Triton's interpreter would cut off what does not fit.
        bits = x.to(tl.uint32, bitcast=True)
        bits = (bits + ((bits >> 16) & 1) + 0x7FFF) >> 16
        result = tl.where(x == x, bits, 0x7FC0).to(tl.uint16).to(tl.bfloat16, bitcast=True)
    else:
        result = x.to(into)
    return result


@triton.jit
def look(flag, values, here):
    """Lowers a flag if any value of a block, in float32, is NaN or infinite."""
    bits = values.to(tl.int32, bitcast=True) & 0x7FFFFFFF
    broken = tl.max(tl.where(here & (bits >= 0x7F800000), 1, 0), 0)
    tl.store(flag, 0, broken > 0)


@triton.jit
def store(out, flag, result, at, here):
    """Writes a block, rounded, and lowers a flag if any of it is not finite."""
    rounded = narrowed(result, out.dtype.element_ty)
    tl.store(out + at, rounded, here)
    look(flag, widened(rounded), here)
