/* What is kept of a delta; see selection.py and noise.py. */
#pragma once

#include "lanes.h"

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
INLINE uint32_t noise_below(float chance) {
    double count = (double)chance * 0x1p24;
    if (!(count > 0)) return 0;
    if (count >= 0x1p24) return 1u << 24;
    uint32_t whole = (uint32_t)count;
    return whole + (whole < count);
}

/* The smallest bits that a cut takes in. */
INLINE words_t least_of(const cut_t *cut, int64_t at) {
    words_t bits = all_words(cut->bits);
    if (at + LANES <= cut->end) return bits;
    if (at >= cut->end) return bits + 1;
    return where(first_lanes((int)(cut->end - at)), bits, bits + 1);
}

INLINE int is_one(const cut_t *cut, int64_t at) { return at + STEP <= cut->end || at >= cut->end; }

/* Multiplies by one where other values lie in the window, else by zero: so that NaN and infinity stay to be seen. */
INLINE void keep_window(const keep_t *keep, int64_t at, const lanes_t *by, lanes_t *x) {
    const cut_t *in = &keep->within, *out = &keep->beyond;
    const lanes_t one = every(1.0f);
    if (out->bits == 0x7fffffffu) {     /* nothing is so large */
        if (is_one(in, at)) {
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

/* Multiplies what is not kept by zero. */
INLINE void thin(const keep_t *keep, int64_t at, int n, lanes_t *x) {
    const lanes_t one = every(1.0f);
    if (keep->kind == KEEP_WINDOW) {
        keep_window(keep, at, x, x);
    } else if (keep->kind == KEEP_CHANCE && !keep->ranks) {
        uint32_t below = noise_below(keep->low);
        words_t top = all_words(below << 8);
        if (below < 1u << 24) EACH(u) x[u] = x[u] * only(words_below(noise(keep->keys, at + u * LANES), top), one);
    } else if (keep->kind == KEEP_CHANCE) EACH(u) {
        lanes_t ranks = as_floats(load_words(keep->ranks + at + u * LANES, share_of(u, n)));
        lanes_t chance = ranks * keep->step + keep->low;
        x[u] = x[u] * only(above(chance, as_floats(noise(keep->keys, at + u * LANES) >> 8) * 0x1p-24f), one);
        if (keep->own) x[u] = x[u] / chance;
    } else if (keep->kind == KEEP_RANKS) {
        words_t first = all_words((uint32_t)keep->first), stop = all_words((uint32_t)keep->stop);
        EACH(u) {
            words_t ranks = load_words(keep->ranks + at + u * LANES, share_of(u, n));
            x[u] = x[u] * only(words_from(ranks, first) & words_below(ranks, stop), one);
        }
    }
}

/* Buffers have room behind a block, so whole steps can be taken from them. */
static inline void thin_block(const keep_t *keep, int64_t start, int n, float *x) {
    for (int i = 0; i < n; i += STEP) thin(keep, start + i, n - i < STEP ? n - i : STEP, (lanes_t *)(x + i));
}

static inline void keep_chosen(const keep_t *keep, int64_t start, int n, const float *chosen, float *x) {
    for (int i = 0; i < n; i += STEP) keep_window(keep, start + i, (const lanes_t *)(chosen + i), (lanes_t *)(x + i));
}
