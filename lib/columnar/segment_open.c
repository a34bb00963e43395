/* Opens a segment's header and footer, and decodes its chunks. */
#include "lib/base/limits.h"
#include "lib/base/rdr.h"
#include "lib/columnar/segment_in.h"

/* The header's salt and commitment, once the rest is what `ref` says. */
static struct sl_rc header_read(struct slice header, const struct segment_ref *ref,
                                struct slice *ret_salt, struct slice *ret_commitment,
                                struct sl_error *err) {
    struct rdr r = rdr_of(header);
    struct slice magic = rdr_bytes(&r, 5);
    uint8_t version = rdr_u8(&r), alg = rdr_u8(&r);
    ENSURE(!r.bad && slice_eq_cstr(magic, "SLSEG"), err, SL_E_CORRUPT, "segment: no header");
    ENSURE(version == 1 && alg == 1, err, SL_E_CORRUPT,
           "segment: version %u, algorithm %u are not known", version, alg);
    struct slice storage = rdr_bytes(&r, STORAGE_ID_LEN), id = rdr_bytes(&r, SEGMENT_ID_LEN);
    struct slice salt = rdr_bytes(&r, SEGMENT_SALT_LEN);
    struct slice commitment = rdr_bytes(&r, COMMITMENT_LEN);
    uint32_t columns = rdr_u32(&r), rows = rdr_u32(&r);
    ENSURE(sl_is_ok(rdr_end(&r, NULL, "header")), err, SL_E_CORRUPT,
           "segment: a header of %zu bytes", header.len);
    ENSURE(slice_eq(storage, slice_of(ref->storage_id, STORAGE_ID_LEN)) &&
               slice_eq(id, slice_of(ref->segment_id, SEGMENT_ID_LEN)),
           err, SL_E_CORRUPT, "segment: it is another's");
    ENSURE(columns == ref->columns && rows == ref->rows, err, SL_E_CORRUPT,
           "segment: %u columns and %u rows instead of %u and %u", columns, rows, ref->columns,
           ref->rows);
    *ret_salt = salt;
    *ret_commitment = commitment;
    return SL_OK;
}

static struct sl_rc sizes_check(const struct segment_ref *ref, struct slice footer,
                                struct sl_error *err) {
    ENSURE(ref->columns <= LIMIT_SEGMENT_COLUMNS && ref->rows <= SEGMENT_ROWS &&
               ref->bytes <= LIMIT_SEGMENT_BYTES && ref->footer_offset >= SEGMENT_HEADER_LEN &&
               ref->footer_offset <= ref->bytes,
           err, SL_E_CORRUPT, "segment: impossible sizes in its catalog row");
    ENSURE(footer.len == ref->bytes - ref->footer_offset, err, SL_E_CORRUPT,
           "segment: a footer of %zu instead of %u bytes", footer.len,
           ref->bytes - ref->footer_offset);
    return SL_OK;
}

static struct sl_rc footer_open(struct segment *s, struct slice footer, struct sl_error *err) {
    struct aead *a = NULL;
    uint8_t *plain = malloc(footer.len + 1);
    ENSURE(plain != NULL, err, SL_E_NOMEM, "segment footer");
    struct sl_rc rc = aead_new(secret_view(&s->key), &a);
    if (sl_is_ok(rc)) {
        rc = segment_part_open(a, SEGMENT_FOOTER, 0, s->aad, footer, s->ref.footer_tag, plain);
        if (rc.code == SL_E_CORRUPT) {
            sl_ignore(sl_fail(err, SL_E_CORRUPT, "segment footer: its seal is broken"));
        }
    }
    if (sl_is_ok(rc)) {
        rc = footer_read(slice_of(plain, footer.len), &s->ref, s->columns, err);
    }
    aead_free(a);
    free(plain);
    return rc;
}

struct sl_rc segment_open(const struct secret *table_key, const struct segment_ref *ref,
                          struct slice header, struct slice footer, struct segment **ret,
                          struct sl_error *err) {
    struct slice salt = SLICE_EMPTY, commitment = SLICE_EMPTY;
    TRY(sizes_check(ref, footer, err));
    TRY(header_read(header, ref, &salt, &commitment, err));
    struct segment *s = calloc(1, sizeof *s + ref->columns * sizeof s->columns[0]);
    ENSURE(s != NULL, err, SL_E_NOMEM, "segment");
    s->ref = *ref;
    sha256(header, s->aad);
    struct sl_rc rc = commit_key(secret_view(table_key), salt, SLICE_LIT("sealift/segment/1"),
                                 &s->key, s->commitment);
    if (sl_is_ok(rc) && !secret_equal(commitment, slice_of(s->commitment, commitment.len))) {
        rc = sl_fail(err, SL_E_CORRUPT, "segment: it was not sealed under this table's key");
    }
    if (sl_is_ok(rc)) {
        rc = footer_open(s, footer, err);
    }
    if (sl_failed(rc)) {
        segment_free(s);
        return rc;
    }
    *ret = s;
    return SL_OK;
}

