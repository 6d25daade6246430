#include "values.h"

/* Ranks of magnitudes within rows, ascending, ties by index; narrowed to 16 bits; see reference/row_ranks.py. */
typedef struct {
    int64_t next, rows, columns;
    array_t base, model;
    uint16_t *ranks;
} row_ranks_t;

void evomerge_row_ranks(row_ranks_t *p) {
    int64_t m = p->columns, levels = m < 65536 ? m : 65536;
    int64_t room = (m / STEP + 1) * STEP;   /* rows are read in whole steps */
    uint32_t *memory = allocated((size_t)room * 12), *keys = memory, *order = keys + room;
    uint32_t *other = order + room;
    values_t delta = {VALUES_DELTA, 1, p->base, &p->model};
    for (int64_t row; (row = take(&p->next)) < p->rows; ) {
        for (int64_t at = 0; at < m; at += BLOCK) {
            values(&delta, row * m + at, (int)(m - at < BLOCK ? m - at : BLOCK), (float *)keys + at, NULL);
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
