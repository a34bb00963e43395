/* Inside of lib/columnar: distinct values of a column, in the order of their first row. */
#ifndef SL_COLUMNAR_DICTIONARY_IN_H
#define SL_COLUMNAR_DICTIONARY_IN_H

#include "lib/columnar/segment.h"

enum { DICTIONARY_TEXTS = 65536, DICTIONARY_INTS = 256 };

struct dictionary_entry {
    uint64_t head[2]; /* its first 16 bytes, zeros behind; or the integer */
    uint32_t text;    /* where it begins in the heap */
    uint32_t len;
};

struct dictionary {
    uint64_t seeds[4]; /* drawn, so that nobody can choose texts that collide */
    uint32_t count;
    struct dictionary_entry *entries;
    uint32_t *slots; /* entry + 1, or 0 */
    uint32_t slot_bits, slot_bits_most;
};
/* For columns of up to `rows` rows. */
struct sl_rc dictionary_init(struct dictionary *d, uint32_t rows);
void dictionary_fini(struct dictionary *d);

/* A code a row; what stands for NULL rows is a code too. False: too many are distinct for a
 * dictionary to pay, or an offset names no whole value. `scratch` has room for v->rows. */
bool dictionary_texts(struct dictionary *d, const struct vector *v, uint32_t *scratch,
                      uint32_t *codes, bool plain);
/* Of integers from `base` to base + range. */
bool dictionary_ints(struct dictionary *d, const int64_t *x, uint32_t n, int64_t base,
                     uint64_t range, uint32_t *scratch, uint32_t *codes);

#endif
