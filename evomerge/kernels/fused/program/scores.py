"""Competition scores over one block; see ``reference/values.py`` and ``reference/elementary.py``."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def at_least(x, least):
    """The larger number; NaN if either is."""
    return tl.maximum(x, least, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def at_most(x, most):
    """The smaller number; NaN if either is."""
    return tl.minimum(x, most, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def exponential(x):
    """The exponential of numbers between -87 and 88."""
    x = at_most(at_least(x, -87.0), 88.0)
    # Rounded by a number from which on floats are integers: 1.5 * 2**23.
    shifted = x * 1.44269504088896341 + 12582912.0
    power = shifted - 12582912.0
    rest = x - power * 0.693359375 - power * -2.12194440e-4
    series = rest * 1.9875691500e-4 + 1.3981999507e-3
    series = series * rest + 8.3334519073e-3
    series = series * rest + 4.1665795894e-2
    series = series * rest + 1.6666665459e-1
    series = series * rest + 5.0000001201e-1
    series = series * (rest * rest) + rest + 1.0
    exponent = shifted.to(tl.int32, bitcast=True) - 0x4B400000 + 127
    return series * (exponent << 23).to(tl.float32, bitcast=True)


@triton.jit
def hyperbolic_tangent(x):
    """The hyperbolic tangent: a polynomial near zero, else a fraction."""
    square = x * x
    near = square * -5.70498872745e-3 + 2.06390887954e-2
    near = near * square + -5.37397155531e-2
    near = near * square + 1.33314422036e-1
    near = near * square + -3.33332819422e-1
    near = near * square * x + x
    size = tl.abs(x)
    far = 1.0 - tl.div_rn(1.0, exponential(at_most(size, 44.0) * 2.0) + 1.0) * 2.0
    return tl.where(size < 0.625, near, signed_as(far, x))


@triton.jit
def signed_as(size, x):
    """Numbers that are not negative, with the signs of others."""
    sign = x.to(tl.uint32, bitcast=True) & 0x80000000
    return (size.to(tl.uint32, bitcast=True) & 0x7FFFFFFF | sign).to(tl.float32, bitcast=True)


@triton.jit
def clamped(delta, limits):
    """A delta with its magnitudes clamped; what is not finite becomes NaN."""
    size = at_most(at_least(tl.abs(delta), limits[0]), limits[1])
    return tl.where(delta == 0, 0.0, signed_as(size, delta)) + delta * 0.0


@triton.jit
def scored(delta, own, total, limits, COUNT: tl.constexpr):
    """Scores of a delta, given the same clamped, and the sum of all deltas."""
    size = (tl.abs(own) - limits[0]) * limits[2]
    return at_least(exponential(size * size * COUNT) * hyperbolic_tangent(delta * total), 0.0)
