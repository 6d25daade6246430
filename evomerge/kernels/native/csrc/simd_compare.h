/* SIMD comparisons: in the mask registers of AVX-512 where there are any, else as all ones or all zeros per lane. Results
 * are combined with &, | and ~. Every comparison with NaN is false, except `unlike`. */
#pragma once

#include "types.h"

#if defined(__AVX512F__)
#include <immintrin.h>
#define LANES 16
#elif defined(__AVX__)
#define LANES 8
#else
#define LANES 4
#endif

typedef float lanes_t __attribute__((vector_size(LANES * 4)));
typedef uint32_t words_t __attribute__((vector_size(LANES * 4)));
typedef int32_t integers_t __attribute__((vector_size(LANES * 4)));

#define INLINE static inline __attribute__((always_inline))

INLINE lanes_t every(float x) { return x - (lanes_t){0}; }
INLINE words_t all_words(uint32_t u) { return u - (words_t){0}; }

INLINE words_t numbered(void) {
    words_t lane;
    for (int i = 0; i < LANES; i++) lane[i] = (uint32_t)i;
    return lane;
}

#if defined(__AVX512F__)

typedef __mmask16 compare_t;

INLINE compare_t above(lanes_t x, lanes_t y) { return _mm512_cmp_ps_mask((__m512)x, (__m512)y, _CMP_GT_OQ); }
INLINE compare_t alike(lanes_t x, lanes_t y) { return _mm512_cmp_ps_mask((__m512)x, (__m512)y, _CMP_EQ_OQ); }
INLINE compare_t unlike(lanes_t x, lanes_t y) { return _mm512_cmp_ps_mask((__m512)x, (__m512)y, _CMP_NEQ_UQ); }
INLINE compare_t words_from(words_t u, words_t least) { return _mm512_cmpge_epu32_mask((__m512i)u, (__m512i)least); }
INLINE compare_t words_below(words_t u, words_t top) { return _mm512_cmplt_epu32_mask((__m512i)u, (__m512i)top); }

INLINE words_t where(compare_t holds, words_t yes, words_t no) {
    return (words_t)_mm512_mask_mov_epi32((__m512i)no, holds, (__m512i)yes);
}

/* x where it holds, else zero. */
INLINE lanes_t only(compare_t holds, lanes_t x) { return (lanes_t)_mm512_maskz_mov_ps(holds, (__m512)x); }

INLINE words_t smaller(words_t u, words_t v) { return (words_t)_mm512_min_epu32((__m512i)u, (__m512i)v); }

/* NaN stays NaN: it is the second operand. */
INLINE lanes_t at_least(lanes_t x, float low) { return (lanes_t)_mm512_max_ps((__m512)every(low), (__m512)x); }
INLINE lanes_t at_most(lanes_t x, float high) { return (lanes_t)_mm512_min_ps((__m512)every(high), (__m512)x); }

/* Where either is NaN, it is the limit. */
INLINE lanes_t limited(lanes_t x, float high) { return (lanes_t)_mm512_min_ps((__m512)x, (__m512)every(high)); }

/* One bit for each of the first n lanes. */
INLINE uint32_t bits_where(compare_t holds, int n) { return holds & ((1u << n) - 1); }

#else

typedef integers_t compare_t;

INLINE compare_t above(lanes_t x, lanes_t y) { return x > y; }
INLINE compare_t alike(lanes_t x, lanes_t y) { return x == y; }
INLINE compare_t unlike(lanes_t x, lanes_t y) { return x != y; }
INLINE compare_t words_from(words_t u, words_t least) { return (compare_t)(u >= least); }
INLINE compare_t words_below(words_t u, words_t top) { return (compare_t)(u < top); }
INLINE words_t where(compare_t holds, words_t yes, words_t no) {
    return (yes & (words_t)holds) | (no & ~(words_t)holds);
}
INLINE lanes_t only(compare_t holds, lanes_t x) { return (lanes_t)((words_t)x & (words_t)holds); }
INLINE words_t smaller(words_t u, words_t v) { return where((compare_t)(u < v), u, v); }
INLINE lanes_t at_least(lanes_t x, float low) { return (lanes_t)where(x < low, (words_t)every(low), (words_t)x); }
INLINE lanes_t at_most(lanes_t x, float high) { return (lanes_t)where(x > high, (words_t)every(high), (words_t)x); }
INLINE lanes_t limited(lanes_t x, float high) { return (lanes_t)where(x < high, (words_t)x, (words_t)every(high)); }

INLINE uint32_t bits_where(compare_t holds, int n) {
    uint32_t bits = 0;
    for (int i = 0; i < n; i++) bits |= (holds[i] & 1u) << i;
    return bits;
}

#endif

INLINE lanes_t choose(compare_t holds, lanes_t yes, lanes_t no) {
    return (lanes_t)where(holds, (words_t)yes, (words_t)no);
}

INLINE compare_t first_lanes(int n) { return words_below(numbered(), all_words((uint32_t)(n < 0 ? 0 : n))); }
