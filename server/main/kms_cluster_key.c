/* The warehouse's cluster key: a data key of the root key that the administrator chose, or of
 * alias/aws/redshift, made and opened for the account by Redshift, as AWS's own cluster does it.
 * The caller gives neither key nor context. */
#include "server/main/kms_service.h"

#include <stdio.h>
#include <time.h>

#include "lib/crypto/crypto.h"
#include "lib/ipc/seam_msg.h"
#include "server/api/kms/kms.h"

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

struct sl_rc kms_cluster_key(struct kms_rpc *r, struct slice payload, struct buf *out) {
    struct cluster_call c = {0};
    struct kms_made made = {0};
    SL_CLEANUP(secret_fini) struct secret plain = {0};
    SL_CLEANUP(buf_fini) struct buf blob = BUF_INIT(8192);
    struct slice key_id = SLICE_LIT("alias/aws/redshift");
    ENSURE(payload.len == 0, &r->err, SL_E_PARSE, "cluster key: payload not expected");
    TRY(begin(r, &c));
    struct sl_rc rc = kms_data_key(&c.call, key_id, "kms:GenerateDataKey", &c.context,
                                   CLUSTER_KEY_BYTES, false, &made, &plain, &blob);
    TRY(end(r, &c, "GenerateDataKey", key_id, rc));
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
    struct sl_rc rc = kms_decrypt(&c.call, SLICE_EMPTY, blob, &c.context, false, &made, &plain);
    TRY(end(r, &c, "Decrypt", SLICE_EMPTY, rc));
    buf_vec16(out, secret_view(&plain));
    return SL_OK;
}
