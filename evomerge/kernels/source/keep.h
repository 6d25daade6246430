/* What is kept of a delta; see selection.py and noise.py. */
#pragma once

#include "lanes.h"

INLINE words_t numbered(void) {
    words_t lane;
    for (int i = 0; i < LANES; i++) lane[i] = (uint32_t)i;
    return lane;
}

INLINE words_t mixed(words_t state) {
    state = (state ^ state >> 16) * 0x85ebca6bu;
    state = (state ^ state >> 13) * 0xc2b2ae35u;
    return state ^ state >> 16;
}

INLINE lanes_t noise(const uint32_t keys[2], int64_t at) {
    words_t state = mixed(mixed((numbered() + (uint32_t)at) ^ keys[0]) ^ keys[1]);
    return __builtin_convertvector((truth_t)(state >> 8), lanes_t) * 0x1p-24f;
}

/* The smallest bits that a cut takes in. */
INLINE words_t least_of(const cut_t *cut, int64_t at) {
    words_t bits = cut->bits - (words_t){0};
    if (at + LANES <= cut->end) return bits;
    if (at >= cut->end) return bits + 1;
    return bits + ((words_t)(numbered() >= (uint32_t)(cut->end - at)) & 1);
}

/* One where values lie in the window, else zero. */
INLINE lanes_t between(words_t least, words_t top, lanes_t by) {
    words_t none = {0}, u = (words_t)by & 0x7fffffffu;
    u = where(u > 0x7f800001u, none + 0x7f800001u, u);
    return one_where((truth_t)(u >= least) & (truth_t)(u < top));
}

/* Multiplies by one where other values lie in the window, else by zero. */
INLINE void keep_window(const keep_t *keep, int64_t at, const lanes_t *by, lanes_t *x) {
    const cut_t *in = &keep->within, *out = &keep->beyond;
    if ((at + STEP <= in->end || at >= in->end) && (at + STEP <= out->end || at >= out->end)) {
        words_t least = least_of(in, at), top = least_of(out, at);
        EACH(u) x[u] = x[u] * between(least, top, by[u]);
    } else {
        EACH(u) x[u] = x[u] * between(least_of(in, at + u * LANES), least_of(out, at + u * LANES), by[u]);
    }
}

/* Sets what is not kept to zero: multiplied, not selected, so that NaN and infinity stay to be seen. */
INLINE void thin(const keep_t *keep, int64_t at, int n, lanes_t *x) {
    if (keep->kind == KEEP_WINDOW) {
        keep_window(keep, at, x, x);
    } else if (keep->kind == KEEP_CHANCE && !keep->ranks) {
        EACH(u) x[u] = x[u] * one_where(noise(keep->keys, at + u * LANES) < every(keep->low));
    } else if (keep->kind != KEEP_ALL) EACH(u) {
        words_t ranks = load_words(keep->ranks + at + u * LANES, share_of(u, n));
        if (keep->kind == KEEP_RANKS) {
            x[u] = x[u] * one_where(((truth_t)ranks >= keep->first) & ((truth_t)ranks < keep->stop));
        } else {
            lanes_t chance = __builtin_convertvector((truth_t)ranks, lanes_t) * keep->step + keep->low;
            x[u] = x[u] * one_where(noise(keep->keys, at + u * LANES) < chance);
            if (keep->own) x[u] = x[u] / chance;
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
