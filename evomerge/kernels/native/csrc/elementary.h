/* Exponential and hyperbolic tangent, step by step as in reference/elementary.py. */
#pragma once

#include "simd.h"

INLINE lanes_t size_of(lanes_t x) { return (lanes_t)((words_t)x & 0x7fffffffu); }

/* Rounds to the nearest integer, ties to even, by a number from which on floats are integers. */
INLINE lanes_t exponential(lanes_t x) {
    const float round = 0x1.8p23f;
    x = at_most(at_least(x, -87.0f), 88.0f);
    lanes_t rounded = x * 1.44269504088896341f + round, power = rounded - round;
    lanes_t rest = x - power * 0.693359375f - power * -2.12194440e-4f;
    lanes_t series = rest * 1.9875691500e-4f + 1.3981999507e-3f;
    series = series * rest + 8.3334519073e-3f;
    series = series * rest + 4.1665795894e-2f;
    series = series * rest + 1.6666665459e-1f;
    series = series * rest + 5.0000001201e-1f;
    series = series * (rest * rest) + rest + 1.0f;
    return series * (lanes_t)(((words_t)rounded - bits_of(round) + 127) << 23);
}

INLINE lanes_t hyperbolic_tangent(lanes_t x) {
    lanes_t square = x * x, size = size_of(x);
    lanes_t near = square * -5.70498872745e-3f + 2.06390887954e-2f;
    near = near * square + -5.37397155531e-2f;
    near = near * square + 1.33314422036e-1f;
    near = near * square + -3.33332819422e-1f;
    near = near * square * x + x;
    compare_t small = above(every(0.625f), size);
    if (bits_where(small, LANES) == (1u << LANES) - 1) return near;     /* the products of most experts' deltas */
    lanes_t far = 1.0f - 1.0f / (exponential(at_most(size, 44.0f) * 2.0f) + 1.0f) * 2.0f;
    far = (lanes_t)((words_t)size_of(far) | ((words_t)x & 0x80000000u));
    return choose(small, near, far);
}
