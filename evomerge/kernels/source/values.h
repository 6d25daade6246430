/* Numbers computed from tensors; see values.py. */
#pragma once

#include "score.h"

/* The variance of the deltas, element by element, in double precision and rounded at the end. */
static inline void spread(const values_t *v, const float *base, int64_t start, int n, float *restrict to, float *scratch) {
    float *restrict x = scratch;
    double share = 1.0 / v->n_models, mean[BLOCK], sum[BLOCK];
    memset(mean, 0, sizeof mean);
    memset(sum, 0, sizeof sum);
    for (int m = 0; m < v->n_models; m++) {
        delta(&v->models[m], base, start, n, x);
        for (int i = 0; i < n; i++) mean[i] = mean[i] + (double)x[i];
    }
    for (int i = 0; i < n; i++) mean[i] = mean[i] * share;
    for (int m = 0; m < v->n_models; m++) {
        delta(&v->models[m], base, start, n, x);
        for (int i = 0; i < n; i++) sum[i] = sum[i] + ((double)x[i] - mean[i]) * ((double)x[i] - mean[i]);
    }
    for (int i = 0; i < n; i++) to[i] = (float)(sum[i] * share);
}

/* How well the elements of one delta compete. Buffers have room behind a block, so whole steps can be taken from them. */
static inline void scores(const values_t *v, const float *base, int64_t start, int n, float *to, float *scratch) {
    float *restrict x = scratch, *restrict together = scratch + ROOM;
    for (int m = 0; m < v->n_models; m++) {
        delta(&v->models[m], base, start, n, x);
        for (int i = 0; i < n; i++) together[i] = m == 0 ? x[i] : together[i] + x[i];
        if (m == v->score.model) memcpy(to, x, (size_t)n * 4);
    }
    for (int i = 0; i < n; i += LANES) {
        lanes_t *own = (lanes_t *)(to + i);
        *own = scored(&v->score, v->n_models, *own, clamped(&v->score, *own), *(lanes_t *)(together + i));
    }
}

/* One block of values; scratch is 3 blocks. */
static inline void values(const values_t *v, int64_t start, int n, float *to, float *scratch) {
    float *base = scratch;
    load(&v->base, start, n, base);
    if (v->kind == VALUES_DELTA) delta(v->models, base, start, n, to);
    else if (v->kind == VALUES_SPREAD) spread(v, base, start, n, to, scratch + ROOM);
    else scores(v, base, start, n, to, scratch + ROOM);
}