struct sl_rc segment_open_whole(const struct secret *table_key, const struct segment_ref *ref,
                                struct slice bytes, struct segment **ret, struct sl_error *err) {
    ENSURE(bytes.len == ref->bytes, err, SL_E_CORRUPT, "segment: %zu instead of %u bytes",
           bytes.len, ref->bytes);
    return segment_open(table_key, ref, slice_sub(bytes, 0, SEGMENT_HEADER_LEN),
                        slice_sub(bytes, ref->footer_offset, bytes.len), ret, err);
}

struct slice segment_chunk_of(const struct segment *s, uint32_t column, struct slice bytes) {
    const struct segment_column *c = segment_column(s, column);
    return slice_sub(bytes, c->offset, c->offset + (size_t)c->length);
}

void segment_free(struct segment *s) {
    if (s != NULL) {
        secret_fini(&s->key);
        free(s);
    }
}

uint32_t segment_rows(const struct segment *s) {
    return s->ref.rows;
}

uint32_t segment_column_count(const struct segment *s) {
    return s->ref.columns;
}

const struct segment_column *segment_column(const struct segment *s, uint32_t column) {
    sl_assert(column < s->ref.columns);
    return &s->columns[column].shown;
}

struct sl_rc segment_decode_plain(struct segment_work *w, const struct footer_column *column,
                                  uint32_t rows, struct slice packed, struct vector_memory *memory,
                                  struct vector *ret, struct sl_error *err) {
    const struct segment_column *c = &column->shown;
    struct slice body = packed;
    if (column->method != BLOCK_STORED) {
        buf_reset(&w->body);
        uint8_t *p = buf_reserve(&w->body, c->plain_bytes);
        ENSURE(p != NULL, err, SL_E_NOMEM, "column of %u bytes", c->plain_bytes);
        TRY(block_expand(w->block, column->method, packed, p, c->plain_bytes, err));
        body = slice_of(p, c->plain_bytes);
    }
    ENSURE(body.len == c->plain_bytes, err, SL_E_CORRUPT, "a chunk of %zu instead of %u bytes",
           body.len, c->plain_bytes);
    TRY(encode_work_room(&w->encode, w->block, rows));
    TRY(decode_column(&w->encode, column->encoding, c->kind, rows, c->nulls, body, memory, ret,
                      err));
    ret->decimal = c->decimal;
    ret->scale = c->scale;
    return SL_OK;
}

struct sl_rc segment_decode(struct segment_work *w, const struct segment *s, uint32_t column,
                            struct slice chunk, struct vector_memory *memory, struct vector *ret,
                            struct sl_error *err) {
    sl_assert(column < s->ref.columns);
    const struct footer_column *c = &s->columns[column];
    struct aead *a = NULL;
    struct sl_error inner = {0};
    ENSURE(chunk.len == c->shown.length, err, SL_E_CORRUPT,
           "segment: column %u: %zu bytes instead of %u", column, chunk.len, c->shown.length);
    TRY(segment_key_handle(w, &s->key, s->commitment, &a));
    buf_reset(&w->packed);
    uint8_t *p = buf_reserve(&w->packed, chunk.len + 1);
    ENSURE(p != NULL, err, SL_E_NOMEM, "column of %zu bytes", chunk.len);
    struct sl_rc rc = segment_part_open(a, SEGMENT_CHUNK, column, s->aad, chunk, c->tag, p);
    ENSURE(rc.code != SL_E_CORRUPT, err, SL_E_CORRUPT, "segment: column %u: its seal is broken",
           column);
    TRY(rc);
    rc = segment_decode_plain(w, c, s->ref.rows, slice_of(p, chunk.len), memory, ret, &inner);
    return sl_is_ok(rc) ? rc
                        : sl_fail(err, rc.code, "segment: column %u: %s", column,
                                  sl_error_message(&inner, rc.code));
}
