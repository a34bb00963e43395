/* zstd frames (RFC 8878) through libzstd. A frame may ask for a window as large as the `zstd`
 * command takes without being told to. */
#include "lib/codec/unpack_in.h"

#include "lib/base/limits.h"

#include <stdlib.h>
#include <zstd.h>
#include <zstd_errors.h>

struct zstd {
    ZSTD_DCtx *context;
    size_t wanted; /* what the library said last; 0: between frames */
    bool seen;     /* a whole frame */
};

static void zstd_free(void *user) {
    struct zstd *z = user;
    ZSTD_freeDCtx(z->context);
    free(z);
}

static struct sl_rc zstd_begin(void **ret) {
    struct zstd *z = calloc(1, sizeof *z);
    ENSURE(z != NULL, NULL, SL_E_NOMEM, "out of memory");
    z->context = ZSTD_createDCtx();
    if (z->context == NULL || ZSTD_isError(ZSTD_DCtx_setParameter(z->context, ZSTD_d_windowLogMax,
                                                                  LIMIT_ZSTD_WINDOW_LOG))) {
        zstd_free(z);
        return sl_fail(NULL, SL_E_NOMEM, "out of memory");
    }
    *ret = z;
    return SL_OK;
}

static struct sl_rc fail(const struct zstd *z, size_t code, struct sl_error *err) {
    switch (ZSTD_getErrorCode(code)) {
    case ZSTD_error_memory_allocation:
        return sl_fail(err, SL_E_NOMEM, "out of memory");
    case ZSTD_error_frameParameter_windowTooLarge:
        return sl_fail(err, SL_E_LIMIT, "zstd: a window of more than %d MiB",
                       1 << (LIMIT_ZSTD_WINDOW_LOG - 20));
    case ZSTD_error_prefix_unknown:
        return sl_fail(err, SL_E_PARSE, "%s",
                       z->seen ? "zstd: garbage after the end" : "zstd: not a zstd file");
    case ZSTD_error_checksum_wrong:
        return sl_fail(err, SL_E_PARSE, "zstd: wrong checksum");
    default:
        return sl_fail(err, SL_E_PARSE, "zstd: invalid compressed data");
    }
}

static struct sl_rc zstd_feed(void *user, struct slice *in, uint8_t *out, size_t cap,
                              size_t *ret_len, struct sl_error *err) {
    struct zstd *z = user;
    ZSTD_inBuffer input = {in->ptr, in->len, 0};
    ZSTD_outBuffer output = {out, cap, 0};
    for (;;) {
        size_t in_before = input.pos, out_before = output.pos;
        if (z->wanted == 0 && input.pos == input.size) {
            break; /* a call now would begin a frame */
        }
        size_t wanted = ZSTD_decompressStream(z->context, &output, &input);
        if (ZSTD_isError(wanted)) {
            return fail(z, wanted, err);
        }
        z->wanted = wanted;
        z->seen |= wanted == 0;
        if (output.pos == output.size || (input.pos == in_before && output.pos == out_before)) {
            break;
        }
    }
    ENSURE(input.pos == input.size || output.pos == output.size, err, SL_E_PARSE,
           "zstd: invalid compressed data");
    *in = slice_sub(*in, input.pos, in->len);
    *ret_len = output.pos;
    return SL_OK;
}

static struct sl_rc zstd_end(void *user, struct sl_error *err) {
    struct zstd *z = user;
    ENSURE(z->seen && z->wanted == 0, err, SL_E_PARSE, "zstd: unexpected end of file");
    return SL_OK;
}

const struct unpack_decoder unpack_zstd = {zstd_begin, zstd_free, zstd_feed, zstd_end};
