#include "keep.h"
#include "values.h"

typedef struct {
    array_t model;
    keep_t keep;
    float weight, vote, share, factor;
} part_t;

/* Mixes parts into out, or counts signs; see mixture.py. */
typedef struct {
    int64_t next, numel;
    int64_t tied, signs;        /* counted: elements whose votes cancel; the sum of the elected signs */
    array_t out;                /* data is null where signs are only counted */
    array_t base;               /* data is null where the parts are models, not deltas */
    const part_t *parts;
    int32_t n_parts, elect, divide, counting;
    float scale, tie;
    values_t select;            /* n_models is 0 where nothing is selected in common */
    keep_t selected;
} mixture_t;

/* The sum over the parts that vote as elected, divided by their shares. */
INLINE void agreed(const mixture_t *p, lanes_t (*x)[UNROLLED], int n, lanes_t *sum, int64_t *tied, int64_t *signs) {
    lanes_t elected[UNROLLED], divisor[UNROLLED] = {{0}};
    EACH(u) sum[u] = x[0][u] * p->parts[0].vote;
    for (int m = 1; m < p->n_parts; m++) EACH(u) sum[u] = sum[u] + x[m][u] * p->parts[m].vote;
    EACH(u) elected[u] = one_where(sum[u] > 0.0f) - one_where(sum[u] < 0.0f);
    if (p->counting) EACH(u) {
        truth_t voted = {0}, ties = elected[u] == 0.0f;
        for (int m = 0; m < p->n_parts; m++) voted |= x[m][u] * p->parts[m].vote != 0.0f;
        for (int i = 0; i < share_of(u, n); i++) {
            *tied -= voted[i] & ties[i];
            *signs += (int64_t)elected[u][i];
        }
    }
    EACH(u) elected[u] = elected[u] + one_where(elected[u] == 0.0f) * p->tie;
    for (int m = 0; m < p->n_parts; m++) {
        const part_t *part = &p->parts[m];
        EACH(u) {
            lanes_t agrees = one_where(x[m][u] * part->vote * elected[u] > 0.0f);
            lanes_t term = x[m][u] * agrees * part->weight, share = agrees * part->share;
            sum[u] = m == 0 ? term : sum[u] + term;
            divisor[u] = m == 0 ? share : divisor[u] + share;
        }
    }
    if (p->divide) EACH(u) sum[u] = sum[u] / (divisor[u] + one_where(divisor[u] == 0.0f));
}

INLINE void mix_step(const mixture_t *p, int64_t at, int n, const float *chosen, lanes_t (*x)[UNROLLED],
                     int64_t *tied, int64_t *signs) {
    lanes_t sum[UNROLLED] = {{0}}, base[UNROLLED];
    if (p->base.data) load_step(&p->base, at, n, base);
    for (int m = 0; m < p->n_parts; m++) {
        const part_t *part = &p->parts[m];
        load_step(&part->model, at, n, x[m]);
        if (p->base.data) {
            EACH(u) x[m][u] = x[m][u] - base[u];
            thin(&part->keep, at, n, x[m]);
        }
        if (part->factor != 1.0f) EACH(u) x[m][u] = x[m][u] * part->factor;
        if (chosen) keep_window(&p->selected, at, (const lanes_t *)chosen, x[m]);
        if (!p->elect) EACH(u) sum[u] = m == 0 ? x[m][u] * part->weight : sum[u] + x[m][u] * part->weight;
    }
    if (p->elect && p->n_parts) agreed(p, x, n, sum, tied, signs);
    if (p->base.data) EACH(u) sum[u] = base[u] - (sum[u] * -p->scale + 0.0f);
    if (p->out.data) save_step(sum, &p->out, at, n);
}

/* Asks for a block's memory before it is needed: the arithmetic between two loads is too long for a processor to look
 * far ahead by itself. */
static void fetch(const array_t *from, int64_t start, int64_t numel, int to_write) {
    if (!from->data || start >= numel) return;
    int size = from->dtype == FLOAT32 ? 4 : 2;
    const char *first = (const char *)from->data + start * size;
    int64_t bytes = (numel - start < BLOCK ? numel - start : BLOCK) * size;
    if (to_write) for (int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(first + i, 1, 3);
    else for (int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(first + i, 0, 3);
}

void evomerge_mix(mixture_t *p) {
    float *memory = room_for(4 + p->n_parts), *chosen = p->select.n_models ? memory : NULL, *scratch = memory + ROOM;
    lanes_t (*x)[UNROLLED] = (lanes_t (*)[UNROLLED])(scratch + 3 * ROOM);
    int64_t tied = 0, signs = 0;
    FOR_CHUNKS(p) FOR_BLOCKS(p, start, size) {
        int n = (int)size, whole = n / STEP * STEP;
        for (int m = 0; m < p->n_parts; m++) fetch(&p->parts[m].model, start + BLOCK, p->numel, 0);
        fetch(&p->base, start + BLOCK, p->numel, 0);
        fetch(&p->out, start + BLOCK, p->numel, 1);
        if (chosen) values(&p->select, start, n, chosen, scratch);
        for (int i = 0; i < whole; i += STEP)
            mix_step(p, start + i, STEP, chosen ? chosen + i : NULL, x, &tied, &signs);
        if (whole < n) mix_step(p, start + whole, n - whole, chosen ? chosen + whole : NULL, x, &tied, &signs);
    }
    __atomic_fetch_add(&p->tied, tied, __ATOMIC_RELAXED);
    __atomic_fetch_add(&p->signs, signs, __ATOMIC_RELAXED);
    free(memory);
}
