/* The passes over tensors of evomerge/kernels, compiled on first use (see compiled.py).
 *
 * Every function here computes what a torch form in the same folder defines, bit for bit (a NaN is a NaN, whatever its
 * payload). So all arithmetic is float32, in the order of the torch form, and must be compiled without contraction and
 * without any other licence to reorder. Loops run over blocks that stay in the first-level cache, one simple stage
 * after the other, so that compilers vectorise them.
 *
 * A pass is a struct and a function `void pass(struct pass *)`. Any number of threads may call it with the same struct:
 * each takes the next chunk until none is left. What a pass returns per chunk does not depend on who took it.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 1024    /* elements per stage; also the length over which sums are folded, see sums.py */
#define CHUNK 65536   /* elements that a thread takes at once */
#define ROOM 1072     /* from one buffer of a block to the next: on a cache line, but not on the same one of each page */

enum { FLOAT32, BFLOAT16, FLOAT16 };
enum { KEEP_ALL, KEEP_WINDOW, KEEP_CHANCE, KEEP_RANKS };
enum { VALUES_DELTA, VALUES_SPREAD };

typedef struct {
    const void *data;
    int32_t dtype;
} array_t;

/* The first of the elements that are `bits` and all that are larger; see Cut in selection.py. */
typedef struct {
    int64_t end;
    uint32_t bits;
} cut_t;

/* What to keep of one delta; see selection.py. */
typedef struct {
    int32_t kind;
    cut_t within, beyond;   /* KEEP_WINDOW */
    uint32_t keys[2];       /* KEEP_CHANCE */
    float low, step;
    int32_t own;            /* whether what is kept is divided by its probability */
    int32_t first, stop;    /* KEEP_RANKS */
    const uint16_t *ranks;
} keep_t;

/* Numbers computed from tensors, element by element; see values.py. */
typedef struct {
    int32_t kind;
    int32_t n_models;
    array_t base;           /* data may be null */
    const array_t *models;
} values_t;

typedef struct {
    array_t model;
    keep_t keep;
    float weight, vote, share, factor;
} part_t;

/* Buffers of a block each, aligned to cache lines. */
static float *room_for(int buffers) { return aligned_alloc(64, (size_t)buffers * ROOM * 4); }

/* ---- numbers at the edge ---- */

static inline uint32_t bits_of(float x) { uint32_t u; memcpy(&u, &x, 4); return u; }
static inline float float_of(uint32_t u) { float x; memcpy(&x, &u, 4); return x; }

/* The bits of |x|, which order as the magnitudes do; all NaN alike are the largest. */
static inline uint32_t magnitude(float x) {
    uint32_t u = bits_of(x) & 0x7fffffffu;
    return u < 0x7f800001u ? u : 0x7f800001u;
}

static inline float from_half(uint16_t h) {
    uint32_t magnitude = (uint32_t)(h & 0x7fff) << 13;
    uint32_t exponent = magnitude & 0x0f800000u;
    uint32_t normal = magnitude + 0x38000000u;
    float small = float_of(normal + 0x00800000u) - float_of(0x38800000u);
    uint32_t u = exponent == 0x0f800000u ? normal + 0x38000000u : exponent == 0 ? bits_of(small) : normal;
    return float_of(u | (uint32_t)(h & 0x8000) << 16);
}

static inline uint16_t to_half(float x) {
    uint32_t sign = bits_of(x) & 0x80000000u, u = bits_of(x) ^ sign;
    uint32_t large = u > 0x7f800000u ? 0x7e00u : 0x7c00u;
    uint32_t small = bits_of(float_of(u) + float_of(0x3f000000u)) - 0x3f000000u;
    uint32_t normal = (u + 0xc8000fffu + ((u >> 13) & 1)) >> 13;
    uint32_t h = u >= 0x47800000u ? large : u < 0x38800000u ? small : normal;
    return (uint16_t)(h | sign >> 16);
}

