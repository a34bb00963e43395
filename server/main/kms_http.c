/* The HTTP side of the kms process: KMS (JSON 1.1), IAM and STS (query protocol). One request: body
 * and hash, signature, operation, audit record, answer. The service is the one that the
 * credential's scope names. */
#include "server/main/kms_service.h"

#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/codec/xml.h"
#include "lib/crypto/crypto.h"
#include "server/store/meta/kept.h"

struct service {
    const char *name;
    const char *source; /* in audit records */
    const char *ns;     /* XML namespace of query services; NULL for JSON */
    const char *version;
    const struct api_operation *operations;
    const char *target; /* JSON: what x-amz-target begins with */
};

static const struct service services[] = {
    {"kms", "kms.amazonaws.com", NULL, "2014-11-01", api_kms_operations, "TrentService."},
    {"iam", "iam.amazonaws.com", "https://iam.amazonaws.com/doc/2010-05-08/", "2010-05-08",
     api_iam_operations, NULL},
    {"sts", "sts.amazonaws.com", "https://sts.amazonaws.com/doc/2011-06-15/", "2011-06-15",
     api_sts_operations, NULL},
    {"cloudtrail", "cloudtrail.amazonaws.com", NULL, "2013-11-01", api_cloudtrail_operations,
     "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101."},
};
enum { KMS, IAM, STS, CLOUDTRAIL };

/* ---- Errors ---- */

struct wire {
    const char *name;
    int status;
    const char *text; /* in place of the detail, or NULL */
};

static const char unknown_error[] =
    "The request processing has failed because of an unknown error, exception or failure.";
static const char bad_token[] = "The security token included in the request is invalid.";

/* What differs from errors.def at the two edges. */
static struct wire json_wire(const struct service *s, enum sl_code code) {
    const struct sl_code_info *info = sl_code_info(code);
    switch (code) {
    case SL_E_MISSING_TOKEN:
        return (struct wire){"MissingAuthenticationTokenException", 400,
                             "Missing Authentication Token"};
    case SL_E_UNKNOWN_KEY_ID:
    case SL_E_TOKEN_INVALID:
        return (struct wire){"UnrecognizedClientException", 400, bad_token};
    case SL_E_TOKEN_EXPIRED:
        return (struct wire){"ExpiredTokenException", 400,
                             "The security token included in the request is expired"};
    case SL_E_INCOMPLETE_SIGNATURE:
        return (struct wire){"IncompleteSignatureException", 400, NULL};
    case SL_E_SIGNATURE:
    case SL_E_SKEWED:
    case SL_E_SCOPE:
    case SL_E_QUERY_AUTH:
    case SL_E_EXPIRED_REQUEST:
    case SL_E_PAYLOAD_HASH:
        return (struct wire){"InvalidSignatureException", 400, NULL};
    case SL_E_ACCESS_DENIED:
        return (struct wire){"AccessDeniedException", 400, NULL};
    case SL_E_LIMIT:
        return (struct wire){"ValidationException", 400, NULL};
    case SL_E_SEALED:
        return (struct wire){"ServiceUnavailableException", 503, info->text};
    default:
        break;
    }
    if (info->http_status < 500) {
        return (struct wire){info->wire, info->http_status, NULL};
    }
    return s == &services[KMS]
               ? (struct wire){"KMSInternalException", 500, "An internal error occurred."}
               : (struct wire){"InternalFailure", 500, unknown_error};
}

static struct wire query_wire(enum sl_code code) {
    const struct sl_code_info *info = sl_code_info(code);
    switch (code) {
    case SL_E_MISSING_TOKEN:
        return (struct wire){info->wire, 403, NULL};
    case SL_E_UNKNOWN_KEY_ID:
    case SL_E_TOKEN_INVALID:
        return (struct wire){"InvalidClientTokenId", 403, bad_token};
    case SL_E_TOKEN_EXPIRED:
        return (struct wire){"ExpiredToken", 403,
                             "The security token included in the request is expired"};
    case SL_E_SKEWED:
    case SL_E_SCOPE:
    case SL_E_QUERY_AUTH:
    case SL_E_EXPIRED_REQUEST:
    case SL_E_PAYLOAD_HASH:
        return (struct wire){"SignatureDoesNotMatch", 403, NULL};
    case SL_E_LIMIT:
    case SL_E_VALIDATION:
    case SL_E_PARSE:
        return (struct wire){"ValidationError", 400, NULL};
    case SL_E_SEALED:
    case SL_E_NOMEM:
    case SL_E_TIMEOUT:
        return (struct wire){"ServiceUnavailable", 503, info->text};
    default:
        return info->http_status >= 500 ? (struct wire){"InternalFailure", 500, unknown_error}
                                        : (struct wire){info->wire, info->http_status, NULL};
    }
}

