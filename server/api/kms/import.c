/* Keys whose material the customer brings: parameters, import, deletion, expiry. The keyholder
 * unwraps and knows the material again; here are names, times and states. A key's row says when the
 * first of its materials ends; from then on nothing uses the key, and the next change of it, or the
 * purge, takes the material out of the record. */
#include "server/api/kms/kms_in.h"

#include "server/keys/messages.h"
#include "server/store/keys/import.h"

static const char *const models[] = {"KEY_MATERIAL_EXPIRES", "KEY_MATERIAL_DOES_NOT_EXPIRE"};

#define VALID_TO_MAX_MS (365 * KMS_DAY_MS)

static struct sl_rc need_external(struct api_call *c, const struct key_row *k) {
    ENSURE(k->origin == KEY_ORIGIN_EXTERNAL, c->err, SL_E_KMS_UNSUPPORTED,
           "%.*s origin is AWS_KMS which is not valid for this operation.", SLICE_FMT(k->arn));
    return SL_OK;
}

/* ---- GetParametersForImport ---- */

static struct sl_rc wrapping_of(struct api_call *c, enum keyholder_wrapping *ret,
                                unsigned *ret_bits) {
    struct slice name = kms_string(c, "WrappingAlgorithm"), spec = kms_string(c, "WrappingKeySpec");
    static const struct {
        const char *name;
        enum keyholder_wrapping wrapping;
    } known[] = {{"RSAES_OAEP_SHA_1", KEYHOLDER_OAEP_SHA1},
                 {"RSAES_OAEP_SHA_256", KEYHOLDER_OAEP_SHA256},
                 {"RSA_AES_KEY_WRAP_SHA_1", KEYHOLDER_AES_SHA1},
                 {"RSA_AES_KEY_WRAP_SHA_256", KEYHOLDER_AES_SHA256}};
    uint64_t bits = 0;
    ENSURE(slice_u64(slice_sub(spec, 4, spec.len), 4096, &bits), c->err, SL_E_KMS_UNSUPPORTED,
           "WrappingKeySpec %.*s is not supported.", SLICE_FMT(spec));
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (slice_eq_cstr(name, known[i].name)) {
            *ret = known[i].wrapping;
            *ret_bits = (unsigned)bits;
            return SL_OK;
        }
    }
    return sl_fail(c->err, SL_E_KMS_UNSUPPORTED, "WrappingAlgorithm %.*s is not supported.",
                   SLICE_FMT(name));
}

static void put_string(struct jsonw *w, const char *name, struct slice v) {
    jsonw_name(w, name);
    jsonw_string(w, v);
}

static void put_blob(struct jsonw *w, const char *name, struct slice v) {
    jsonw_name(w, name);
    jsonw_base64(w, v);
}

struct sl_rc kms_op_import_parameters(struct api_call *c) {
    struct slice algorithm = kms_string(c, "WrappingAlgorithm");
    struct slice spec = kms_string(c, "WrappingKeySpec");
    struct policy_key more[] = {{SLICE_LIT("kms:WrappingAlgorithm"), &algorithm, 1},
                                {SLICE_LIT("kms:WrappingKeySpec"), &spec, 1}};
    struct kms_want want = {.action = "kms:GetParametersForImport", .more = more, .more_count = 2};
    struct kms_target t = {0};
    TRY(kms_use(c, kms_string(c, "KeyId"), &want, &t));
    TRY(need_external(c, &t.row));
    TRY(kms_need_not_pending(c, &t));
    enum keyholder_wrapping wrapping;
    unsigned bits = 0;
    TRY(wrapping_of(c, &wrapping, &bits));
    SL_CLEANUP(buf_fini) struct buf public_der = BUF_INIT(4096);
    SL_CLEANUP(buf_fini) struct buf token = BUF_INIT(8192);
    int64_t valid_to_ms = c->env->now_ms + KMS_DAY_MS;
    TRY(keyholder_import_begin(c->env->keys, t.row.record, wrapping, bits, valid_to_ms, &public_der,
                               &token, c->err));
    struct jsonw w = jsonw_of(c->out);
    jsonw_object_begin(&w);
    put_string(&w, "KeyId", t.row.arn);
    put_blob(&w, "ImportToken", buf_slice(&token));
    put_blob(&w, "PublicKey", buf_slice(&public_der));
    jsonw_name(&w, "ParametersValidTo");
    jsonw_epoch_ms(&w, valid_to_ms);
    jsonw_object_end(&w);
    return SL_OK;
}

