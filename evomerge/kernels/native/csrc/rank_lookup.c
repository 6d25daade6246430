#include "values.h"

/* Counts per chunk the elements that equal `bits`, until `quota` are found. All chunks before the last that was taken
 * are counted when all threads are done. */
typedef struct {
    int64_t next, numel, found, quota;
    values_t of;
    int64_t *counts;            /* one per chunk, zero at first */
    uint32_t bits;
} equals_t;

void evomerge_equals(equals_t *p) {
    float *x = room_for(1);
    steps_t scratch = scratch_for(p->of.n_models);
    while (__atomic_load_n(&p->found, __ATOMIC_RELAXED) < p->quota) {
        int64_t chunk = take(&p->next), count = 0;
        if (chunk * CHUNK >= p->numel) break;
        FOR_BLOCKS(p, start, n) {
            int32_t here = 0;
            values(&p->of, start, (int)n, x, scratch);
            for (int i = 0; i < n; i++) here += magnitude(x[i]) == p->bits;
            count += here;
        }
        p->counts[chunk] = count;
        __atomic_fetch_add(&p->found, count, __ATOMIC_RELAXED);
    }
    free(scratch);
    free(x);
}

/* The index behind the quota-th element of one chunk that equals `bits`. */
int64_t evomerge_end_in_chunk(const equals_t *p, int64_t chunk, int64_t quota) {
    float *x = room_for(1);
    steps_t scratch = scratch_for(p->of.n_models);
    int64_t end = -1;
    FOR_BLOCKS(p, start, n) {
        int32_t here = 0;
        values(&p->of, start, (int)n, x, scratch);
        for (int i = 0; i < n; i++) here += magnitude(x[i]) == p->bits;
        if (here < quota) {
            quota -= here;
            continue;
        }
        for (int i = 0; end < 0; i++)
            if (magnitude(x[i]) == p->bits && --quota == 0) end = start + i + 1;
        break;
    }
    free(scratch);
    free(x);
    return end;
}

/* The elements of one bin of magnitudes. */
typedef struct {
    values_t of;
    uint32_t first, length;
    int64_t room, found;        /* of keys */
    int64_t *keys;              /* magnitude * 2**32 + index; chunk after chunk, in no order of the chunks */
    int64_t *counts;            /* how many, per chunk; zero at first */
    int64_t *starts;            /* where a chunk's keys start */
} bin_elements_t;

/* Collects the elements of several bins in one pass; their values have the same base. */
typedef struct {
    int64_t next, numel;
    bin_elements_t *bins;
    int32_t n_bins;
} sort_keys_t;

/* The keys of those lanes of a step that lie in the bin. */
static int keys_of(const lanes_t *x, const uint32_t *inside, int64_t at, int64_t *keys) {
    int count = 0;
    EACH(u) for (uint32_t left = inside[u]; left; left &= left - 1) {
        int lane = __builtin_ctz(left);
        keys[count++] = (int64_t)magnitude(x[u][lane]) << 32 | (at + u * LANES + lane);
    }
    return count;
}

/* Adds the keys of a step to those of the chunk, and says how many there are. */
INLINE int bin_step(const bin_elements_t *s, const lanes_t *base, int64_t at, int n, steps_t scratch, int64_t *keys) {
    lanes_t x[UNROLLED];
    uint32_t inside[UNROLLED];
    words_t first = all_words(s->first), length = all_words(s->length);
    compare_t found[UNROLLED];
    values_step(&s->of, base, at, n, x, scratch);
    EACH(u) found[u] = words_below(magnitudes(x[u]) - first, length);
    if (n < STEP) EACH(u) found[u] &= first_lanes(share_of(u, n));
    EACH(u) inside[u] = bits_where(found[u], LANES);
    if (!(inside[0] | inside[1] | inside[2] | inside[3])) return 0;
    return keys_of(x, inside, at, keys);
}

/* Counts one block, and says how many there are. */
static int bin_block(const bin_elements_t *s, int64_t start, int n, steps_t scratch, int64_t *keys) {
    int count = 0, whole = n / STEP * STEP;
    lanes_t base[UNROLLED];
    for (int i = 0; i < whole; i += STEP) {
        load_step(&s->of.base, start + i, STEP, base);
        count += bin_step(s, base, start + i, STEP, scratch, keys + count);
    }
    if (whole < n) {
        load_step(&s->of.base, start + whole, n - whole, base);
        count += bin_step(s, base, start + whole, n - whole, scratch, keys + count);
    }
    return count;
}

void evomerge_sort_keys(sort_keys_t *p) {
    int models = 0;
    for (int s = 0; s < p->n_bins; s++)
        if (models < p->bins[s].of.n_models) models = p->bins[s].of.n_models;
    steps_t scratch = scratch_for(models);
    int64_t *keys = allocated((size_t)p->n_bins * CHUNK * 8);     /* only touched where there are any */
    FOR_CHUNKS(p) {
        /* Block by block, so that the second bin finds in the cache what the first one read. */
        FOR_BLOCKS(p, start, n) for (int s = 0; s < p->n_bins; s++) {
            int64_t *count = &p->bins[s].counts[chunk];     /* a chunk is one thread's */
            *count += bin_block(&p->bins[s], start, (int)n, scratch, keys + s * CHUNK + *count);
        }
        for (int s = 0; s < p->n_bins; s++) {
            bin_elements_t *bin = &p->bins[s];
            int64_t count = bin->counts[chunk];
            if (!count) continue;
            int64_t at = __atomic_fetch_add(&bin->found, count, __ATOMIC_RELAXED);
            bin->starts[chunk] = at;
            if (at + count <= bin->room) memcpy(bin->keys + at, keys + s * CHUNK, (size_t)count * 8);
        }
    }
    free(keys);
    free(scratch);
}
