/* SIMD lanes, their loads (widened to float32) and stores (rounded to nearest, ties to even). */
#pragma once

#include "simd_compare.h"

typedef uint16_t halves_t __attribute__((vector_size(LANES * 2)));

/* A step is several lanes at once, so that what is the same for all of them is looked at once. */
#define UNROLLED 4
#define STEP (UNROLLED * LANES)
#define EACH(u) for (int u = 0; u < UNROLLED; u++)

/* How many of the n elements of a step fall to lanes u. */
INLINE int share_of(int u, int n) { return n >= (u + 1) * LANES ? LANES : n <= u * LANES ? 0 : n - u * LANES; }

/* The bits of |x|, which order as the magnitudes do; all NaN alike are the largest. */
INLINE words_t magnitudes(lanes_t x) { return smaller((words_t)x & 0x7fffffffu, all_words(0x7f800001u)); }

INLINE lanes_t widen_halves(words_t h) {
    words_t size = (h & 0x7fff) << 13, exponent = size & 0x0f800000u, normal = size + 0x38000000u;
    words_t small = (words_t)((lanes_t)(normal + 0x00800000u) - float_of(0x38800000u));
    compare_t broken = words_from(exponent, all_words(0x0f800000u)), tiny = words_below(exponent, all_words(1));
    return (lanes_t)(where(tiny, small, where(broken, normal + 0x38000000u, normal)) | (h & 0x8000) << 16);
}

INLINE words_t narrow_halves(lanes_t x) {
    words_t sign = (words_t)x & 0x80000000u, u = (words_t)x ^ sign;
    words_t large = where(unlike(x, x), all_words(0x7e00u), all_words(0x7c00u));
    words_t small = (words_t)((lanes_t)u + 0.5f) - 0x3f000000u;
    words_t normal = (u + 0xc8000fffu + ((u >> 13) & 1)) >> 13;
    words_t finite = where(words_below(u, all_words(0x38800000u)), small, normal);
    return where(words_from(u, all_words(0x47800000u)), large, finite) | sign >> 16;
}

INLINE words_t narrow_bfloats(lanes_t x) {
    words_t u = (words_t)x;
    return where(unlike(x, x), all_words(0x7fc0u), (u + 0x7fffu + ((u >> 16) & 1)) >> 16);
}

INLINE words_t load_words(const uint16_t *from, int n) {
    halves_t h = {0};
    memcpy(&h, from, (size_t)n * 2);
    return __builtin_convertvector(h, words_t);
}

/* The next n elements, at most a step, widened; what is behind them is zero. */
INLINE void load_step(const array_t *from, int64_t at, int n, lanes_t *x) {
    const uint16_t *words = (const uint16_t *)from->data + at;
    if (from->dtype == BFLOAT16) {
        EACH(u) x[u] = (lanes_t)(load_words(words + u * LANES, share_of(u, n)) << 16);
    } else if (from->dtype == FLOAT32) EACH(u) {
        lanes_t zero = {0};
        x[u] = zero;
        memcpy(&x[u], (const float *)from->data + at + u * LANES, (size_t)share_of(u, n) * 4);
    } else {
        EACH(u) x[u] = widen_halves(load_words(words + u * LANES, share_of(u, n)));
    }
}

/* x becomes the model minus the base. */
INLINE void delta_step(const array_t *model, const lanes_t *base, int64_t at, int n, lanes_t *x) {
    load_step(model, at, n, x);
    EACH(u) x[u] = x[u] - base[u];
}

/* Writes a step, and adds the lanes to `broken` in which a number is not finite once it is rounded. */
INLINE void save_step(const lanes_t *x, const array_t *to, int64_t at, int n, compare_t *broken) {
    if (to->dtype == FLOAT32) EACH(u) {
        memcpy((float *)to->data + at + u * LANES, &x[u], (size_t)share_of(u, n) * 4);
        *broken |= words_from(magnitudes(x[u]), all_words(0x7f800000u)) & first_lanes(share_of(u, n));
    } else EACH(u) {
        words_t words = to->dtype == BFLOAT16 ? narrow_bfloats(x[u]) : narrow_halves(x[u]);
        words_t infinite = all_words(to->dtype == BFLOAT16 ? 0x7f80u : 0x7c00u);
        halves_t h = __builtin_convertvector(words, halves_t);
        memcpy((uint16_t *)to->data + at + u * LANES, &h, (size_t)share_of(u, n) * 2);
        *broken |= words_from(words & 0x7fffu, infinite) & first_lanes(share_of(u, n));
    }
}

/* A block in float32. Buffers have room behind a block, so whole steps can be put into them. */
static inline void load(const array_t *from, int64_t start, int n, float *to) {
    int whole = n / STEP * STEP;
    for (int i = 0; i < whole; i += STEP) load_step(from, start + i, STEP, (lanes_t *)(to + i));
    if (whole < n) load_step(from, start + whole, n - whole, (lanes_t *)(to + whole));
}
