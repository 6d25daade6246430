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

static void add(histogram_t *p, uint32_t digit, int64_t count) {
    uint32_t mask = (uint32_t)p->slots - 1, slot = digit * 2654435769u >> __builtin_clz(mask);
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
    uint32_t *digits = malloc(slots * 4);
    int64_t *counts = malloc(slots * 8);
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
    float *memory = room_for(5), *x = memory, *scratch = memory + ROOM;
    for (int64_t chunk; (chunk = take(p->next)) * CHUNK < p->numel; ) FOR_BLOCKS(p, start, n) {
        values(&p->of, start, (int)n, x, scratch);
        for (int i = 0; i < n; i++) {
            add(p, magnitude(x[i]) >> p->shift, 1);
            while (p->used > p->limit) coarsen(p);
        }
    }
    free(memory);
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
    float *memory = room_for(5), *x = memory, *scratch = memory + ROOM;
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
    free(memory);
}

/* Finds where the magnitudes of one stretch are, in no order. */
typedef struct {
    int64_t next, numel, found, room;
    values_t of;
    uint32_t first, length;
    int64_t *places;            /* as many as there is room for */
} places_t;

void evomerge_places(places_t *p) {
    float *memory = room_for(5), *x = memory, *scratch = memory + ROOM;
    uint32_t first = p->first, length = p->length;
    int64_t here[BLOCK];
    FOR_CHUNKS(p) FOR_BLOCKS(p, start, n) {
        int64_t count = 0;
        values(&p->of, start, (int)n, x, scratch);
        for (int i = (int)n; i < BLOCK; i++) x[i] = float_of(first ^ 0x40000000u);
        for (int group = 0; group < BLOCK; group += 64) {
            uint32_t any = 0;
            for (int i = group; i < group + 64; i++) any |= magnitude(x[i]) - first < length;
            if (!any) continue;
            for (int i = group; i < group + 64 && i < n; i++)
                if (magnitude(x[i]) - first < length) here[count++] = start + i;
        }
        int64_t at = count ? __atomic_fetch_add(&p->found, count, __ATOMIC_RELAXED) : 0;
        if (count && at + count <= p->room) memcpy(p->places + at, here, (size_t)count * 8);
    }
    free(memory);
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
    float *memory = room_for(5), *x = memory, *scratch = memory + ROOM;
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
    free(memory);
}

/* The index behind the quota-th element of one chunk that equals `bits`. */
int64_t evomerge_end_in_chunk(const equals_t *p, int64_t chunk, int64_t quota) {
    float *memory = room_for(5), *x = memory, *scratch = memory + ROOM;
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
    free(memory);
    return end;
}
