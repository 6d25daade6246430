/* Sparsity masks; see reference/sparsify.py and reference/noise.py. */
#pragma once

#include "simd.h"

INLINE words_t mixed(words_t state) {
    state = (state ^ state >> 16) * 0x85ebca6bu;
    state = (state ^ state >> 13) * 0xc2b2ae35u;
    return state ^ state >> 16;
}

/* Words whose upper 24 bits, times 2**-24, are the noise. */
INLINE words_t noise(const uint32_t keys[2], int64_t at) {
    return mixed(mixed((numbered() + (uint32_t)at) ^ keys[0]) ^ keys[1]);
}

INLINE lanes_t as_floats(words_t u) { return __builtin_convertvector((integers_t)u, lanes_t); }

/* How many of 2**24 equal steps of noise are below a probability. */
INLINE uint32_t noise_below(float probability) {
    double count = (double)probability * 0x1p24;
    if (!(count > 0)) return 0;
    if (count >= 0x1p24) return 1u << 24;
    uint32_t whole = (uint32_t)count;
    return whole + (whole < count);
}

/* The smallest bits that a threshold admits. */
INLINE words_t least_of(const threshold_t *threshold, int64_t at) {
    words_t bits = all_words(threshold->bits);
    if (at + LANES <= threshold->end) return bits;
    if (at >= threshold->end) return bits + 1;
    return where(first_lanes((int)(threshold->end - at)), bits, bits + 1);
}

INLINE int is_uniform(const threshold_t *threshold, int64_t at) {
    return at + STEP <= threshold->end || at >= threshold->end;
}

/* Multiplies by one where other values lie in the window, else by zero: so that NaN and infinity stay to be seen. */
INLINE void apply_window(const mask_t *mask, int64_t at, const lanes_t *by, lanes_t *x) {
    const threshold_t *in = &mask->within, *out = &mask->beyond;
    const lanes_t one = every(1.0f);
    if (out->bits == 0x7fffffffu) {     /* nothing is so large */
        if (is_uniform(in, at)) {
            words_t least = least_of(in, at);
            EACH(u) x[u] = x[u] * only(words_from(magnitudes(by[u]), least), one);
        } else EACH(u) {
            x[u] = x[u] * only(words_from(magnitudes(by[u]), least_of(in, at + u * LANES)), one);
        }
    } else EACH(u) {
        words_t size = magnitudes(by[u]), least = least_of(in, at + u * LANES), top = least_of(out, at + u * LANES);
        x[u] = x[u] * only(words_from(size, least) & words_below(size, top), one);
    }
}

/* Multiplies what the mask drops by zero. */
INLINE void sparsify(const mask_t *mask, int64_t at, int n, lanes_t *x) {
    const lanes_t one = every(1.0f);
    if (mask->kind == MASK_WINDOW) {
        apply_window(mask, at, x, x);
    } else if (mask->kind == MASK_BERNOULLI && !mask->ranks) {
        uint32_t below = noise_below(mask->probability);
        words_t top = all_words(below << 8);
        if (below < 1u << 24) EACH(u) x[u] = x[u] * only(words_below(noise(mask->keys, at + u * LANES), top), one);
        if (mask->trims) apply_window(mask, at, x, x);
    } else if (mask->kind == MASK_BERNOULLI) {
        lanes_t probability[UNROLLED];
        EACH(u) {
            lanes_t ranks = as_floats(load_words(mask->ranks + at + u * LANES, share_of(u, n)));
            probability[u] = ranks * mask->step + mask->probability;
            words_t drawn = noise(mask->keys, at + u * LANES) >> 8;
            x[u] = x[u] * only(above(probability[u], as_floats(drawn) * 0x1p-24f), one);
        }
        if (mask->trims) apply_window(mask, at, x, x);
        if (mask->rescale) EACH(u) x[u] = x[u] / probability[u];
    } else if (mask->kind == MASK_RANKS) {
        words_t first = all_words((uint32_t)mask->first), stop = all_words((uint32_t)mask->stop);
        EACH(u) {
            words_t ranks = load_words(mask->ranks + at + u * LANES, share_of(u, n));
            x[u] = x[u] * only(words_from(ranks, first) & words_below(ranks, stop), one);
        }
    }
}

/* Buffers have room behind a block, so whole steps can be read from them. */
static inline void sparsify_block(const mask_t *mask, int64_t start, int n, float *x) {
    for (int i = 0; i < n; i += STEP) sparsify(mask, start + i, n - i < STEP ? n - i : STEP, (lanes_t *)(x + i));
}

static inline void apply_selection(const mask_t *mask, int64_t start, int n, const float *chosen, float *x) {
    for (int i = 0; i < n; i += STEP) apply_window(mask, start + i, (const lanes_t *)(chosen + i), (lanes_t *)(x + i));
}
