/* The warehouse's cluster key: a data key of the root key that the administrator chose, or of
 * alias/aws/redshift, made and opened for the account by Redshift, as AWS's own cluster does it.
 * The caller gives neither key nor context. */
#include "server/main/kms_service.h"

#include <stdio.h>
#include <time.h>

#include "lib/crypto/crypto.h"
#include "lib/ipc/seam_msg.h"
#include "server/api/kms/kms.h"
#include "server/store/keys/keys.h"

enum { CLUSTER_KEY_BYTES = 32 };

struct cluster_call {
    struct auth_caller caller;
    struct api_call call;
    struct context_pair pairs[2];
    struct context context;
    char request_id[37], created[32];
};

/* The account itself, through Redshift: the key's policy decides, and whatever it says of
 * kms:ViaService counts. */
static struct sl_rc begin(struct kms_rpc *r, struct cluster_call *c) {
    const struct conf *conf = r->service->conf;
    time_t created = (time_t)conf->created_s;
    struct tm tm;
    char *root = arena_printf(r->arena, "arn:aws:iam::%s:root", conf->account);
    char *via = arena_printf(r->arena, "redshift.%s.amazonaws.com", conf->region);
    char *arn = arena_printf(r->arena, "arn:aws:redshift:%s:%s:cluster:%s", conf->region,
                             conf->account, conf->cluster);
    ENSURE(root && via && arn && gmtime_r(&created, &tm) != NULL, &r->err, SL_E_NOMEM,
           "Out of memory.");
    strftime(c->created, sizeof c->created, "%Y%m%dT%H%MZ", &tm);
    c->pairs[0] = (struct context_pair){SLICE_LIT("aws:redshift:arn"), slice_cstr(arn)};
    c->pairs[1] =
        (struct context_pair){SLICE_LIT("aws:redshift:createtime"), slice_cstr(c->created)};
    c->context = (struct context){c->pairs, 2};
    c->caller = (struct auth_caller){
        .who = {.principal = {.type = PRINCIPAL_ROOT,
                              .account = slice_cstr(conf->account),
                              .arn = slice_cstr(root),
                              .user_id = slice_cstr(conf->account)}},
        .tls = true,
        .region = slice_cstr(conf->region),
        .via_service = slice_cstr(via),
    };
    crypto_uuid(c->request_id);
    c->call = (struct api_call){.env = &r->env,
                                .caller = &c->caller,
                                .arena = r->arena,
                                .err = &r->err,
                                .request_id = c->request_id};
    return SL_OK;
}

static struct sl_rc end(struct kms_rpc *r, struct cluster_call *c, const char *name,
                        struct slice key_id, struct sl_rc rc) {
    struct kms_event event = {"kms.amazonaws.com", slice_cstr(name), true, true};
    c->call.audit_request = kms_audit_use(&c->call, key_id, &c->context);
    return kms_audit(r->service, &event, &c->call, rc);
}

/* ---- What kms keeps of it: the root key's ARN, and whether a rotation runs ---- */

static const char kept_name[] = "cluster";

static struct sl_rc load(struct kms_rpc *r, bool *ret_found, struct slice *ret_arn,
                         bool *ret_rotating) {
    struct sqlite3 *conn = NULL;
    struct slice more = SLICE_EMPTY;
    TRY(kms_db_read(r->env.db, &conn, &r->err));
    struct sl_rc rc = keys_kept_get(conn, kept_name, r->arena, ret_found, ret_arn, &more, &r->err);
    kms_db_read_end(r->env.db, conn);
    *ret_rotating = *ret_found && more.len == 1 && more.ptr[0] != 0;
    return rc;
}

static struct sl_rc keep(struct kms_rpc *r, struct slice arn, bool rotating) {
    struct sqlite3 *conn = NULL;
    uint8_t more = rotating ? 1 : 0;
    TRY(kms_db_write(r->env.db, &conn, &r->err));
    struct sl_rc rc = keys_kept_set(conn, kept_name, arn, slice_of(&more, 1), &r->err);
    struct sl_rc end = kms_db_write_end(r->env.db, conn, !sl_failed(rc), &r->err);
    return sl_failed(rc) ? rc : end;
}

/* ---- The calls ---- */

/* A throw-away instance's hangs on Redshift's own key, which a reset leaves and no list shows. */
static bool by_service(const struct kms_rpc *r) {
    return r->service->conf->ephemeral && r->service->conf->warehouse_key == NULL;
}

struct sl_rc kms_cluster_key(struct kms_rpc *r, struct slice payload, struct buf *out) {
    struct cluster_call c = {0};
    struct kms_made made = {0};
    bool found = false, rotating = false;
    SL_CLEANUP(secret_fini) struct secret plain = {0};
    SL_CLEANUP(buf_fini) struct buf blob = BUF_INIT(8192);
    struct slice key_id = SLICE_EMPTY;
    ENSURE(payload.len == 0, &r->err, SL_E_PARSE, "cluster key: payload not expected");
    TRY(load(r, &found, &key_id, &rotating));
    if (r->service->conf->warehouse_key != NULL) {
        key_id = slice_cstr(r->service->conf->warehouse_key);
    } else if (key_id.len == 0) {
        key_id = SLICE_LIT("alias/aws/redshift");
    }
    TRY(begin(r, &c));
    struct sl_rc rc = by_service(r)
                          ? kms_service_key(&c.call, "redshift", &c.context, &plain, &blob)
                          : kms_data_key(&c.call, key_id, "kms:GenerateDataKey", &c.context,
                                         CLUSTER_KEY_BYTES, false, &made, &plain, &blob);
    TRY(end(r, &c, "GenerateDataKey", key_id, rc));
    TRY(keep(r, c.call.audit_resource, found));
    buf_vec16(out, buf_slice(&blob));
    buf_vec16(out, secret_view(&plain));
    return SL_OK;
}

struct sl_rc kms_cluster_key_open(struct kms_rpc *r, struct slice payload, struct buf *out) {
    struct rdr in = rdr_of(payload);
    struct slice blob = rdr_vec16(&in);
    struct cluster_call c = {0};
    struct kms_made made = {0};
    SL_CLEANUP(secret_fini) struct secret plain = {0};
    TRY(rdr_end(&in, &r->err, "cluster key"));
    TRY(begin(r, &c));
    struct sl_rc rc =
        by_service(r) ? kms_service_key_open(&c.call, "redshift", blob, &c.context, &plain)
                      : kms_decrypt(&c.call, SLICE_EMPTY, blob, &c.context, false, &made, &plain);
    TRY(end(r, &c, "Decrypt", c.call.audit_resource, rc));
    buf_vec16(out, secret_view(&plain));
    return SL_OK;
}

struct sl_rc kms_cluster_rotated(struct kms_rpc *r, struct slice payload, struct buf *out) {
    struct slice arn = SLICE_EMPTY;
    bool found = false, rotating = false;
    ENSURE(payload.len == 0, &r->err, SL_E_PARSE, "cluster key: payload not expected");
    TRY(load(r, &found, &arn, &rotating));
    return rotating ? keep(r, arn, false) : SL_OK;
}

struct sl_rc kms_cluster_encryption(struct kms_rpc *r, struct slice payload, struct buf *out) {
    struct slice arn = SLICE_EMPTY;
    bool found = false, rotating = false;
    ENSURE(payload.len == 0, &r->err, SL_E_PARSE, "cluster key: payload not expected");
    TRY(load(r, &found, &arn, &rotating));
    buf_vec16(out, by_service(r) ? SLICE_EMPTY : arn);
    buf_u8(out, rotating ? 1 : 0);
    return SL_OK;
}
