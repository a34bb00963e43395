/* zstd frames (RFC 8878) through libzstd. A frame may ask for a window as large as the `zstd`
 * command takes without being told to. */
#include "lib/codec/unpack_in.h"

#include "lib/base/limits.h"

#include <stdlib.h>
#include <zstd.h>
#include <zstd_errors.h>

enum { MAGIC_BYTES = 4, HEAD_BYTES = 18 /* of a frame, at most */ };

struct zstd {
    ZSTD_DCtx *context;
    bool in_frame; /* its magic number is the library's already */
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

static struct sl_rc fail(size_t code, struct sl_error *err) {
    switch (ZSTD_getErrorCode(code)) {
    case ZSTD_error_memory_allocation:
        return sl_fail(err, SL_E_NOMEM, "out of memory");
    case ZSTD_error_frameParameter_windowTooLarge:
        return sl_fail(err, SL_E_LIMIT, "zstd: a window of more than %d MiB",
                       1 << (LIMIT_ZSTD_WINDOW_LOG - 20));
    case ZSTD_error_checksum_wrong:
        return sl_fail(err, SL_E_PARSE, "zstd: wrong checksum");
    default:
        return sl_fail(err, SL_E_PARSE, "zstd: invalid compressed data");
    }
}

static void take_head(struct zstd *z, struct slice s, size_t max) {
    s = slice_sub(s, 0, max - z->head_len);
    if (s.len > 0) {
        memcpy(z->head + z->head_len, s.ptr, s.len);
        z->head_len += s.len;
    }
}

/* Decompresses once. At a frame's end: the library compares the length that the frame says it has
 * only where it decodes the frame as a whole. */
static struct sl_rc step(struct zstd *z, ZSTD_inBuffer *in, ZSTD_outBuffer *out,
                         struct sl_error *err) {
    size_t out_before = out->pos;
    size_t wanted = ZSTD_decompressStream(z->context, out, in);
    if (ZSTD_isError(wanted)) {
        return fail(wanted, err);
    }
    z->made += out->pos - out_before;
    if (wanted == 0) {
        unsigned long long length = ZSTD_getFrameContentSize(z->head, z->head_len);
        ENSURE(length == ZSTD_CONTENTSIZE_UNKNOWN || length == z->made, err, SL_E_PARSE,
               "zstd: wrong length");
        z->seen = true;
        z->in_frame = false;
        z->head_len = 0;
        z->made = 0;
    }
    return SL_OK;
}

/* The next frame's magic number: a zstd frame or a skippable one. What the library would take
 * beside them are the formats before zstd 1.0, whose decoders nobody looks after. */
static struct sl_rc begin_frame(struct zstd *z, ZSTD_inBuffer *in, struct sl_error *err) {
    static const uint8_t frame[] = {0x28, 0xb5, 0x2f, 0xfd}, skipped[] = {0x50, 0x2a, 0x4d, 0x18};
    size_t before = z->head_len;
    take_head(z, slice_of((const uint8_t *)in->src + in->pos, in->size - in->pos), MAGIC_BYTES);
    in->pos += z->head_len - before;
    bool fits = memcmp(z->head, frame, z->head_len) == 0;
    if (!fits) {
        fits = (z->head[0] & 0xf0) == skipped[0] &&
               memcmp(z->head + 1, skipped + 1, z->head_len - 1) == 0;
    }
    ENSURE(fits, err, SL_E_PARSE, "%s",
           z->seen ? "zstd: garbage after the end" : "zstd: not a zstd file");
    if (z->head_len == MAGIC_BYTES) {
        ZSTD_inBuffer magic = {z->head, MAGIC_BYTES, 0};
        ZSTD_outBuffer none = {NULL, 0, 0};
        z->in_frame = true;
        TRY(step(z, &magic, &none, err));
        sl_assert(magic.pos == MAGIC_BYTES && z->in_frame);
    }
    return SL_OK;
}

static struct sl_rc zstd_feed(void *user, struct slice *in, uint8_t *out, size_t cap,
                              size_t *ret_len, struct sl_error *err) {
    struct zstd *z = user;
    ZSTD_inBuffer input = {in->ptr, in->len, 0};
    ZSTD_outBuffer output = {out, cap, 0};
    bool moved = true;
    while (moved && (z->in_frame ? output.pos < output.size : input.pos < input.size)) {
        size_t in_before = input.pos, out_before = output.pos;
        if (z->in_frame) {
            take_head(z, slice_sub(*in, input.pos, in->len), HEAD_BYTES);
            TRY(step(z, &input, &output, err));
        } else {
            TRY(begin_frame(z, &input, err));
        }
        moved = input.pos != in_before || output.pos != out_before;
    }
    ENSURE(input.pos == input.size || output.pos == output.size, err, SL_E_PARSE,
           "zstd: invalid compressed data");
    *in = slice_sub(*in, input.pos, in->len);
    *ret_len = output.pos;
    return SL_OK;
}

static struct sl_rc zstd_end(void *user, struct sl_error *err) {
    struct zstd *z = user;
    ENSURE(z->seen && z->head_len == 0, err, SL_E_PARSE, "zstd: unexpected end of file");
    return SL_OK;
}

const struct unpack_decoder unpack_zstd = {zstd_begin, zstd_free, zstd_feed, zstd_end};
