/* Small text encodings: base64, hex, URI (RFC 3986 as SigV4 uses it), query strings and forms,
 * UTF-8 check. */
#ifndef SL_CODEC_TEXT_H
#define SL_CODEC_TEXT_H

#include "lib/base/arena.h"
#include "lib/base/buf.h"

void base64_put(struct buf *out, struct slice bytes); /* standard alphabet, padded */
/* Strict decode (padding required, no blanks) appended to out. */
struct sl_rc base64_get(struct slice text, struct buf *out, struct sl_error *err);
void hex_put(struct buf *out, struct slice bytes); /* lower case */
struct sl_rc hex_get(struct slice text, struct buf *out, struct sl_error *err);
/* Everything but A-Z a-z 0-9 - _ . ~ as %XX, upper-case hex; '/' kept when keep_slash. */
void uri_encode(struct buf *out, struct slice raw, bool keep_slash);
/* %XX decoded; '+' becomes a blank when plus_is_space (forms). Refuses a bad escape. Result in `a`.
 */
struct sl_rc uri_decode(struct slice text, bool plus_is_space, struct arena *a,
                        struct sl_error *err, struct slice *ret);
struct param {
    struct slice name; /* decoded */
    struct slice value;
    bool has_value; /* "uploads" has none, "uploads=" has an empty one */
};
struct params {
    const struct param *items;
    size_t count;
};
/* Splits on '&'; LIMIT_QUERY_PARAMS; order kept. For queries plus_is_space is false, for forms
 * true. */
struct sl_rc params_parse(struct slice text, bool plus_is_space, struct arena *a,
                          struct sl_error *err, struct params *ret);
/* First by exact name, or NULL. */
const struct param *params_get(const struct params *p, const char *name);
bool utf8_valid(struct slice s);

#endif
