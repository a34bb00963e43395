/* The life of a key: made, described, listed, enabled, disabled, deleted. */
#include "server/api/kms/kms_in.h"

#include "lib/base/limits.h"
#include "lib/crypto/crypto.h"

static const char *state_name(int state) {
    switch (state) {
    case KEY_ENABLED:
        return "Enabled";
    case KEY_DISABLED:
        return "Disabled";
    case KEY_PENDING_DELETION:
        return "PendingDeletion";
    default:
        return "PendingImport";
    }
}

static void put_string(struct jsonw *w, const char *name, struct slice v) {
    jsonw_name(w, name);
    jsonw_string(w, v);
}

static void put_metadata(struct buf *out, const struct key_row *k) {
    struct jsonw w = jsonw_of(out);
    jsonw_object_begin(&w);
    jsonw_name(&w, "KeyMetadata");
    jsonw_object_begin(&w);
    put_string(&w, "AWSAccountId", k->account);
    put_string(&w, "KeyId", k->id);
    put_string(&w, "Arn", k->arn);
    jsonw_name(&w, "CreationDate");
    jsonw_epoch_ms(&w, k->created_ms);
    jsonw_name(&w, "Enabled");
    jsonw_bool(&w, k->state == KEY_ENABLED);
    put_string(&w, "Description", k->description);
    put_string(&w, "KeyUsage", SLICE_LIT("ENCRYPT_DECRYPT"));
    put_string(&w, "KeyState", slice_cstr(state_name(k->state)));
    if (k->state == KEY_PENDING_DELETION) {
        jsonw_name(&w, "DeletionDate");
        jsonw_epoch_ms(&w, k->deletion_ms);
    }
    put_string(&w, "Origin", slice_cstr(kms_origin_name(k->origin)));
    kms_import_put_key(&w, k);
    put_string(&w, "KeyManager", k->manager == KEY_AWS ? SLICE_LIT("AWS") : SLICE_LIT("CUSTOMER"));
    put_string(&w, "CustomerMasterKeySpec", SLICE_LIT("SYMMETRIC_DEFAULT"));
    put_string(&w, "KeySpec", SLICE_LIT("SYMMETRIC_DEFAULT"));
    jsonw_name(&w, "EncryptionAlgorithms");
    jsonw_array_begin(&w);
    jsonw_cstr(&w, "SYMMETRIC_DEFAULT");
    jsonw_array_end(&w);
    jsonw_name(&w, "MultiRegion");
    jsonw_bool(&w, false);
    if (k->material_id.len > 0) {
        put_string(&w, "CurrentKeyMaterialId", k->material_id);
    }
    jsonw_object_end(&w);
    jsonw_object_end(&w);
}

/* ---- CreateKey ---- */

static bool is_external(struct api_call *c) {
    return slice_eq_cstr(kms_string(c, "Origin"), "EXTERNAL");
}

static struct sl_rc check_kind(struct api_call *c) {
    struct slice spec = kms_string(c, "KeySpec"), old = kms_string(c, "CustomerMasterKeySpec");
    struct slice usage = kms_string(c, "KeyUsage"), origin = kms_string(c, "Origin");
    ENSURE(spec.len == 0 || old.len == 0, c->err, SL_E_VALIDATION,
           "You cannot specify KeySpec and CustomerMasterKeySpec in the same request. "
           "CustomerMasterKeySpec is deprecated.");
    spec = spec.len > 0 ? spec : old;
    bool symmetric = spec.len == 0 || slice_eq_cstr(spec, "SYMMETRIC_DEFAULT");
    ENSURE(symmetric || usage.len > 0, c->err, SL_E_VALIDATION,
           "You must specify a KeyUsage value for all KMS keys except for symmetric encryption "
           "keys.");
    ENSURE(symmetric, c->err, SL_E_KMS_UNSUPPORTED, "KeySpec %.*s is not supported.",
           SLICE_FMT(spec));
    ENSURE(usage.len == 0 || slice_eq_cstr(usage, "ENCRYPT_DECRYPT"), c->err, SL_E_VALIDATION,
           "KeyUsage %.*s is not compatible with KeySpec SYMMETRIC_DEFAULT", SLICE_FMT(usage));
    ENSURE(origin.len == 0 || slice_eq_cstr(origin, "AWS_KMS") || is_external(c), c->err,
           SL_E_KMS_UNSUPPORTED, "Origin %.*s is not supported.", SLICE_FMT(origin));
    ENSURE(!kms_flag(c, "MultiRegion"), c->err, SL_E_KMS_UNSUPPORTED,
           "Multi-Region keys are not supported.");
    ENSURE(kms_member(c, "CustomKeyStoreId") == NULL && kms_member(c, "XksKeyId") == NULL, c->err,
           SL_E_KMS_UNSUPPORTED, "Custom key stores are not supported.");
    return SL_OK;
}

