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
#include <pthread.h>
#include <sched.h>
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

/* x becomes the model minus the base, straight from memory. */
static void delta(const array_t *model, const float *restrict base, int64_t start, int n, float *restrict x) {
    load(model, start, n, x);
    for (int i = 0; i < n; i++) x[i] = x[i] - base[i];
}

/* ---- lanes ---- */

#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX__)
#define LANES 8
#else
#define LANES 4
#endif

typedef float lanes_t __attribute__((vector_size(LANES * 4)));
typedef uint32_t words_t __attribute__((vector_size(LANES * 4)));
typedef int32_t truth_t __attribute__((vector_size(LANES * 4)));    /* all ones or all zeros per lane */
typedef uint16_t halves_t __attribute__((vector_size(LANES * 2)));

#define INLINE static inline __attribute__((always_inline))

INLINE lanes_t every(float x) { return x - (lanes_t){0}; }
INLINE lanes_t one_where(truth_t truth) { return (lanes_t)(truth & (truth_t)every(1.0f)); }

/* A step is several lanes at once, so that what is the same for all of them is looked at once. */
#define UNROLLED 4
#define STEP (UNROLLED * LANES)
#define EACH(u) for (int u = 0; u < UNROLLED; u++)

/* How many of the n elements of a step fall to lanes u. */
INLINE int share_of(int u, int n) { return n >= (u + 1) * LANES ? LANES : n <= u * LANES ? 0 : n - u * LANES; }

/* Half-precision numbers as in from_half and to_half. */
INLINE words_t where(truth_t truth, words_t yes, words_t no) { return (yes & (words_t)truth) | (no & ~(words_t)truth); }

INLINE lanes_t widen_halves(words_t h) {
    words_t size = (h & 0x7fff) << 13, exponent = size & 0x0f800000u, normal = size + 0x38000000u;
    words_t small = (words_t)((lanes_t)(normal + 0x00800000u) - float_of(0x38800000u));
    words_t u = where(exponent == 0, small, where(exponent == 0x0f800000u, normal + 0x38000000u, normal));
    return (lanes_t)(u | (h & 0x8000) << 16);
}

INLINE words_t narrow_halves(lanes_t x) {
    words_t sign = (words_t)x & 0x80000000u, u = (words_t)x ^ sign, none = {0};
    words_t large = where(u > 0x7f800000u, none + 0x7e00u, none + 0x7c00u);
    words_t small = (words_t)((lanes_t)u + 0.5f) - 0x3f000000u;
    words_t normal = (u + 0xc8000fffu + ((u >> 13) & 1)) >> 13;
    return where(u >= 0x47800000u, large, where(u < 0x38800000u, small, normal)) | sign >> 16;
}

INLINE words_t narrow_bfloats(lanes_t x) {
    words_t u = (words_t)x, none = {0};
    return where((u & 0x7fffffffu) > 0x7f800000u, none + 0x7fc0u, (u + 0x7fffu + ((u >> 16) & 1)) >> 16);
}

INLINE words_t load_words(const uint16_t *from, int n) {
    halves_t h = {0};
    memcpy(&h, from, (size_t)n * 2);
    return __builtin_convertvector(h, words_t);
}

/* The next n elements, at most a step, widened; what is behind them is zero. */
INLINE void load_step(const array_t *from, int64_t at, int n, lanes_t *x) {
    const uint16_t *words = (const uint16_t *)from->data + at;
    if (from->dtype == FLOAT32) EACH(u) {
        lanes_t zero = {0};
        x[u] = zero;
        memcpy(&x[u], (const float *)from->data + at + u * LANES, (size_t)share_of(u, n) * 4);
    } else if (from->dtype == BFLOAT16) {
        EACH(u) x[u] = (lanes_t)(load_words(words + u * LANES, share_of(u, n)) << 16);
    } else {
        EACH(u) x[u] = widen_halves(load_words(words + u * LANES, share_of(u, n)));
    }
}

INLINE void save_step(const lanes_t *x, const array_t *to, int64_t at, int n) {
    if (to->dtype == FLOAT32) {
        EACH(u) memcpy((float *)to->data + at + u * LANES, &x[u], (size_t)share_of(u, n) * 4);
    } else EACH(u) {
        words_t words = to->dtype == BFLOAT16 ? narrow_bfloats(x[u]) : narrow_halves(x[u]);
        halves_t h = __builtin_convertvector(words, halves_t);
        memcpy((uint16_t *)to->data + at + u * LANES, &h, (size_t)share_of(u, n) * 2);
    }
}

/* ---- what is kept ---- */

INLINE words_t numbered(void) {
    words_t lane;
    for (int i = 0; i < LANES; i++) lane[i] = (uint32_t)i;
    return lane;
}

INLINE words_t mixed(words_t state) {
    state = (state ^ state >> 16) * 0x85ebca6bu;
    state = (state ^ state >> 13) * 0xc2b2ae35u;
    return state ^ state >> 16;
}

INLINE lanes_t noise(const uint32_t keys[2], int64_t at) {
    words_t state = mixed(mixed((numbered() + (uint32_t)at) ^ keys[0]) ^ keys[1]);
    return __builtin_convertvector((truth_t)(state >> 8), lanes_t) * 0x1p-24f;
}

/* The smallest bits that a cut takes in. */
INLINE words_t least_of(const cut_t *cut, int64_t at) {
    words_t bits = cut->bits - (words_t){0};
    if (at + LANES <= cut->end) return bits;
    if (at >= cut->end) return bits + 1;
    return bits + ((words_t)(numbered() >= (uint32_t)(cut->end - at)) & 1);
}

