/* The decoders behind one face; see unpack.h. */
#include "lib/codec/unpack_in.h"

#include <stdlib.h>

struct unpack {
    const struct unpack_decoder *decoder;
    void *z;
    bool dead; /* an error was returned; nothing follows it */
};

static const struct {
    const char *name;
    const struct unpack_decoder *decoder;
} formats[UNPACK_COUNT] = {
    [UNPACK_GZIP] = {"gzip", &unpack_gzip},
    [UNPACK_ZSTD] = {"zstd", &unpack_zstd},
    [UNPACK_BZIP2] = {"bzip2", &unpack_bzip2},
    [UNPACK_LZOP] = {"lzop", &unpack_lzop},
};

const char *unpack_name(enum unpack_format format) {
    return formats[format].name;
}

struct sl_rc unpack_new(enum unpack_format format, struct unpack **ret) {
    sl_assert(formats[format].decoder != NULL);
    struct unpack *u = calloc(1, sizeof *u);
    ENSURE(u != NULL, NULL, SL_E_NOMEM, "out of memory");
    u->decoder = formats[format].decoder;
    struct sl_rc rc = u->decoder->begin(&u->z);
    if (sl_failed(rc)) {
        free(u);
        return rc;
    }
    *ret = u;
    return SL_OK;
}

void unpack_free(struct unpack *u) {
    if (u != NULL) {
        u->decoder->free(u->z);
        free(u);
    }
}

struct sl_rc unpack_feed(struct unpack *u, struct slice *in, uint8_t *out, size_t cap,
                         size_t *ret_len, struct sl_error *err) {
    ENSURE(!u->dead, err, SL_E_PARSE, "invalid compressed data");
    struct slice rest = *in;
    size_t len = 0;
    struct sl_rc rc = u->decoder->feed(u->z, &rest, out, cap, &len, err);
    u->dead = sl_failed(rc);
    TRY(rc);
    *in = rest;
    *ret_len = len;
    return SL_OK;
}

struct sl_rc unpack_end(struct unpack *u, struct sl_error *err) {
    ENSURE(!u->dead, err, SL_E_PARSE, "invalid compressed data");
    return u->decoder->end(u->z, err);
}
