/* Audit records in CloudTrail's shape (docs/decisions/4-audit-record.md). Texts from requests are
 * written by the JSON writer, so no newline or tab gets in. */
#include "server/main/kms_service.h"

#include <stdio.h>

#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/crypto/crypto.h"
#include "server/net/net.h"

enum { AGENT_KEPT = 512, HOST_KEPT = 256 };

static void put(struct jsonw *w, const char *name, struct slice v) {
    jsonw_name(w, name);
    jsonw_string(w, v);
}

static void put_if(struct jsonw *w, const char *name, struct slice v) {
    if (v.len > 0) {
        put(w, name, v);
    }
}

static void put_issuer(struct jsonw *w, const struct policy_principal *p) {
    size_t slash = p->role_arn.len;
    while (slash > 0 && p->role_arn.ptr[slash - 1] != '/') {
        slash--;
    }
    jsonw_name(w, "sessionIssuer");
    jsonw_object_begin(w);
    put(w, "type", SLICE_LIT("Role"));
    put(w, "principalId", slice_sub(p->user_id, 0, slice_find(p->user_id, ':')));
    put(w, "arn", p->role_arn);
    put(w, "accountId", p->account);
    put(w, "userName", slice_sub(p->role_arn, slash, p->role_arn.len));
    jsonw_object_end(w);
}

/* Of temporary credentials. */
static void put_session(struct jsonw *w, const struct auth_caller *caller) {
    const struct policy_principal *p = &caller->who.principal;
    char issued[21];
    clock_iso(p->token_issued_s, issued);
    jsonw_name(w, "sessionContext");
    jsonw_object_begin(w);
    if (p->type == PRINCIPAL_ROLE_SESSION) {
        put_issuer(w, p);
    }
    jsonw_name(w, "attributes");
    jsonw_object_begin(w);
    jsonw_name(w, "creationDate");
    jsonw_cstr(w, issued);
    put(w, "mfaAuthenticated", SLICE_LIT("false"));
    jsonw_object_end(w);
    if (caller->sts != NULL) {
        put_if(w, "sourceIdentity", caller->sts->source_identity);
    }
    jsonw_object_end(w);
}

static void put_principal(struct jsonw *w, const struct auth_caller *caller) {
    const struct policy_principal *p = &caller->who.principal;
    put(w, "principalId", p->type == PRINCIPAL_ROOT ? p->account : p->user_id);
    put(w, "arn", p->arn);
    put(w, "accountId", p->account);
    put_if(w, "accessKeyId", caller->who.access_key_id);
    put_if(w, "userName", p->user_name);
    if (p->type == PRINCIPAL_ROLE_SESSION || caller->sts != NULL) {
        put_session(w, caller);
    }
    if (caller->via_service.len > 0) {
        /* "s3.us-east-1.amazonaws.com" */
        char by[64];
        size_t dot = slice_find(caller->via_service, '.');
        snprintf(by, sizeof by, "%.*s.amazonaws.com",
                 SLICE_FMT(slice_sub(caller->via_service, 0, dot < 40 ? dot : 40)));
        put(w, "invokedBy", slice_cstr(by));
    }
}

static void put_identity(struct jsonw *w, const struct auth_caller *caller) {
    static const char *const types[] = {[PRINCIPAL_ANONYMOUS] = "AWSAccount",
                                        [PRINCIPAL_ROOT] = "Root",
                                        [PRINCIPAL_USER] = "IAMUser",
                                        [PRINCIPAL_ROLE_SESSION] = "AssumedRole",
                                        [PRINCIPAL_SERVICE] = "AWSService"};
    const struct policy_principal *p = &caller->who.principal;
    jsonw_name(w, "userIdentity");
    jsonw_object_begin(w);
    if (p->type == PRINCIPAL_ANONYMOUS && caller->who.access_key_id.len > 0) {
        /* Claimed, and not proven. */
        put(w, "type", SLICE_LIT("Unknown"));
        put(w, "accessKeyId", caller->who.access_key_id);
        jsonw_object_end(w);
        return;
    }
    put(w, "type", slice_cstr(types[p->type]));
    if (p->type == PRINCIPAL_SERVICE) {
        put(w, "invokedBy", p->service);
    } else if (p->type == PRINCIPAL_ANONYMOUS) {
        put(w, "principalId", SLICE_EMPTY);
        put(w, "accountId", SLICE_LIT("ANONYMOUS_PRINCIPAL"));
    } else {
        put_principal(w, caller);
    }
    jsonw_object_end(w);
}

