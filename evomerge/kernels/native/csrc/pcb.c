#include "values.h"

typedef struct {
    score_t score;
    float weight, least, slope;
} pcb_term_t;

/* PCB-Merging: the average of clamped deltas weighted by their competition scores; see reference/pcb.py. */
typedef struct {
    int64_t next, numel;
    int64_t broken;             /* whether any written element is not finite */
    array_t out, base;
    const array_t *models;      /* all models that compete */
    const pcb_term_t *terms;      /* the models that are averaged */
    int32_t n_models, n_terms;
    float scale;
} pcb_t;

INLINE void pcb_step(const pcb_t *p, int64_t at, int n, steps_t x, compare_t *broken) {
    lanes_t base[UNROLLED], together[UNROLLED], sum[UNROLLED] = {{0}}, shares[UNROLLED] = {{0}};
    load_step(&p->base, at, n, base);
    for (int m = 0; m < p->n_models; m++) {
        delta_step(&p->models[m], base, at, n, x[m]);
        EACH(u) together[u] = m == 0 ? x[m][u] : together[u] + x[m][u];
    }
    for (int r = 0; r < p->n_terms; r++) {
        const pcb_term_t *term = &p->terms[r];
        const lanes_t *delta = x[term->score.model];
        EACH(u) {
            lanes_t own = clamped(&term->score, delta[u]);
            lanes_t share = scored(&term->score, p->n_models, delta[u], own, together[u]);
            share = at_least(share - term->least, 0.0f) * term->slope;
            sum[u] = sum[u] + own * share * term->weight;
            shares[u] = shares[u] + share;
        }
    }
    EACH(u) sum[u] = base[u] - (sum[u] / at_least(shares[u], 1e-12f) * -p->scale + 0.0f);
    save_step(sum, &p->out, at, n, broken);
}

void evomerge_pcb(pcb_t *p) {
    steps_t x = scratch_for(p->n_models);
    compare_t broken = {0};
    FOR_CHUNKS(p) FOR_BLOCKS(p, start, size) {
        int n = (int)size, whole = n / STEP * STEP;
        for (int i = 0; i < whole; i += STEP) pcb_step(p, start + i, STEP, x, &broken);
        if (whole < n) pcb_step(p, start + whole, n - whole, x, &broken);
    }
    __atomic_fetch_or(&p->broken, bits_where(broken, LANES), __ATOMIC_RELAXED);
    free(x);
}
