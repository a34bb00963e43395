/* New keys: a customer's, the account's alias/aws/…, and S3's own service key. */
#include "server/api/kms/kms_in.h"

#include "lib/crypto/crypto.h"

struct sl_rc kms_material(struct api_call *c, struct key_row *row) {
    SL_CLEANUP(buf_fini) struct buf record = BUF_INIT(64 * 1024);
    char material[65];
    const char *arn =
        arena_printf(c->arena, "arn:aws:kms:%.*s:%.*s:key/%.*s", SLICE_FMT(row->region),
                     SLICE_FMT(row->account), SLICE_FMT(row->id));
    ENSURE(arn != NULL, c->err, SL_E_NOMEM, "Out of memory.");
    if (row->origin == KEY_ORIGIN_EXTERNAL) {
        material[0] = '\0';
        TRY(keyholder_key_create_empty(c->env->keys, slice_cstr(arn), &record, c->err));
    } else {
        TRY(keyholder_key_create(c->env->keys, slice_cstr(arn), &record, material, c->err));
    }
    row->arn = slice_cstr(arn);
    row->record = arena_copy(c->arena, buf_slice(&record));
    row->material_id = arena_copy(c->arena, slice_cstr(material));
    ENSURE(row->record.ptr && row->material_id.ptr, c->err, SL_E_NOMEM, "Out of memory.");
    return SL_OK;
}

/* The services that have a key of AWS in each account and region, named alias/aws/…. */
struct managed {
    const char *service;
    const char *description;
    const char *policy_id;
    const char *called; /* as the policy calls it */
    const char *actions;
};
static const struct managed managed[] = {
    {"s3", "Default key that protects my S3 objects when no other key is defined", "auto-s3-2",
     "S3", "\"kms:GenerateDataKey*\", \"kms:DescribeKey\""},
    {"redshift", "Default key that protects my Redshift clusters when no other key is defined",
     "auto-redshift-1", "RedShift",
     "\"kms:GenerateDataKey*\", \"kms:CreateGrant\", \"kms:DescribeKey\""},
};

static const struct managed *managed_of(struct slice alias) {
    struct slice start = SLICE_LIT("alias/aws/");
    for (size_t i = 0; i < sizeof managed / sizeof *managed; i++) {
        if (slice_starts(alias, start) &&
            slice_eq_cstr(slice_sub(alias, start.len, alias.len), managed[i].service)) {
            return &managed[i];
        }
    }
    return NULL;
}

bool kms_is_managed(struct slice alias) {
    return managed_of(alias) != NULL;
}

/* AWS's policy of such a key: its service for the account's own principals; the account may look.
 */
static struct slice managed_policy(struct api_call *c, const struct managed *m) {
    struct slice region = c->caller->region, account = c->caller->who.principal.account;
    char *text = arena_printf(
        c->arena,
        "{\n  \"Version\" : \"2012-10-17\",\n  \"Id\" : \"%s\",\n  \"Statement\" : [ {\n"
        "    \"Sid\" : \"Allow access through %s for all principals in the account that are "
        "authorized to use %s\",\n"
        "    \"Effect\" : \"Allow\",\n    \"Principal\" : {\n      \"AWS\" : \"*\"\n    },\n"
        "    \"Action\" : [ \"kms:Encrypt\", \"kms:Decrypt\", \"kms:ReEncrypt*\", %s ],\n"
        "    \"Resource\" : \"*\",\n    \"Condition\" : {\n      \"StringEquals\" : {\n"
        "        \"kms:CallerAccount\" : \"%.*s\",\n"
        "        \"kms:ViaService\" : \"%s.%.*s.amazonaws.com\"\n      }\n    }\n  }, {\n"
        "    \"Sid\" : \"Allow direct access to key metadata to the account\",\n"
        "    \"Effect\" : \"Allow\",\n    \"Principal\" : {\n"
        "      \"AWS\" : \"arn:aws:iam::%.*s:root\"\n    },\n"
        "    \"Action\" : [ \"kms:Describe*\", \"kms:Get*\", \"kms:List*\" ],\n"
        "    \"Resource\" : \"*\"\n  } ]\n}",
        m->policy_id, m->called, m->called, m->actions, SLICE_FMT(account), m->service,
        SLICE_FMT(region), SLICE_FMT(account));
    return slice_cstr(text);
}

