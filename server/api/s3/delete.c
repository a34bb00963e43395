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
    struct index_condition cond;
    TRY(s3_write_condition(c, &cond));
    TRY(delete_one(c, c->key, &cond));
    return s3_reply_empty(c, 204);
}

struct item {
    struct slice key;
    struct slice arn;
    struct slice version;
    struct index_condition cond;
};

/* Only these; the last two are of directory buckets. */
static struct sl_rc check_item(struct s3_call *c, const struct xml *item) {
    static const char *const known[] = {"Key", "VersionId", "ETag", "LastModifiedTime", "Size"};
    for (const struct xml *e = item->child; e != NULL; e = e->next) {
        size_t i = 0;
        while (i < 5 && !slice_eq_cstr(e->name, known[i])) {
            i++;
        }
        if (i == 5) {
            return sl_rc_of(SL_E_S3_MALFORMED_XML);
        }
        if (i >= 3) {
            return s3_not_implemented(c, known[i]);
        }
    }
    return slice_eq_cstr(item->name, "Object") ? SL_OK : sl_rc_of(SL_E_S3_MALFORMED_XML);
}

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
            if (!*ret_quiet && !slice_eq_cstr(e->text, "false")) {
                return sl_rc_of(SL_E_S3_MALFORMED_XML);
            }
            continue;
        }
        TRY(check_item(c, e));
        const struct xml *key = xml_get(e, "Key");
        if (key == NULL || key->text.len == 0 || n == DELETE_KEYS_MAX) {
            return sl_rc_of(SL_E_S3_MALFORMED_XML);
        }
        struct item *it = &items[n++];
        const struct xml *version = xml_get(e, "VersionId");
        const struct xml *etag = xml_get(e, "ETag");
        it->key = key->text;
        it->version = version ? version->text : SLICE_EMPTY;
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
    TRY(s3_check_version(c, it->key, it->version));
    if (it->key.len > LIMIT_S3_KEY_BYTES) {
        return s3_key_too_long(c, it->key);
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
        s3_forget_error(c);
        struct sl_rc rc = delete_item(c, &items[i], allowed);
        if (sl_is_ok(rc) && quiet) {
            continue;
        }
        xmlw_open(&xml, sl_is_ok(rc) ? "Deleted" : "Error");
        xmlw_text(&xml, "Key", items[i].key);
        if (items[i].version.len > 0) {
            xmlw_text(&xml, "VersionId", items[i].version);
        }
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
    s3_forget_error(c);
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
