#include "values.h"

/* Counts magnitudes by their bits without the lowest `shift`, raising the shift while there are too many bins. Every
 * thread has a struct of its own and shares `*next`; see reference/histogram.py. */
typedef struct {
    int64_t *next, numel;
    values_t of;
    int32_t limit, shift;
    int32_t slots, used;        /* a power of two, more than the limit */
    uint32_t *bin_keys;         /* all ones where a slot is free */
    int64_t *counts;
} histogram_t;

/* Where a bin is looked for first, in a hash table of mask + 1 slots. */
static inline uint32_t first_slot(uint32_t key, uint32_t mask) { return key * 2654435769u >> __builtin_clz(mask); }

static void add(histogram_t *p, uint32_t bin_key, int64_t count) {
    uint32_t mask = (uint32_t)p->slots - 1, slot = first_slot(bin_key, mask);
    while (p->bin_keys[slot] != bin_key) {
        if (p->bin_keys[slot] == UINT32_MAX) {
            p->bin_keys[slot] = bin_key;
            p->used++;
            break;
        }
        slot = (slot + 1) & mask;
    }
    p->counts[slot] += count;
}

static void coarsen(histogram_t *p) {
    size_t slots = (size_t)p->slots;
    uint32_t *bin_keys = allocated(slots * 4);
    int64_t *counts = allocated(slots * 8);
    memcpy(bin_keys, p->bin_keys, slots * 4);
    memcpy(counts, p->counts, slots * 8);
    memset(p->bin_keys, 0xff, slots * 4);
    memset(p->counts, 0, slots * 8);
    p->used = 0;
    p->shift++;
    for (size_t s = 0; s < slots; s++)
        if (bin_keys[s] != UINT32_MAX) add(p, bin_keys[s] >> 1, counts[s]);
    free(bin_keys);
    free(counts);
}

void evomerge_histogram(histogram_t *p) {
    float *x = room_for(1);
    steps_t scratch = scratch_for(p->of.n_models);
    for (int64_t chunk; (chunk = take(p->next)) * CHUNK < p->numel; ) FOR_BLOCKS(p, start, n) {
        values(&p->of, start, (int)n, x, scratch);
        for (int i = 0; i < n; i++) {
            add(p, magnitude(x[i]) >> p->shift, 1);
            while (p->used > p->limit) coarsen(p);
        }
    }
    free(scratch);
    free(x);
}

/* Counts exactly the magnitudes of one bin, from `first` on, by their distance to it. Every thread has counters of its
 * own and shares `*next`. */
typedef struct {
    int64_t *next, numel;
    values_t of;
    uint32_t first, length;
    int64_t *counts;            /* four per magnitude, in turn: most elements may be equal, and an increment waits for
                                   the one before it */
} bin_counts_t;

void evomerge_bin_counts(bin_counts_t *p) {
    float *x = room_for(1);
    steps_t scratch = scratch_for(p->of.n_models);
    uint32_t first = p->first, length = p->length;
    for (int64_t chunk; (chunk = take(p->next)) * CHUNK < p->numel; ) FOR_BLOCKS(p, start, n) {
        values(&p->of, start, (int)n, x, scratch);
        for (int i = (int)n; i < BLOCK; i++) x[i] = float_of(first ^ 0x40000000u);
        for (int group = 0; group < BLOCK; group += 64) {
            uint32_t any = 0;
            for (int i = group; i < group + 64; i++) any |= magnitude(x[i]) - first < length;
            if (!any) continue;
            for (int i = group; i < group + 64 && i < n; i++) {
                uint32_t offset = magnitude(x[i]) - first;
                if (offset < length) p->counts[offset * 4 + (i & 3)]++;
            }
        }
    }
    free(scratch);
    free(x);
}

/* Counts per chunk how often each of some magnitudes occurs. */
typedef struct {
    int64_t next, numel;
    values_t of;
    const uint32_t *bin_keys;
    int32_t n_bin_keys;
    int32_t *counts;            /* for each bin_key one per chunk, zero at first */
} chunk_counts_t;

void evomerge_chunk_counts(chunk_counts_t *p) {
    float *x = room_for(1);
    steps_t scratch = scratch_for(p->of.n_models);
    int64_t chunks = (p->numel + CHUNK - 1) / CHUNK;
    uint32_t mask = 1;
    while (mask < (uint32_t)p->n_bin_keys * 4) mask = mask * 2 + 1;
    int32_t *rows = allocated(((size_t)mask + 1) * 4);
    memset(rows, 0xff, ((size_t)mask + 1) * 4);
    for (int row = 0; row < p->n_bin_keys; row++) {
        uint32_t slot = first_slot(p->bin_keys[row], mask);
        while (rows[slot] >= 0) slot = (slot + 1) & mask;
        rows[slot] = row;
    }
    FOR_CHUNKS(p) FOR_BLOCKS(p, start, n) {
        values(&p->of, start, (int)n, x, scratch);
        for (int i = 0; i < n; i++) {
            uint32_t bin_key = magnitude(x[i]), slot = first_slot(bin_key, mask);
            while (rows[slot] >= 0 && p->bin_keys[rows[slot]] != bin_key) slot = (slot + 1) & mask;
            if (rows[slot] >= 0) p->counts[rows[slot] * chunks + chunk]++;
        }
    }
    free(rows);
    free(scratch);
    free(x);
}
