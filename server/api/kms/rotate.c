/* Rotation: a key gets new material and keeps the old, automatically after so many days or on
 * demand. The automatic one is due at a time of the service's clock; the due work of kms does it,
 * within the hour, and EnableKey for a key that has waited for it. */
#include "server/api/kms/kms_in.h"

#include "lib/base/limits.h"
#include "lib/base/log.h"

#include <stdio.h>

static void put_string(struct jsonw *w, const char *name, struct slice v) {
    jsonw_name(w, name);
    jsonw_string(w, v);
}

/* ---- Automatic rotation ---- */

static struct sl_rc need_origin_kms(struct api_call *c, const struct key_row *k) {
    ENSURE(k->origin == KEY_ORIGIN_KMS, c->err, SL_E_KMS_UNSUPPORTED,
           "%.*s origin is %s which is not valid for this operation.", SLICE_FMT(k->arn),
           kms_origin_name(k->origin));
    return SL_OK;
}

/* The row as it is inside the writing transaction. */
static struct sl_rc read_again(struct api_call *c, struct sqlite3 *conn, struct kms_target *t) {
    bool found = false;
    struct slice arn = t->row.arn;
    TRY(keys_get(conn, t->row.account, t->row.region, t->row.id, c->env->now_ms, c->arena, &found,
                 &t->row, c->err));
    ENSURE(found, c->err, SL_E_KMS_NOT_FOUND, "Key '%.*s' does not exist", SLICE_FMT(arn));
    return SL_OK;
}

/* days: 0 ends it. A new period counts from the last automatic rotation, or from when it was
 * enabled. */
static struct sl_rc plan(struct api_call *c, struct sqlite3 *conn, struct kms_target *t,
                         int32_t days) {
    struct key_row *k = &t->row;
    TRY(read_again(c, conn, t));
    TRY(need_origin_kms(c, k));
    TRY(kms_need_enabled(c, t));
    int64_t since_ms =
        k->rotation_days > 0 ? k->rotation_ms - k->rotation_days * KMS_DAY_MS : c->env->now_ms;
    k->rotation_days = days;
    k->rotation_ms = days > 0 ? since_ms + days * KMS_DAY_MS : 0;
    return keys_set_rotation(conn, k, c->err);
}

static struct sl_rc plan_op(struct api_call *c, const struct kms_want *want, int32_t days) {
    struct kms_target t = {0};
    TRY(kms_use(c, kms_string(c, "KeyId"), want, &t));
    struct sqlite3 *conn = NULL;
    TRY(kms_db_write(c->env->db, &conn, c->err));
    struct sl_rc rc = plan(c, conn, &t, days);
    struct sl_rc end = kms_db_write_end(c->env->db, conn, !sl_failed(rc), c->err);
    TRY(sl_failed(rc) ? rc : end);
    return kms_rotate_due(c->env, &t.row, c->arena, c->err);
}

struct sl_rc kms_op_enable_rotation(struct api_call *c) {
    int64_t days = kms_int(c, "RotationPeriodInDays", KMS_ROTATION_DAYS);
    char *text = arena_printf(c->arena, "%lld", (long long)days);
    ENSURE(text != NULL, c->err, SL_E_NOMEM, "Out of memory.");
    struct slice value = slice_cstr(text);
    struct policy_key more = {SLICE_LIT("kms:RotationPeriodInDays"), &value, 1};
    struct kms_want want = {.action = "kms:EnableKeyRotation", .more = &more, .more_count = 1};
    return plan_op(c, &want, (int32_t)days);
}

struct sl_rc kms_op_disable_rotation(struct api_call *c) {
    struct kms_want want = {.action = "kms:DisableKeyRotation"};
    return plan_op(c, &want, 0);
}

struct sl_rc kms_op_rotation_status(struct api_call *c) {
    struct kms_target t = {0};
    struct kms_want want = {.action = "kms:GetKeyRotationStatus", .foreign = true};
    TRY(kms_use(c, kms_string(c, "KeyId"), &want, &t));
    TRY(t.row.state == KEY_PENDING_IMPORT ? need_origin_kms(c, &t.row) : SL_OK);
    bool on = t.row.rotation_days > 0 && t.row.state != KEY_PENDING_DELETION;
    struct jsonw w = jsonw_of(c->out);
    jsonw_object_begin(&w);
    put_string(&w, "KeyId", t.row.arn);
    jsonw_name(&w, "KeyRotationEnabled");
    jsonw_bool(&w, on);
    if (on) {
        jsonw_name(&w, "RotationPeriodInDays");
        jsonw_int(&w, t.row.rotation_days);
        jsonw_name(&w, "NextRotationDate");
        jsonw_epoch_ms(&w, t.row.rotation_ms);
    }
    jsonw_object_end(&w);
    return SL_OK;
}