/* ---- the rows of a key's material ---- */

static struct import_row *row_of(const struct kms_imports *m, struct slice material_id) {
    for (size_t i = 0; i < m->count; i++) {
        if (slice_eq(m->rows[i].material_id, material_id)) {
            return &m->rows[i];
        }
    }
    return NULL;
}

/* The keyholder's new record and state become the row's. */
static struct sl_rc take_record(struct key_row *k, const struct buf *record,
                                const struct keyholder_material *m, struct arena *a) {
    k->record = arena_copy(a, buf_slice(record));
    k->state = m->state;
    return k->record.ptr != NULL ? SL_OK : sl_rc_of(SL_E_NOMEM);
}

/* Takes one material out of the key, in the record and in the rows. */
static struct sl_rc forget(const struct auth_env *env, struct sqlite3 *conn, struct key_row *k,
                           const struct kms_imports *m, struct slice material_id, struct arena *a,
                           char ret_id[65], struct sl_error *err) {
    SL_CLEANUP(buf_fini) struct buf record = BUF_INIT(64 * 1024);
    struct keyholder_material gone = {0};
    TRY(keyholder_forget(env->keys, k->record, material_id, &record, &gone, err));
    TRY(take_record(k, &record, &gone, a));
    struct slice id = slice_cstr(gone.id);
    struct import_row *row = row_of(m, id);
    ENSURE(row != NULL, err, SL_E_CORRUPT, "%.*s: its material is not listed", SLICE_FMT(k->arn));
    row->imported = false;
    TRY(gone.pending ? import_drop(conn, k->id, id, err) : import_put(conn, k->id, row, err));
    memcpy(ret_id, gone.id, sizeof gone.id);
    return import_store_key(conn, k, false, err);
}

/* The key as it is now, inside the writing transaction: what has expired is taken out. */
static struct sl_rc settle(const struct auth_env *env, struct sqlite3 *conn, struct key_row *k,
                           struct kms_imports *ret, struct arena *a, struct sl_error *err) {
    bool found = false;
    char id[65];
    struct slice arn = k->arn;
    TRY(keys_get(conn, k->account, k->region, k->id, env->now_ms, a, &found, k, err));
    ENSURE(found, err, SL_E_KMS_NOT_FOUND, "Key '%.*s' does not exist", SLICE_FMT(arn));
    TRY(import_list(conn, k->id, a, &ret->rows, &ret->count, err));
    for (size_t i = 0; i < ret->count; i++) {
        const struct import_row *r = &ret->rows[i];
        if (r->imported && r->expires && r->valid_to_ms <= env->now_ms) {
            TRY(forget(env, conn, k, ret, r->material_id, a, id, err));
        }
    }
    return SL_OK;
}

struct sl_rc kms_expire(const struct auth_env *env, struct arena *a, struct sl_error *err) {
    enum { AT_ONCE = 1000 };
    bool found = true;
    for (int i = 0; i < AT_ONCE && found; i++) {
        struct sqlite3 *conn = NULL;
        struct key_row k = {0};
        struct kms_imports m = {0};
        TRY(kms_db_write(env->db, &conn, err));
        struct sl_rc rc = import_due(conn, env->now_ms, a, &found, &k, err);
        if (!sl_failed(rc) && found) {
            rc = settle(env, conn, &k, &m, a, err);
        }
        struct sl_rc end = kms_db_write_end(env->db, conn, !sl_failed(rc), err);
        TRY(sl_failed(rc) ? rc : end);
    }
    return SL_OK;
}

