/* Tags of keys. */
#include "server/api/kms/kms_in.h"

/* All of `set` and `drop` in one transaction; at most KMS_TAGS_MAX remain. */
static struct sl_rc change(struct api_call *c, struct sqlite3 *conn, struct slice id,
                           const struct tag_row *set, size_t set_count, const struct json *drop) {
    struct tag_row *left = NULL;
    size_t n = 0;
    for (size_t i = 0; i < set_count; i++) {
        TRY(keys_tag_set(conn, id, set[i], c->err));
    }
    for (const struct json *e = drop ? drop->child : NULL; e != NULL; e = e->next) {
        TRY(keys_tag_delete(conn, id, e->text, c->err));
    }
    TRY(keys_tag_list(conn, id, SLICE_EMPTY, KMS_TAGS_MAX + 1, c->arena, &left, &n, c->err));
    ENSURE(n <= KMS_TAGS_MAX, c->err, SL_E_KMS_LIMIT, "The key has more than %d tags.",
           KMS_TAGS_MAX);
    return SL_OK;
}

static struct sl_rc store(struct api_call *c, struct slice id, const struct tag_row *set,
                          size_t set_count, const struct json *drop) {
    struct sqlite3 *conn = NULL;
    TRY(kms_db_write(c->env->db, &conn, c->err));
    struct sl_rc rc = change(c, conn, id, set, set_count, drop);
    struct sl_rc end = kms_db_write_end(c->env->db, conn, !sl_failed(rc), c->err);
    return sl_failed(rc) ? rc : end;
}

struct sl_rc kms_op_tag(struct api_call *c) {
    struct tag_row *tags = NULL;
    struct policy_key *keys = NULL;
    size_t n = 0, key_count = 0;
    TRY(kms_tags(c, &tags, &n));
    TRY(kms_tag_keys(c, tags, n, &keys, &key_count));
    struct kms_target t = {0};
    struct kms_want want = {.action = "kms:TagResource", .more = keys, .more_count = key_count};
    TRY(kms_use(c, kms_string(c, "KeyId"), &want, &t));
    TRY(kms_need_not_pending(c, &t));
    return store(c, t.row.id, tags, n, NULL);
}

struct sl_rc kms_op_untag(struct api_call *c) {
    const struct json *drop = kms_member(c, "TagKeys");
    ENSURE(drop->count <= KMS_TAGS_MAX, c->err, SL_E_KMS_TAG, "Too many tags");
    struct slice *names = arena_array(c->arena, drop->count + 1, sizeof *names);
    ENSURE(names != NULL, c->err, SL_E_NOMEM, "Out of memory.");
    size_t n = 0;
    for (const struct json *e = drop->child; e != NULL; e = e->next) {
        names[n++] = e->text;
    }
    struct policy_key more = {SLICE_LIT("aws:TagKeys"), names, n};
    struct kms_want want = {.action = "kms:UntagResource", .more = &more, .more_count = n > 0};
    struct kms_target t = {0};
    TRY(kms_use(c, kms_string(c, "KeyId"), &want, &t));
    TRY(kms_need_not_pending(c, &t));
    return store(c, t.row.id, NULL, 0, drop);
}

struct sl_rc kms_op_list_tags(struct api_call *c) {
    struct kms_target t = {0};
    struct kms_want want = {.action = "kms:ListResourceTags"};
    TRY(kms_use(c, kms_string(c, "KeyId"), &want, &t));
    size_t limit = (size_t)kms_int(c, "Limit", 50), n = 0;
    struct tag_row *tags = NULL;
    struct sqlite3 *conn = NULL;
    TRY(kms_db_read(c->env->db, &conn, c->err));
    struct sl_rc rc = keys_tag_list(conn, t.row.id, kms_string(c, "Marker"), limit + 1, c->arena,
                                    &tags, &n, c->err);
    kms_db_read_end(c->env->db, conn);
    TRY(rc);
    struct jsonw w = jsonw_of(c->out);
    jsonw_object_begin(&w);
    jsonw_name(&w, "Tags");
    jsonw_array_begin(&w);
    for (size_t i = 0; i < n && i < limit; i++) {
        jsonw_object_begin(&w);
        jsonw_name(&w, "TagKey");
        jsonw_string(&w, tags[i].name);
        jsonw_name(&w, "TagValue");
        jsonw_string(&w, tags[i].value);
        jsonw_object_end(&w);
    }
    jsonw_array_end(&w);
    if (n > limit) {
        jsonw_name(&w, "NextMarker");
        jsonw_string(&w, tags[limit - 1].name);
    }
    jsonw_name(&w, "Truncated");
    jsonw_bool(&w, n > limit);
    jsonw_object_end(&w);
    return SL_OK;
}
