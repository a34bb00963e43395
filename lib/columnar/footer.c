/* The footer of a segment: per column how its chunk is encoded and compressed, its length, tag,
 * NULLs and bounds. Chunks follow each other without gaps, so lengths say where they lie. */
#include "lib/columnar/segment_in.h"

#include "lib/base/rdr.h"
#include "lib/columnar/decimal.h"

enum { FLAG_BOUNDED = 1, FLAG_DECIMAL = 2, BOUND_CUT = 0x80 };

static bool is_float(enum vector_kind kind) {
    return kind == VECTOR_FLOAT32 || kind == VECTOR_FLOAT64;
}

/* Integers as wide as the column's values, floats as doubles. */
static size_t bound_width(enum vector_kind kind) {
    return is_float(kind) ? sizeof(double) : vector_width(kind);
}

static void bound_write(enum vector_kind kind, const struct segment_bound *b, struct buf *out) {
    if (kind == VECTOR_BYTES) {
        buf_u8(out, (uint8_t)(b->len | (b->cut ? BOUND_CUT : 0)));
        buf_put(out, slice_of(b->bytes, b->len));
        return;
    }
    unsigned __int128 bits = (unsigned __int128)b->i;
    if (is_float(kind)) {
        uint64_t u;
        memcpy(&u, &b->f, sizeof u);
        bits = u;
    }
    for (size_t i = bound_width(kind); i-- > 0;) {
        buf_u8(out, (uint8_t)(bits >> (8 * i)));
    }
}

static struct sl_rc bound_read(enum vector_kind kind, struct rdr *r, struct segment_bound *b) {
    if (kind == VECTOR_BYTES) {
        uint8_t len = rdr_u8(r);
        b->cut = (len & BOUND_CUT) != 0;
        b->len = len & (BOUND_CUT - 1);
        ENSURE(b->len <= SEGMENT_BOUND_BYTES, NULL, SL_E_CORRUPT, "bound");
        struct slice s = rdr_bytes(r, b->len);
        if (s.len > 0) {
            memcpy(b->bytes, s.ptr, s.len);
        }
        return SL_OK;
    }
    size_t width = bound_width(kind);
    struct slice s = rdr_bytes(r, width);
    unsigned __int128 bits = s.len > 0 && s.ptr[0] & 0x80 && !is_float(kind) && width > 1 ? -1 : 0;
    for (size_t i = 0; i < s.len; i++) {
        bits = bits << 8 | s.ptr[i];
    }
    if (is_float(kind)) {
        uint64_t u = (uint64_t)bits;
        memcpy(&b->f, &u, sizeof u);
    } else {
        b->i = (__int128)bits;
    }
    return SL_OK;
}

void footer_write(const struct footer_column *columns, uint32_t count, struct buf *out) {
    for (uint32_t i = 0; i < count; i++) {
        const struct footer_column *c = &columns[i];
        buf_u8(out, (uint8_t)c->shown.kind);
        buf_u8(out, (uint8_t)c->encoding);
        buf_u8(out, (uint8_t)c->method);
        buf_u8(out, (uint8_t)((c->shown.bounded ? FLAG_BOUNDED : 0) |
                              (c->shown.decimal ? FLAG_DECIMAL : 0)));
        buf_u32(out, c->shown.length);
        buf_u32(out, c->shown.plain_bytes);
        buf_u32(out, c->shown.nulls);
        buf_put(out, slice_of(c->tag, sizeof c->tag));
        if (c->shown.decimal) {
            buf_u8(out, c->shown.scale);
        }
        if (c->shown.bounded) {
            bound_write(c->shown.kind, &c->shown.min, out);
            bound_write(c->shown.kind, &c->shown.max, out);
        }
    }
}

static const char *method_name(enum block_method method) {
    static const char *const names[BLOCK_METHOD_COUNT] = {"none", "lz4", "zstd"};
    return names[method];
}

static struct sl_rc column_read(struct rdr *r, uint32_t rows, struct footer_column *c,
                                struct sl_error *err, uint32_t at) {
    unsigned kind = rdr_u8(r), encoding = rdr_u8(r), method = rdr_u8(r), flags = rdr_u8(r);
    struct segment_column *s = &c->shown;
    s->length = rdr_u32(r);
    s->plain_bytes = rdr_u32(r);
    s->nulls = rdr_u32(r);
    struct slice tag = rdr_bytes(r, GCM_TAG_LEN);
    s->decimal = (flags & FLAG_DECIMAL) != 0;
    s->scale = s->decimal ? rdr_u8(r) : 0;
    ENSURE(!r->bad, err, SL_E_CORRUPT, "segment footer: cut short at column %u", at);
    ENSURE(kind > 0 && kind < VECTOR_KIND_COUNT && encoding > 0 && encoding < ENCODING_COUNT &&
               method < BLOCK_METHOD_COUNT && flags <= (FLAG_BOUNDED | FLAG_DECIMAL),
           err, SL_E_CORRUPT, "segment footer: column %u has kind %u, encoding %u, compression %u",
           at, kind, encoding, method);
    s->bounded = (flags & FLAG_BOUNDED) != 0;
    ENSURE(!s->decimal ||
               (s->scale <= DECIMAL_DIGITS_MAX && (kind == VECTOR_INT64 || kind == VECTOR_INT128)),
           err, SL_E_CORRUPT, "segment footer: column %u has kind %u and scale %u", at, kind,
           s->scale);
    ENSURE(s->nulls <= rows && s->bounded == (s->nulls < rows) &&
               s->plain_bytes <= SEGMENT_BLOCK_MAX && s->length <= s->plain_bytes,
           err, SL_E_CORRUPT, "segment footer: column %u has impossible sizes", at);
    memcpy(c->tag, tag.ptr, GCM_TAG_LEN);
    s->kind = (enum vector_kind)kind;
    c->encoding = (enum encoding)encoding;
    c->method = (enum block_method)method;
    s->encoding = encoding_name(c->encoding);
    s->compression = method_name(c->method);
    if (s->bounded) {
        struct sl_rc rc = bound_read(s->kind, r, &s->min);
        if (sl_is_ok(rc)) {
            rc = bound_read(s->kind, r, &s->max);
        }
        ENSURE(sl_is_ok(rc) && !r->bad, err, SL_E_CORRUPT, "segment footer: bounds of column %u",
               at);
    }
    return SL_OK;
}

struct sl_rc footer_read(struct slice plain, const struct segment_ref *ref,
                         struct footer_column *columns, struct sl_error *err) {
    struct rdr r = rdr_of(plain);
    uint64_t at = SEGMENT_HEADER_LEN;
    for (uint32_t i = 0; i < ref->columns; i++) {
        columns[i] = (struct footer_column){0};
        TRY(column_read(&r, ref->rows, &columns[i], err, i));
        columns[i].shown.offset = (uint32_t)at;
        at += columns[i].shown.length;
        ENSURE(at <= ref->footer_offset, err, SL_E_CORRUPT,
               "segment footer: the chunk of column %u passes the chunks' end", i);
    }
    ENSURE(r.rest.len == 0 && at == ref->footer_offset, err, SL_E_CORRUPT,
           "segment footer: %zu bytes too many, chunks end at %llu, not %u", r.rest.len,
           (unsigned long long)at, ref->footer_offset);
    return SL_OK;
}