/* ---- ImportKeyMaterial ---- */

/* What the request says of the material's end. */
static struct sl_rc expiry(struct api_call *c, struct import_row *ret, struct slice *ret_model) {
    const struct json *v = kms_member(c, "ValidTo");
    struct slice model = kms_string(c, "ExpirationModel");
    ret->expires = !slice_eq_cstr(model, models[1]);
    *ret_model = slice_cstr(models[ret->expires ? 0 : 1]);
    ENSURE(ret->expires || v == NULL, c->err, SL_E_VALIDATION,
           "ValidTo can not be set if the ExpirationModel is KEY_MATERIAL_DOES_NOT_EXPIRE");
    ENSURE(!ret->expires || v != NULL, c->err, SL_E_VALIDATION,
           "A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES");
    if (v != NULL) {
        double now_s = (double)c->env->now_ms / 1000;
        bool fits = v->real > now_s && v->real <= now_s + (double)(VALID_TO_MAX_MS / 1000);
        ENSURE(fits, c->err, SL_E_VALIDATION,
               "ValidTo must be a time in the future, at most 365 days from now");
        ret->valid_to_ms = (int64_t)(v->real * 1000);
    }
    return SL_OK;
}

static struct sl_rc import_kind(struct api_call *c, enum keyholder_import *ret) {
    struct slice type = kms_string(c, "ImportType");
    bool is_new = slice_eq_cstr(type, "NEW_KEY_MATERIAL");
    ENSURE(!is_new || kms_member(c, "KeyMaterialId") == NULL, c->err, SL_E_VALIDATION,
           "You can not specify a KeyMaterialId with ImportType NEW_KEY_MATERIAL");
    *ret = is_new         ? KEYHOLDER_NEW_MATERIAL
           : type.len > 0 ? KEYHOLDER_EXISTING_MATERIAL
                          : KEYHOLDER_ANY_MATERIAL;
    return SL_OK;
}

static struct sl_rc import_into(struct api_call *c, struct sqlite3 *conn, struct key_row *k,
                                const struct keyholder_import_request *q, struct import_row *row,
                                struct keyholder_material *ret) {
    SL_CLEANUP(buf_fini) struct buf record = BUF_INIT(64 * 1024);
    struct kms_imports m = {0};
    TRY(settle(c->env, conn, k, &m, c->arena, c->err));
    struct kms_target t = {.row = *k};
    TRY(kms_need_not_pending(c, &t));
    struct sl_rc rc = keyholder_import(c->env->keys, k->record, q, &record, ret, c->err);
    if (rc.code == SL_E_KMS_INVALID_CIPHERTEXT && c->err != NULL) {
        c->err->detail[0] = '\0'; /* no cause is told */
    }
    TRY(rc);
    TRY(take_record(k, &record, ret, c->arena));
    row->material_id = slice_cstr(ret->id);
    row->imported = true;
    row->pending = ret->pending;
    const struct import_row *before = row_of(&m, row->material_id);
    if (before != NULL && kms_member(c, "KeyMaterialDescription") == NULL) {
        row->description = before->description;
    }
    bool first = m.count == 0;
    if (first) {
        k->material_id = row->material_id;
    }
    TRY(import_put(conn, k->id, row, c->err));
    return import_store_key(conn, k, first, c->err);
}

static void answer(struct api_call *c, struct slice arn, const char *material_id) {
    struct jsonw w = jsonw_of(c->out);
    jsonw_object_begin(&w);
    put_string(&w, "KeyId", arn);
    put_string(&w, "KeyMaterialId", slice_cstr(material_id));
    jsonw_object_end(&w);
    c->audit_response = arena_copy(c->arena, buf_slice(c->out));
}

