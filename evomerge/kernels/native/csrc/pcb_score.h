/* Competition score of PCB-Merging; see PcbScore in operands.py. */
#pragma once

#include "elementary.h"

/* Clamped to the score's limits; what is not finite becomes NaN. A limit that is NaN makes all of them NaN. */
INLINE lanes_t clamped(const score_t *score, lanes_t x) {
    lanes_t size = at_least(size_of(x), score->low), zero = {0};
    size = limited(size, score->high);
    words_t sign = (words_t)x & 0x80000000u;
    return only(unlike(x, zero), (lanes_t)((words_t)size | sign)) + x * 0.0f;
}

/* From a delta, the same clamped, and the sum of all n deltas. */
INLINE lanes_t scored(const score_t *score, int n, lanes_t x, lanes_t own, lanes_t together) {
    lanes_t size = (size_of(own) - score->low) * score->slope;
    return at_least(exponential(size * size * (float)n) * hyperbolic_tangent(x * together), 0.0f);
}
