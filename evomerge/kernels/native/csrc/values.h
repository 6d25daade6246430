/* Element-wise values of a base and models; see reference/values.py. */
#pragma once

#include "masks.h"
#include "pcb_score.h"

/* A step for each of several models. */
typedef lanes_t (*steps_t)[UNROLLED];

/* Element-wise variance of the deltas: half the mean square of the differences of all pairs. */
INLINE void variance_step(const values_t *v, const lanes_t *base, int64_t at, int n, lanes_t *to, steps_t x) {
    float share = (float)(1.0 / ((double)v->n_models * v->n_models));
    lanes_t zero = {0};
    EACH(u) to[u] = zero;
    for (int m = 0; m < v->n_models; m++) {
        delta_step(&v->models[m], base, at, n, x[m]);
        for (int other = 0; other < m; other++) EACH(u) {
            lanes_t away = x[m][u] - x[other][u];
            to[u] = to[u] + away * away;
        }
    }
    EACH(u) to[u] = to[u] * share;
}

/* PCB scores of one delta. */
INLINE void score_step(const values_t *v, const lanes_t *base, int64_t at, int n, lanes_t *to) {
    lanes_t x[UNROLLED], own[UNROLLED], together[UNROLLED];
    delta_step(&v->models[v->score.model], base, at, n, own);
    for (int m = 0; m < v->n_models; m++) {
        delta_step(&v->models[m], base, at, n, x);
        EACH(u) together[u] = m == 0 ? x[u] : together[u] + x[u];
    }
    EACH(u) to[u] = scored(&v->score, v->n_models, own[u], clamped(&v->score, own[u]), together[u]);
}

/* One step of values from that of the base; scratch is a step for each model. */
INLINE void values_step(const values_t *v, const lanes_t *base, int64_t at, int n, lanes_t *to, steps_t scratch) {
    if (v->kind == VALUES_DELTA) delta_step(v->models, base, at, n, to);
    else if (v->kind == VALUES_VARIANCE) variance_step(v, base, at, n, to, scratch);
    else if (v->kind == VALUES_SPARSE) {
        delta_step(v->models, base, at, n, to);
        sparsify(v->mask, at, n, to);
    }
    else score_step(v, base, at, n, to);
}

/* Memory for the scratch of these values. */
static inline steps_t scratch_for(int models) { return allocated((size_t)models * STEP * 4); }

/* One block of values. Buffers have room behind a block, so whole steps can be put into them. */
static inline void values(const values_t *v, int64_t start, int n, float *to, steps_t scratch) {
    lanes_t base[UNROLLED];
    int whole = n / STEP * STEP;
    for (int i = 0; i < whole; i += STEP) {
        load_step(&v->base, start + i, STEP, base);
        values_step(v, base, start + i, STEP, (lanes_t *)(to + i), scratch);
    }
    if (whole == n) return;
    load_step(&v->base, start + whole, n - whole, base);
    values_step(v, base, start + whole, n - whole, (lanes_t *)(to + whole), scratch);
}