static struct sl_rc may_create(struct api_call *c, const struct tag_row *tags, size_t tag_count) {
    enum { OWN = 5 };
    struct policy_key *tag_keys = NULL;
    size_t n = 0;
    TRY(kms_tag_keys(c, tags, tag_count, &tag_keys, &n));
    struct policy_key *keys = arena_array(c->arena, n + OWN, sizeof *keys);
    struct slice *values = arena_array(c->arena, OWN, sizeof *values);
    ENSURE(keys && values, c->err, SL_E_NOMEM, "Out of memory.");
    bool bypass = kms_flag(c, "BypassPolicyLockoutSafetyCheck");
    values[0] = SLICE_LIT("SYMMETRIC_DEFAULT");
    values[1] = SLICE_LIT("ENCRYPT_DECRYPT");
    values[2] = is_external(c) ? SLICE_LIT("EXTERNAL") : SLICE_LIT("AWS_KMS");
    values[3] = SLICE_LIT("false");
    values[4] = bypass ? SLICE_LIT("true") : SLICE_LIT("false");
    static const char *const names[OWN] = {"kms:KeySpec", "kms:KeyUsage", "kms:KeyOrigin",
                                           "kms:MultiRegion", "kms:BypassPolicyLockoutSafetyCheck"};
    for (size_t i = 0; i < OWN; i++) {
        keys[i] = (struct policy_key){slice_cstr(names[i]), &values[i], 1};
    }
    for (size_t i = 0; i < n; i++) {
        keys[OWN + i] = tag_keys[i];
    }
    TRY(kms_allow(c, "kms:CreateKey", SLICE_LIT("*"), keys, n + OWN));
    /* Tagging at creation needs the right to tag. */
    return tag_count > 0 ? kms_allow(c, "kms:TagResource", SLICE_LIT("*"), keys, n + OWN) : SL_OK;
}

static struct sl_rc insert(struct api_call *c, const struct key_row *k, const struct tag_row *tags,
                           size_t tag_count) {
    struct sqlite3 *conn = NULL;
    int64_t count = 0;
    TRY(kms_db_write(c->env->db, &conn, c->err));
    struct sl_rc rc = keys_count(conn, k->account, k->region, c->env->now_ms, &count, c->err);
    if (!sl_failed(rc) && count >= LIMIT_KMS_KEYS) {
        rc = sl_fail(c->err, SL_E_KMS_LIMIT, "The account has %d keys in this region already.",
                     LIMIT_KMS_KEYS);
    }
    rc = sl_failed(rc) ? rc : keys_insert(conn, k, c->err);
    for (size_t i = 0; i < tag_count && !sl_failed(rc); i++) {
        rc = keys_tag_set(conn, k->id, tags[i], c->err);
    }
    struct sl_rc end = kms_db_write_end(c->env->db, conn, !sl_failed(rc), c->err);
    return sl_failed(rc) ? rc : end;
}

struct sl_rc kms_op_create_key(struct api_call *c) {
    TRY(check_kind(c));
    struct tag_row *tags = NULL;
    size_t tag_count = 0;
    TRY(kms_tags(c, &tags, &tag_count));
    TRY(may_create(c, tags, tag_count));
    char id[37];
    crypto_uuid(id);
    struct key_row k = {
        .id = arena_copy(c->arena, slice_cstr(id)),
        .account = c->caller->who.principal.account,
        .region = c->caller->region,
        .description = kms_string(c, "Description"),
        .state = is_external(c) ? KEY_PENDING_IMPORT : KEY_ENABLED,
        .manager = KEY_CUSTOMER,
        .created_ms = c->env->now_ms,
        .origin = is_external(c) ? KEY_ORIGIN_EXTERNAL : KEY_ORIGIN_KMS,
    };
    ENSURE(k.id.ptr != NULL, c->err, SL_E_NOMEM, "Out of memory.");
    TRY(kms_material(c, &k));
    c->audit_resource = k.arn;
    struct slice policy = kms_string(c, "Policy");
    if (policy.len > 0) {
        TRY(kms_policy_accept(c, policy, k.arn, kms_flag(c, "BypassPolicyLockoutSafetyCheck"),
                              &k.policy));
    } else {
        k.policy = kms_default_policy(c);
        ENSURE(k.policy.ptr != NULL, c->err, SL_E_NOMEM, "Out of memory.");
    }
    TRY(insert(c, &k, tags, tag_count));
    put_metadata(c->out, &k);
    c->audit_response = arena_copy(c->arena, buf_slice(c->out));
    return SL_OK;
}

