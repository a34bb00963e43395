/* Audit records in CloudTrail's shape (docs/decisions/4-audit-record.md). Texts from requests are
 * written by the JSON writer, so no newline or tab gets in; plaintexts, ciphertexts and signatures
 * are left out by name. */
#include "server/main/kms_service.h"

#include <stdio.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/crypto/crypto.h"

enum { RECORD_MAX_BYTES = 256 * 1024, AGENT_KEPT = 512 };

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
    jsonw_name(w, "sessionContext");
    jsonw_object_begin(w);
    jsonw_name(w, "sessionIssuer");
    jsonw_object_begin(w);
    put(w, "type", SLICE_LIT("Role"));
    put(w, "principalId", slice_sub(p->user_id, 0, slice_find(p->user_id, ':')));
    put(w, "arn", p->role_arn);
    put(w, "accountId", p->account);
    put(w, "userName", slice_sub(p->role_arn, slash, p->role_arn.len));
    jsonw_object_end(w);
    jsonw_name(w, "attributes");
    jsonw_object_begin(w);
    char issued[21];
    clock_iso(p->token_issued_s, issued);
    jsonw_name(w, "creationDate");
    jsonw_cstr(w, issued);
    jsonw_object_end(w);
    jsonw_object_end(w);
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
    jsonw_name(w, "type");
    jsonw_cstr(w, types[p->type]);
    if (p->type == PRINCIPAL_SERVICE) {
        put(w, "invokedBy", p->service);
    } else if (p->type == PRINCIPAL_ANONYMOUS) {
        put(w, "principalId", SLICE_LIT("ANONYMOUS_PRINCIPAL"));
    } else {
        put(w, "principalId", p->user_id);
        put(w, "arn", p->arn);
        put(w, "accountId", p->account);
        put_if(w, "accessKeyId", caller->who.access_key_id);
        put_if(w, "userName", p->user_name);
        if (p->type == PRINCIPAL_ROLE_SESSION) {
            put_issuer(w, p);
        }
        if (caller->via_service.len > 0) {
            size_t dot = slice_find(caller->via_service, '.');
            char by[64];
            snprintf(by, sizeof by, "%.*s.amazonaws.com",
                     SLICE_FMT(slice_sub(caller->via_service, 0, dot < 40 ? dot : 40)));
            jsonw_name(w, "invokedBy");
            jsonw_cstr(w, by);
        }
    }
    jsonw_object_end(w);
}

static void put_value(struct jsonw *w, const struct json *v) {
    switch (v->type) {
    case JSON_OBJECT:
        jsonw_object_begin(w);
        for (const struct json *m = v->child; m != NULL; m = m->next) {
            jsonw_name_slice(w, m->name);
            put_value(w, m);
        }
        jsonw_object_end(w);
        break;
    case JSON_ARRAY:
        jsonw_array_begin(w);
        for (const struct json *e = v->child; e != NULL; e = e->next) {
            put_value(w, e);
        }
        jsonw_array_end(w);
        break;
    case JSON_STRING:
        jsonw_string(w, v->text);
        break;
    case JSON_NUMBER:
        jsonw_raw(w, v->text);
        break;
    case JSON_BOOL:
        jsonw_bool(w, v->boolean);
        break;
    default:
        jsonw_null(w);
        break;
    }
}

static bool hidden(struct slice name) {
    static const char *const names[] = {"Plaintext",
                                        "CiphertextBlob",
                                        "GrantTokens",
                                        "Recipient",
                                        "Password",
                                        "NewPassword",
                                        "OldPassword",
                                        "TokenCode",
                                        "Message",
                                        "Mac",
                                        "Signature",
                                        "ImportToken",
                                        "EncryptedKeyMaterial",
                                        "SAMLAssertion",
                                        "WebIdentityToken",
                                        "EncodedMessage",
                                        "Action",
                                        "Version",
                                        NULL};
    for (size_t i = 0; names[i] != NULL; i++) {
        if (slice_eq_cstr(name, names[i])) {
            return true;
        }
    }
    return slice_starts(name, SLICE_LIT("X-Amz-"));
}

/* "KeyId" -> "keyId" */
static void put_name(struct jsonw *w, struct slice name) {
    char lower[128];
    size_t n = name.len < sizeof lower ? name.len : sizeof lower;
    memcpy(lower, name.ptr, n);
    if (lower[0] >= 'A' && lower[0] <= 'Z') {
        lower[0] = (char)(lower[0] - 'A' + 'a');
    }
    jsonw_name_slice(w, slice_of(lower, n));
}