static void put_json_error(struct buf *out, const struct wire *w, const char *text) {
    struct jsonw j = jsonw_of(out);
    jsonw_object_begin(&j);
    jsonw_name(&j, "__type");
    jsonw_cstr(&j, w->name);
    if (text[0] != '\0') {
        jsonw_name(&j, "message");
        jsonw_cstr(&j, text);
    }
    jsonw_object_end(&j);
}

static void put_xml_error(struct buf *out, const struct service *s, const struct wire *w,
                          const char *text, const char *denial, const char *request_id) {
    xmlw_open_ns(out, "ErrorResponse", s->ns);
    xmlw_open(out, "Error");
    xmlw_cstr(out, "Type", w->status >= 500 ? "Receiver" : "Sender");
    xmlw_cstr(out, "Code", w->name);
    xmlw_cstr(out, "Message", text);
    if (denial != NULL) {
        xmlw_cstr(out, DENIAL_ELEMENT, denial);
    }
    xmlw_close(out, "Error");
    xmlw_cstr(out, "RequestId", request_id);
    xmlw_close(out, "ErrorResponse");
}

/* ---- Answers ---- */

static void reply(struct http *h, const struct service *s, int status, struct slice body) {
    http_status(h, status);
    http_set_cstr(h, "x-amzn-requestid", h->request_id);
    http_set_cstr(h, "content-type", s->ns ? "text/xml" : "application/x-amz-json-1.1");
    sl_ignore(http_reply(h, body));
}

static void reply_error(struct http *h, const struct service *s, struct sl_rc rc) {
    SL_CLEANUP(buf_fini) struct buf body = BUF_INIT(64 * 1024);
    struct wire w = s->ns ? query_wire(rc.code) : json_wire(s, rc.code);
    const char *text = w.text ? w.text : sl_error_message(&h->err, rc.code);
    if (w.status >= 500 && rc.code != SL_E_SEALED) {
        sl_log(SL_ERROR, "request.failed", "request=%s code=%s error=%s", h->request_id,
               sl_code_info(rc.code)->name, SL_Q(slice_cstr(h->err.detail)));
    }
    const char *denial = rc.code == SL_E_ACCESS_DENIED ? h->err.denial : NULL;
    if (denial != NULL) {
        http_set_cstr(h, DENIAL_HEADER, denial);
    }
    if (s->ns != NULL) {
        put_xml_error(&body, s, &w, text, denial, h->request_id);
    } else {
        put_json_error(&body, &w, text);
    }
    reply(h, s, w.status, buf_slice(&body));
}

static void reply_ok(struct http *h, const struct service *s, const struct api_call *c) {
    if (s->ns == NULL) {
        reply(h, s, 200, buf_slice(c->out));
        return;
    }
    SL_CLEANUP(buf_fini)
    struct buf body = {.max = 2 * LIMIT_API_BODY_BYTES, .wipe = true};
    char *outer = arena_printf(h->arena, "%.*sResponse", SLICE_FMT(c->operation));
    char *inner = arena_printf(h->arena, "%.*sResult", SLICE_FMT(c->operation));
    xmlw_open_ns(&body, outer, s->ns);
    /* UpdateRole is the one operation whose result is there and has no members. */
    if (c->out->len > 0 || slice_eq_cstr(c->operation, "UpdateRole")) {
        xmlw_open(&body, inner);
        buf_put(&body, buf_slice(c->out));
        xmlw_close(&body, inner);
    }
    xmlw_open(&body, "ResponseMetadata");
    xmlw_cstr(&body, "RequestId", h->request_id);
    xmlw_close(&body, "ResponseMetadata");
    xmlw_close(&body, outer);
    struct sl_rc rc = buf_check(&body, &h->err);
    if (sl_failed(rc)) {
        reply_error(h, s, rc);
        return;
    }
    reply(h, s, 200, buf_slice(&body));
}