/* ---- Reading ---- */

struct sl_rc kms_op_describe_key(struct api_call *c) {
    struct kms_target t = {0};
    struct kms_want want = {
        .action = "kms:DescribeKey", .aliases = true, .foreign = true, .make_managed = true};
    TRY(kms_use(c, kms_string(c, "KeyId"), &want, &t));
    put_metadata(c->out, &t.row);
    return SL_OK;
}

struct sl_rc kms_op_list_keys(struct api_call *c) {
    TRY(kms_allow(c, "kms:ListKeys", SLICE_LIT("*"), NULL, 0));
    size_t limit = (size_t)kms_int(c, "Limit", 100);
    struct slice marker = kms_string(c, "Marker");
    ENSURE(marker.len == 0 || kms_is_uuid(marker), c->err, SL_E_KMS_MARKER, "Invalid marker");
    struct slice account = c->caller->who.principal.account, *ids = NULL;
    size_t n = 0;
    struct sqlite3 *conn = NULL;
    TRY(kms_db_read(c->env->db, &conn, c->err));
    struct sl_rc rc = keys_list(conn, account, c->caller->region, marker, c->env->now_ms, limit + 1,
                                c->arena, &ids, &n, c->err);
    kms_db_read_end(c->env->db, conn);
    TRY(rc);
    bool more = n > limit;
    struct jsonw w = jsonw_of(c->out);
    jsonw_object_begin(&w);
    jsonw_name(&w, "Keys");
    jsonw_array_begin(&w);
    for (size_t i = 0; i < n && i < limit; i++) {
        char *arn =
            arena_printf(c->arena, "arn:aws:kms:%.*s:%.*s:key/%.*s", SLICE_FMT(c->caller->region),
                         SLICE_FMT(account), SLICE_FMT(ids[i]));
        ENSURE(arn != NULL, c->err, SL_E_NOMEM, "Out of memory.");
        jsonw_object_begin(&w);
        put_string(&w, "KeyId", ids[i]);
        put_string(&w, "KeyArn", slice_cstr(arn));
        jsonw_object_end(&w);
    }
    jsonw_array_end(&w);
    if (more) {
        put_string(&w, "NextMarker", ids[limit - 1]);
    }
    jsonw_name(&w, "Truncated");
    jsonw_bool(&w, more);
    jsonw_object_end(&w);
    return SL_OK;
}

/* ---- Changing ---- */

/* Runs `change` on the key's row as it is inside the writing transaction, and stores its state. The
 * keyholder makes the record of the new state, so both move together. */
typedef struct sl_rc (*change_fn)(struct api_call *c, struct sqlite3 *conn, struct kms_target *t);

static struct sl_rc store_state(struct api_call *c, struct sqlite3 *conn, struct kms_target *t) {
    SL_CLEANUP(buf_fini) struct buf record = BUF_INIT(64 * 1024);
    TRY(keyholder_key_set_state(c->env->keys, t->row.record, (enum key_state)t->row.state, &record,
                                c->err));
    t->row.record = buf_slice(&record);
    struct sl_rc rc = keys_set_state(conn, &t->row, c->err);
    t->row.record = SLICE_EMPTY;
    return rc;
}

static struct sl_rc change_state(struct api_call *c, struct kms_target *t, change_fn change) {
    struct sqlite3 *conn = NULL;
    bool found = false;
    TRY(kms_db_write(c->env->db, &conn, c->err));
    struct sl_rc rc = keys_get(conn, t->row.account, t->row.region, t->row.id, c->env->now_ms,
                               c->arena, &found, &t->row, c->err);
    if (!sl_failed(rc) && !found) {
        rc =
            sl_fail(c->err, SL_E_KMS_NOT_FOUND, "Key '%.*s' does not exist", SLICE_FMT(t->row.arn));
    }
    if (!sl_failed(rc) && t->row.origin == KEY_ORIGIN_EXTERNAL) {
        rc = kms_import_settle(c, conn, &t->row);
    }
    int before = t->row.state;
    if (!sl_failed(rc)) {
        rc = change(c, conn, t);
    }
    if (!sl_failed(rc) && t->row.state != before) {
        rc = store_state(c, conn, t);
    }
    struct sl_rc end = kms_db_write_end(c->env->db, conn, !sl_failed(rc), c->err);
    return sl_failed(rc) ? rc : end;
}

static struct sl_rc change_op(struct api_call *c, const char *action, change_fn change,
                              struct kms_target *ret) {
    TRY(kms_use(c, kms_string(c, "KeyId"), &(struct kms_want){.action = action}, ret));
    return change_state(c, ret, change);
}

