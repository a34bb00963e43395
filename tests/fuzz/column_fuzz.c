/* A column's bytes behind their seal: kind, encoding, compression (a byte each), rows (3), NULLs
 * (3), length before compression (4), then the bytes. What decodes is a whole vector, and comes
 * back the same when it is encoded anew. */
#include "lib/base/rdr.h"
#include "lib/columnar/segment_in.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct segment_work *work;
static struct vector_memory memory, again;

static bool same(const struct vector *a, const struct vector *b) {
    size_t width = vector_width(a->kind);
    for (uint32_t i = 0; i < a->rows; i++) {
        if (vector_is_null(a, i) != vector_is_null(b, i)) {
            return false;
        }
        if (!vector_is_null(a, i) &&
            !(a->kind == VECTOR_BYTES
                  ? slice_eq(vector_bytes(a, i), vector_bytes(b, i))
                  : memcmp((const uint8_t *)a->v.raw + i * width,
                           (const uint8_t *)b->v.raw + i * width, width) == 0)) {
            return false;
        }
    }
    return true;
}

static void encode_anew(const struct vector *v) {
    struct buf body = BUF_INIT(SEGMENT_BLOCK_MAX);
    struct encoded e;
    struct vector got;
    sl_assert(sl_is_ok(encode_column(&work->encode, v, &body, &e, NULL)) &&
              sl_is_ok(buf_check(&body, NULL)));
    sl_assert(sl_is_ok(decode_column(&work->encode, e.encoding, v->kind, v->rows, e.nulls,
                                     buf_slice(&body), &again, &got, NULL)));
    sl_assert(same(v, &got));
    buf_fini(&body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct rdr r = rdr_of(slice_of(data, size));
    unsigned kind = rdr_u8(&r) % VECTOR_KIND_COUNT, encoding = rdr_u8(&r) % ENCODING_COUNT;
    unsigned method = rdr_u8(&r) % BLOCK_METHOD_COUNT;
    uint32_t rows = (uint32_t)rdr_uint(&r, 3), nulls = (uint32_t)rdr_uint(&r, 3);
    uint32_t plain_bytes = rdr_u32(&r);
    if (r.bad || kind == 0 || encoding == 0 || rows > SEGMENT_ROWS || nulls > rows ||
        plain_bytes > 1 << 22) {
        return 0;
    }
    if (work == NULL) {
        sl_assert(sl_is_ok(segment_work_new(&work)));
    }
    const struct footer_column column = {
        .encoding = (enum encoding)encoding,
        .method = (enum block_method)method,
        .shown = {.kind = (enum vector_kind)kind, .plain_bytes = plain_bytes, .nulls = nulls}};
    struct vector v;
    struct sl_rc rc = segment_decode_plain(work, &column, rows, r.rest, &memory, &v, NULL);
    sl_assert(sl_is_ok(rc) || rc.code == SL_E_CORRUPT);
    if (sl_is_ok(rc)) {
        sl_assert(sl_is_ok(vector_check(&v, NULL)));
        if (v.heap.len < 1 << 22) {
            encode_anew(&v);
        }
    }
    return 0;
}