/* ---- Rotating ---- */

/* New material for the key, inside the writing transaction. */
static struct sl_rc rotate(const struct auth_env *env, struct sqlite3 *conn, struct key_row *k,
                           bool automatic, struct arena *a, struct sl_error *err) {
    SL_CLEANUP(buf_fini) struct buf record = BUF_INIT(64 * 1024);
    char material[65];
    TRY(keyholder_key_rotate(env->keys, k->record, &record, material, err));
    k->record = arena_copy(a, buf_slice(&record));
    k->material_id = arena_copy(a, slice_cstr(material));
    ENSURE(k->record.ptr && k->material_id.ptr, err, SL_E_NOMEM, "Out of memory.");
    if (automatic) {
        k->rotation_ms = env->now_ms + k->rotation_days * KMS_DAY_MS;
    }
    return keys_rotated(conn, k, automatic, env->now_ms, err);
}

/* One key that is due: the first by id above `after`, or `only`. */
static struct sl_rc rotate_next(const struct auth_env *env, struct slice after, struct slice only,
                                struct arena *a, bool *ret_found, struct key_row *ret,
                                struct sl_error *err) {
    struct sqlite3 *conn = NULL;
    TRY(kms_db_write(env->db, &conn, err));
    struct sl_rc rc = keys_rotation_due(conn, after, only, env->now_ms, a, ret_found, ret, err);
    if (!sl_failed(rc) && *ret_found) {
        rc = rotate(env, conn, ret, true, a, err);
    }
    struct sl_rc end = kms_db_write_end(env->db, conn, !sl_failed(rc), err);
    return sl_failed(rc) ? rc : end;
}

struct sl_rc kms_rotate_due(const struct auth_env *env, const struct key_row *k, struct arena *a,
                            struct sl_error *err) {
    struct key_row now;
    bool found = false;
    bool due = k->rotation_ms > 0 && k->rotation_ms <= env->now_ms;
    return due ? rotate_next(env, SLICE_EMPTY, k->id, a, &found, &now, err) : SL_OK;
}

struct sl_rc kms_rotate(const struct auth_env *env, kms_done_fn done, void *user,
                        struct sl_error *err) {
    char after[40] = "";
    bool found = true;
    while (found) {
        SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(LIMIT_REQUEST_ARENA_BYTES);
        struct key_row k = {0};
        struct sl_error why = {0};
        found = false;
        struct sl_rc rc = rotate_next(env, slice_cstr(after), SLICE_EMPTY, &a, &found, &k, &why);
        rc = sl_failed(rc) || !found ? rc : done(user, &k, &why);
        if (sl_failed(rc) && !found) {
            return sl_fail(err, rc.code, "%s", sl_error_message(&why, rc.code));
        }
        if (sl_failed(rc)) {
            sl_log(SL_WARN, "rotation.failed", "key=%.*s error=%s", SLICE_FMT(k.id),
                   SL_Q(slice_cstr(sl_error_message(&why, rc.code))));
        }
        if (found) {
            snprintf(after, sizeof after, "%.*s", SLICE_FMT(k.id));
        }
    }
    return SL_OK;
}

/* ---- On demand ---- */

enum { ON_DEMAND_MAX = 25 };

static struct sl_rc rotate_on_demand(struct api_call *c, struct sqlite3 *conn,
                                     struct kms_target *t) {
    struct rotation_row *past = NULL;
    size_t n = 0, on_demand = 0;
    TRY(read_again(c, conn, t));
    if (t->row.origin == KEY_ORIGIN_EXTERNAL) {
        TRY(kms_import_settle(c, conn, &t->row));
    }
    TRY(kms_need_enabled(c, t));
    TRY(keys_rotation_list(conn, t->row.id, c->arena, &past, &n, c->err));
    for (size_t i = 0; i < n; i++) {
        on_demand += past[i].at_ms > 0 && !past[i].automatic;
    }
    ENSURE(on_demand < ON_DEMAND_MAX, c->err, SL_E_KMS_LIMIT,
           "The on-demand rotations limit has been reached for the given keyId. No more on-demand "
           "rotations can be performed for this key: %.*s",
           SLICE_FMT(t->row.arn));
    TRY(rotate(c->env, conn, &t->row, false, c->arena, c->err));
    return t->row.origin == KEY_ORIGIN_EXTERNAL ? kms_import_promoted(c, conn, &t->row) : SL_OK;
}

