#include "types.h"

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
