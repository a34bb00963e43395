/* Writes a segment: header, each column encoded, compressed and sealed, then the footer. */
#include "lib/base/limits.h"
#include "lib/columnar/segment_in.h"

enum { SQUEEZE_LEAST = 64 };

struct sl_rc segment_work_new(struct segment_work **ret) {
    struct segment_work *w = calloc(1, sizeof *w);
    ENSURE(w != NULL, NULL, SL_E_NOMEM, "segment work");
    w->body = w->packed = BUF_INIT(SEGMENT_BLOCK_MAX);
    struct sl_rc rc = block_work_new(&w->block);
    if (sl_failed(rc)) {
        segment_work_free(w);
        return rc;
    }
    *ret = w;
    return SL_OK;
}

void segment_work_free(struct segment_work *w) {
    if (w != NULL) {
        block_work_free(w->block);
        encode_work_fini(&w->encode);
        buf_fini(&w->body);
        buf_fini(&w->packed);
        aead_free(w->aead);
        free(w);
    }
}

/* w->body as it is stored: compressed where that saves a sixteenth. What zstd shrinks to a
 * sixteenth consists of repetitions, which LZ4 expands several times faster: it is taken when it
 * needs less than twice the room. */
static struct sl_rc squeeze(struct segment_work *w, bool loose, enum block_method *ret_method,
                            struct slice *ret, struct sl_error *err) {
    struct slice body = buf_slice(&w->body);
    size_t most = body.len - body.len / 16, len = 0, lz4 = 0;
    *ret_method = BLOCK_STORED;
    *ret = body;
    if (!loose || body.len < SQUEEZE_LEAST) {
        return SL_OK;
    }
    buf_reset(&w->packed);
    uint8_t *out = buf_reserve(&w->packed, most + body.len / 8);
    ENSURE(out != NULL, err, SL_E_NOMEM, "compressed column");
    TRY(block_compress(w->block, BLOCK_ZSTD, 1, body, out, most, &len));
    if (len > 0 && len <= body.len / 16) {
        TRY(block_compress(w->block, BLOCK_LZ4, 1, body, out + len, 2 * len, &lz4));
    }
    if (len > 0) {
        *ret_method = lz4 > 0 ? BLOCK_LZ4 : BLOCK_ZSTD;
        *ret = lz4 > 0 ? slice_of(out + len, lz4) : slice_of(out, len);
    }
    return SL_OK;
}

static struct sl_rc put_chunk(struct segment_work *w, struct aead *a, const uint8_t *aad,
                              const struct vector *v, uint32_t column, struct buf *out,
                              struct footer_column *c, struct sl_error *err) {
    struct encoded e = {0};
    struct slice packed = SLICE_EMPTY;
    buf_reset(&w->body);
    TRY(encode_work_room(&w->encode, w->block, v->rows));
    TRY(encode_column(&w->encode, v, &w->body, &e, err));
    TRY(buf_check(&w->body, err));
    TRY(squeeze(w, e.loose, &c->method, &packed, err));
    c->encoding = e.encoding;
    c->shown = (struct segment_column){.kind = v->kind,
                                       .decimal = v->decimal,
                                       .scale = v->decimal ? v->scale : 0,
                                       .length = (uint32_t)packed.len,
                                       .plain_bytes = (uint32_t)w->body.len,
                                       .nulls = e.nulls,
                                       .bounded = e.bounded,
                                       .min = e.min,
                                       .max = e.max};
    uint8_t *at = buf_reserve(out, packed.len);
    ENSURE(at != NULL, err, SL_E_LIMIT, "segment: no room for column %u", column);
    TRY(segment_part_seal(a, SEGMENT_CHUNK, column, aad, packed, at, c->tag));
    out->len += packed.len;
    return SL_OK;
}

static void put_header(struct buf *out, const struct segment_ref *ref, const uint8_t *salt,
                       const uint8_t *commitment) {
    buf_puts(out, "SLSEG");
    buf_u8(out, 1); /* version */
    buf_u8(out, 1); /* AES-256-GCM */
    buf_put(out, slice_of(ref->storage_id, STORAGE_ID_LEN));
    buf_put(out, slice_of(ref->segment_id, SEGMENT_ID_LEN));
    buf_put(out, slice_of(salt, SEGMENT_SALT_LEN));
    buf_put(out, slice_of(commitment, COMMITMENT_LEN));
    buf_u32(out, ref->columns);
    buf_u32(out, ref->rows);
}

