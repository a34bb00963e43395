/* COPY's manifest: which objects to load (the Redshift guide, "Using a manifest to specify data
 * files").
 *
 *   {"entries": [{"url": "s3://bucket/key", "mandatory": true, "meta": {…}}, …]}
 *
 * `mandatory` is false where it is missing; what UNLOAD adds (meta, schema) is read over. */
#ifndef SL_CODEC_COPY_MANIFEST_H
#define SL_CODEC_COPY_MANIFEST_H

#include "lib/base/arena.h"

struct copy_manifest_entry {
    const char *bucket; /* NUL-terminated */
    struct slice key;
    bool mandatory;
};

/* Entries in `a`, in order; one that is there twice is loaded twice. SL_E_PARSE, with Redshift's
 * text. At most LIMIT_COPY_OBJECTS entries (SL_E_LIMIT). */
struct sl_rc copy_manifest_parse(struct slice text, struct arena *a,
                                 struct copy_manifest_entry **ret, size_t *ret_count,
                                 struct sl_error *err);

#endif
