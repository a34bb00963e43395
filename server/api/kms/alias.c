/* Aliases: friendly names of keys, one namespace per account and region. An alias operation needs
 * the right to the alias (identity policies) and to each key involved. */
#include "server/api/kms/kms_in.h"

static struct sl_rc check_name(struct api_call *c, struct slice name) {
    ENSURE(slice_starts(name, SLICE_LIT("alias/")) && name.len > 6, c->err, SL_E_VALIDATION,
           "Alias must start with the prefix \"alias/\". Please see "
           "https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html");
    ENSURE(slice_find(name, ':') == name.len, c->err, SL_E_VALIDATION,
           "%.*s contains invalid characters for an alias", SLICE_FMT(name));
    ENSURE(!slice_starts(name, SLICE_LIT("alias/aws/")), c->err, SL_E_KMS_RESERVED, "%s", "");
    return SL_OK;
}

static struct slice alias_arn(struct api_call *c, struct slice name) {
    return slice_cstr(arena_printf(c->arena, "arn:aws:kms:%.*s:%.*s:%.*s",
                                   SLICE_FMT(c->caller->region),
                                   SLICE_FMT(c->caller->who.principal.account), SLICE_FMT(name)));
}

static struct sl_rc may_alias(struct api_call *c, const char *action, struct slice name) {
    struct slice arn = alias_arn(c, name);
    ENSURE(arn.ptr != NULL, c->err, SL_E_NOMEM, "Out of memory.");
    return kms_allow(c, action, arn, NULL, 0);
}

static struct sl_rc insert(struct api_call *c, struct sqlite3 *conn, struct slice name,
                           const struct kms_target *t) {
    struct slice account = c->caller->who.principal.account;
    struct alias_row row = {name, t->row.id, c->env->now_ms, c->env->now_ms}, *have = NULL, old;
    size_t n = 0;
    bool found = false;
    TRY(keys_alias_get(conn, account, c->caller->region, name, c->env->now_ms, c->arena, &found,
                       &old, c->err));
    ENSURE(!found, c->err, SL_E_KMS_EXISTS, "An alias with the name %.*s already exists",
           SLICE_FMT(alias_arn(c, name)));
    TRY(keys_alias_list(conn, account, c->caller->region, t->row.id, SLICE_EMPTY, c->env->now_ms,
                        KMS_ALIASES_MAX, c->arena, &have, &n, c->err));
    ENSURE(n < KMS_ALIASES_MAX, c->err, SL_E_KMS_LIMIT, "The key has %d aliases already.",
           KMS_ALIASES_MAX);
    /* What a destroyed key has left behind goes before its name is used again. */
    TRY(keys_alias_delete(conn, account, c->caller->region, name, c->err));
    return keys_alias_insert(conn, account, c->caller->region, &row, c->err);
}

struct sl_rc kms_op_create_alias(struct api_call *c) {
    struct slice name = kms_string(c, "AliasName"), target = kms_string(c, "TargetKeyId");
    TRY(check_name(c, name));
    ENSURE(!slice_starts(target, SLICE_LIT("alias/")), c->err, SL_E_VALIDATION,
           "Aliases must refer to keys. Not aliases");
    TRY(may_alias(c, "kms:CreateAlias", name));
    struct kms_target t = {0};
    TRY(kms_use(c, target, &(struct kms_want){.action = "kms:CreateAlias"}, &t));
    TRY(kms_need_not_pending(c, &t));
    struct sqlite3 *conn = NULL;
    TRY(kms_db_write(c->env->db, &conn, c->err));
    struct sl_rc rc = insert(c, conn, name, &t);
    struct sl_rc end = kms_db_write_end(c->env->db, conn, !sl_failed(rc), c->err);
    return sl_failed(rc) ? rc : end;
}

static struct sl_rc find_alias(struct api_call *c, struct slice name, struct alias_row *ret) {
    struct sqlite3 *conn = NULL;
    bool found = false;
    TRY(kms_db_read(c->env->db, &conn, c->err));
    struct sl_rc rc = keys_alias_get(conn, c->caller->who.principal.account, c->caller->region,
                                     name, c->env->now_ms, c->arena, &found, ret, c->err);
    kms_db_read_end(c->env->db, conn);
    TRY(rc);
    ENSURE(found, c->err, SL_E_KMS_NOT_FOUND, "Alias %.*s is not found.",
           SLICE_FMT(alias_arn(c, name)));
    return SL_OK;
}

