/* Single-pass C kernels of evomerge/kernels, compiled on first use (native/library.py).
 *
 * Each pass computes, bit for bit, what the torch function of the same name in kernels/reference defines (a NaN equals a
 * NaN, whatever its payload). All arithmetic is therefore float32, in the order of the reference, and must be
 * compiled without contraction or any other licence to reorder. Passes advance step by step (simd.h): what is read of a
 * tensor stays in registers until the result is written.
 *
 * A pass is a struct and a function `void pass(struct pass *)`. Any number of threads may call it with the same struct:
 * each takes the next chunk until none is left. The result of a chunk does not depend on the thread that took it.
 */
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 1024    /* elements that are fetched ahead; also the run over which sums are folded (reference/sums.py) */
#define CHUNK 65536   /* elements that a thread takes at once */
#define ROOM 1072     /* from one buffer of a block to the next: on a cache line, but not on the same one of each page */

enum { FLOAT32, BFLOAT16, FLOAT16 };
enum { MASK_ALL, MASK_WINDOW, MASK_BERNOULLI, MASK_RANKS };
enum { VALUES_DELTA, VALUES_VARIANCE, VALUES_SCORE, VALUES_SPARSE };

typedef struct {
    const void *data;
    int32_t dtype;
} array_t;

/* Top-k threshold: all magnitudes above `bits`, and those equal to it at indices below `end`; see masks.py. */
typedef struct {
    int64_t end;
    uint32_t bits;
} threshold_t;

/* Sparsity mask of one delta; see masks.py. */
typedef struct {
    int32_t kind;
    threshold_t within, beyond;     /* MASK_WINDOW, and MASK_BERNOULLI that trims */
    uint32_t keys[2];       /* MASK_BERNOULLI */
    float probability, step;
    int32_t rescale;        /* whether kept elements are divided by their probability */
    int32_t first, stop;    /* MASK_RANKS */
    int32_t trims;          /* whether of what is kept at random, only elements in the window are kept */
    const uint16_t *ranks;
} mask_t;

/* PCB score: the scored model, its magnitudes' limits, and the slope that maps these to [0, 1]; see operands.py. */
typedef struct {
    int32_t model;
    float low, high, slope;
} score_t;

/* Element-wise values of a base and models; see operands.py. */
typedef struct {
    int32_t kind;
    int32_t n_models;
    array_t base;
    const array_t *models;
    score_t score;          /* VALUES_SCORE */
    const mask_t *mask;     /* VALUES_SPARSE */
} values_t;

/* Memory aligned to cache lines. */
static inline void *allocated(size_t bytes) {
    void *memory = aligned_alloc(64, (bytes + 127) / 64 * 64);
    if (memory) return memory;
    fprintf(stderr, "evomerge: no memory for %zu bytes\n", bytes);
    abort();
}

/* Buffers of a block each. */
static inline float *room_for(int buffers) { return allocated((size_t)buffers * ROOM * 4); }

static inline uint32_t bits_of(float x) { uint32_t u; memcpy(&u, &x, 4); return u; }
static inline float float_of(uint32_t u) { float x; memcpy(&x, &u, 4); return x; }

/* The bits of |x|, which order as the magnitudes do; all NaN alike are the largest. */
static inline uint32_t magnitude(float x) {
    uint32_t u = bits_of(x) & 0x7fffffffu;
    return u < 0x7f800001u ? u : 0x7f800001u;
}

static inline int64_t take(int64_t *next) { return __atomic_fetch_add(next, 1, __ATOMIC_RELAXED); }

#define FOR_CHUNKS(p) for (int64_t chunk; (chunk = take(&(p)->next)) * CHUNK < (p)->numel; )
#define FOR_BLOCKS(p, start, n)                                                                                        \
    for (int64_t start = chunk * CHUNK, stop_ = start + CHUNK < (p)->numel ? start + CHUNK : (p)->numel, n = 0;        \
         n = stop_ - start < BLOCK ? stop_ - start : BLOCK, start < stop_; start += n)