/* Whose resource it is, as its ARN says; S3's don't. */
static struct slice arn_part(struct slice arn, int part) {
    for (; part > 0; part--) {
        arn = slice_sub(arn, slice_find(arn, ':') + 1, arn.len);
    }
    return slice_sub(arn, 0, slice_find(arn, ':'));
}

static const char *resource_type(struct slice arn) {
    static const struct {
        const char *service, *begins, *type;
    } types[] = {
        {"kms", "key/", "AWS::KMS::Key"},     {"kms", "alias/", "AWS::KMS::Alias"},
        {"iam", "user/", "AWS::IAM::User"},   {"iam", "role/", "AWS::IAM::Role"},
        {"iam", "group/", "AWS::IAM::Group"}, {"iam", "policy/", "AWS::IAM::Policy"},
        {"s3", "", "AWS::S3::Bucket"},        {"redshift", "cluster", "AWS::Redshift::Cluster"},
    };
    struct slice service = arn_part(arn, 2), rest = arn;
    for (int i = 0; i < 5; i++) {
        rest = slice_sub(rest, slice_find(rest, ':') + 1, rest.len);
    }
    if (slice_eq_cstr(service, "s3") && slice_find(rest, '/') < rest.len) {
        return "AWS::S3::Object";
    }
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (slice_eq_cstr(service, types[i].service) &&
            slice_starts(rest, slice_cstr(types[i].begins))) {
            return types[i].type;
        }
    }
    return NULL;
}

static void put_resources(struct jsonw *w, struct slice arn) {
    const char *type = resource_type(arn);
    jsonw_name(w, "resources");
    jsonw_array_begin(w);
    jsonw_object_begin(w);
    put_if(w, "accountId", arn_part(arn, 4));
    if (type != NULL) {
        put(w, "type", slice_cstr(type));
    }
    put(w, "ARN", arn);
    jsonw_object_end(w);
    jsonw_array_end(w);
}

static void put_tls(struct jsonw *w, const struct net_peer *peer, struct slice host) {
    if (peer == NULL || peer->tls_minor == 0) {
        return;
    }
    jsonw_name(w, "tlsDetails");
    jsonw_object_begin(w);
    put(w, "tlsVersion", peer->tls_minor == 3 ? SLICE_LIT("TLSv1.3") : SLICE_LIT("TLSv1.2"));
    put(w, "cipherSuite", slice_cstr(peer->cipher));
    put_if(w, "clientProvidedHostHeader", slice_sub(host, 0, HOST_KEPT));
    jsonw_object_end(w);
}

static void put_outcome(struct jsonw *w, const struct kms_event *e, const struct api_call *c,
                        struct sl_rc rc) {
    jsonw_name(w, "responseElements");
    kms_audit_response(w, e, c, rc);
    if (sl_failed(rc)) {
        jsonw_name(w, "errorCode");
        jsonw_cstr(w, sl_code_info(rc.code)->wire);
        put_if(w, "errorMessage", slice_cstr(sl_error_message(c->err, rc.code)));
    }
    if (c->audit_more.len > 0) {
        jsonw_name(w, "additionalEventData");
        jsonw_raw(w, c->audit_more);
    }
    if (c->audit_resource.len > 0) {
        put_resources(w, c->audit_resource);
    }
}

/* A record for one account; `shared` ties it to the record of the other account's, or is empty. */
struct record {
    const struct kms_event *event;
    const struct api_call *call;
    struct sl_rc rc;
    struct slice recipient;
    struct slice shared;
};