struct sl_rc kms_op_update_alias(struct api_call *c) {
    struct slice name = kms_string(c, "AliasName"), target = kms_string(c, "TargetKeyId");
    TRY(check_name(c, name));
    ENSURE(!slice_starts(target, SLICE_LIT("alias/")), c->err, SL_E_VALIDATION,
           "Aliases must refer to keys. Not aliases");
    TRY(may_alias(c, "kms:UpdateAlias", name));
    struct alias_row alias = {0};
    TRY(find_alias(c, name, &alias));
    struct kms_target from = {0}, to = {0};
    struct kms_want want = {.action = "kms:UpdateAlias"};
    TRY(kms_use(c, alias.key_id, &want, &from));
    TRY(kms_use(c, target, &want, &to));
    TRY(kms_need_not_pending(c, &to));
    alias.key_id = to.row.id;
    alias.updated_ms = c->env->now_ms;
    struct sqlite3 *conn = NULL;
    TRY(kms_db_write(c->env->db, &conn, c->err));
    struct sl_rc rc = keys_alias_update(conn, c->caller->who.principal.account, c->caller->region,
                                        &alias, c->err);
    struct sl_rc end = kms_db_write_end(c->env->db, conn, !sl_failed(rc), c->err);
    return sl_failed(rc) ? rc : end;
}

struct sl_rc kms_op_delete_alias(struct api_call *c) {
    struct slice name = kms_string(c, "AliasName");
    TRY(check_name(c, name));
    TRY(may_alias(c, "kms:DeleteAlias", name));
    struct alias_row alias = {0};
    TRY(find_alias(c, name, &alias));
    struct kms_target t = {0};
    TRY(kms_use(c, alias.key_id, &(struct kms_want){.action = "kms:DeleteAlias"}, &t));
    struct sqlite3 *conn = NULL;
    TRY(kms_db_write(c->env->db, &conn, c->err));
    struct sl_rc rc =
        keys_alias_delete(conn, c->caller->who.principal.account, c->caller->region, name, c->err);
    struct sl_rc end = kms_db_write_end(c->env->db, conn, !sl_failed(rc), c->err);
    return sl_failed(rc) ? rc : end;
}

static void put_alias(struct api_call *c, struct jsonw *w, const struct alias_row *a) {
    jsonw_object_begin(w);
    jsonw_name(w, "AliasName");
    jsonw_string(w, a->name);
    jsonw_name(w, "AliasArn");
    jsonw_string(w, alias_arn(c, a->name));
    jsonw_name(w, "TargetKeyId");
    jsonw_string(w, a->key_id);
    jsonw_name(w, "CreationDate");
    jsonw_epoch_ms(w, a->created_ms);
    jsonw_name(w, "LastUpdatedDate");
    jsonw_epoch_ms(w, a->updated_ms);
    jsonw_object_end(w);
}

struct sl_rc kms_op_list_aliases(struct api_call *c) {
    TRY(kms_allow(c, "kms:ListAliases", SLICE_LIT("*"), NULL, 0));
    struct slice key_id = kms_string(c, "KeyId"), marker = kms_string(c, "Marker");
    if (key_id.len > 0) {
        TRY(kms_own_id(c, key_id, "kms:ListAliases", &key_id));
    }
    ENSURE(marker.len == 0 || slice_starts(marker, SLICE_LIT("alias/")), c->err, SL_E_KMS_MARKER,
           "Invalid marker");
    size_t limit = (size_t)kms_int(c, "Limit", 50), n = 0;
    limit = limit > 100 ? 100 : limit;
    struct alias_row *rows = NULL;
    struct sqlite3 *conn = NULL;
    TRY(kms_db_read(c->env->db, &conn, c->err));
    struct sl_rc rc =
        keys_alias_list(conn, c->caller->who.principal.account, c->caller->region, key_id, marker,
                        c->env->now_ms, limit + 1, c->arena, &rows, &n, c->err);
    kms_db_read_end(c->env->db, conn);
    TRY(rc);
    struct jsonw w = jsonw_of(c->out);
    jsonw_object_begin(&w);
    jsonw_name(&w, "Aliases");
    jsonw_array_begin(&w);
    for (size_t i = 0; i < n && i < limit; i++) {
        put_alias(c, &w, &rows[i]);
    }
    jsonw_array_end(&w);
    if (n > limit) {
        jsonw_name(&w, "NextMarker");
        jsonw_string(&w, rows[limit - 1].name);
    }
    jsonw_name(&w, "Truncated");
    jsonw_bool(&w, n > limit);
    jsonw_object_end(&w);
    return SL_OK;
}