/* ---- Requests ---- */

/* In which form an unsigned or refused request is answered. */
static const struct service *guess(const struct http *h, const struct params *form) {
    struct slice target = http_header(h, "x-amz-target");
    if (target.ptr != NULL) {
        return slice_starts(target, slice_cstr(services[CLOUDTRAIL].target)) ? &services[CLOUDTRAIL]
                                                                             : &services[KMS];
    }
    const struct param *version = params_get(form, "Version");
    return version != NULL && slice_eq_cstr(version->value, services[IAM].version) ? &services[IAM]
                                                                                   : &services[STS];
}

static const struct service *by_name(struct slice name) {
    for (size_t i = 0; i < sizeof services / sizeof *services; i++) {
        if (slice_eq_cstr(name, services[i].name)) {
            return &services[i];
        }
    }
    return NULL;
}

static const struct api_operation *find(const struct service *s, struct slice name) {
    for (const struct api_operation *o = s->operations; o->name != NULL; o++) {
        if (slice_eq_cstr(name, o->name)) {
            return o;
        }
    }
    return NULL;
}

static struct sl_rc operation_json(struct http *h, const struct service *s, struct slice body,
                                   struct api_call *c, const struct api_operation **ret) {
    struct slice target = http_header(h, "x-amz-target"), prefix = slice_cstr(s->target);
    if (slice_starts(target, prefix)) {
        c->operation = slice_sub(target, prefix.len, target.len);
        *ret = find(s, c->operation);
    }
    ENSURE(*ret != NULL, &h->err, SL_E_UNKNOWN_OPERATION, "%s", "");
    struct sl_error why = {0};
    struct sl_rc rc = json_parse(body.len > 0 ? body : SLICE_LIT("{}"), h->arena, &why, &c->body);
    ENSURE(!sl_failed(rc) && c->body->type == JSON_OBJECT, &h->err, SL_E_PARSE,
           "The body of the request is not valid JSON.");
    return SL_OK;
}

static struct sl_rc operation_query(struct http *h, const struct service *s, struct api_call *c,
                                    const struct api_operation **ret) {
    const struct param *action = params_get(&c->form, "Action");
    const struct param *version = params_get(&c->form, "Version");
    ENSURE(action != NULL, &h->err, SL_E_INVALID_ACTION, "The request has no Action.");
    c->operation = action->value;
    struct slice v = version ? version->value : SLICE_LIT("NO_VERSION_SPECIFIED");
    *ret = slice_eq_cstr(v, s->version) ? find(s, action->value) : NULL;
    ENSURE(*ret != NULL, &h->err, SL_E_INVALID_ACTION,
           "Could not find operation %.*s for version %.*s", SLICE_FMT(action->value),
           SLICE_FMT(v));
    return SL_OK;
}

/* The signature covers the hash of the body that came, whatever the client says about it. */
static struct sl_rc verify(struct http *h, const struct auth_env *env, struct slice body,
                           struct auth_caller *ret) {
    uint8_t hash[SHA256_LEN];
    SL_CLEANUP(buf_fini) struct buf hex = BUF_INIT(2 * SHA256_LEN);
    sha256(body, hash);
    hex_put(&hex, slice_of(hash, sizeof hash));
    struct sigv4_header *headers = arena_array(h->arena, h->header_count + 1, sizeof *headers);
    struct slice payload = arena_copy(h->arena, buf_slice(&hex));
    ENSURE(headers != NULL && payload.ptr != NULL, &h->err, SL_E_NOMEM, "Out of memory.");
    for (size_t i = 0; i < h->header_count; i++) {
        headers[i] = (struct sigv4_header){h->headers[i].name, h->headers[i].value};
    }
    struct sigv4_request request = {
        .method = h->method,
        .path = h->path,
        .query = h->query,
        .headers = headers,
        .header_count = h->header_count,
        .payload_hash = payload,
    };
    TRY(auth_verify(env, &request, NULL, slice_cstr(h->peer->ip), h->peer->tls, h->arena, &h->err,
                    ret, NULL, NULL, NULL));
    ENSURE(ret->who.principal.type != PRINCIPAL_ANONYMOUS, &h->err, SL_E_MISSING_TOKEN, "%s", "");
    return SL_OK;
}

