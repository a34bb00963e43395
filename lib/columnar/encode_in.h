/* Inside of lib/columnar: a column's values as bytes, and back. docs/format.md has the bytes. */
#ifndef SL_COLUMNAR_ENCODE_IN_H
#define SL_COLUMNAR_ENCODE_IN_H

#include "lib/columnar/segment.h"

enum encoding {
    ENCODING_PLAIN = 1,
    ENCODING_COUNT,
};

struct encode_work {
    int unused;
};
void encode_work_fini(struct encode_work *w);

struct encoded {
    enum encoding encoding;
    uint32_t nulls;
    bool bounded;
    struct segment_bound min, max;
};

const char *encoding_name(enum encoding encoding);

/* Appends the values to `body`. */
struct sl_rc encode_column(struct encode_work *w, const struct vector *v, struct buf *body,
                           struct encoded *ret, struct sl_error *err);

/* `nulls` of `rows` rows are NULL. Everything else about `body` is doubted. */
struct sl_rc decode_column(struct encode_work *w, enum encoding encoding, enum vector_kind kind,
                           uint32_t rows, uint32_t nulls, struct slice body,
                           struct vector_memory *memory, struct vector *ret, struct sl_error *err);

#endif
