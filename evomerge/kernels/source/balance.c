#include "values.h"

typedef struct {
    score_t score;
    float weight, least, stretch;
} rival_t;

/* Averages deltas by how well their elements compete; see balance.py. */
typedef struct {
    int64_t next, numel;
    int64_t broken;             /* whether anything that was written is not finite */
    array_t out, base;
    const array_t *models;      /* all that compete */
    const rival_t *rivals;      /* those that are averaged */
    int32_t n_models, n_rivals;
    float scale;
} balance_t;

INLINE void balance_step(const balance_t *p, int64_t at, int n, steps_t x, truth_t *broken) {
    lanes_t base[UNROLLED], together[UNROLLED], sum[UNROLLED] = {{0}}, shares[UNROLLED] = {{0}};
    load_step(&p->base, at, n, base);
    for (int m = 0; m < p->n_models; m++) {
        delta_step(&p->models[m], base, at, n, x[m]);
        EACH(u) together[u] = m == 0 ? x[m][u] : together[u] + x[m][u];
    }
    for (int r = 0; r < p->n_rivals; r++) {
        const rival_t *rival = &p->rivals[r];
        const lanes_t *delta = x[rival->score.model];
        EACH(u) {
            lanes_t own = clamped(&rival->score, delta[u]);
            lanes_t share = scored(&rival->score, p->n_models, delta[u], own, together[u]);
            share = at_least(share - rival->least, 0.0f) * rival->stretch;
            sum[u] = sum[u] + own * share * rival->weight;
            shares[u] = shares[u] + share;
        }
    }
    EACH(u) sum[u] = base[u] - (sum[u] / at_least(shares[u], 1e-12f) * -p->scale + 0.0f);
    save_step(sum, &p->out, at, n, broken);
}

void evomerge_balance(balance_t *p) {
    steps_t x = scratch_for(p->n_models);
    truth_t broken = {0};
    FOR_CHUNKS(p) FOR_BLOCKS(p, start, size) {
        int n = (int)size, whole = n / STEP * STEP;
        for (int i = 0; i < whole; i += STEP) balance_step(p, start + i, STEP, x, &broken);
        if (whole < n) balance_step(p, start + whole, n - whole, x, &broken);
    }
    __atomic_fetch_or(&p->broken, bits_where(broken, LANES), __ATOMIC_RELAXED);
    free(x);
}