/* Key and alias in one transaction; whoever comes second finds the first one's. */
static struct sl_rc make_named(struct api_call *c, struct slice alias, struct key_row *row) {
    struct sqlite3 *conn = NULL;
    TRY(kms_db_write(c->env->db, &conn, c->err));
    struct alias_row named = {0};
    bool found = false;
    struct sl_rc rc = keys_alias_get(conn, row->account, row->region, alias, c->env->now_ms,
                                     c->arena, &found, &named, c->err);
    if (!sl_failed(rc) && found) {
        rc = keys_get(conn, row->account, row->region, named.key_id, c->env->now_ms, c->arena,
                      &found, row, c->err);
    } else if (!sl_failed(rc)) {
        rc = kms_material(c, row);
        if (!sl_failed(rc)) {
            rc = keys_insert(conn, row, c->err);
        }
        if (!sl_failed(rc)) {
            named = (struct alias_row){alias, row->id, row->created_ms, row->created_ms};
            rc = keys_alias_insert(conn, row->account, row->region, &named, c->err);
        }
    }
    struct sl_rc end = kms_db_write_end(c->env->db, conn, !sl_failed(rc), c->err);
    return sl_failed(rc) ? rc : end;
}

static struct slice new_id(struct api_call *c) {
    char id[37];
    crypto_uuid(id);
    return arena_copy(c->arena, slice_cstr(id));
}

struct sl_rc kms_managed_make(struct api_call *c, struct slice alias, struct key_row *ret) {
    const struct managed *m = managed_of(alias);
    sl_assert(m != NULL);
    struct key_row row = {
        .id = new_id(c),
        .account = c->caller->who.principal.account,
        .region = c->caller->region,
        .description = slice_cstr(m->description),
        .policy = managed_policy(c, m),
        .state = KEY_ENABLED,
        .manager = KEY_AWS,
        .created_ms = c->env->now_ms,
        .rotation_days = KMS_ROTATION_DAYS,
        .rotation_ms = c->env->now_ms + KMS_ROTATION_DAYS * KMS_DAY_MS,
        .origin = KEY_ORIGIN_KMS,
    };
    ENSURE(row.id.ptr && row.policy.ptr, c->err, SL_E_NOMEM, "Out of memory.");
    ENSURE(row.account.len > 0, c->err, SL_E_ACCESS_DENIED, "Access Denied");
    TRY(make_named(c, alias, &row));
    *ret = row;
    return SL_OK;
}

static struct sl_rc service_row(struct api_call *c, const char *service, bool make,
                                struct key_row *ret) {
    struct sqlite3 *conn = NULL;
    struct alias_row alias = {0};
    bool found = false;
    /* An account that no principal and no ARN of the API can name. */
    struct slice account = slice_cstr(arena_printf(c->arena, "%s.amazonaws.com", service));
    struct slice name = slice_cstr(arena_printf(c->arena, "service/%s", service));
    ENSURE(account.ptr && name.ptr, c->err, SL_E_NOMEM, "Out of memory.");
    TRY(kms_db_read(c->env->db, &conn, c->err));
    struct sl_rc rc = keys_alias_get(conn, account, c->env->region, name, c->env->now_ms, c->arena,
                                     &found, &alias, c->err);
    if (!sl_failed(rc) && found) {
        rc = keys_get(conn, account, c->env->region, alias.key_id, c->env->now_ms, c->arena, &found,
                      ret, c->err);
    }
    kms_db_read_end(c->env->db, conn);
    TRY(rc);
    if (found) {
        c->audit_resource = ret->arn;
        return SL_OK;
    }
    ENSURE(make, c->err, SL_E_KMS_INVALID_CIPHERTEXT, "%s", "");
    struct key_row row = {
        .id = new_id(c),
        .account = account,
        .region = c->env->region,
        .description = SLICE_LIT("The service's own key"),
        .policy = SLICE_LIT("{}"),
        .state = KEY_ENABLED,
        .manager = KEY_SERVICE,
        .created_ms = c->env->now_ms,
        .rotation_days = KMS_ROTATION_DAYS,
        .rotation_ms = c->env->now_ms + KMS_ROTATION_DAYS * KMS_DAY_MS,
        .origin = KEY_ORIGIN_KMS,
    };
    ENSURE(row.id.ptr != NULL, c->err, SL_E_NOMEM, "Out of memory.");
    TRY(make_named(c, name, &row));
    c->audit_resource = row.arn;
    *ret = row;
    return SL_OK;
}

enum { DATA_KEY_BYTES = 32 };

struct sl_rc kms_service_key(struct api_call *c, const char *service, const struct context *context,
                             struct secret *ret_plaintext, struct buf *ret_blob) {
    struct key_row row = {0};
    char material[65];
    TRY(service_row(c, service, true, &row));
    return keyholder_data_key(c->env->keys, row.record, context, DATA_KEY_BYTES, ret_plaintext,
                              ret_blob, material, c->err);
}

struct sl_rc kms_service_key_open(struct api_call *c, const char *service, struct slice blob,
                                  const struct context *context, struct secret *ret_plaintext) {
    struct key_row row = {0};
    char material[65];
    TRY(service_row(c, service, false, &row));
    return keyholder_decrypt(c->env->keys, row.record, context, blob, ret_plaintext, material,
                             c->err);
}