static struct sl_rc may_import(struct api_call *c, struct slice model, const struct import_row *row,
                               struct kms_target *ret) {
    char *text = arena_printf(c->arena, "%lld.%03d", (long long)(row->valid_to_ms / 1000),
                              (int)(row->valid_to_ms % 1000));
    ENSURE(text != NULL, c->err, SL_E_NOMEM, "Out of memory.");
    struct slice valid_to = slice_cstr(text);
    struct policy_key more[] = {{SLICE_LIT("kms:ExpirationModel"), &model, 1},
                                {SLICE_LIT("kms:ValidTo"), &valid_to, 1}};
    struct kms_want want = {
        .action = "kms:ImportKeyMaterial", .more = more, .more_count = row->expires ? 2 : 1};
    TRY(kms_use(c, kms_string(c, "KeyId"), &want, ret));
    return need_external(c, &ret->row);
}

struct sl_rc kms_op_import(struct api_call *c) {
    struct import_row row = {.description = kms_string(c, "KeyMaterialDescription")};
    struct keyholder_import_request q = {.now_ms = c->env->now_ms,
                                         .material_id = kms_string(c, "KeyMaterialId")};
    struct slice model;
    TRY(expiry(c, &row, &model));
    TRY(import_kind(c, &q.kind));
    SL_CLEANUP(buf_fini) struct buf token = BUF_INIT(8192);
    SL_CLEANUP(buf_fini) struct buf wrapped = BUF_INIT(8192);
    TRY(kms_blob(c, "ImportToken", &token));
    TRY(kms_blob(c, "EncryptedKeyMaterial", &wrapped));
    q.token = buf_slice(&token);
    q.wrapped = buf_slice(&wrapped);
    struct kms_target t = {0};
    TRY(may_import(c, model, &row, &t));
    struct sqlite3 *conn = NULL;
    struct keyholder_material made = {0};
    TRY(kms_db_write(c->env->db, &conn, c->err));
    struct sl_rc rc = import_into(c, conn, &t.row, &q, &row, &made);
    struct sl_rc end = kms_db_write_end(c->env->db, conn, !sl_failed(rc), c->err);
    TRY(sl_failed(rc) ? rc : end);
    answer(c, t.row.arn, made.id);
    return SL_OK;
}

/* ---- DeleteImportedKeyMaterial ---- */

static struct sl_rc delete_from(struct api_call *c, struct sqlite3 *conn, struct key_row *k,
                                char ret_id[65]) {
    struct kms_imports m = {0};
    struct slice wanted = kms_string(c, "KeyMaterialId");
    TRY(settle(c->env, conn, k, &m, c->arena, c->err));
    ENSURE(m.count > 0, c->err, SL_E_KMS_INVALID_STATE, "%.*s is pending import.",
           SLICE_FMT(k->arn));
    ENSURE(wanted.len == 0 || row_of(&m, wanted) != NULL, c->err, SL_E_KMS_NOT_FOUND,
           "Key material '%.*s' does not exist", SLICE_FMT(wanted));
    return forget(c->env, conn, k, &m, wanted, c->arena, ret_id, c->err);
}

struct sl_rc kms_op_delete_import(struct api_call *c) {
    struct kms_target t = {0};
    struct kms_want want = {.action = "kms:DeleteImportedKeyMaterial"};
    TRY(kms_use(c, kms_string(c, "KeyId"), &want, &t));
    TRY(need_external(c, &t.row));
    struct sqlite3 *conn = NULL;
    char id[65];
    TRY(kms_db_write(c->env->db, &conn, c->err));
    struct sl_rc rc = delete_from(c, conn, &t.row, id);
    struct sl_rc end = kms_db_write_end(c->env->db, conn, !sl_failed(rc), c->err);
    TRY(sl_failed(rc) ? rc : end);
    answer(c, t.row.arn, id);
    return SL_OK;
}

/* ---- what other operations show and do ---- */

const char *kms_origin_name(int origin) {
    return origin == KEY_ORIGIN_EXTERNAL ? "EXTERNAL" : "AWS_KMS";
}

