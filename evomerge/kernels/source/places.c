#include "values.h"

/* Where the magnitudes of one stretch of some values are. */
typedef struct {
    values_t of;
    uint32_t first, length;
    int64_t room, found;        /* of keys */
    int64_t *keys;              /* magnitude * 2**32 + (2**32 - 1 - index): the largest first, equal ones by index;
                                   in no order. Null where places are only counted */
    int64_t *counts;            /* how many, per chunk; null where that is not wanted */
} stretch_places_t;

/* Looks for the stretches of values that have the same base, all in one pass. */
typedef struct {
    int64_t next, numel;
    stretch_places_t *stretches;
    int32_t n_stretches;
} places_t;

/* The keys of those lanes of a step that lie in the stretch. */
static int keys_of(const lanes_t *x, const uint32_t *inside, int64_t at, int64_t *keys) {
    int count = 0;
    EACH(u) for (uint32_t left = inside[u]; left; left &= left - 1) {
        int lane = __builtin_ctz(left);
        int64_t index = at + u * LANES + lane;
        keys[count++] = (int64_t)magnitude(x[u][lane]) << 32 | (0xffffffff - index);
    }
    return count;
}

/* Adds the keys of a step to those of the block, and says how many there are. */
INLINE int place_step(const stretch_places_t *s, const lanes_t *base, int64_t at, int n, steps_t scratch, int64_t *keys) {
    lanes_t x[UNROLLED];
    uint32_t inside[UNROLLED];
    words_t first = all_words(s->first), length = all_words(s->length);
    truth_t found[UNROLLED];
    values_step(&s->of, base, at, n, x, scratch);
    EACH(u) found[u] = words_below(magnitudes(x[u]) - first, length);
    if (n < STEP) EACH(u) found[u] &= first_lanes(share_of(u, n));
    EACH(u) inside[u] = bits_where(found[u], LANES);
    if (!(inside[0] | inside[1] | inside[2] | inside[3])) return 0;
    if (s->keys) return keys_of(x, inside, at, keys);
    int count = 0;
    EACH(u) count += __builtin_popcount(inside[u]);
    return count;
}

static void place_block(stretch_places_t *s, int64_t start, int n, steps_t scratch, int64_t *keys) {
    int64_t count = 0;
    lanes_t base[UNROLLED];
    int whole = n / STEP * STEP;
    for (int i = 0; i < whole; i += STEP) {
        load_step(&s->of.base, start + i, STEP, base);
        count += place_step(s, base, start + i, STEP, scratch, keys + count);
    }
    if (whole < n) {
        load_step(&s->of.base, start + whole, n - whole, base);
        count += place_step(s, base, start + whole, n - whole, scratch, keys + count);
    }
    if (!count) return;
    if (s->counts) s->counts[start / CHUNK] += count;       /* a chunk is one thread's */
    if (!s->keys) return;
    int64_t place = __atomic_fetch_add(&s->found, count, __ATOMIC_RELAXED);
    if (place + count <= s->room) memcpy(s->keys + place, keys, (size_t)count * 8);
}

void evomerge_places(places_t *p) {
    int models = 0;
    for (int s = 0; s < p->n_stretches; s++)
        if (models < p->stretches[s].of.n_models) models = p->stretches[s].of.n_models;
    steps_t scratch = scratch_for(models);
    int64_t keys[BLOCK];
    FOR_CHUNKS(p) FOR_BLOCKS(p, start, n)
        for (int s = 0; s < p->n_stretches; s++) place_block(&p->stretches[s], start, (int)n, scratch, keys);
    free(scratch);
}
