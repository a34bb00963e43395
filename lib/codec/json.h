/* JSON: a strict reader into a tree in an arena, and a streaming writer into a buf.
 * Reader (RFC 8259): whole input must be one value; depth limit LIMIT_JSON_DEPTH; duplicate member
 * names are refused; numbers keep their text, and as int64 where they are integers; strings must be
 * valid UTF-8 (surrogates paired). */
#ifndef SL_CODEC_JSON_H
#define SL_CODEC_JSON_H

#include "lib/base/arena.h"
#include "lib/base/buf.h"

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json {
    enum json_type type;
    bool boolean;
    bool is_int;        /* number without fraction or exponent that fits int64 */
    int64_t integer;    /* when is_int */
    double real;        /* any number */
    struct slice text;  /* decoded string, or a number's own text */
    struct slice name;  /* member name when inside an object */
    struct json *child; /* first element or member */
    struct json *next;  /* sibling */
    size_t count;       /* elements or members */
};

/* Parses `text`; the tree and its strings live in `a` (strings are copied, `text` may go). Detail
 * names the offset. */
struct sl_rc json_parse(struct slice text, struct arena *a, struct sl_error *err,
                        const struct json **ret_root);
/* Member by exact name, or NULL (also when obj is NULL or no object). */
const struct json *json_get(const struct json *obj, const char *name);

/* Writer. Commas and quoting are its own; the caller keeps begin/end balanced. */
struct jsonw {
    struct buf *out;
    bool comma;
};
static inline struct jsonw jsonw_of(struct buf *out) {
    return (struct jsonw){out, false};
}
void jsonw_object_begin(struct jsonw *w);
void jsonw_object_end(struct jsonw *w);
void jsonw_array_begin(struct jsonw *w);
void jsonw_array_end(struct jsonw *w);
void jsonw_name(struct jsonw *w, const char *name);
void jsonw_name_slice(struct jsonw *w, struct slice name);
void jsonw_string(struct jsonw *w, struct slice s); /* bad UTF-8 becomes U+FFFD */
void jsonw_cstr(struct jsonw *w, const char *s);
void jsonw_int(struct jsonw *w, int64_t v);
void jsonw_epoch_ms(struct jsonw *w,
                    int64_t epoch_ms); /* AWS JSON time: seconds with three decimals */
void jsonw_bool(struct jsonw *w, bool v);
void jsonw_null(struct jsonw *w);
void jsonw_raw(struct jsonw *w, struct slice json_text); /* a value that is JSON already */
void jsonw_base64(struct jsonw *w, struct slice bytes);

#endif
