/* The same bytes whole and in small pieces decode to the same, or both fail. */
#include "lib/base/buf.h"
#include "lib/codec/inflate.h"

enum { OUT_MAX = 1024 * 1024 };

/* Keeps at most OUT_MAX bytes, and says in *ret_full when there were more. */
static enum sl_code decode(struct slice gz, size_t step, size_t cap, struct buf *out,
                           bool *ret_full) {
    struct inflate *z;
    sl_assert(sl_is_ok(inflate_new(&z)));
    struct sl_rc rc = SL_OK;
    *ret_full = false;
    while (gz.len > 0 && sl_is_ok(rc) && !*ret_full) {
        struct slice part = slice_sub(gz, 0, step);
        gz = slice_sub(gz, part.len, gz.len);
        size_t len;
        do {
            len = 0;
            uint8_t *p = buf_reserve(out, cap);
            *ret_full = p == NULL;
            if (*ret_full) {
                break;
            }
            rc = inflate_feed(z, &part, p, cap, &len, NULL);
            out->len += len;
        } while (sl_is_ok(rc) && (part.len > 0 || len == cap));
    }
    if (sl_is_ok(rc) && !*ret_full) {
        rc = inflate_end(z, NULL);
    }
    inflate_free(z);
    return rc.code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice gz = slice_of(data, size);
    struct buf whole = BUF_INIT(OUT_MAX), pieces = BUF_INIT(OUT_MAX);
    bool full[2];
    enum sl_code a = decode(gz, size, 65536, &whole, &full[0]);
    enum sl_code b = decode(gz, 3, 1024, &pieces, &full[1]);
    if (!full[0] && !full[1]) {
        sl_assert(a == b);
        sl_assert(a != SL_CODE_OK || slice_eq(buf_slice(&whole), buf_slice(&pieces)));
    }
    buf_fini(&whole);
    buf_fini(&pieces);
    return 0;
}
