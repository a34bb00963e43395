/* XML: expat behind a small tree reader (DOCTYPE refused, depth limit LIMIT_XML_DEPTH), and a
 * writer. */
#ifndef SL_CODEC_XML_H
#define SL_CODEC_XML_H

#include "lib/base/arena.h"
#include "lib/base/buf.h"

struct xml {
    struct slice name; /* local name, namespace dropped */
    struct slice text; /* own character data, concatenated */
    struct xml *child;
    struct xml *next;
};
struct sl_rc xml_parse(struct slice text, struct arena *a, struct sl_error *err,
                       const struct xml **ret_root);
const struct xml *xml_get(const struct xml *parent,
                          const char *name); /* first child by name, or NULL */

/* Writer: escapes text (also control bytes that XML 1.0 can't hold, as &#xN;, the way S3 does). */
void xmlw_decl(struct buf *out);                   /* <?xml version="1.0" encoding="UTF-8"?>\n */
void xmlw_open(struct buf *out, const char *name); /* <name> */
void xmlw_open_ns(struct buf *out, const char *name, const char *ns);  /* <name xmlns="ns"> */
void xmlw_close(struct buf *out, const char *name);                    /* </name> */
void xmlw_text(struct buf *out, const char *name, struct slice value); /* <name>value</name> */
void xmlw_cstr(struct buf *out, const char *name, const char *value);
void xmlw_int(struct buf *out, const char *name, int64_t value);
void xmlw_bool(struct buf *out, const char *name, bool value);

#endif