static void record_refused(struct http *h, struct kms_service *k, const struct auth_env *env,
                           const struct service *s, const struct params *form, struct sl_rc rc) {
    const struct param *action = params_get(form, "Action");
    struct slice target = http_header(h, "x-amz-target");
    struct slice name = action != NULL ? action->value : SLICE_EMPTY;
    if (s->target != NULL && slice_starts(target, slice_cstr(s->target))) {
        name = slice_sub(target, strlen(s->target), target.len);
    }
    const struct api_operation *op = find(s, name);
    struct kms_refused f = {
        .event = {.source = s->source,
                  .name = op != NULL ? slice_cstr(op->name) : SLICE_LIT("Unknown"),
                  .read_only = op != NULL && op->read_only,
                  .key_use = true,
                  .peer = h->peer,
                  .host = http_header(h, "host")},
        .env = env,
        .arena = h->arena,
        .err = &h->err,
        .request_id = h->request_id,
        .source_ip = slice_cstr(h->peer->ip),
        .user_agent = http_header(h, "user-agent"),
        .authorization = http_header(h, "authorization"),
        .query = h->query,
    };
    kms_audit_refused(k, &f, rc);
}

/* Of the query services; empty for the others. */
static struct sl_rc read_form(struct http *h, struct slice body, struct params *ret) {
    bool query = body.len == 0; /* GET, and presigned POST */
    return http_header(h, "x-amz-target").ptr != NULL
               ? SL_OK
               : params_parse(query ? h->query : body, !query, h->arena, &h->err, ret);
}

/* A request that is not even looked at, in the form of the service that it seems to be for. */
static void turn_away(struct http *h, struct sl_rc rc) {
    struct slice body = SLICE_EMPTY;
    struct params form = {0};
    if (sl_is_ok(http_body_all(h, LIMIT_API_BODY_BYTES, &body))) {
        sl_ignore(read_form(h, body, &form));
    }
    reply_error(h, guess(h, &form), rc);
    if (body.len > 0) {
        secret_wipe((void *)(uintptr_t)body.ptr, body.len);
    }
}

/* One request on its way to its answer. */
struct request {
    struct http *h;
    struct kms_service *k;
    struct auth_env env;
    struct kept_holds holds;
    struct slice body;
    const struct service *s;
    struct auth_caller caller;
    struct kms_event event;
    struct api_call call;
    struct buf out;
    struct sl_rc rc;
    bool known; /* who asks, and what: the call is recorded */
};

static struct sl_rc identify(struct request *r) {
    struct http *h = r->h;
    struct params form = {0};
    struct sl_rc form_rc = read_form(h, r->body, &form);
    r->s = guess(h, &form);
    struct sl_rc rc = sl_failed(form_rc) ? form_rc : verify(h, &r->env, r->body, &r->caller);
    if (sl_failed(rc)) {
        sl_log(SL_INFO, "auth.refused", "request=%s ip=%s code=%s", h->request_id, h->peer->ip,
               sl_code_info(rc.code)->name);
        record_refused(h, r->k, &r->env, r->s, &form, rc);
        return rc;
    }
    r->s = by_name(r->caller.service);
    sl_assert(r->s != NULL); /* auth_verify lets no other scope through */
    r->call.form = form;
    return SL_OK;
}

/* Up to the use of a key, where there is one. */
static struct sl_rc first_half(struct request *r) {
    const struct api_operation *op = NULL;
    TRY(identify(r));
    r->call.env = &r->env;
    r->call.caller = &r->caller;
    r->call.arena = r->h->arena;
    r->call.err = &r->h->err;
    r->call.request_id = r->h->request_id;
    r->call.out = &r->out;
    TRY(r->s->ns ? operation_query(r->h, r->s, &r->call, &op)
                 : operation_json(r->h, r->s, r->body, &r->call, &op));
    r->known = true;
    r->event = (struct kms_event){.source = r->s->source,
                                  .name = r->call.operation,
                                  .read_only = op->read_only,
                                  .key_use = op->key_use,
                                  .peer = r->h->peer,
                                  .host = http_header(r->h, "host")};
    return op->run(&r->call);
}

