#include "values.h"

/* Where the magnitudes of one stretch of some values are. */
typedef struct {
    values_t of;
    uint32_t first, length;
    int64_t room, found;        /* of keys */
    int64_t *keys;              /* magnitude * 2**32 + index; chunk after chunk, in no order of the chunks */
    int64_t *counts;            /* how many, per chunk; zero at first */
    int64_t *starts;            /* where a chunk's keys start */
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
        keys[count++] = (int64_t)magnitude(x[u][lane]) << 32 | (at + u * LANES + lane);
    }
    return count;
}

/* Adds the keys of a step to those of the chunk, and says how many there are. */
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
    return keys_of(x, inside, at, keys);
}

/* Counts one block, and says how many there are. */
static int place_block(const stretch_places_t *s, int64_t start, int n, steps_t scratch, int64_t *keys) {
    int count = 0, whole = n / STEP * STEP;
    lanes_t base[UNROLLED];
    for (int i = 0; i < whole; i += STEP) {
        load_step(&s->of.base, start + i, STEP, base);
        count += place_step(s, base, start + i, STEP, scratch, keys + count);
    }
    if (whole < n) {
        load_step(&s->of.base, start + whole, n - whole, base);
        count += place_step(s, base, start + whole, n - whole, scratch, keys + count);
    }
    return count;
}

void evomerge_places(places_t *p) {
    int models = 0;
    for (int s = 0; s < p->n_stretches; s++)
        if (models < p->stretches[s].of.n_models) models = p->stretches[s].of.n_models;
    steps_t scratch = scratch_for(models);
    int64_t *keys = allocated((size_t)p->n_stretches * CHUNK * 8);     /* only touched where there are any */
    FOR_CHUNKS(p) {
        /* Block by block, so that the second stretch finds in the cache what the first one read. */
        FOR_BLOCKS(p, start, n) for (int s = 0; s < p->n_stretches; s++) {
            int64_t *count = &p->stretches[s].counts[chunk];     /* a chunk is one thread's */
            *count += place_block(&p->stretches[s], start, (int)n, scratch, keys + s * CHUNK + *count);
        }
        for (int s = 0; s < p->n_stretches; s++) {
            stretch_places_t *stretch = &p->stretches[s];
            int64_t count = stretch->counts[chunk];
            if (!count) continue;
            int64_t place = __atomic_fetch_add(&stretch->found, count, __ATOMIC_RELAXED);
            stretch->starts[chunk] = place;
            if (place + count <= stretch->room) memcpy(stretch->keys + place, keys + s * CHUNK, (size_t)count * 8);
        }
    }
    free(keys);
    free(scratch);
}
