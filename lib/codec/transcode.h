/* Text of other encodings into UTF-8 as it streams by. What is no character comes out as bytes that
 * are no UTF-8 (a lone surrogate as its three bytes), for the converter to refuse or replace. */
#ifndef SL_CODEC_TRANSCODE_H
#define SL_CODEC_TRANSCODE_H

#include "lib/base/rc.h"
#include "lib/base/slice.h"

enum transcode_from {
    TRANSCODE_UTF8,    /* nothing to do: no transcoder */
    TRANSCODE_UTF16,   /* its byte order mark tells the order, and must be there */
    TRANSCODE_UTF16LE, /* a mark may be there, of that order */
    TRANSCODE_UTF16BE,
    TRANSCODE_ISO88591,
    TRANSCODE_COUNT
};
/* "utf8", …: the words of COPY's ENCODING in lower case. */
const char *transcode_name(enum transcode_from from);

struct transcode {
    enum transcode_from from;
    bool started, big; /* the first character has come; byte order */
    uint8_t half;      /* first byte of a unit that is cut */
    bool has_half;
    uint32_t high; /* surrogate that waits for its other half, or 0 */
    uint8_t out[8];
    uint8_t out_at, out_len; /* what had no room yet */
};

void transcode_start(struct transcode *t, enum transcode_from from);
/* Consumes from *in (advanced), writes at most cap bytes to out. *ret_len == cap means that more
 * may come, with or without input. `last`: nothing follows *in. SL_E_PARSE: the byte order mark is
 * missing, or of the other order. */
struct sl_rc transcode_feed(struct transcode *t, struct slice *in, bool last, uint8_t *out,
                            size_t cap, size_t *ret_len, struct sl_error *err);

#endif