static struct sl_rc put_footer(struct segment_work *w, struct aead *a, const uint8_t *aad,
                               const struct footer_column *table, size_t begin,
                               struct segment_ref *ref, struct buf *out, struct sl_error *err) {
    buf_reset(&w->body);
    footer_write(table, ref->columns, &w->body);
    TRY(buf_check(&w->body, err));
    ref->footer_offset = (uint32_t)(out->len - begin);
    uint8_t *at = buf_reserve(out, w->body.len);
    ENSURE(at != NULL, err, SL_E_LIMIT, "segment: no room for the footer");
    TRY(segment_part_seal(a, SEGMENT_FOOTER, 0, aad, buf_slice(&w->body), at, ref->footer_tag));
    out->len += w->body.len;
    ENSURE(out->len - begin <= LIMIT_SEGMENT_BYTES, err, SL_E_LIMIT,
           "segment: %zu bytes are more than %d", out->len - begin, LIMIT_SEGMENT_BYTES);
    ref->bytes = (uint32_t)(out->len - begin);
    return SL_OK;
}

static struct sl_rc put_all(struct segment_work *w, const struct secret *table_key,
                            const struct vector *columns, struct segment_ref *ref,
                            struct footer_column *table, struct buf *out, struct sl_error *err) {
    uint8_t salt[SEGMENT_SALT_LEN];
    uint8_t commitment[COMMITMENT_LEN];
    uint8_t aad[SHA256_LEN];
    SL_CLEANUP(secret_fini) struct secret key = {0};
    struct aead *a = NULL;
    size_t begin = out->len;
    crypto_random(salt, sizeof salt);
    TRY(commit_key(secret_view(table_key), slice_of(salt, sizeof salt),
                   SLICE_LIT("sealift/segment/1"), &key, commitment));
    TRY(segment_key_handle(w, &key, commitment, &a));
    put_header(out, ref, salt, commitment);
    TRY(buf_check(out, err));
    sha256(slice_of(out->ptr + begin, SEGMENT_HEADER_LEN), aad);
    for (uint32_t i = 0; i < ref->columns; i++) {
        ENSURE(columns[i].rows == ref->rows, err, SL_E_INTERNAL, "column %u: %u rows, not %u", i,
               columns[i].rows, ref->rows);
        TRY(put_chunk(w, a, aad, &columns[i], i, out, &table[i], err));
        ENSURE(out->len - begin <= LIMIT_SEGMENT_BYTES, err, SL_E_LIMIT,
               "segment: more than %d bytes", LIMIT_SEGMENT_BYTES);
    }
    return put_footer(w, a, aad, table, begin, ref, out, err);
}

struct sl_rc segment_seal(struct segment_work *w, const struct secret *table_key,
                          const struct vector *columns, uint32_t column_count, uint32_t rows,
                          struct buf *out, struct segment_ref *ref, struct sl_error *err) {
    ENSURE(column_count <= LIMIT_SEGMENT_COLUMNS, err, SL_E_LIMIT, "segment: %u columns",
           column_count);
    ENSURE(rows <= SEGMENT_ROWS, err, SL_E_LIMIT, "segment: %u rows", rows);
    ENSURE(!out->failed, err, SL_E_LIMIT, "segment: no room");
    struct footer_column *table = calloc(column_count + 1, sizeof *table);
    ENSURE(table != NULL, err, SL_E_NOMEM, "segment footer");
    struct segment_ref made = *ref;
    size_t begin = out->len;
    made.columns = column_count;
    made.rows = rows;
    struct sl_rc rc = put_all(w, table_key, columns, &made, table, out, err);
    if (sl_is_ok(rc)) {
        *ref = made;
    } else {
        out->len = begin;
        out->failed = false;
    }
    free(table);
    return rc;
}
