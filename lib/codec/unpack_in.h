/* Inside of lib/codec: a decoder of one format. Contracts as in unpack.h, but that unpack.c sees to
 * it that nothing is asked of a decoder that has failed. */
#ifndef SL_CODEC_UNPACK_IN_H
#define SL_CODEC_UNPACK_IN_H

#include "lib/codec/unpack.h"

struct unpack_decoder {
    struct sl_rc (*begin)(void **ret);
    void (*free)(void *z);
    struct sl_rc (*feed)(void *z, struct slice *in, uint8_t *out, size_t cap, size_t *ret_len,
                         struct sl_error *err);
    struct sl_rc (*end)(void *z, struct sl_error *err);
};

extern const struct unpack_decoder unpack_gzip;
extern const struct unpack_decoder unpack_zstd;
extern const struct unpack_decoder unpack_bzip2;
extern const struct unpack_decoder unpack_lzop;

#endif
