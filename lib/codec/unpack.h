/* Decompressing a file as it streams by, whichever of COPY's formats it has: gzip (isa-l), zstd,
 * bzip2, lzop. Memory is bounded by the format's own limits and the names below; several members,
 * frames or streams behind each other are one file. */
#ifndef SL_CODEC_UNPACK_H
#define SL_CODEC_UNPACK_H

#include "lib/base/rc.h"
#include "lib/base/slice.h"

enum unpack_format {
    UNPACK_NONE, /* the file as it is: no decoder */
    UNPACK_GZIP,
    UNPACK_ZSTD,
    UNPACK_BZIP2,
    UNPACK_LZOP,
    UNPACK_COUNT
};
/* "gzip", …; NULL for UNPACK_NONE. COPY's options and error texts have these names. */
const char *unpack_name(enum unpack_format format);

struct unpack;
/* format is not UNPACK_NONE. */
struct sl_rc unpack_new(enum unpack_format format, struct unpack **ret);
void unpack_free(struct unpack *u);

/* Consumes from *in (advanced), writes at most cap bytes to out. *ret_len may be 0 when more input
 * is needed; *ret_len == cap means that more may come, with or without input. SL_E_PARSE: not of
 * the format, damaged, or followed by garbage; SL_E_LIMIT: it wants more memory than it may have;
 * SL_E_NOMEM. After an error what lies in out is not to be used, and every further call fails. */
struct sl_rc unpack_feed(struct unpack *u, struct slice *in, uint8_t *out, size_t cap,
                         size_t *ret_len, struct sl_error *err);
/* After the last input: SL_E_PARSE when the file was cut, or when nothing was seen. */
struct sl_rc unpack_end(struct unpack *u, struct sl_error *err);

#endif