struct sl_rc kms_op_rotate(struct api_call *c) {
    struct kms_target t = {0};
    struct kms_want want = {.action = "kms:RotateKeyOnDemand"};
    TRY(kms_use(c, kms_string(c, "KeyId"), &want, &t));
    struct sqlite3 *conn = NULL;
    TRY(kms_db_write(c->env->db, &conn, c->err));
    struct sl_rc rc = rotate_on_demand(c, conn, &t);
    struct sl_rc end = kms_db_write_end(c->env->db, conn, !sl_failed(rc), c->err);
    TRY(sl_failed(rc) ? rc : end);
    kms_put_key_id(c, t.row.arn);
    return SL_OK;
}

/* ---- The list ---- */

static void put_rotation(struct jsonw *w, struct slice key_id, const struct rotation_row *r,
                         const char *state, const struct kms_imports *imports) {
    jsonw_object_begin(w);
    put_string(w, "KeyId", key_id);
    put_string(w, "KeyMaterialId", r->material_id);
    put_string(w, "KeyMaterialState", slice_cstr(state));
    kms_import_put(w, imports, r->material_id);
    if (r->at_ms > 0) {
        jsonw_name(w, "RotationDate");
        jsonw_epoch_ms(w, r->at_ms);
        put_string(w, "RotationType", slice_cstr(r->automatic ? "AUTOMATIC" : "ON_DEMAND"));
    }
    jsonw_object_end(w);
}

struct sl_rc kms_op_list_rotations(struct api_call *c) {
    struct kms_target t = {0};
    struct kms_want want = {.action = "kms:ListKeyRotations"};
    TRY(kms_use(c, kms_string(c, "KeyId"), &want, &t));
    uint64_t from = 0;
    struct slice marker = kms_string(c, "Marker");
    ENSURE(marker.len == 0 || slice_u64(marker, LIMIT_KMS_BACKING_KEYS, &from), c->err,
           SL_E_KMS_MARKER, "Invalid marker");
    bool all = slice_eq_cstr(kms_string(c, "IncludeKeyMaterial"), "ALL_KEY_MATERIAL");
    if (!all && from == 0) {
        from = 1; /* the first material came by no rotation */
    }
    struct rotation_row *r = NULL;
    size_t n = 0;
    struct sqlite3 *conn = NULL;
    TRY(kms_db_read(c->env->db, &conn, c->err));
    struct kms_imports imports = {0};
    struct sl_rc rc = keys_rotation_list(conn, t.row.id, c->arena, &r, &n, c->err);
    rc = sl_failed(rc) ? rc : kms_imports_read(c, conn, &t.row, &imports);
    kms_db_read_end(c->env->db, conn);
    TRY(rc);
    size_t done = n; /* what comes after waits for its rotation */
    TRY(all ? kms_imports_pending(c, &imports, &r, &n) : SL_OK);
    size_t limit = (size_t)kms_int(c, "Limit", 100), i = (size_t)from;
    struct jsonw w = jsonw_of(c->out);
    jsonw_object_begin(&w);
    jsonw_name(&w, "Rotations");
    jsonw_array_begin(&w);
    for (; i < n && i < from + limit; i++) {
        const char *as = i >= done ? "PENDING_ROTATION" : i == done - 1 ? "CURRENT" : "NON_CURRENT";
        put_rotation(&w, t.row.id, &r[i], as, &imports);
    }
    jsonw_array_end(&w);
    if (i < n) {
        jsonw_name(&w, "NextMarker");
        jsonw_cstr(&w, arena_printf(c->arena, "%zu", i));
    }
    jsonw_name(&w, "Truncated");
    jsonw_bool(&w, i < n);
    jsonw_object_end(&w);
    return SL_OK;
}