static void put_record(struct buf *out, const struct record *r) {
    const struct kms_event *e = r->event;
    const struct auth_caller *caller = r->call->caller;
    char when[21], id[37];
    clock_iso(r->call->env->real_ms / 1000, when);
    crypto_uuid(id);
    struct jsonw w = jsonw_of(out);
    jsonw_object_begin(&w);
    put(&w, "eventVersion", SLICE_LIT("1.11"));
    put_identity(&w, caller);
    put(&w, "eventTime", slice_cstr(when));
    put(&w, "eventSource", slice_cstr(e->source));
    put(&w, "eventName", e->name);
    put(&w, "awsRegion", caller->region.len > 0 ? caller->region : r->call->env->region);
    put(&w, "sourceIPAddress",
        caller->who.principal.type == PRINCIPAL_SERVICE ? caller->who.principal.service
                                                        : caller->source_ip);
    put_if(&w, "userAgent", slice_sub(caller->user_agent, 0, AGENT_KEPT));
    jsonw_name(&w, "requestParameters");
    kms_audit_request(&w, r->call);
    put_outcome(&w, e, r->call, r->rc);
    put(&w, "requestID", slice_cstr(r->call->request_id));
    put(&w, "eventID", slice_cstr(id));
    jsonw_name(&w, "readOnly");
    jsonw_bool(&w, e->read_only);
    put(&w, "eventType", e->by_service ? SLICE_LIT("AwsServiceEvent") : SLICE_LIT("AwsApiCall"));
    jsonw_name(&w, "managementEvent");
    jsonw_bool(&w, !e->data);
    put(&w, "recipientAccountId", r->recipient);
    put_if(&w, "sharedEventID", r->shared);
    put(&w, "eventCategory", e->data ? SLICE_LIT("Data") : SLICE_LIT("Management"));
    put_tls(&w, e->peer, e->host);
    jsonw_object_end(&w);
}

static void add_record(struct kms_trail *t, const struct record *r) {
    size_t at = t->text.len;
    put_record(&t->text, r);
    if (t->text.failed || t->text.len - at > LIMIT_AUDIT_RECORD_BYTES) {
        /* Too long a request: who, what and how it ended are kept. */
        struct api_call brief = *r->call;
        struct record again = *r;
        brief.audit_request = SLICE_LIT("{\"omitted\":\"too long\"}");
        brief.audit_response = SLICE_EMPTY;
        brief.out = NULL;
        again.call = &brief;
        t->text.len = at;
        t->text.failed = false;
        put_record(&t->text, &again);
    }
    /* A call that changes nothing, or was refused, may share a flush. */
    t->flush |= !r->event->key_use && !r->event->read_only && !sl_failed(r->rc);
    t->ends[t->count++] = t->text.len;
}

/* The caller's account has the record; where the key or role is another's, and may be used, that
 * account has one too. */
static void add_records(struct kms_trail *t, const struct kms_event *e, const struct api_call *c,
                        struct sl_rc rc) {
    const struct policy_principal *p = &c->caller->who.principal;
    struct slice owner = arn_part(c->audit_resource, 4);
    struct record r = {e, c, rc, p->account, SLICE_EMPTY};
    char shared[37];
    if (r.recipient.len == 0) {
        r.recipient = e->account.len > 0 ? e->account : owner.len > 0 ? owner : c->env->account;
    }
    bool two = owner.len > 0 && !slice_eq(owner, r.recipient) && rc.code != SL_E_ACCESS_DENIED;
    if (two) {
        crypto_uuid(shared);
        r.shared = slice_cstr(shared);
    }
    add_record(t, &r);
    if (two) {
        r.recipient = owner;
        add_record(t, &r);
    }
}

/* Whoever has no key can't fill the log: LIMIT_AUDIT_REFUSED_BURST at once, one in
 * LIMIT_AUDIT_REFUSED_EVERY_MS for long; the rest are counted in the next. */
static bool may_record(struct kms_service *k) {
    long long now = clock_mono_ms(), next = atomic_load(&k->refused_next_ms), then;
    do {
        then = (next > now ? next : now) + LIMIT_AUDIT_REFUSED_EVERY_MS;
        if (then - now > (long long)LIMIT_AUDIT_REFUSED_BURST * LIMIT_AUDIT_REFUSED_EVERY_MS) {
            atomic_fetch_add(&k->refused_unrecorded, 1);
            return false;
        }
    } while (!atomic_compare_exchange_weak(&k->refused_next_ms, &next, then));
    return !audit_is_short(k->audit);
}

void kms_trail_init(struct kms_trail *t) {
    t->text = BUF_INIT(4 * LIMIT_AUDIT_RECORD_BYTES);
    t->count = 0;
    t->flush = false;
}

void kms_trail_add(struct kms_service *k, struct kms_trail *t, const struct kms_event *e,
                   const struct api_call *c, struct sl_rc rc) {
    sl_assert(!kms_trail_full(t));
    if (c->caller->who.principal.type != PRINCIPAL_ANONYMOUS || sl_is_ok(rc) || may_record(k)) {
        add_records(t, e, c, rc);
    }
}