static struct sl_rc to_enabled(struct api_call *c, struct sqlite3 *conn, struct kms_target *t) {
    TRY(kms_need_not_pending(c, t));
    TRY(kms_need_material(c, t));
    t->row.state = KEY_ENABLED;
    return SL_OK;
}

static struct sl_rc to_disabled(struct api_call *c, struct sqlite3 *conn, struct kms_target *t) {
    TRY(kms_need_not_pending(c, t));
    TRY(kms_need_material(c, t));
    t->row.state = KEY_DISABLED;
    return SL_OK;
}

struct sl_rc kms_op_enable_key(struct api_call *c) {
    struct kms_target t = {0};
    TRY(change_op(c, "kms:EnableKey", to_enabled, &t));
    return kms_rotate_due(c->env, &t.row, c->arena, c->err); /* what has waited for this */
}

struct sl_rc kms_op_disable_key(struct api_call *c) {
    struct kms_target t = {0};
    return change_op(c, "kms:DisableKey", to_disabled, &t);
}

static struct sl_rc to_pending(struct api_call *c, struct sqlite3 *conn, struct kms_target *t) {
    TRY(kms_need_not_pending(c, t));
    t->row.state = KEY_PENDING_DELETION;
    t->row.window_days = (int32_t)kms_int(c, "PendingWindowInDays", 30);
    t->row.deletion_ms = c->env->now_ms + (int64_t)t->row.window_days * KMS_DAY_MS;
    return SL_OK;
}

struct sl_rc kms_op_schedule_deletion(struct api_call *c) {
    char *days = arena_printf(c->arena, "%lld", (long long)kms_int(c, "PendingWindowInDays", 30));
    ENSURE(days != NULL, c->err, SL_E_NOMEM, "Out of memory.");
    struct slice value = slice_cstr(days);
    struct policy_key more = {SLICE_LIT("kms:ScheduleKeyDeletionPendingWindowInDays"), &value, 1};
    struct kms_want want = {.action = "kms:ScheduleKeyDeletion", .more = &more, .more_count = 1};
    struct kms_target t = {0};
    TRY(kms_use(c, kms_string(c, "KeyId"), &want, &t));
    TRY(change_state(c, &t, to_pending));
    struct jsonw w = jsonw_of(c->out);
    jsonw_object_begin(&w);
    put_string(&w, "KeyId", t.row.arn);
    jsonw_name(&w, "DeletionDate");
    jsonw_epoch_ms(&w, t.row.deletion_ms);
    put_string(&w, "KeyState", slice_cstr(state_name(t.row.state)));
    jsonw_name(&w, "PendingWindowInDays");
    jsonw_int(&w, t.row.window_days);
    jsonw_object_end(&w);
    c->audit_response = arena_copy(c->arena, buf_slice(c->out));
    return SL_OK;
}

static struct sl_rc to_saved(struct api_call *c, struct sqlite3 *conn, struct kms_target *t) {
    ENSURE(t->row.state == KEY_PENDING_DELETION, c->err, SL_E_KMS_INVALID_STATE,
           "%.*s is not pending deletion.", SLICE_FMT(t->row.arn));
    bool complete = true;
    TRY(kms_import_complete(c, conn, &t->row, &complete));
    t->row.state = complete ? KEY_DISABLED : KEY_PENDING_IMPORT;
    t->row.deletion_ms = 0;
    t->row.window_days = 0;
    return SL_OK;
}

void kms_put_key_id(struct api_call *c, struct slice arn) {
    struct jsonw w = jsonw_of(c->out);
    jsonw_object_begin(&w);
    put_string(&w, "KeyId", arn);
    jsonw_object_end(&w);
}

struct sl_rc kms_op_cancel_deletion(struct api_call *c) {
    struct kms_target t = {0};
    TRY(change_op(c, "kms:CancelKeyDeletion", to_saved, &t));
    kms_put_key_id(c, t.row.arn);
    return SL_OK;
}

struct sl_rc kms_op_update_description(struct api_call *c) {
    struct kms_target t = {0};
    struct kms_want want = {.action = "kms:UpdateKeyDescription"};
    TRY(kms_use(c, kms_string(c, "KeyId"), &want, &t));
    TRY(kms_need_not_pending(c, &t));
    struct sqlite3 *conn = NULL;
    TRY(kms_db_write(c->env->db, &conn, c->err));
    struct sl_rc rc = keys_set_description(conn, t.row.id, kms_string(c, "Description"), c->err);
    struct sl_rc end = kms_db_write_end(c->env->db, conn, !sl_failed(rc), c->err);
    return sl_failed(rc) ? rc : end;
}
