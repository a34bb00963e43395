/* Inside of lib/columnar: a column's values as bytes, and back. docs/format.md has the bytes. */
#ifndef SL_COLUMNAR_ENCODE_IN_H
#define SL_COLUMNAR_ENCODE_IN_H

#include "lib/columnar/dictionary_in.h"
#include "lib/columnar/ints_in.h"

enum encoding {
    ENCODING_CONSTANT = 1,
    ENCODING_PLAIN,
    ENCODING_DICTIONARY,
    ENCODING_REFERENCE, /* a base, a step, how many steps above it */
    ENCODING_DELTA,     /* the same of differences */
    ENCODING_SCALED,    /* floats: integers over a power of ten, in REFERENCE or DELTA */
    ENCODING_COUNT,
};

enum { SCALE_MAX = 15 };
extern const double encode_powers[SCALE_MAX + 1]; /* of ten */

struct encode_work {
    struct ints_work ints;
    struct dictionary dictionary;
    int64_t *x; /* a column as 64-bit integers; the memory of all that follow */
    uint64_t *wide;
    uint32_t *codes;
    uint32_t rows; /* what there is room for: little for few rows, as small INSERTs have them */
};
/* Room for columns of `rows` rows. A zeroed `w` has none. */
struct sl_rc encode_work_room(struct encode_work *w, struct block_work *block, uint32_t rows);
void encode_work_fini(struct encode_work *w);

struct encoded {
    enum encoding encoding;
    uint32_t nulls;
    bool bounded;
    struct segment_bound min, max;
    bool loose; /* compression may shrink the body */
};

const char *encoding_name(enum encoding encoding);

/* Appends the values to `body`. There is room for v->rows. */
struct sl_rc encode_column(struct encode_work *w, const struct vector *v, struct buf *body,
                           struct encoded *ret, struct sl_error *err);

/* `nulls` of `rows` rows are NULL, and there is room for them. Everything else about `body` is
 * doubted. */
struct sl_rc decode_column(struct encode_work *w, enum encoding encoding, enum vector_kind kind,
                           uint32_t rows, uint32_t nulls, struct slice body,
                           struct vector_memory *memory, struct vector *ret, struct sl_error *err);

/* Values of integers from how many steps above the base they are: its loop, with and without vector
 * instructions, for the tests. */
void decode_steps(const uint32_t *codes, size_t n, int64_t base, uint64_t step,
                  enum vector_kind kind, uint8_t *out, bool plain);

#endif
