/* DeleteObject and DeleteObjects. */
#include "server/api/s3/call_in.h"

enum { DELETE_XML_MAX = 4 * 1024 * 1024, DELETE_KEYS_MAX = 1000, DELETE_ARENA = 16 * 1024 * 1024 };

static struct sl_rc delete_one(struct s3_call *c, struct slice key,
                               const struct index_condition *cond) {
    struct index_dropped dropped = {0};
    TRY(index_object_delete(c->env->index, &c->bucket.id, key, cond, c->a, &dropped, c->err));
    s3_drop(c, &dropped);
    return SL_OK;
}

struct sl_rc s3_delete_object(struct s3_call *c) {
    struct slice version = s3_param_value(c, "versionId");
    if (version.len > 0 && !slice_eq_cstr(version, "null")) {
        return s3_fail_as(c, 404, "NoSuchVersion", "The specified version does not exist.");
    }
    struct index_condition cond;
    TRY(s3_write_condition(c, &cond));
    TRY(delete_one(c, c->key, &cond));
    return s3_reply_empty(c, 204);
}

struct item {
    struct slice key;
    struct slice arn;
    bool bad_version;
    struct index_condition cond;
};

static struct sl_rc read_items(struct s3_call *c, const struct xml *root, struct arena *a,
                               struct item **ret, size_t *ret_count, bool *ret_quiet) {
    if (root == NULL || !slice_eq_cstr(root->name, "Delete")) {
        return sl_rc_of(SL_E_S3_MALFORMED_XML);
    }
    struct item *items = arena_array(a, DELETE_KEYS_MAX, sizeof *items);
    ENSURE(items != NULL, c->err, SL_E_NOMEM, "request needs too much memory");
    size_t n = 0;
    *ret_quiet = false;
    for (const struct xml *e = root->child; e != NULL; e = e->next) {
        if (slice_eq_cstr(e->name, "Quiet")) {
            *ret_quiet = slice_eq_cstr(e->text, "true");
            continue;
        }
        const struct xml *key = slice_eq_cstr(e->name, "Object") ? xml_get(e, "Key") : NULL;
        if (key == NULL || key->text.len == 0 || n == DELETE_KEYS_MAX) {
            return sl_rc_of(SL_E_S3_MALFORMED_XML);
        }
        struct item *it = &items[n++];
        const struct xml *version = xml_get(e, "VersionId");
        const struct xml *etag = xml_get(e, "ETag");
        it->key = key->text;
        it->bad_version = version != NULL && !slice_eq_cstr(version->text, "null");
        if (etag != NULL) {
            struct slice t = etag->text;
            bool quoted = t.len >= 2 && t.ptr[0] == '"' && t.ptr[t.len - 1] == '"';
            it->cond.if_match = quoted ? slice_sub(t, 1, t.len - 1) : t;
        }
        uint8_t *arn = arena_alloc(a, c->bucket_arn.len + 1 + it->key.len);
        ENSURE(arn != NULL, c->err, SL_E_NOMEM, "request needs too much memory");
        memcpy(arn, c->bucket_arn.ptr, c->bucket_arn.len);
        arn[c->bucket_arn.len] = '/';
        memcpy(arn + c->bucket_arn.len + 1, it->key.ptr, it->key.len);
        it->arn = slice_of(arn, c->bucket_arn.len + 1 + it->key.len);
    }
    *ret = items;
    *ret_count = n;
    return n > 0 ? SL_OK : sl_rc_of(SL_E_S3_MALFORMED_XML);
}

/* All at once; only when that is refused, one by one. */
static struct sl_rc all_allowed(struct s3_call *c, const struct item *items, size_t n,
                                struct arena *a, bool *ret) {
    struct slice *arns = arena_array(a, n, sizeof *arns);
    ENSURE(arns != NULL, c->err, SL_E_NOMEM, "request needs too much memory");
    for (size_t i = 0; i < n; i++) {
        arns[i] = items[i].arn;
    }
    struct sl_rc rc = s3_authorize_for(c, &c->bucket, "s3:DeleteObject", arns, n);
    *ret = sl_is_ok(rc);
    if (rc.code == SL_E_ACCESS_DENIED) {
        sl_error_clear(c->err);
        return SL_OK;
    }
    return rc;
}

static struct sl_rc delete_item(struct s3_call *c, const struct item *it, bool allowed) {
    if (it->bad_version) {
        return sl_fail(c->err, SL_E_S3_INVALID_ARGUMENT, "Invalid version id specified");
    }
    if (it->key.len > LIMIT_S3_KEY_BYTES) {
        return sl_rc_of(SL_E_S3_KEY_TOO_LONG);
    }
    if (!allowed) {
        TRY(s3_authorize_for(c, &c->bucket, "s3:DeleteObject", &it->arn, 1));
    }
    return delete_one(c, it->key, &it->cond);
}

static struct sl_rc delete_items(struct s3_call *c, const struct item *items, size_t n, bool quiet,
                                 struct arena *a) {
    bool allowed = false;
    TRY(all_allowed(c, items, n, a, &allowed));
    struct buf xml = s3_xml(2 * DELETE_XML_MAX);
    xmlw_open_ns(&xml, "DeleteResult", S3_NS);
    for (size_t i = 0; i < n; i++) {
        sl_error_clear(c->err);
        struct sl_rc rc = delete_item(c, &items[i], allowed);
        if (sl_is_ok(rc) && quiet) {
            continue;
        }
        xmlw_open(&xml, sl_is_ok(rc) ? "Deleted" : "Error");
        xmlw_text(&xml, "Key", items[i].key);
        if (sl_failed(rc)) {
            const char *code;
            int status;
            struct slice message;
            s3_error_code(c, rc, &code, &status);
            s3_error_text(c, rc, &message);
            xmlw_cstr(&xml, "Code", code);
            xmlw_text(&xml, "Message", message);
        }
        xmlw_close(&xml, sl_is_ok(rc) ? "Deleted" : "Error");
    }
    xmlw_close(&xml, "DeleteResult");
    sl_error_clear(c->err);
    return s3_reply_xml(c, 200, &xml);
}

struct sl_rc s3_delete_objects(struct s3_call *c) {
    struct buf text = BUF_INIT(DELETE_XML_MAX);
    struct arena a = ARENA_INIT(DELETE_ARENA);
    const struct xml *root = NULL;
    struct item *items = NULL;
    size_t n = 0;
    bool quiet = false;
    TRY(s3_authenticate(c));
    struct sl_rc rc = s3_body_xml(c, DELETE_XML_MAX, false, &text, &a, &root);
    if (sl_is_ok(rc)) {
        rc = read_items(c, root, &a, &items, &n, &quiet);
    }
    if (sl_is_ok(rc)) {
        rc = delete_items(c, items, n, quiet, &a);
    }
    buf_fini(&text);
    arena_fini(&a);
    return rc;
}
