/* COPY's formats, chosen by the first byte: the same bytes whole and in small pieces decode to the
 * same, or both fail. */
#include "lib/base/buf.h"
#include "lib/codec/unpack.h"

enum { OUT_MAX = 1024 * 1024 };

/* Keeps at most OUT_MAX bytes, and says in *ret_full when there were more. */
static enum sl_code decode(enum unpack_format format, struct slice in, size_t step, size_t cap,
                           struct buf *out, bool *ret_full) {
    struct unpack *u;
    sl_assert(sl_is_ok(unpack_new(format, &u)));
    struct sl_rc rc = SL_OK;
    *ret_full = false;
    while (in.len > 0 && sl_is_ok(rc) && !*ret_full) {
        struct slice part = slice_sub(in, 0, step);
        in = slice_sub(in, part.len, in.len);
        size_t len;
        do {
            len = 0;
            uint8_t *p = buf_reserve(out, cap);
            *ret_full = p == NULL;
            if (*ret_full) {
                break;
            }
            rc = unpack_feed(u, &part, p, cap, &len, NULL);
            out->len += len;
        } while (sl_is_ok(rc) && (part.len > 0 || len == cap));
    }
    if (sl_is_ok(rc) && !*ret_full) {
        rc = unpack_end(u, NULL);
    }
    unpack_free(u);
    return rc.code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const enum unpack_format formats[] = {UNPACK_ZSTD, UNPACK_BZIP2, UNPACK_LZOP,
                                                 UNPACK_GZIP};
    if (size == 0) {
        return 0;
    }
    enum unpack_format format = formats[data[0] % 4];
    struct slice in = slice_of(data + 1, size - 1);
    struct buf whole = BUF_INIT(OUT_MAX), pieces = BUF_INIT(OUT_MAX);
    bool full[2];
    enum sl_code a = decode(format, in, size, 65536, &whole, &full[0]);
    enum sl_code b = decode(format, in, 3, 1024, &pieces, &full[1]);
    if (!full[0] && !full[1]) {
        sl_assert((a == SL_CODE_OK) == (b == SL_CODE_OK));
        sl_assert(a != SL_CODE_OK || slice_eq(buf_slice(&whole), buf_slice(&pieces)));
    }
    buf_fini(&whole);
    buf_fini(&pieces);
    return 0;
}
