/* A reader of COPY text as plain as can be, byte by byte, for comparison with the product's. */
#ifndef SEALIFT_TESTS_COPY_REFERENCE_H
#define SEALIFT_TESTS_COPY_REFERENCE_H

#include "lib/codec/copy_convert.h"

/* Rows as (a,b) and rejects as <line/column/position/code>, in order. */
void reference_read(const struct copy_convert_conf *conf, struct slice data, struct buf *out);

/* One record whose fields are known: the same for one row of JSON at `line`. */
struct reference_value {
    struct slice text;
    bool null;
    size_t position;
};
void reference_record(const struct copy_convert_conf *conf, const struct reference_value *values,
                      uint64_t line, struct buf *out);

#endif