static inline uint16_t to_bfloat(float x) {
    uint32_t u = bits_of(x);
    uint32_t rounded = (u + 0x7fffu + ((u >> 16) & 1)) >> 16;
    return (uint16_t)((u & 0x7fffffffu) > 0x7f800000u ? 0x7fc0u : rounded);
}

static void load(const array_t *from, int64_t start, int n, float *restrict to) {
    if (from->dtype == FLOAT32) {
        memcpy(to, (const float *)from->data + start, (size_t)n * 4);
    } else if (from->dtype == BFLOAT16) {
        const uint16_t *restrict words = (const uint16_t *)from->data + start;
        for (int i = 0; i < n; i++) to[i] = float_of((uint32_t)words[i] << 16);
    } else {
        const uint16_t *restrict words = (const uint16_t *)from->data + start;
        for (int i = 0; i < n; i++) to[i] = from_half(words[i]);
    }
}

static void save(const float *restrict from, int n, const array_t *to, int64_t start) {
    if (to->dtype == FLOAT32) {
        memcpy((float *)to->data + start, from, (size_t)n * 4);
    } else if (to->dtype == BFLOAT16) {
        uint16_t *restrict words = (uint16_t *)to->data + start;
        for (int i = 0; i < n; i++) words[i] = to_bfloat(from[i]);
    } else {
        uint16_t *restrict words = (uint16_t *)to->data + start;
        for (int i = 0; i < n; i++) words[i] = to_half(from[i]);
    }
}

/* x becomes the model minus the base, straight from memory. */
static void delta(const array_t *model, const float *restrict base, int64_t start, int n, float *restrict x) {
    load(model, start, n, x);
    for (int i = 0; i < n; i++) x[i] = x[i] - base[i];
}

/* ---- what is kept ---- */

static inline uint32_t mixed(uint32_t state) {
    state = (state ^ state >> 16) * 0x85ebca6bu;
    state = (state ^ state >> 13) * 0xc2b2ae35u;
    return state ^ state >> 16;
}

static void noise(const uint32_t keys[2], int64_t start, int n, float *restrict to) {
    uint32_t first = keys[0], second = keys[1], from = (uint32_t)start;
    for (int i = 0; i < n; i++) {
        uint32_t state = mixed(mixed((from + (uint32_t)i) ^ first) ^ second);
        to[i] = (float)(int32_t)(state >> 8) * 0x1p-24f;
    }
}

/* The smallest bits that a cut takes in at start, and how many of the next n elements that holds for. */
static inline int stretch_of_cut(const cut_t *cut, int64_t start, int n, uint32_t *least) {
    if (start >= cut->end) { *least = cut->bits + 1; return n; }
    *least = cut->bits;
    return cut->end - start < n ? (int)(cut->end - start) : n;
}

static void keep_window(const keep_t *keep, int64_t start, int n, const float *restrict by, float *restrict x) {
    while (n > 0) {
        uint32_t least, top;
        int m = stretch_of_cut(&keep->within, start, n, &least);
        m = stretch_of_cut(&keep->beyond, start, m, &top);
        for (int i = 0; i < m; i++) {
            uint32_t bits = magnitude(by[i]);
            x[i] = x[i] * (bits >= least && bits < top ? 1.0f : 0.0f);
        }
        start += m; n -= m; x += m; by += m;
    }
}

static void keep_chance(const keep_t *keep, int64_t start, int n, float *restrict x, float *restrict scratch) {
    noise(keep->keys, start, n, scratch);
    float low = keep->low, step = keep->step;
    if (!keep->ranks) {
        for (int i = 0; i < n; i++) x[i] = x[i] * (scratch[i] < low ? 1.0f : 0.0f);
        return;
    }
    const uint16_t *restrict ranks = keep->ranks + start;
    if (keep->own) {
        for (int i = 0; i < n; i++) {
            float chance = (float)(int32_t)ranks[i] * step + low;
            x[i] = x[i] * (scratch[i] < chance ? 1.0f : 0.0f) / chance;
        }
    } else {
        for (int i = 0; i < n; i++) {
            float chance = (float)(int32_t)ranks[i] * step + low;
            x[i] = x[i] * (scratch[i] < chance ? 1.0f : 0.0f);
        }
    }
}

