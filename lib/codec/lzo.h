/* LZO1X, one block held whole. Our own decoder, since liblzo2 is under the GPL; the stream's format
 * as described in the Linux kernel's documentation ("LZO stream format as understood by Linux' LZO
 * decompressor", version 0 of the stream). */
#ifndef SL_CODEC_LZO_H
#define SL_CODEC_LZO_H

#include "lib/base/rc.h"
#include "lib/base/slice.h"

/* Writes exactly `len` bytes, or SL_E_PARSE; never reads or writes beyond. */
struct sl_rc lzo_expand(struct slice in, uint8_t *out, size_t len, struct sl_error *err);

#endif
