/* zstd frames (RFC 8878) through libzstd. A frame may ask for a window as large as the `zstd`
 * command takes without being told to. */
#include "lib/codec/unpack_in.h"

#include "lib/base/limits.h"

#include <stdlib.h>
#include <zstd.h>
#include <zstd_errors.h>

enum { HEAD_BYTES = 18 }; /* of a frame, at most */

struct zstd {
    ZSTD_DCtx *context;
    size_t wanted; /* what the library said last; 0: between frames */
    bool seen;     /* a whole frame */
    /* of the frame at hand */
    uint8_t head[HEAD_BYTES];
    size_t head_len;
    uint64_t made;
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

/* Notes what one call did. At a frame's end: the library compares the length that the frame says it
 * has only where it decodes the frame as a whole. */
static struct sl_rc note(struct zstd *z, struct slice used, size_t made, size_t wanted,
                         struct sl_error *err) {
    struct slice head = slice_sub(used, 0, HEAD_BYTES - z->head_len);
    if (head.len > 0) {
        memcpy(z->head + z->head_len, head.ptr, head.len);
        z->head_len += head.len;
    }
    z->made += made;
    z->wanted = wanted;
    if (wanted == 0) {
        unsigned long long length = ZSTD_getFrameContentSize(z->head, z->head_len);
        ENSURE(length == ZSTD_CONTENTSIZE_UNKNOWN || length == z->made, err, SL_E_PARSE,
               "zstd: wrong length");
        z->seen = true;
        z->head_len = 0;
        z->made = 0;
    }
    return SL_OK;
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
        TRY(note(z, slice_sub(*in, in_before, input.pos), output.pos - out_before, wanted, err));
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