static void keep_ranks(const keep_t *keep, int64_t start, int n, float *restrict x) {
    const uint16_t *restrict ranks = keep->ranks + start;
    int32_t first = keep->first, stop = keep->stop;
    for (int i = 0; i < n; i++) x[i] = x[i] * (ranks[i] >= first && ranks[i] < stop ? 1.0f : 0.0f);
}

/* Sets what is not kept to zero, in place: multiplied, not selected, so that NaN and infinity stay to be seen. */
static void thin(const keep_t *keep, int64_t start, int n, float *x, float *scratch) {
    if (keep->kind == KEEP_WINDOW) {
        memcpy(scratch, x, (size_t)n * 4);
        keep_window(keep, start, n, scratch, x);
    } else if (keep->kind == KEEP_CHANCE) {
        keep_chance(keep, start, n, x, scratch);
    } else if (keep->kind == KEEP_RANKS) {
        keep_ranks(keep, start, n, x);
    }
}

/* ---- values ---- */

/* The variance of the deltas, element by element, in double precision and rounded at the end. */
static void spread(const values_t *v, const float *base, int64_t start, int n, float *restrict to, float *scratch) {
    float *restrict x = scratch;
    double share = 1.0 / v->n_models, mean[BLOCK], sum[BLOCK];
    memset(mean, 0, sizeof mean);
    memset(sum, 0, sizeof sum);
    for (int m = 0; m < v->n_models; m++) {
        delta(&v->models[m], base, start, n, x);
        for (int i = 0; i < n; i++) mean[i] = mean[i] + (double)x[i];
    }
    for (int i = 0; i < n; i++) mean[i] = mean[i] * share;
    for (int m = 0; m < v->n_models; m++) {
        delta(&v->models[m], base, start, n, x);
        for (int i = 0; i < n; i++) sum[i] = sum[i] + ((double)x[i] - mean[i]) * ((double)x[i] - mean[i]);
    }
    for (int i = 0; i < n; i++) to[i] = (float)(sum[i] * share);
}

/* One block of values; scratch is 3 blocks. */
static void values(const values_t *v, int64_t start, int n, float *to, float *scratch) {
    float *base = scratch;
    load(&v->base, start, n, base);
    if (v->kind == VALUES_DELTA) delta(v->models, base, start, n, to);
    else spread(v, base, start, n, to, scratch + ROOM);
}

/* ---- the passes ---- */

static inline int64_t take(int64_t *next) { return __atomic_fetch_add(next, 1, __ATOMIC_RELAXED); }

#define FOR_CHUNKS(p) for (int64_t chunk; (chunk = take(&(p)->next)) * CHUNK < (p)->numel; )
#define FOR_BLOCKS(p, start, n)                                                                                        \
    for (int64_t start = chunk * CHUNK, stop_ = start + CHUNK < (p)->numel ? start + CHUNK : (p)->numel, n = 0;        \
         n = stop_ - start < BLOCK ? stop_ - start : BLOCK, start < stop_; start += n)

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

static void plain_sum(const mixture_t *p, float *parts, int n, float *restrict sum) {
    for (int m = 0; m < p->n_parts; m++) {
        const float *restrict x = parts + m * ROOM;
        float weight = p->parts[m].weight;
        if (m == 0) for (int i = 0; i < n; i++) sum[i] = x[i] * weight;
        else for (int i = 0; i < n; i++) sum[i] = sum[i] + x[i] * weight;
    }
    if (p->n_parts == 0) memset(sum, 0, (size_t)n * 4);
}