struct sl_rc kms_import_settle(struct api_call *c, struct sqlite3 *conn, struct key_row *k) {
    struct kms_imports m = {0};
    return settle(c->env, conn, k, &m, c->arena, c->err);
}

struct sl_rc kms_imports_read(struct api_call *c, struct sqlite3 *conn, const struct key_row *k,
                              struct kms_imports *ret) {
    struct kms_imports m = {0};
    if (k->origin == KEY_ORIGIN_EXTERNAL) {
        TRY(import_list(conn, k->id, c->arena, &m.rows, &m.count, c->err));
    }
    for (size_t i = 0; i < m.count; i++) {
        struct import_row *r = &m.rows[i];
        r->imported &= !(r->expires && r->valid_to_ms <= c->env->now_ms);
    }
    *ret = m;
    return SL_OK;
}

struct sl_rc kms_import_complete(struct api_call *c, struct sqlite3 *conn, const struct key_row *k,
                                 bool *ret) {
    struct kms_imports m = {0};
    TRY(kms_imports_read(c, conn, k, &m));
    bool complete = k->origin != KEY_ORIGIN_EXTERNAL || m.count > 0;
    for (size_t i = 0; i < m.count; i++) {
        complete &= m.rows[i].imported || m.rows[i].pending;
    }
    *ret = complete;
    return SL_OK;
}

struct sl_rc kms_import_promoted(struct api_call *c, struct sqlite3 *conn,
                                 const struct key_row *k) {
    struct kms_imports m = {0};
    struct key_row changed = *k;
    TRY(import_list(conn, k->id, c->arena, &m.rows, &m.count, c->err));
    struct import_row *row = row_of(&m, k->material_id);
    ENSURE(row != NULL, c->err, SL_E_CORRUPT, "%.*s: its material is not listed",
           SLICE_FMT(k->arn));
    row->pending = false;
    TRY(import_put(conn, k->id, row, c->err));
    return import_store_key(conn, &changed, false, c->err);
}

struct sl_rc kms_imports_pending(struct api_call *c, const struct kms_imports *imports,
                                 struct rotation_row **list, size_t *count) {
    struct rotation_row *longer = arena_array(c->arena, *count + imports->count, sizeof *longer);
    ENSURE(longer != NULL || *count + imports->count == 0, c->err, SL_E_NOMEM, "Out of memory.");
    size_t n = *count;
    if (n > 0) {
        memcpy(longer, *list, n * sizeof *longer);
    }
    for (size_t i = 0; i < imports->count; i++) {
        if (imports->rows[i].pending) {
            longer[n++] = (struct rotation_row){.material_id = imports->rows[i].material_id};
        }
    }
    *list = longer;
    *count = n;
    return SL_OK;
}

static void put_expiry(struct jsonw *w, bool expires, int64_t valid_to_ms) {
    put_string(w, "ExpirationModel", slice_cstr(models[expires ? 0 : 1]));
    if (expires) {
        jsonw_name(w, "ValidTo");
        jsonw_epoch_ms(w, valid_to_ms);
    }
}

void kms_import_put_key(struct jsonw *w, const struct key_row *k) {
    if (k->origin == KEY_ORIGIN_EXTERNAL && k->state != KEY_PENDING_IMPORT) {
        put_expiry(w, k->expires_ms > 0, k->expires_ms);
    }
}

void kms_import_put(struct jsonw *w, const struct kms_imports *imports, struct slice material_id) {
    const struct import_row *r = row_of(imports, material_id);
    if (r == NULL) {
        return;
    }
    if (r->description.len > 0) {
        put_string(w, "KeyMaterialDescription", r->description);
    }
    put_string(w, "ImportState", slice_cstr(r->imported ? "IMPORTED" : "PENDING_IMPORT"));
    if (r->imported) {
        put_expiry(w, r->expires, r->valid_to_ms);
    }
}