static void put_request(struct jsonw *w, const struct api_call *c) {
    jsonw_name(w, "requestParameters");
    if (c->audit_request.len > 0) {
        jsonw_raw(w, c->audit_request);
        return;
    }
    jsonw_object_begin(w);
    for (const struct json *m = c->body ? c->body->child : NULL; m != NULL; m = m->next) {
        if (m->name.len > 0 && !hidden(m->name)) {
            put_name(w, m->name);
            put_value(w, m);
        }
    }
    for (size_t i = 0; i < c->form.count; i++) {
        const struct param *p = &c->form.items[i];
        if (p->name.len > 0 && !hidden(p->name)) {
            put_name(w, p->name);
            jsonw_string(w, p->value);
        }
    }
    jsonw_object_end(w);
}

static void put_outcome(struct jsonw *w, const struct api_call *c, struct sl_rc rc) {
    jsonw_name(w, "responseElements");
    if (!sl_failed(rc) && c->audit_response.len > 0) {
        jsonw_raw(w, c->audit_response);
    } else {
        jsonw_null(w);
    }
    if (sl_failed(rc)) {
        jsonw_name(w, "errorCode");
        jsonw_cstr(w, sl_code_info(rc.code)->wire);
        put_if(w, "errorMessage", slice_cstr(sl_error_message(c->err, rc.code)));
    }
    if (c->audit_resource.len > 0) {
        jsonw_name(w, "resources");
        jsonw_array_begin(w);
        jsonw_object_begin(w);
        put(w, "ARN", c->audit_resource);
        if (slice_starts(c->audit_resource, SLICE_LIT("arn:aws:kms:"))) {
            put(w, "type", SLICE_LIT("AWS::KMS::Key"));
        }
        jsonw_object_end(w);
        jsonw_array_end(w);
    }
}

static void put_record(struct buf *out, const struct kms_event *e, const struct api_call *c,
                       struct sl_rc rc) {
    const struct auth_caller *caller = c->caller;
    char when[21], id[37];
    clock_iso(c->env->real_ms / 1000, when);
    crypto_uuid(id);
    struct jsonw w = jsonw_of(out);
    jsonw_object_begin(&w);
    put(&w, "eventVersion", SLICE_LIT("1.09"));
    put_identity(&w, caller);
    put(&w, "eventTime", slice_cstr(when));
    put(&w, "eventSource", slice_cstr(e->source));
    put(&w, "eventName", e->name);
    put(&w, "awsRegion", caller->region.len > 0 ? caller->region : c->env->region);
    put(&w, "sourceIPAddress",
        caller->who.principal.type == PRINCIPAL_SERVICE ? caller->who.principal.service
                                                        : caller->source_ip);
    put_if(&w, "userAgent", slice_sub(caller->user_agent, 0, AGENT_KEPT));
    put_request(&w, c);
    put_outcome(&w, c, rc);
    put(&w, "requestID", slice_cstr(c->request_id));
    put(&w, "eventID", slice_cstr(id));
    jsonw_name(&w, "readOnly");
    jsonw_bool(&w, e->read_only);
    put(&w, "eventType", SLICE_LIT("AwsApiCall"));
    jsonw_name(&w, "managementEvent");
    jsonw_bool(&w, true);
    put(&w, "recipientAccountId",
        caller->who.principal.account.len > 0 ? caller->who.principal.account : c->env->account);
    jsonw_object_end(&w);
}

struct sl_rc kms_audit(struct kms_service *k, const struct kms_event *e, struct api_call *c,
                       struct sl_rc rc) {
    SL_CLEANUP(buf_fini) struct buf record = BUF_INIT(RECORD_MAX_BYTES);
    struct sl_error why = {0};
    put_record(&record, e, c, rc);
    if (record.failed) {
        /* Too long a request: who, what and how it ended are kept. */
        struct api_call brief = *c;
        brief.audit_request = SLICE_LIT("{\"omitted\":\"too long\"}");
        brief.audit_response = SLICE_EMPTY;
        buf_reset(&record);
        put_record(&record, e, &brief, rc);
    }
    struct sl_rc written = buf_check(&record, &why);
    if (!sl_failed(written)) {
        /* A call that changes nothing, or was refused, may share a flush. */
        bool flush = !e->key_use && !e->read_only && !sl_failed(rc);
        written = audit_write(k->audit, buf_slice(&record), flush, &why);
    }
    if (sl_failed(written)) {
        sl_log(SL_ERROR, "audit.failed", "request=%s error=%s", c->request_id,
               SL_Q(slice_cstr(sl_error_message(&why, written.code))));
        sl_error_clear(c->err);
        return sl_fail(c->err, SL_E_KMS_INTERNAL, "The call could not be recorded.");
    }
    return rc;
}
