/* Batches as text, for tests. Include after cmocka.h. */
#ifndef SEALIFT_TESTS_COPY_SHOW_H
#define SEALIFT_TESTS_COPY_SHOW_H

#include "lib/codec/copy_convert.h"

static inline void put_int128(struct buf *out, __int128 v) {
    char text[48], *p = text + sizeof text;
    bool negative = v < 0;
    *--p = '\0';
    do {
        int d = (int)(v % 10);
        *--p = (char)('0' + (d < 0 ? -d : d));
        v /= 10;
    } while (v != 0);
    buf_printf(out, "%s%s", negative ? "-" : "", p);
}

static inline struct slice text_at(const struct copy_batch *b, uint32_t at) {
    const uint8_t *p = b->text.ptr + at;
    if (*p & 1) {
        return slice_of(p + 1, (size_t)(*p >> 1) - 1);
    }
    uint32_t header;
    assert_int_equal(at % 4, 0);
    memcpy(&header, p, 4);
    return slice_of(p + 4, (header >> 2) - 4);
}

static inline void put_value(struct buf *out, const struct copy_column *col,
                             const struct copy_batch *b, size_t at, size_t row) {
    const struct copy_vector *v = &b->columns[at];
    if (v->presence[row] == COPY_NULL) {
        buf_puts(out, "NULL");
        return;
    }
    if (v->presence[row] == COPY_LOCAL) {
        buf_puts(out, "local ");
    }
    switch (col->type) {
    case COPY_INT2:
        buf_printf(out, "%d", v->v.i16[row]);
        break;
    case COPY_INT4:
    case COPY_DATE:
        buf_printf(out, "%d", v->v.i32[row]);
        break;
    case COPY_FLOAT4:
        buf_printf(out, "%.9g", (double)v->v.f4[row]);
        break;
    case COPY_FLOAT8:
        buf_printf(out, "%.17g", v->v.f8[row]);
        break;
    case COPY_BOOL:
        buf_puts(out, v->v.b[row] ? "true" : "false");
        break;
    case COPY_NUMERIC_BIG:
        put_int128(out, v->v.i128[row]);
        break;
    case COPY_CHAR:
    case COPY_VARCHAR:
        buf_putc(out, '\'');
        buf_put(out, text_at(b, v->v.text[row]));
        buf_putc(out, '\'');
        break;
    default:
        buf_printf(out, "%lld", (long long)v->v.i64[row]);
    }
}

/* Each row as (a,b). */
static inline void put_rows(struct buf *out, const struct copy_column *columns, size_t count,
                            const struct copy_batch *b) {
    for (size_t row = 0; row < b->rows; row++) {
        buf_putc(out, '(');
        for (size_t i = 0; i < count; i++) {
            buf_puts(out, i > 0 ? "," : "");
            put_value(out, &columns[i], b, i, row);
        }
        buf_putc(out, ')');
    }
}

#endif
