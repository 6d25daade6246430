#include "masks.h"
#include "values.h"

typedef struct {
    array_t model;
    mask_t mask;
    float weight, vote, share, factor;
} part_t;

/* Mixes parts into out, or only counts signs; see reference/mixture.py. */
typedef struct {
    int64_t next, numel;
    int64_t tied, signs;        /* counted: elements whose votes cancel; the sum of the elected signs */
    int64_t broken;             /* whether any written element is not finite */
    array_t out;                /* data is null where signs are only counted */
    array_t base;               /* data is null where the parts are models, not deltas */
    const part_t *parts;
    int32_t n_parts, elect, divide, counting;
    float scale, tie;
    values_t select;            /* n_models is 0 where nothing is selected in common */
    mask_t selected;
} mixture_t;

/* What a thread counts. */
typedef struct {
    int64_t tied, signs;
    compare_t broken;
} tally_t;

INLINE void count_votes(const mixture_t *p, steps_t x, int n, const compare_t *plus, const compare_t *minus,
                        tally_t *tally) {
    EACH(u) {
        int share = share_of(u, n);
        compare_t voted = {0};
        for (int m = 0; m < p->n_parts; m++) voted |= unlike(x[m][u] * p->parts[m].vote, every(0.0f));
        uint32_t more = bits_where(plus[u], share), less = bits_where(minus[u], share);
        tally->tied += __builtin_popcount(bits_where(voted, share) & ~(more | less));
        tally->signs += __builtin_popcount(more) - __builtin_popcount(less);
    }
}

/* The sum over the parts that vote as elected, divided by their shares. */
INLINE void agreed(const mixture_t *p, steps_t x, int n, lanes_t *sum, tally_t *tally) {
    lanes_t divisor[UNROLLED] = {{0}}, zero = {0};
    compare_t plus[UNROLLED], minus[UNROLLED], any[UNROLLED];
    words_t flip[UNROLLED];
    EACH(u) sum[u] = x[0][u] * p->parts[0].vote;
    for (int m = 1; m < p->n_parts; m++) EACH(u) sum[u] = sum[u] + x[m][u] * p->parts[m].vote;
    EACH(u) plus[u] = above(sum[u], zero);
    EACH(u) minus[u] = above(zero, sum[u]);
    if (p->counting) count_votes(p, x, n, plus, minus, tally);
    EACH(u) any[u] = plus[u] | minus[u];
    if (p->tie < 0) EACH(u) minus[u] = ~plus[u];
    if (p->tie != 0) EACH(u) any[u] = first_lanes(LANES);
    EACH(u) flip[u] = where(minus[u], all_words(0x80000000u), all_words(0));
    for (int m = 0; m < p->n_parts; m++) {
        const part_t *part = &p->parts[m];
        lanes_t weight = every(part->weight), share = every(part->share);
        EACH(u) {
            /* A vote has the elected sign if it is positive once both are flipped. */
            compare_t agrees = above((lanes_t)((words_t)(x[m][u] * part->vote) ^ flip[u]), zero) & any[u];
            /* Multiplied by zero, not left out: so that NaN and infinity stay to be seen. */
            lanes_t term = x[m][u] * only(agrees, weight);
            sum[u] = m == 0 ? term : sum[u] + term;
            divisor[u] = divisor[u] + only(agrees, share);
        }
    }
    if (p->divide) EACH(u) sum[u] = sum[u] / choose(alike(divisor[u], zero), every(1.0f), divisor[u]);
}

/* The sparsified deltas of a step, or the models themselves. */
INLINE void parts_step(const mixture_t *p, const lanes_t *base, int64_t at, int n, const lanes_t *chosen, steps_t x) {
    for (int m = 0; m < p->n_parts; m++) {
        const part_t *part = &p->parts[m];
        lanes_t own[UNROLLED];
        if (p->base.data) {
            delta_step(&part->model, base, at, n, own);
            sparsify(&part->mask, at, n, own);
        } else {
            load_step(&part->model, at, n, own);
        }
        if (part->factor != 1.0f) EACH(u) own[u] = own[u] * part->factor;
        if (chosen) apply_window(&p->selected, at, chosen, own);
        EACH(u) x[m][u] = own[u];
    }
}

INLINE void mix_step(const mixture_t *p, int64_t at, int n, steps_t x, tally_t *tally) {
    lanes_t sum[UNROLLED] = {{0}}, base[UNROLLED] = {{0}}, chosen[UNROLLED];
    if (p->base.data) load_step(&p->base, at, n, base);
    if (p->select.n_models) values_step(&p->select, base, at, n, chosen, x);
    parts_step(p, base, at, n, p->select.n_models ? chosen : NULL, x);
    if (p->elect && p->n_parts) {
        agreed(p, x, n, sum, tally);
    } else for (int m = 0; m < p->n_parts; m++) {
        EACH(u) sum[u] = m == 0 ? x[m][u] * p->parts[m].weight : sum[u] + x[m][u] * p->parts[m].weight;
    }
    /* Negated and taken off, with no negative zeros: so the base's own negative zeros stay where nothing is added. */
    if (p->base.data) EACH(u) sum[u] = base[u] - (sum[u] * -p->scale + 0.0f);
    if (p->out.data) save_step(sum, &p->out, at, n, &tally->broken);
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
    steps_t x = scratch_for(p->n_parts > p->select.n_models ? p->n_parts : p->select.n_models);
    tally_t tally = {0};
    FOR_CHUNKS(p) FOR_BLOCKS(p, start, size) {
        int n = (int)size, whole = n / STEP * STEP;
        for (int m = 0; m < p->n_parts; m++) fetch(&p->parts[m].model, start + BLOCK, p->numel, 0);
        fetch(&p->base, start + BLOCK, p->numel, 0);
        fetch(&p->out, start + BLOCK, p->numel, 1);
        for (int i = 0; i < whole; i += STEP) mix_step(p, start + i, STEP, x, &tally);
        if (whole < n) mix_step(p, start + whole, n - whole, x, &tally);
    }
    __atomic_fetch_add(&p->tied, tally.tied, __ATOMIC_RELAXED);
    __atomic_fetch_add(&p->signs, tally.signs, __ATOMIC_RELAXED);
    __atomic_fetch_or(&p->broken, bits_where(tally.broken, LANES), __ATOMIC_RELAXED);
    free(x);
}
