/* The seam's side of the kms process: hello, and framed calls of s3, gateway, postgres and the
 * supervisor. Which edge may ask what stands in one table; principals come from sessions that kms
 * itself made, never from the caller's fields. */
#include "server/main/kms_service.h"

#include <stdio.h>

#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/crypto/crypto.h"
#include "lib/ipc/seam_msg.h"
#include "server/api/kms/kms.h"

/* ---- Connections ---- */

enum { HELLO_MAX_BYTES = 256 };

static struct sl_rc write_frame(struct net_conn *c, uint8_t type, const struct buf *payload) {
    int64_t deadline = clock_mono_ms() + LIMIT_RPC_MS;
    uint32_t n = (uint32_t)payload->len + 1;
    uint8_t head[5] = {(uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n, type};
    TRY(net_write(c, slice_of(head, sizeof head), deadline));
    return payload->len > 0 ? net_write(c, buf_slice(payload), deadline) : SL_OK;
}

static struct sl_rc read_frame(struct net_conn *c, uint8_t *ret_type, struct buf *ret_payload) {
    int64_t deadline = clock_mono_ms() + LIMIT_RPC_MS;
    uint8_t head[5];
    TRY(net_read_exact(c, head, sizeof head, deadline));
    struct rdr r = rdr_of(slice_of(head, 4));
    size_t n = rdr_u32(&r);
    if (n < 1 || n > LIMIT_FRAME_BYTES) {
        return sl_rc_of(SL_E_PARSE);
    }
    n--;
    uint8_t *p = buf_reserve(ret_payload, n);
    if (n > 0 && p == NULL) {
        return sl_rc_of(SL_E_NOMEM);
    }
    if (n > 0) {
        TRY(net_read_exact(c, p, n, deadline));
        ret_payload->len += n;
    }
    *ret_type = head[4];
    return SL_OK;
}

static struct sl_rc check_hello(const struct kms_service *k, struct slice payload,
                                struct seam_hello *ret, struct sl_error *err) {
    TRY(seam_hello_get(payload, ret, err));
    bool ok = k->tokens.have[ret->edge] &&
              secret_equal(slice_of(ret->token, SEAM_TOKEN_LEN),
                           slice_of(k->tokens.token[ret->edge], SEAM_TOKEN_LEN));
    secret_wipe(ret->token, sizeof ret->token);
    ENSURE(ok, err, SL_E_ACCESS_DENIED, "The edge's token is not right.");
    return SL_OK;
}

struct sl_rc kms_hello(struct net_conn *c, struct net_peer *ret_peer, void *user) {
    struct kms_service *k = user;
    SL_CLEANUP(buf_fini) struct buf in = {.max = HELLO_MAX_BYTES, .wipe = true};
    SL_CLEANUP(buf_fini) struct buf out = BUF_INIT(4096);
    struct sl_error err = {0};
    struct seam_hello hello = {0};
    uint8_t type = 0;
    TRY(read_frame(c, &type, &in));
    struct sl_rc rc = type == SEAM_HELLO
                          ? check_hello(k, buf_slice(&in), &hello, &err)
                          : sl_fail(&err, SL_E_PARSE, "A connection starts with a hello.");
    if (sl_is_ok(rc) && !conf_peer_ok(k->conf, net_fd(c), hello.edge)) {
        rc = sl_fail(&err, SL_E_ACCESS_DENIED, "The process behind this connection is another.");
    }
    if (sl_failed(rc)) {
        sl_log(SL_WARN, "hello.refused", "edge=%d error=%s", hello.edge,
               SL_Q(slice_cstr(err.detail)));
        seam_failed_put(&out, rc.code, &err, SLICE_EMPTY, SLICE_EMPTY);
        sl_ignore(write_frame(c, SEAM_FAILED, &out));
        return rc;
    }
    struct net_peer peer = {
        .port = hello.peer_port,
        .tls = hello.peer_tls,
        .tls_minor = hello.peer_tls_minor,
        .edge = hello.edge,
        .mode = hello.mode,
    };
    memcpy(peer.ip, hello.peer_ip, sizeof peer.ip);
    memcpy(peer.cipher, hello.peer_cipher, sizeof peer.cipher);
    TRY(write_frame(c, SEAM_OK, &out));
    *ret_peer = peer;
    return SL_OK;
}

/* ---- Calls ---- */

/* A call on behalf of a session, as the operations' core sees it. */
struct on_behalf {
    struct auth_caller caller;
    struct api_call call;
    char request_id[37];
    const struct seam_check *first; /* of an authorize */
};

static void act(struct kms_rpc *r, struct on_behalf *b) {
    crypto_uuid(b->request_id);
    b->call = (struct api_call){
        .env = &r->env,
        .caller = &b->caller,
        .arena = r->arena,
        .err = &r->err,
        .request_id = b->request_id,
    };
}

static struct sl_rc open_session(struct kms_rpc *r, struct slice session, struct on_behalf *b) {
    TRY(auth_forward_open(&r->env, session, r->edge, r->arena, &r->err, &b->caller));
    act(r, b);
    return SL_OK;
}

static struct sl_rc end_use(struct kms_rpc *r, struct on_behalf *b, const char *name,
                            struct slice key_id, const struct context *context, struct sl_rc rc) {
    struct kms_event event = {"kms.amazonaws.com", slice_cstr(name), true, true};
    b->call.audit_request = kms_audit_use(&b->call, key_id, context);
    return kms_audit(r->service, &event, &b->call, rc);
}

/* ---- Authorize ---- */

/* What kms itself knows is not for the caller to fill in. */
static bool own_key(struct slice name) {
    static const char *const allowed[] = {"aws:RequestTag/", "aws:ResourceTag/", "aws:TagKeys",
                                          "aws:ResourceAccount", NULL};
    bool aws = slice_ieq(slice_sub(name, 0, 4), SLICE_LIT("aws:"));
    for (size_t i = 0; allowed[i] != NULL; i++) {
        struct slice a = slice_cstr(allowed[i]);
        if (slice_ieq(slice_sub(name, 0, a.len), a)) {
            return false;
        }
    }
    return aws || slice_ieq(slice_sub(name, 0, 4), SLICE_LIT("kms:"));
}

/* Repeated names become one key with several values. */
static struct sl_rc check_keys(struct kms_rpc *r, const struct seam_check *check,
                               struct policy_key **ret, size_t *ret_count) {
    size_t n = 0;
    struct policy_key *keys = arena_array(r->arena, check->key_count + 1, sizeof *keys);
    ENSURE(keys != NULL, &r->err, SL_E_NOMEM, "Out of memory.");
    for (size_t i = 0; i < check->key_count; i++) {
        struct slice name = check->keys[i].name;
        bool seen = own_key(name);
        for (size_t j = 0; j < n && !seen; j++) {
            seen = slice_ieq(keys[j].name, name);
        }
        if (seen) {
            continue;
        }
        struct slice *values = arena_array(r->arena, check->key_count - i, sizeof *values);
        ENSURE(values != NULL, &r->err, SL_E_NOMEM, "Out of memory.");
        size_t count = 0;
        for (size_t j = i; j < check->key_count; j++) {
            if (slice_ieq(check->keys[j].name, name)) {
                values[count++] = check->keys[j].value;
            }
        }
        keys[n++] = (struct policy_key){name, values, count};
    }
    *ret = keys;
    *ret_count = n;
    return SL_OK;
}

static struct sl_rc one_check(struct kms_rpc *r, struct on_behalf *b,
                              const struct seam_check *check, const struct policy *resource) {
    struct policy_key *keys = NULL;
    size_t n = 0;
    TRY(check_keys(r, check, &keys, &n));
    struct sl_rc rc = auth_decide(
        &r->env, &b->caller, check->action, check->resource, check->resource_account, resource,
        r->edge == SEAM_S3 ? POLICY_BUCKET : POLICY_IDENTITY, keys, n, r->arena, &r->err);
    /* The first check names the operation; further ones are part of it. */
    bool record = rc.code == SL_E_ACCESS_DENIED || (sl_is_ok(rc) && check == b->first);
    return record ? kms_audit_check(r->service, &b->call, check->action, check->resource, rc) : rc;
}

static void record_refused(struct kms_rpc *r, const struct seam_authorize *q, struct sl_rc rc) {
    char source[64];
    struct slice action = q->check_count > 0 ? q->checks[0].action : SLICE_EMPTY;
    size_t colon = slice_find(action, ':');
    snprintf(source, sizeof source, "%.*s.amazonaws.com", SLICE_FMT(slice_sub(q->service, 0, 40)));
    struct kms_refused f = {
        .event = {.source = source,
                  .name = colon < action.len ? slice_sub(action, colon + 1, action.len)
                                             : SLICE_LIT("Unknown"),
                  .read_only = true,
                  .key_use = true,
                  .data = slice_eq_cstr(q->service, "s3")},
        .env = &r->env,
        .arena = r->arena,
        .err = &r->err,
        .request_id = arena_cstr(r->arena, q->request_id),
        .source_ip = q->peer_ip,
        .query = q->request.query,
    };
    for (size_t i = 0; i < q->request.header_count; i++) {
        const struct sigv4_header *h = &q->request.headers[i];
        if (slice_ieq(h->name, SLICE_LIT("authorization"))) {
            f.authorization = h->value;
        } else if (slice_ieq(h->name, SLICE_LIT("user-agent"))) {
            f.user_agent = h->value;
        }
    }
    if (f.request_id != NULL) {
        kms_audit_refused(r->service, &f, rc);
    }
}

static struct sl_rc who_asks(struct kms_rpc *r, const struct seam_authorize *q, struct on_behalf *b,
                             struct secret *ret_signing_key) {
    if (q->session.len > 0) {
        TRY(open_session(r, q->session, b));
        b->caller.via_service = SLICE_EMPTY; /* the service's own request, not one it makes */
        for (size_t i = 0; i < q->request.header_count; i++) {
            if (slice_ieq(q->request.headers[i].name, SLICE_LIT("referer"))) {
                b->caller.referer = q->request.headers[i].value;
                break;
            }
        }
        return SL_OK;
    }
    char service[32];
    ENSURE(q->service.len > 0 && q->service.len < sizeof service, &r->err, SL_E_PARSE,
           "authorize: service");
    memcpy(service, q->service.ptr, q->service.len);
    service[q->service.len] = '\0';
    struct sl_rc rc =
        auth_verify(&r->env, &q->request, service, q->peer_ip, q->peer_tls, r->arena, &r->err,
                    &b->caller, ret_signing_key, &r->canonical, &r->string_to_sign);
    if (sl_failed(rc)) {
        record_refused(r, q, rc);
        return rc;
    }
    r->canonical = r->string_to_sign = SLICE_EMPTY;
    act(r, b);
    return SL_OK;
}

static struct sl_rc authorize(struct kms_rpc *r, struct slice payload, struct buf *out) {
    struct seam_authorize q = {0};
    struct on_behalf b = {0};
    const struct policy *resource = NULL;
    SL_CLEANUP(secret_fini) struct secret signing = {0};
    TRY(seam_authorize_get(payload, r->arena, &q, &r->err));
    TRY(who_asks(r, &q, &b, &signing));
    snprintf(b.request_id, sizeof b.request_id, "%.*s", SLICE_FMT(q.request_id));
    b.first = q.checks;
    if (q.resource_policy.len > 0) {
        struct sl_error why = {0};
        struct sl_rc rc = policy_parse(q.resource_policy, POLICY_BUCKET, r->arena, &why, &resource);
        ENSURE(!sl_failed(rc), &r->err, SL_E_CORRUPT, "bucket policy: %s", why.detail);
    }
    for (size_t i = 0; i < q.check_count; i++) {
        TRY(one_check(r, &b, &q.checks[i], resource));
    }
    char request_id[64];
    snprintf(request_id, sizeof request_id, "%.*s", SLICE_FMT(q.request_id));
    const struct policy_principal *p = &b.caller.who.principal;
    struct seam_granted g = {
        .anonymous = p->type == PRINCIPAL_ANONYMOUS,
        .account = p->account,
        .arn = p->arn,
        .user_id = p->user_id,
        .region = b.caller.region,
        .session = q.session,
        .signing_key = signing,
    };
    if (q.session.len == 0) {
        TRY(auth_forward_make(&r->env, &b.caller, r->edge, q.service, request_id, r->arena, &r->err,
                              &g.session));
    }
    seam_granted_put(out, &g);
    return SL_OK;
}

static struct sl_rc principals(struct kms_rpc *r, struct slice payload, struct buf *out) {
    struct rdr in = rdr_of(payload);
    const struct slice *names = NULL;
    size_t count = 0, i = 0;
    seam_list_get(&in, SEAM_PRINCIPALS_MAX, r->arena, &names, &count);
    TRY(rdr_end(&in, &r->err, "principals"));
    while (i < count && identity_exists(r->env.db, names[i])) {
        i++;
    }
    buf_u16(out, (uint16_t)i);
    return SL_OK;
}

/* ---- Data keys ---- */

enum { DATA_KEY_BYTES = 32 };

#define KEY_BUF(name_) SL_CLEANUP(buf_fini) struct buf name_ = {.max = 8192, .wipe = true}

static struct sl_rc data_key(struct kms_rpc *r, struct slice payload, struct buf *out) {
    struct rdr in = rdr_of(payload);
    struct slice session = rdr_vec16(&in), key_id = rdr_vec16(&in);
    struct context context = {0};
    struct on_behalf b = {0};
    struct kms_made made = {0};
    SL_CLEANUP(secret_fini) struct secret plain = {0};
    KEY_BUF(blob);
    seam_context_get(&in, r->arena, &context);
    TRY(rdr_end(&in, &r->err, "data key"));
    TRY(open_session(r, session, &b));
    if (key_id.len == 0) {
        key_id = SLICE_LIT("alias/aws/s3");
    }
    struct sl_rc rc = kms_data_key(&b.call, key_id, "kms:GenerateDataKey", &context, DATA_KEY_BYTES,
                                   false, &made, &plain, &blob);
    TRY(end_use(r, &b, "GenerateDataKey", key_id, &context, rc));
    buf_vec16(out, made.key.row.arn);
    buf_vec16(out, buf_slice(&blob));
    buf_vec16(out, secret_view(&plain));
    return SL_OK;
}

static struct sl_rc data_key_open(struct kms_rpc *r, struct slice payload, struct buf *out) {
    struct rdr in = rdr_of(payload);
    struct slice session = rdr_vec16(&in), arn = rdr_vec16(&in), blob = rdr_vec16(&in);
    struct context context = {0};
    struct on_behalf b = {0};
    struct kms_made made = {0};
    SL_CLEANUP(secret_fini) struct secret plain = {0};
    seam_context_get(&in, r->arena, &context);
    TRY(rdr_end(&in, &r->err, "data key"));
    TRY(open_session(r, session, &b));
    struct sl_rc rc = kms_decrypt(&b.call, arn, blob, &context, false, &made, &plain);
    TRY(end_use(r, &b, "Decrypt", arn, &context, rc));
    buf_vec16(out, secret_view(&plain));
    return SL_OK;
}

static struct sl_rc key_check(struct kms_rpc *r, struct slice payload, struct buf *out) {
    struct rdr in = rdr_of(payload);
    struct slice session = rdr_vec16(&in), key_id = rdr_vec16(&in), action = rdr_vec16(&in);
    struct context context = {0};
    struct on_behalf b = {0};
    struct kms_target t = {0};
    seam_context_get(&in, r->arena, &context);
    TRY(rdr_end(&in, &r->err, "key check"));
    TRY(open_session(r, session, &b));
    if (key_id.len == 0) {
        key_id = SLICE_LIT("alias/aws/s3");
    }
    char *wanted = arena_cstr(r->arena, action);
    ENSURE(wanted != NULL && slice_starts(action, SLICE_LIT("kms:")), &r->err, SL_E_PARSE,
           "key check: action");
    struct kms_want want = {.action = wanted,
                            .aliases = true,
                            .foreign = true,
                            .make_managed = true,
                            .algorithm = true,
                            .context = &context};
    struct sl_rc rc = kms_use(&b.call, key_id, &want, &t);
    if (!sl_failed(rc)) {
        rc = kms_need_enabled(&b.call, &t);
    }
    if (sl_failed(rc)) {
        TRY(end_use(r, &b, wanted + 4, key_id, &context, rc));
    }
    buf_vec16(out, t.row.arn);
    return SL_OK;
}

static void as_service(struct kms_rpc *r, struct on_behalf *b) {
    b->caller = (struct auth_caller){
        .who = {.principal = {.type = PRINCIPAL_SERVICE, .service = SLICE_LIT("s3.amazonaws.com")}},
        .tls = true,
        .region = r->env.region,
    };
    act(r, b);
}

static struct sl_rc service_key(struct kms_rpc *r, struct slice payload, struct buf *out) {
    struct rdr in = rdr_of(payload);
    struct context context = {0};
    struct on_behalf b = {0};
    SL_CLEANUP(secret_fini) struct secret plain = {0};
    KEY_BUF(blob);
    seam_context_get(&in, r->arena, &context);
    TRY(rdr_end(&in, &r->err, "service key"));
    as_service(r, &b);
    struct sl_rc rc = kms_service_key(&b.call, "s3", &context, &plain, &blob);
    TRY(end_use(r, &b, "GenerateDataKey", SLICE_EMPTY, &context, rc));
    buf_vec16(out, buf_slice(&blob));
    buf_vec16(out, secret_view(&plain));
    return SL_OK;
}

static struct sl_rc service_key_open(struct kms_rpc *r, struct slice payload, struct buf *out) {
    struct rdr in = rdr_of(payload);
    struct slice blob = rdr_vec16(&in);
    struct context context = {0};
    struct on_behalf b = {0};
    SL_CLEANUP(secret_fini) struct secret plain = {0};
    seam_context_get(&in, r->arena, &context);
    TRY(rdr_end(&in, &r->err, "service key"));
    as_service(r, &b);
    struct sl_rc rc = kms_service_key_open(&b.call, "s3", blob, &context, &plain);
    TRY(end_use(r, &b, "Decrypt", SLICE_EMPTY, &context, rc));
    buf_vec16(out, secret_view(&plain));
    return SL_OK;
}

/* ---- Service life ---- */

static struct sl_rc ping(struct kms_rpc *r, struct slice payload, struct buf *out) {
    return SL_OK;
}

static struct sl_rc audit_account(struct kms_rpc *r, struct slice account) {
    struct on_behalf b = {0};
    b.caller.who.principal.type = PRINCIPAL_SERVICE;
    b.caller.who.principal.service = SLICE_LIT("sealift");
    act(r, &b);
    b.call.audit_request = slice_cstr(arena_printf(
        r->arena, "{\"accountId\":\"%.*s\",\"userName\":\"admin\"}", SLICE_FMT(account)));
    struct kms_event event = {"iam.amazonaws.com", SLICE_LIT("CreateAccount"), false, false};
    return kms_audit(r->service, &event, &b.call, SL_OK);
}

/* The first account, with a given key, or a further one, with a key made here. */
static struct sl_rc bootstrap(struct kms_rpc *r, struct slice payload, struct buf *out) {
    struct rdr in = rdr_of(payload);
    bool again = rdr_u8(&in) != 0;
    struct slice account = rdr_vec16(&in);
    struct slice given_id = rdr_vec16(&in);
    struct slice given_secret = rdr_vec16(&in);
    bool given = given_id.len > 0;
    TRY(rdr_end(&in, &r->err, "bootstrap"));
    ENSURE(given == (given_secret.len > 0) && (given || again), &r->err, SL_E_VALIDATION,
           "The first account's access key is given by the supervisor.");
    ENSURE(again || slice_eq(account, r->env.account), &r->err, SL_E_VALIDATION,
           "The first account is %.*s.", SLICE_FMT(r->env.account));
    ENSURE(!again || !given || r->service->conf->ephemeral, &r->err, SL_E_VALIDATION,
           "An access key may be given on an ephemeral instance only.");
    SL_CLEANUP(secret_fini) struct secret key = {0};
    char id[33];
    TRY(given ? identity_bootstrap_given(r->env.db, r->env.keys, account, given_id, given_secret,
                                         &r->err)
              : identity_bootstrap(r->env.db, r->env.keys, account, id, &key, &r->err));
    TRY(audit_account(r, account));
    if (!again) {
        return SL_OK;
    }
    if (given) {
        TRY(secret_from(&key, given_secret));
    }
    struct seam_credentials made = {.access_key_id = given ? given_id : slice_cstr(id),
                                    .secret_access_key = key};
    seam_credentials_put(out, &made);
    return SL_OK;
}

/* ---- The table ---- */

#define EDGE(e_) (1u << (e_))

struct rpc {
    unsigned edges;
    struct sl_rc (*run)(struct kms_rpc *r, struct slice payload, struct buf *out);
};

static const struct rpc rpcs[] = {
    [SEAM_AUTHORIZE] = {EDGE(SEAM_S3) | EDGE(SEAM_GATEWAY), authorize},
    [SEAM_DATA_KEY] = {EDGE(SEAM_S3), data_key},
    [SEAM_DATA_KEY_OPEN] = {EDGE(SEAM_S3), data_key_open},
    [SEAM_KEY_CHECK] = {EDGE(SEAM_S3), key_check},
    [SEAM_SERVICE_KEY] = {EDGE(SEAM_S3), service_key},
    [SEAM_SERVICE_KEY_OPEN] = {EDGE(SEAM_S3), service_key_open},
    [SEAM_CLUSTER_CREDS] = {EDGE(SEAM_POSTGRES), kms_cluster_credentials},
    [SEAM_CLUSTER_ROLES] = {EDGE(SEAM_GATEWAY), kms_cluster_roles},
    [SEAM_CLUSTER_MODIFY] = {EDGE(SEAM_GATEWAY), kms_cluster_modify},
    [SEAM_CLUSTER_KEY] = {EDGE(SEAM_POSTGRES), kms_cluster_key},
    [SEAM_CLUSTER_KEY_OPEN] = {EDGE(SEAM_POSTGRES), kms_cluster_key_open},
    [SEAM_CLUSTER_ROTATED] = {EDGE(SEAM_POSTGRES), kms_cluster_rotated},
    [SEAM_CLUSTER_ENCRYPTION] = {EDGE(SEAM_GATEWAY), kms_cluster_encryption},
    [SEAM_PING] = {EDGE(SEAM_S3) | EDGE(SEAM_GATEWAY) | EDGE(SEAM_POSTGRES) | EDGE(SEAM_SUPERVISOR),
                   ping},
    [SEAM_BOOTSTRAP] = {EDGE(SEAM_SUPERVISOR), bootstrap},
    [SEAM_TLS] = {EDGE(SEAM_S3) | EDGE(SEAM_GATEWAY), kms_tls_identity},
    [SEAM_CA] = {EDGE(SEAM_SUPERVISOR), kms_tls_ca},
    [SEAM_AUDIT_CHECK] = {EDGE(SEAM_SUPERVISOR), kms_log_check},
    [SEAM_AUDIT_HEAD] = {EDGE(SEAM_SUPERVISOR), kms_log_head},
    [SEAM_BACKUP] = {EDGE(SEAM_SUPERVISOR), kms_backup_rpc},
    [SEAM_BACKUP_CHECK] = {EDGE(SEAM_SUPERVISOR), kms_backup_check_rpc},
    [SEAM_BACKUP_NOTE] = {EDGE(SEAM_SUPERVISOR), kms_backup_note_rpc},
    [SEAM_PRINCIPALS] = {EDGE(SEAM_S3), principals},
    [SEAM_CLOCK] = {EDGE(SEAM_SUPERVISOR), kms_clock_rpc},
    [SEAM_TLS_RENEW] = {EDGE(SEAM_SUPERVISOR), kms_tls_renew},
    [SEAM_TLS_OWN] = {EDGE(SEAM_SUPERVISOR), kms_tls_own},
    [SEAM_RESET] = {EDGE(SEAM_GATEWAY), kms_reset_rpc},
};

struct sl_rc kms_rpc_run(struct kms_rpc *r, uint8_t type, struct slice payload, struct buf *out) {
    ENSURE(type < sizeof rpcs / sizeof *rpcs && rpcs[type].run != NULL, &r->err, SL_E_PARSE,
           "Unknown request %d.", type);
    ENSURE(rpcs[type].edges & EDGE(r->edge), &r->err, SL_E_ACCESS_DENIED,
           "Request %d is not for this edge.", type);
    TRY(rpcs[type].run(r, payload, out));
    return buf_check(out, &r->err);
}

static struct sl_rc answer(struct kms_service *k, struct net_conn *c, uint8_t type,
                           struct slice payload) {
    SL_CLEANUP(buf_fini) struct buf out = {.max = LIMIT_FRAME_BYTES - 1, .wipe = true};
    SL_CLEANUP(arena_fini) struct arena arena = ARENA_INIT(LIMIT_REQUEST_ARENA_BYTES);
    arena.wipe = true;
    struct kms_rpc r = {.service = k, .edge = net_peer(c)->edge, .arena = &arena};
    struct sl_rc rc = kms_env_begin(k, &r.env, &r.err);
    if (!sl_failed(rc)) {
        rc = kms_rpc_run(&r, type, payload, &out);
        kms_env_end(k, &r.env);
    }
    if (!sl_failed(rc)) {
        return write_frame(c, SEAM_OK, &out);
    }
    if (sl_code_info(rc.code)->http_status >= 500 && rc.code != SL_E_SEALED) {
        sl_log(SL_ERROR, "call.failed", "call=%d edge=%d code=%s error=%s", type, r.edge,
               sl_code_info(rc.code)->name, SL_Q(slice_cstr(r.err.detail)));
    }
    buf_reset(&out);
    seam_failed_put(&out, rc.code, &r.err, r.canonical, r.string_to_sign);
    return out.failed ? sl_rc_of(SL_E_LIMIT) : write_frame(c, SEAM_FAILED, &out);
}

enum net_verdict kms_serve(struct net_conn *c, void *user) {
    struct kms_service *k = user;
    if (net_peer(c)->mode == SEAM_HTTP) {
        return http_serve(c, &k->http);
    }
    if (net_peer(c)->mode == SEAM_CALLS) {
        return net_peer(c)->edge == SEAM_S3 ? kms_calls_serve(c, k) : NET_CLOSE;
    }
    SL_CLEANUP(buf_fini) struct buf in = {.max = LIMIT_FRAME_BYTES, .wipe = true};
    uint8_t type = 0;
    if (sl_failed(read_frame(c, &type, &in))) {
        return NET_CLOSE;
    }
    return sl_failed(answer(k, c, type, buf_slice(&in))) ? NET_CLOSE : NET_KEEP;
}
