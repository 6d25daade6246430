#include "values.h"

/* Counts magnitudes by their bits without the lowest `shift`, raising the shift while there are too many digits. Every
 * thread has a struct of its own and shares `*next`; see histogram.py. */
typedef struct {
    int64_t *next, numel;
    values_t of;
    int32_t limit, shift;
    int32_t slots, used;        /* a power of two, more than the limit */
    uint32_t *digits;           /* all ones where a slot is free */
    int64_t *counts;
} histogram_t;

/* Where a digit is looked for first, in a table of mask + 1 slots. */
static inline uint32_t first_slot(uint32_t digit, uint32_t mask) { return digit * 2654435769u >> __builtin_clz(mask); }

static void add(histogram_t *p, uint32_t digit, int64_t count) {
    uint32_t mask = (uint32_t)p->slots - 1, slot = first_slot(digit, mask);
    while (p->digits[slot] != digit) {
        if (p->digits[slot] == UINT32_MAX) {
            p->digits[slot] = digit;
            p->used++;
            break;
        }
        slot = (slot + 1) & mask;
    }
    p->counts[slot] += count;
}

static void coarsen(histogram_t *p) {
    size_t slots = (size_t)p->slots;
    uint32_t *digits = allocated(slots * 4);
    int64_t *counts = allocated(slots * 8);
    memcpy(digits, p->digits, slots * 4);
    memcpy(counts, p->counts, slots * 8);
    memset(p->digits, 0xff, slots * 4);
    memset(p->counts, 0, slots * 8);
    p->used = 0;
    p->shift++;
    for (size_t s = 0; s < slots; s++)
        if (digits[s] != UINT32_MAX) add(p, digits[s] >> 1, counts[s]);
    free(digits);
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

/* Counts exactly the magnitudes of one stretch, from `first` on, by their distance to it. Every thread has counters of
 * its own and shares `*next`. */
typedef struct {
    int64_t *next, numel;
    values_t of;
    uint32_t first, length;
    int64_t *counts;            /* four per magnitude, in turn: most elements may be equal, and an increment waits for
                                   the one before it */
} stretch_t;

void evomerge_stretch(stretch_t *p) {
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
                uint32_t place = magnitude(x[i]) - first;
                if (place < length) p->counts[place * 4 + (i & 3)]++;
            }
        }
    }
    free(scratch);
    free(x);
}

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

/* Counts per chunk how often each of some magnitudes occurs. */
typedef struct {
    int64_t next, numel;
    values_t of;
    const uint32_t *digits;
    int32_t n_digits;
    int32_t *counts;            /* for each digit one per chunk, zero at first */
} chunks_t;

void evomerge_chunks(chunks_t *p) {
    float *x = room_for(1);
    steps_t scratch = scratch_for(p->of.n_models);
    int64_t chunks = (p->numel + CHUNK - 1) / CHUNK;
    uint32_t mask = 1;
    while (mask < (uint32_t)p->n_digits * 4) mask = mask * 2 + 1;
    int32_t *rows = allocated(((size_t)mask + 1) * 4);
    memset(rows, 0xff, ((size_t)mask + 1) * 4);
    for (int row = 0; row < p->n_digits; row++) {
        uint32_t slot = first_slot(p->digits[row], mask);
        while (rows[slot] >= 0) slot = (slot + 1) & mask;
        rows[slot] = row;
    }
    FOR_CHUNKS(p) FOR_BLOCKS(p, start, n) {
        values(&p->of, start, (int)n, x, scratch);
        for (int i = 0; i < n; i++) {
            uint32_t digit = magnitude(x[i]), slot = first_slot(digit, mask);
            while (rows[slot] >= 0 && p->digits[rows[slot]] != digit) slot = (slot + 1) & mask;
            if (rows[slot] >= 0) p->counts[rows[slot] * chunks + chunk]++;
        }
    }
    free(rows);
    free(scratch);
    free(x);
}
