/* Rows in the order of a SORTKEY, before they are sealed: so that segments hold narrow ranges of
 * it, and scans skip most of them.
 *
 * The order is PostgreSQL's: NULLs last, NaN the greatest number, decimals by value (of one scale),
 * texts without their trailing blanks, by memcmp. Texts count up to SORT_TEXT_BYTES: beyond, rows
 * keep the order they had. It serves skipping alone; no answer depends on it. */
#ifndef SL_COLUMNAR_SORT_H
#define SL_COLUMNAR_SORT_H

#include "lib/columnar/vector.h"

enum { SORT_TEXT_BYTES = 256 };

/* Scratch of one thread, to be zeroed before its first use and kept. */
struct sort_work {
    struct sort_item *items, *other;
    uint32_t *order;
    uint32_t cap;
};
void sort_work_fini(struct sort_work *w);

/* The row that comes at each place, by columns[keys[0]], then columns[keys[1]], …; equal ones as
 * they came. NULL when they are in order already. It is `w`'s, until its next use. Vectors may have
 * more rows than a segment. */
struct sl_rc sort_rows(struct sort_work *w, const struct vector *columns, const uint32_t *keys,
                       uint32_t key_count, uint32_t rows, const uint32_t **ret_order);

/* The places [from, from + count) of a column in that order (NULL: as it is). Values lie in
 * `memory`, texts stay in the column's heap. */
struct sl_rc sort_take(const struct vector *v, const uint32_t *order, uint32_t from, uint32_t count,
                       struct vector_memory *memory, struct vector *ret);

/* Less than, equal to or greater than 0: row i of a against row j of b, two vectors of one form. */
int sort_compare(const struct vector *a, uint32_t i, const struct vector *b, uint32_t j);

#endif
