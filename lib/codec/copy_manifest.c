/* COPY's manifest; see copy_manifest.h. */
#include "lib/codec/copy_manifest.h"

#include "lib/base/limits.h"
#include "lib/codec/json.h"

static const char not_a_manifest[] = "Manifest file is not in correct json format";

static struct sl_rc read_url(struct slice url, struct arena *a, struct copy_manifest_entry *ret,
                             struct sl_error *err) {
    struct slice scheme = SLICE_LIT("s3://");
    ENSURE(slice_starts(url, scheme), err, SL_E_PARSE, "%s: \"%.*s\" is no URL of S3",
           not_a_manifest, SLICE_FMT(slice_sub(url, 0, 200)));
    url = slice_sub(url, scheme.len, url.len);
    size_t slash = slice_find(url, '/');
    struct slice bucket = slice_sub(url, 0, slash);
    ret->key = slice_sub(url, slash + 1, url.len);
    ENSURE(bucket.len > 0 && bucket.len <= LIMIT_S3_BUCKET_BYTES && ret->key.len > 0 &&
               ret->key.len <= LIMIT_S3_KEY_BYTES && slice_find(url, 0) == url.len,
           err, SL_E_PARSE, "%s: \"s3://%.*s\" names no object", not_a_manifest,
           SLICE_FMT(slice_sub(url, 0, 200)));
    char *copy = arena_alloc(a, bucket.len + 1);
    ENSURE(copy != NULL, err, SL_E_NOMEM, "out of memory for a manifest");
    memcpy(copy, bucket.ptr, bucket.len);
    copy[bucket.len] = '\0';
    ret->bucket = copy;
    return SL_OK;
}

static struct sl_rc read_entry(const struct json *j, struct arena *a,
                               struct copy_manifest_entry *ret, struct sl_error *err) {
    const struct json *url = json_get(j, "url"), *mandatory = json_get(j, "mandatory");
    ENSURE(url != NULL && url->type == JSON_STRING &&
               (mandatory == NULL || mandatory->type == JSON_BOOL),
           err, SL_E_PARSE, "%s", not_a_manifest);
    ret->mandatory = mandatory != NULL && mandatory->boolean;
    return read_url(url->text, a, ret, err);
}

struct sl_rc copy_manifest_parse(struct slice text, struct arena *a,
                                 struct copy_manifest_entry **ret, size_t *ret_count,
                                 struct sl_error *err) {
    const struct json *root;
    struct sl_rc rc = json_parse(text, a, NULL, &root);
    ENSURE(sl_is_ok(rc) || rc.code == SL_E_PARSE, err, rc.code,
           "The manifest takes too much memory.");
    const struct json *entries = sl_is_ok(rc) ? json_get(root, "entries") : NULL;
    ENSURE(entries != NULL && entries->type == JSON_ARRAY, err, SL_E_PARSE, "%s", not_a_manifest);
    ENSURE(entries->count <= LIMIT_COPY_OBJECTS, err, SL_E_LIMIT, "More than %d objects to load.",
           (int)LIMIT_COPY_OBJECTS);
    struct copy_manifest_entry *all = arena_array(a, entries->count, sizeof *all);
    ENSURE(all != NULL, err, SL_E_NOMEM, "out of memory for a manifest");
    size_t n = 0;
    for (const struct json *j = entries->child; j != NULL; j = j->next) {
        TRY(read_entry(j, a, &all[n++], err));
    }
    *ret = all;
    *ret_count = n;
    return SL_OK;
}