static void begin(struct request *r, struct kms_service *k, struct http *h,
                  const struct auth_env *env) {
    *r = (struct request){.h = h, .k = k, .env = *env};
    r->s = guess(h, &(struct params){0});
    r->env.holds = &r->holds;
    r->out = (struct buf){.max = LIMIT_API_BODY_BYTES, .wipe = true};
    r->rc = http_body_all(h, LIMIT_API_BODY_BYTES, &r->body);
    if (sl_is_ok(r->rc)) {
        r->rc = first_half(r);
    }
}

static void second_half(struct request *r) {
    if (r->call.use != NULL) {
        r->rc = r->call.finish(&r->call);
    }
    if (sl_is_ok(r->rc)) {
        r->rc = buf_check(&r->out, &r->h->err);
    }
}

static void end(struct request *r) {
    if (sl_failed(r->rc)) {
        reply_error(r->h, r->s, r->rc);
    } else {
        reply_ok(r->h, r->s, &r->call);
    }
    const struct json *plain = json_get(r->call.body, "Plaintext");
    if (plain != NULL && plain->text.len > 0) {
        secret_wipe((void *)(uintptr_t)plain->text.ptr, plain->text.len);
    }
    if (r->body.len > 0) {
        secret_wipe((void *)(uintptr_t)r->body.ptr, r->body.len);
    }
    buf_fini(&r->out);
    kept_release(&r->holds);
}

/* The uses of keys that the calls wait for, together. */
static void use_keys(struct keyholder *keys, struct request *const *all, size_t count) {
    struct keyholder_use *uses[KMS_AT_ONCE];
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        if (all[i]->call.use != NULL) {
            uses[n++] = all[i]->call.use;
        }
    }
    if (n > 0) {
        keyholder_uses(keys, uses, n);
    }
}

/* No answer leaves before its record is in the log. */
static void record(struct kms_service *k, struct request *const *all, size_t count) {
    SL_CLEANUP(kms_trail_fini) struct kms_trail t;
    kms_trail_init(&t);
    size_t from = 0;
    for (size_t i = 0; i < count; i++) {
        struct request *r = all[i];
        if (r->known) {
            kms_trail_add(k, &t, &r->event, &r->call, r->rc);
        }
        if (!kms_trail_full(&t) && i + 1 < count) {
            continue;
        }
        struct sl_error why = {0};
        struct sl_rc written = kms_trail_write(k, &t, &why);
        for (; from <= i; from++) {
            if (all[from]->known) {
                all[from]->rc = kms_recorded(&all[from]->call, all[from]->rc, written);
            }
        }
    }
}

void kms_http_many(struct kms_service *k, struct http *const *requests, size_t count) {
    struct request *all[KMS_AT_ONCE];
    struct auth_env env = {0};
    struct sl_error err = {0};
    size_t n = 0;
    sl_assert(count <= KMS_AT_ONCE);
    struct sl_rc rc = kms_env_begin(k, &env, &err);
    for (size_t i = 0; i < count; i++) {
        struct http *h = requests[i];
        struct request *r = sl_is_ok(rc) ? arena_alloc(h->arena, sizeof *r) : NULL;
        if (r == NULL) {
            struct sl_rc why = sl_failed(rc) ? rc : sl_rc_of(SL_E_NOMEM);
            turn_away(h, sl_fail(&h->err, why.code, "%s", sl_error_message(&err, why.code)));
            continue;
        }
        begin(r, k, h, &env);
        all[n++] = r;
    }
    if (n > 0) {
        use_keys(env.keys, all, n);
        for (size_t i = 0; i < n; i++) {
            second_half(all[i]);
        }
        record(k, all, n);
    }
    for (size_t i = 0; i < n; i++) {
        end(all[i]);
    }
    if (sl_is_ok(rc)) {
        kms_env_end(k, &env);
    }
}

void kms_http_handle(struct http *h, void *user) {
    kms_http_many(user, &h, 1);
}
