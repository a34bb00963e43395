/* gzip decoder stage over isa-l: concatenated members, CRC and length checked, trailing garbage
 * refused. */
#ifndef SL_CODEC_INFLATE_H
#define SL_CODEC_INFLATE_H

#include "lib/base/rc.h"
#include "lib/base/slice.h"

struct inflate;
struct sl_rc inflate_new(struct inflate **ret);
void inflate_free(struct inflate *z);
/* Consumes from *in (advanced), writes at most cap bytes to out. *ret_len may be 0 when more input
 * is needed; *ret_len == cap means that more may come, with or without input. After an error what
 * lies in out is not to be used, and every further call fails. */
struct sl_rc inflate_feed(struct inflate *z, struct slice *in, uint8_t *out, size_t cap,
                          size_t *ret_len, struct sl_error *err);
/* After the last input: SL_E_PARSE when inside a member (cut file) or when nothing was seen. */
struct sl_rc inflate_end(struct inflate *z, struct sl_error *err);

#endif
