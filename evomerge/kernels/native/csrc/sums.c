#include "masks.h"
#include "values.h"

/* Sums per block: of the absolute values that a mask keeps (left.data is null), or of the products of two
 * tensors; see reference/sums.py. */
typedef struct {
    int64_t next, numel;
    double *sums;               /* one per block */
    values_t of;
    mask_t mask;
    array_t left, right;
} sums_t;

static double folded(double *restrict x, int n) {
    for (int i = n; i < BLOCK; i++) x[i] = 0.0;
    for (int half = BLOCK / 2; half; half /= 2)
        for (int i = 0; i < half; i++) x[i] = x[i] + x[i + half];
    return x[0];
}

void evomerge_sums(sums_t *p) {
    float *x = room_for(2), *y = x + ROOM;
    double *terms = (double *)room_for(2);
    steps_t scratch = scratch_for(p->of.n_models);
    FOR_CHUNKS(p) FOR_BLOCKS(p, start, size) {
        int n = (int)size;
        if (p->left.data) {
            load(&p->left, start, n, x);
            load(&p->right, start, n, y);
            for (int i = 0; i < n; i++) terms[i] = (double)x[i] * (double)y[i];
        } else {
            values(&p->of, start, n, x, scratch);
            sparsify_block(&p->mask, start, n, x);
            for (int i = 0; i < n; i++) terms[i] = (double)float_of(magnitude(x[i]));
        }
        p->sums[start / BLOCK] = folded(terms, n);
    }
    free(scratch);
    free(terms);
    free(x);
}

/* Sums per block of the squares of all deltas, of those elements that are selected in common. */
typedef struct {
    int64_t next, numel;
    double *sums;               /* for each model one per block */
    values_t of;                /* base and models */
    values_t select;            /* n_models is 0 where everything is selected */
    mask_t selected;
} squares_t;

void evomerge_squares(squares_t *p) {
    float *x = room_for(2), *chosen = x + ROOM;
    double *terms = (double *)room_for(2);
    steps_t scratch = scratch_for(p->select.n_models);
    int64_t blocks = (p->numel + BLOCK - 1) / BLOCK;
    FOR_CHUNKS(p) FOR_BLOCKS(p, start, size) {
        int n = (int)size;
        if (p->select.n_models) values(&p->select, start, n, chosen, scratch);
        for (int m = 0; m < p->of.n_models; m++) {
            values_t own = {VALUES_DELTA, 1, p->of.base, &p->of.models[m]};
            values(&own, start, n, x, NULL);
            if (p->select.n_models) apply_selection(&p->selected, start, n, chosen, x);
            for (int i = 0; i < n; i++) terms[i] = (double)x[i] * (double)x[i];
            p->sums[m * blocks + start / BLOCK] = folded(terms, n);
        }
    }
    free(scratch);
    free(terms);
    free(x);
}