/* One where values lie in the window, else zero. */
INLINE lanes_t between(words_t least, words_t top, lanes_t by) {
    words_t none = {0}, u = (words_t)by & 0x7fffffffu;
    u = where(u > 0x7f800001u, none + 0x7f800001u, u);
    return one_where((truth_t)(u >= least) & (truth_t)(u < top));
}

/* Multiplies by one where other values lie in the window, else by zero. */
INLINE void keep_window(const keep_t *keep, int64_t at, const lanes_t *by, lanes_t *x) {
    const cut_t *in = &keep->within, *out = &keep->beyond;
    if ((at + STEP <= in->end || at >= in->end) && (at + STEP <= out->end || at >= out->end)) {
        words_t least = least_of(in, at), top = least_of(out, at);
        EACH(u) x[u] = x[u] * between(least, top, by[u]);
    } else {
        EACH(u) x[u] = x[u] * between(least_of(in, at + u * LANES), least_of(out, at + u * LANES), by[u]);
    }
}

/* Sets what is not kept to zero: multiplied, not selected, so that NaN and infinity stay to be seen. */
INLINE void thin(const keep_t *keep, int64_t at, int n, lanes_t *x) {
    if (keep->kind == KEEP_WINDOW) {
        keep_window(keep, at, x, x);
    } else if (keep->kind == KEEP_CHANCE && !keep->ranks) {
        EACH(u) x[u] = x[u] * one_where(noise(keep->keys, at + u * LANES) < every(keep->low));
    } else if (keep->kind != KEEP_ALL) EACH(u) {
        words_t ranks = load_words(keep->ranks + at + u * LANES, share_of(u, n));
        if (keep->kind == KEEP_RANKS) {
            x[u] = x[u] * one_where(((truth_t)ranks >= keep->first) & ((truth_t)ranks < keep->stop));
        } else {
            lanes_t chance = __builtin_convertvector((truth_t)ranks, lanes_t) * keep->step + keep->low;
            x[u] = x[u] * one_where(noise(keep->keys, at + u * LANES) < chance);
            if (keep->own) x[u] = x[u] / chance;
        }
    }
}

/* Buffers have room behind a block, so whole steps can be taken from them. */
static void thin_block(const keep_t *keep, int64_t start, int n, float *x) {
    for (int i = 0; i < n; i += STEP) thin(keep, start + i, n - i < STEP ? n - i : STEP, (lanes_t *)(x + i));
}

static void keep_chosen(const keep_t *keep, int64_t start, int n, const float *chosen, float *x) {
    for (int i = 0; i < n; i += STEP) keep_window(keep, start + i, (const lanes_t *)(chosen + i), (lanes_t *)(x + i));
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

/* ---- threads ---- */

/* The threads beside the calling one. A merge is hundreds of passes of a fraction of a millisecond, so threads look for
 * the next one for a while before they sleep. */
#define LOOKS 200

typedef void (*pass_t)(void *);

static pthread_mutex_t busy = PTHREAD_MUTEX_INITIALIZER, lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
static int64_t round_;      /* counts the passes that threads were asked for */
static int started, wanted, running;
static pass_t current;
static void **jobs_;

static void *serve(void *number) {
    int64_t seen = 0;
    for (;;) {
        for (int look = 0; look < LOOKS && __atomic_load_n(&round_, __ATOMIC_ACQUIRE) == seen; look++) sched_yield();
        pthread_mutex_lock(&lock);
        while (round_ == seen) pthread_cond_wait(&wake, &lock);
        seen = round_;
        void *job = (intptr_t)number < wanted ? jobs_[(intptr_t)number] : NULL;
        pass_t pass = current;
        if (job) __atomic_fetch_add(&running, 1, __ATOMIC_RELAXED);
        pthread_mutex_unlock(&lock);
        if (!job) continue;
        pass(job);
        __atomic_fetch_sub(&running, 1, __ATOMIC_RELEASE);
    }
    return NULL;
}

/* The threads of a process do not exist in one that was forked from it. */
static void forget(void) {
    pthread_mutex_init(&busy, NULL);
    pthread_mutex_init(&lock, NULL);
    pthread_cond_init(&wake, NULL);
    started = 0;
    round_ = 0;
}

static void start(int threads) {
    static int registered;
    if (!registered) registered = pthread_atfork(NULL, NULL, forget) == 0;
    pthread_t thread;
    while (started < threads && pthread_create(&thread, NULL, serve, (void *)(intptr_t)started) == 0) {
        pthread_detach(thread);
        started++;
    }
}

/* Calls a pass from this thread and from others with a job each; one caller at a time gets them. Jobs share their work, so
 * what has not woken up when the work is done is not waited for. */
void evomerge_run(pass_t pass, void **jobs, int count) {
    int others = 0;
    if (count > 1 && pthread_mutex_trylock(&busy) == 0) {
        start(count - 1);
        others = count - 1 < started ? count - 1 : started;
        pthread_mutex_lock(&lock);
        current = pass;
        jobs_ = jobs;
        wanted = others;
        __atomic_fetch_add(&round_, 1, __ATOMIC_RELEASE);
        pthread_cond_broadcast(&wake);
        pthread_mutex_unlock(&lock);
        pass(jobs[count - 1]);
        pthread_mutex_lock(&lock);
        wanted = 0;
        pthread_mutex_unlock(&lock);
        while (__atomic_load_n(&running, __ATOMIC_ACQUIRE)) sched_yield();
        pthread_mutex_unlock(&busy);
        return;
    }
    pass(jobs[0]);
}
