/* bzip2 streams through libbz2. */
#include "lib/codec/unpack_in.h"

#include <bzlib.h>
#include <stdlib.h>

enum { FEED_MAX = 1 << 30 };

struct bzip2 {
    bz_stream stream;
    bool live; /* inside a stream */
    bool seen; /* a whole stream */
};

static struct sl_rc bzip2_begin(void **ret) {
    struct bzip2 *z = calloc(1, sizeof *z);
    ENSURE(z != NULL, NULL, SL_E_NOMEM, "out of memory");
    *ret = z;
    return SL_OK;
}

static void bzip2_free(void *user) {
    struct bzip2 *z = user;
    if (z->live) {
        BZ2_bzDecompressEnd(&z->stream);
    }
    free(z);
}

static struct sl_rc fail(const struct bzip2 *z, int rc, struct sl_error *err) {
    if (rc == BZ_MEM_ERROR) {
        return sl_fail(err, SL_E_NOMEM, "out of memory");
    }
    if (rc == BZ_DATA_ERROR_MAGIC) {
        return sl_fail(err, SL_E_PARSE, "%s",
                       z->seen ? "bzip2: garbage after the end" : "bzip2: not a bzip2 file");
    }
    return sl_fail(err, SL_E_PARSE, "bzip2: invalid compressed data");
}

/* Decompresses once. */
static struct sl_rc step(struct bzip2 *z, struct slice *in, uint8_t *out, size_t cap,
                         size_t *ret_len, struct sl_error *err) {
    if (!z->live) {
        z->stream = (bz_stream){0};
        int rc = BZ2_bzDecompressInit(&z->stream, 0, 0);
        if (rc != BZ_OK) {
            return fail(z, rc, err);
        }
        z->live = true;
    }
    struct slice part = slice_sub(*in, 0, FEED_MAX);
    z->stream.next_in = (char *)(uintptr_t)part.ptr;
    z->stream.avail_in = (unsigned)part.len;
    z->stream.next_out = (char *)out;
    z->stream.avail_out = (unsigned)(cap < FEED_MAX ? cap : FEED_MAX);
    int rc = BZ2_bzDecompress(&z->stream);
    if (rc != BZ_OK && rc != BZ_STREAM_END) {
        return fail(z, rc, err);
    }
    *in = slice_sub(*in, part.len - z->stream.avail_in, in->len);
    *ret_len = (size_t)((uint8_t *)z->stream.next_out - out);
    if (rc == BZ_STREAM_END) {
        BZ2_bzDecompressEnd(&z->stream);
        z->live = false;
        z->seen = true;
    }
    return SL_OK;
}

static struct sl_rc bzip2_feed(void *user, struct slice *in, uint8_t *out, size_t cap,
                               size_t *ret_len, struct sl_error *err) {
    struct bzip2 *z = user;
    size_t len = 0;
    while (len < cap && (z->live || in->len > 0)) {
        size_t in_before = in->len, made = 0;
        bool live_before = z->live;
        TRY(step(z, in, out + len, cap - len, &made, err));
        len += made;
        if (made == 0 && in->len == in_before && z->live == live_before) {
            break;
        }
    }
    ENSURE(in->len == 0 || len == cap, err, SL_E_PARSE, "bzip2: invalid compressed data");
    *ret_len = len;
    return SL_OK;
}

static struct sl_rc bzip2_end(void *user, struct sl_error *err) {
    struct bzip2 *z = user;
    ENSURE(z->seen && !z->live, err, SL_E_PARSE, "bzip2: unexpected end of file");
    return SL_OK;
}

const struct unpack_decoder unpack_bzip2 = {bzip2_begin, bzip2_free, bzip2_feed, bzip2_end};