/* The sign of the sum of votes. */
static void ballot(const mixture_t *p, const float *parts, int n, float *restrict elected) {
    for (int m = 0; m < p->n_parts; m++) {
        const float *restrict x = parts + m * ROOM;
        float vote = p->parts[m].vote;
        if (m == 0) for (int i = 0; i < n; i++) elected[i] = x[i] * vote;
        else for (int i = 0; i < n; i++) elected[i] = elected[i] + x[i] * vote;
    }
    for (int i = 0; i < n; i++) elected[i] = (elected[i] > 0.0f ? 1.0f : 0.0f) - (elected[i] < 0.0f ? 1.0f : 0.0f);
}

static int64_t count_tied(const mixture_t *p, const float *parts, int n, const float *restrict elected) {
    int32_t tied = 0;
    for (int i = 0; i < n; i++) {
        int32_t voted = 0;
        for (int m = 0; m < p->n_parts; m++) voted |= parts[m * ROOM + i] * p->parts[m].vote != 0.0f;
        tied += voted & (elected[i] == 0.0f);
    }
    return tied;
}

/* The sum over the parts that vote as elected. */
static void agreed_sum(const mixture_t *p, const float *parts, int n, float *restrict sum, float *restrict elected,
                       float *restrict divisor) {
    float tie = p->tie;
    for (int i = 0; i < n; i++) elected[i] = elected[i] + (elected[i] == 0.0f ? 1.0f : 0.0f) * tie;
    for (int m = 0; m < p->n_parts; m++) {
        const float *restrict x = parts + m * ROOM;
        float vote = p->parts[m].vote, weight = p->parts[m].weight, share = p->parts[m].share;
        if (m == 0) {
            for (int i = 0; i < n; i++) {
                float agrees = x[i] * vote * elected[i] > 0.0f ? 1.0f : 0.0f;
                sum[i] = x[i] * agrees * weight;
                divisor[i] = agrees * share;
            }
        } else {
            for (int i = 0; i < n; i++) {
                float agrees = x[i] * vote * elected[i] > 0.0f ? 1.0f : 0.0f;
                sum[i] = sum[i] + x[i] * agrees * weight;
                divisor[i] = divisor[i] + agrees * share;
            }
        }
    }
    if (p->divide)
        for (int i = 0; i < n; i++) sum[i] = sum[i] / (divisor[i] + (divisor[i] == 0.0f ? 1.0f : 0.0f));
}

static void gather(const mixture_t *p, int64_t start, int n, const float *base, float *parts, float *scratch) {
    float *chosen = scratch + 4 * ROOM;
    if (p->select.n_models) values(&p->select, start, n, chosen, scratch);
    for (int m = 0; m < p->n_parts; m++) {
        const part_t *part = &p->parts[m];
        float *restrict x = parts + m * ROOM, factor = part->factor;
        load(&part->model, start, n, x);
        if (p->base.data) for (int i = 0; i < n; i++) x[i] = x[i] - base[i];
        thin(&part->keep, start, n, x, scratch);
        if (factor != 1.0f) for (int i = 0; i < n; i++) x[i] = x[i] * factor;
        if (p->select.n_models) keep_window(&p->selected, start, n, chosen, x);
    }
}