bool kms_trail_full(const struct kms_trail *t) {
    return t->count + 2 > KMS_TRAIL_RECORDS || t->text.len > LIMIT_AUDIT_RECORD_BYTES / 2;
}

struct sl_rc kms_trail_write(struct kms_service *k, struct kms_trail *t, struct sl_error *err) {
    struct slice records[KMS_TRAIL_RECORDS];
    for (size_t i = 0; i < t->count; i++) {
        records[i] = slice_sub(buf_slice(&t->text), i > 0 ? t->ends[i - 1] : 0, t->ends[i]);
    }
    struct sl_rc rc = t->text.failed ? sl_fail(err, SL_E_NOMEM, "Out of memory.")
                      : t->count > 0 ? audit_write(k->audit, records, t->count, t->flush, err)
                                     : SL_OK;
    if (sl_failed(rc)) {
        sl_log(SL_ERROR, "audit.failed", "records=%zu error=%s", t->count,
               SL_Q(slice_cstr(sl_error_message(err, rc.code))));
    }
    buf_reset(&t->text);
    t->count = 0;
    t->flush = false;
    return rc;
}

struct sl_rc kms_recorded(struct api_call *c, struct sl_rc rc, struct sl_rc written) {
    if (sl_is_ok(written)) {
        return rc;
    }
    sl_error_clear(c->err);
    return sl_fail(c->err, SL_E_KMS_INTERNAL, "The call could not be recorded.");
}

struct sl_rc kms_audit(struct kms_service *k, const struct kms_event *e, struct api_call *c,
                       struct sl_rc rc) {
    SL_CLEANUP(kms_trail_fini) struct kms_trail t;
    struct sl_error why = {0};
    kms_trail_init(&t);
    kms_trail_add(k, &t, e, c, rc);
    return kms_recorded(c, rc, kms_trail_write(k, &t, &why));
}

/* ---- Refused before anybody was known ---- */

/* What follows `word` in `s`; empty where it doesn't stand there. */
static struct slice behind(struct slice s, struct slice word) {
    const uint8_t *at = s.ptr != NULL ? memmem(s.ptr, s.len, word.ptr, word.len) : NULL;
    return at != NULL ? slice_sub(s, (size_t)(at - s.ptr) + word.len, s.len) : SLICE_EMPTY;
}

/* The access key id that the request claims, as far as it looks like one. */
static struct slice claimed_key(struct slice authorization, struct slice query) {
    struct slice id = behind(authorization, SLICE_LIT("Credential="));
    size_t n = 0;
    if (id.len == 0) {
        id = behind(query, SLICE_LIT("X-Amz-Credential="));
    }
    while (n < id.len && n < 128 &&
           ((id.ptr[n] >= 'A' && id.ptr[n] <= 'Z') || (id.ptr[n] >= '0' && id.ptr[n] <= '9'))) {
        n++;
    }
    return slice_sub(id, 0, n);
}

void kms_audit_refused(struct kms_service *k, const struct kms_refused *f, struct sl_rc rc) {
    if (sl_code_info(rc.code)->http_status >= 500 || !may_record(k)) {
        return;
    }
    struct sl_error ignored = {0};
    struct auth_caller caller = {
        .source_ip = f->source_ip, .user_agent = f->user_agent, .region = f->env->region};
    struct kms_event e = f->event;
    caller.who.principal.type = PRINCIPAL_ANONYMOUS;
    caller.who.access_key_id = claimed_key(f->authorization, f->query);
    if (caller.who.access_key_id.len > 0) {
        sl_ignore(identity_key_account(f->env->db, caller.who.access_key_id, f->arena, &ignored,
                                       &e.account));
    }
    struct api_call c = {.env = f->env,
                         .caller = &caller,
                         .arena = f->arena,
                         .err = f->err,
                         .request_id = f->request_id};
    long long missed = atomic_exchange(&k->refused_unrecorded, 0);
    if (missed > 0) {
        c.audit_more = slice_cstr(arena_printf(f->arena, "{\"notRecordedBefore\":%lld}", missed));
    }
    SL_CLEANUP(kms_trail_fini) struct kms_trail t;
    kms_trail_init(&t);
    add_records(&t, &e, &c, rc);
    sl_ignore(kms_trail_write(k, &t, &ignored));
}
