/* The deleted rows of a segment: a bitmap, sealed in the smallest of three forms ("Delete vectors"
 * of docs/format.md). */
#ifndef SL_COLUMNAR_DELETES_H
#define SL_COLUMNAR_DELETES_H

#include "lib/columnar/segment.h"

struct deletes {
    uint32_t rows;  /* of the segment */
    uint32_t count; /* deleted */
    uint64_t *words;
};

/* None is deleted. rows <= SEGMENT_ROWS. */
struct sl_rc deletes_init(struct deletes *d, uint32_t rows);
void deletes_fini(struct deletes *d);                                     /* safe on a zeroed one */
struct sl_rc deletes_copy(struct deletes *d, const struct deletes *from); /* makes d */

/* row < rows. False when it was deleted before. */
static inline bool deletes_set(struct deletes *d, uint32_t row) {
    uint64_t bit = 1ULL << (row & 63);
    bool fresh = (d->words[row >> 6] & bit) == 0;
    d->words[row >> 6] |= bit;
    d->count += fresh;
    return fresh;
}
static inline bool deletes_test(const struct deletes *d, uint32_t row) {
    return (d->words[row >> 6] >> (row & 63) & 1) != 0;
}
/* The first row from `from` on that is not deleted, or rows. */
uint32_t deletes_next_live(const struct deletes *d, uint32_t from);

/* Appends the sealed form, bound to the segment that `ref` names (ids and rows). */
struct sl_rc deletes_seal(const struct secret *table_key, const struct segment_ref *ref,
                          const struct deletes *d, struct buf *out, struct sl_error *err);
/* Makes *ret. SL_E_CORRUPT: altered, cut, of another segment or under another key. That it is the
 * newest is for the catalog row's MAC to say, which covers these bytes. */
struct sl_rc deletes_open(const struct secret *table_key, const struct segment_ref *ref,
                          struct slice sealed, struct deletes *ret, struct sl_error *err);

#endif