void evomerge_mix(mixture_t *p) {
    float *memory = room_for(p->n_parts + 9);
    float *base = memory, *sum = base + ROOM, *elected = sum + ROOM, *divisor = elected + ROOM;
    float *scratch = divisor + ROOM, *parts = scratch + 5 * ROOM;
    int64_t tied = 0, signs = 0;
    FOR_CHUNKS(p) FOR_BLOCKS(p, start, size) {
        int n = (int)size;
        if (p->base.data) load(&p->base, start, n, base);
        gather(p, start, n, base, parts, scratch);
        if (p->elect && p->n_parts) {
            ballot(p, parts, n, elected);
            if (p->counting) {
                int32_t here = 0;
                for (int i = 0; i < n; i++) here += (int32_t)elected[i];
                signs += here;
                tied += count_tied(p, parts, n, elected);
            }
            if (!p->out.data) continue;
            agreed_sum(p, parts, n, sum, elected, divisor);
        } else {
            plain_sum(p, parts, n, sum);
        }
        if (p->base.data) {
            float scale = -p->scale;
            for (int i = 0; i < n; i++) sum[i] = base[i] - (sum[i] * scale + 0.0f);
        }
        save(sum, n, &p->out, start);
    }
    __atomic_fetch_add(&p->tied, tied, __ATOMIC_RELAXED);
    __atomic_fetch_add(&p->signs, signs, __ATOMIC_RELAXED);
    free(memory);
}

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
            thin(&p->keep, start, n, x, scratch);
            if (p->select.n_models) {
                values(&p->select, start, n, chosen, scratch);
                keep_window(&p->selected, start, n, chosen, x);
            }
            if (p->squared) for (int i = 0; i < n; i++) terms[i] = (double)x[i] * (double)x[i];
            else for (int i = 0; i < n; i++) terms[i] = (double)float_of(magnitude(x[i]));
        }
        p->sums[start / BLOCK] = folded(terms, n);
    }
    free(terms);
    free(memory);
}

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
    uint32_t mask = (uint32_t)p->slots - 1, slot = (digit * 2654435769u) >> 7 & mask;
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
    int64_t *counts;
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
                if (place < length) p->counts[place]++;
            }
        }
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
        values(&p->of, start, (int)n, x, scratch);
        for (int i = 0; i < n && end < 0; i++)
            if (magnitude(x[i]) == p->bits && --quota == 0) end = start + i + 1;
        if (end >= 0) break;
    }
    free(memory);
    return end;
}

/* Whether all elements are finite. */
typedef struct {
    int64_t next, numel, broken;
    array_t of;
} finite_t;

void evomerge_finite(finite_t *p) {
    uint32_t all = p->of.dtype == BFLOAT16 ? 0x7f80u : 0x7c00u;
    FOR_CHUNKS(p) FOR_BLOCKS(p, start, n) {
        int32_t broken = 0;
        if (p->of.dtype == FLOAT32) {
            const uint32_t *restrict words = (const uint32_t *)p->of.data + start;
            for (int i = 0; i < n; i++) broken |= (words[i] & 0x7f800000u) == 0x7f800000u;
        } else {
            const uint16_t *restrict words = (const uint16_t *)p->of.data + start;
            for (int i = 0; i < n; i++) broken |= (words[i] & all) == all;
        }
        if (broken) __atomic_fetch_add(&p->broken, 1, __ATOMIC_RELAXED);
    }
}

/* Ranks within rows, from the smallest magnitude up, equal ones by index; narrowed to 16 bits where rows are longer. */
typedef struct {
    int64_t next, rows, columns;
    array_t base, model;
    uint16_t *ranks;
} ranks_t;

void evomerge_ranks(ranks_t *p) {
    int64_t m = p->columns, levels = m < 65536 ? m : 65536;
    uint32_t *memory = malloc((size_t)m * 4 * 4), *keys = memory, *order = keys + m, *other = order + m;
    float *base = (float *)(other + m), *x = (float *)keys;
    for (int64_t row; (row = take(&p->next)) < p->rows; ) {
        for (int64_t at = 0; at < m; at += BLOCK) {
            int n = (int)(m - at < BLOCK ? m - at : BLOCK);
            load(&p->base, row * m + at, n, base);
            delta(&p->model, base, row * m + at, n, x + at);
        }
        for (int64_t i = 0; i < m; i++) { keys[i] = magnitude(float_of(keys[i])); order[i] = (uint32_t)i; }
        for (int shift = 0; shift < 32; shift += 8) {
            int64_t place[257] = {0};
            for (int64_t i = 0; i < m; i++) place[(keys[i] >> shift & 255) + 1]++;
            for (int d = 0; d < 256; d++) place[d + 1] += place[d];
            for (int64_t i = 0; i < m; i++) other[place[keys[order[i]] >> shift & 255]++] = order[i];
            uint32_t *swap = order; order = other; other = swap;
        }
        for (int64_t i = 0; i < m; i++) p->ranks[row * m + order[i]] = (uint16_t)(i * levels / m);
    }
    free(memory);
}
