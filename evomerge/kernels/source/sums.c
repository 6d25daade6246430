#include "keep.h"
#include "values.h"

/* Sums per block: of the absolute values or squares of what is kept of values (left.data is null), or of the products
 * of two tensors; see sums.py. */
typedef struct {
    int64_t next, numel;
    double *sums;               /* one per block */
    values_t of;
    keep_t keep;
    int32_t squared;
    array_t left, right;
    values_t select;            /* n_models is 0 where nothing else decides what is kept */
    keep_t selected;
} sums_t;

static double folded(double *restrict x, int n) {
    for (int i = n; i < BLOCK; i++) x[i] = 0.0;
    for (int half = BLOCK / 2; half; half /= 2)
        for (int i = 0; i < half; i++) x[i] = x[i] + x[i + half];
    return x[0];
}

void evomerge_sums(sums_t *p) {
    float *memory = room_for(6), *x = memory, *scratch = memory + ROOM, *chosen = memory + 5 * ROOM;
    double *terms = (double *)room_for(2);
    FOR_CHUNKS(p) FOR_BLOCKS(p, start, size) {
        int n = (int)size;
        if (p->left.data) {
            load(&p->left, start, n, x);
            load(&p->right, start, n, scratch);
            for (int i = 0; i < n; i++) terms[i] = (double)x[i] * (double)scratch[i];
        } else {
            values(&p->of, start, n, x, scratch);
            thin_block(&p->keep, start, n, x);
            if (p->select.n_models) {
                values(&p->select, start, n, chosen, scratch);
                keep_chosen(&p->selected, start, n, chosen, x);
            }
            if (p->squared) for (int i = 0; i < n; i++) terms[i] = (double)x[i] * (double)x[i];
            else for (int i = 0; i < n; i++) terms[i] = (double)float_of(magnitude(x[i]));
        }
        p->sums[start / BLOCK] = folded(terms, n);
    }
    free(terms);
    free(memory);
}
