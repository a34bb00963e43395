/* Encoding and decoding of the seam's messages; layouts in seam_msg.h. */
#include "lib/ipc/seam_msg.h"

void seam_hello_put(struct buf *out, const struct seam_hello *h) {
    buf_u8(out, h->edge);
    buf_u8(out, h->mode);
    buf_put(out, slice_of(h->token, sizeof h->token));
    buf_vec16(out, slice_of(h->peer_ip, strnlen(h->peer_ip, sizeof h->peer_ip)));
    buf_u16(out, h->peer_port);
    buf_u8(out, h->peer_tls ? 1 : 0);
    buf_u8(out, h->peer_tls_minor);
    buf_vec16(out, slice_of(h->peer_cipher, strnlen(h->peer_cipher, sizeof h->peer_cipher)));
}

/* A word of printing characters, with its NUL. */
static bool get_word(struct slice s, char *out, size_t size) {
    if (s.len >= size) {
        return false;
    }
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] <= ' ' || s.ptr[i] >= 0x7f) {
            return false;
        }
        out[i] = (char)s.ptr[i];
    }
    out[s.len] = '\0';
    return true;
}

struct sl_rc seam_hello_get(struct slice payload, struct seam_hello *ret, struct sl_error *err) {
    struct rdr r = rdr_of(payload);
    struct seam_hello h = {0};
    h.edge = rdr_u8(&r);
    h.mode = rdr_u8(&r);
    struct slice token = rdr_bytes(&r, SEAM_TOKEN_LEN);
    struct slice ip = rdr_vec16(&r);
    h.peer_port = rdr_u16(&r);
    h.peer_tls = rdr_u8(&r) != 0;
    h.peer_tls_minor = rdr_u8(&r);
    struct slice cipher = rdr_vec16(&r);
    TRY(rdr_end(&r, err, "hello"));
    ENSURE(h.edge >= SEAM_S3 && h.edge <= SEAM_SUPERVISOR, err, SL_E_PARSE, "hello: unknown edge");
    ENSURE(h.mode >= SEAM_RPC && h.mode <= SEAM_CALLS, err, SL_E_PARSE, "hello: unknown mode");
    ENSURE(get_word(ip, h.peer_ip, sizeof h.peer_ip), err, SL_E_PARSE, "hello: bad address");
    ENSURE(get_word(cipher, h.peer_cipher, sizeof h.peer_cipher), err, SL_E_PARSE,
           "hello: bad cipher suite");
    memcpy(h.token, token.ptr, SEAM_TOKEN_LEN);
    *ret = h;
    secret_wipe(&h, sizeof h);
    return SL_OK;
}

void seam_context_put(struct buf *out, const struct context *c) {
    size_t n = c ? c->count : 0;
    if (n > LIMIT_KMS_CONTEXT_PAIRS) {
        out->failed = true;
        return;
    }
    buf_u16(out, (uint16_t)n);
    for (size_t i = 0; i < n; i++) {
        buf_vec16(out, c->pairs[i].name);
        buf_vec16(out, c->pairs[i].value);
    }
}

void seam_context_get(struct rdr *r, struct arena *a, struct context *ret) {
    size_t n = rdr_u16(r);
    struct context_pair *pairs = NULL;
    if (n > LIMIT_KMS_CONTEXT_PAIRS ||
        (n > 0 && (pairs = arena_array(a, n, sizeof *pairs)) == NULL)) {
        r->bad = true;
        return;
    }
    for (size_t i = 0; i < n; i++) {
        pairs[i].name = rdr_vec16(r);
        pairs[i].value = rdr_vec16(r);
    }
    *ret = (struct context){pairs, n};
}

void seam_list_put(struct buf *out, const struct slice *items, size_t count) {
    if (count > UINT16_MAX) {
        out->failed = true;
        return;
    }
    buf_u16(out, (uint16_t)count);
    for (size_t i = 0; i < count; i++) {
        buf_vec16(out, items[i]);
    }
}

void seam_list_get(struct rdr *r, size_t max, struct arena *a, const struct slice **ret,
                   size_t *ret_count) {
    size_t n = rdr_u16(r);
    struct slice *items = NULL;
    if (n > max || (n > 0 && (items = arena_array(a, n, sizeof *items)) == NULL)) {
        r->bad = true;
        return;
    }
    for (size_t i = 0; i < n; i++) {
        items[i] = rdr_vec16(r);
    }
    *ret = items;
    *ret_count = n;
}

static void request_put(struct buf *out, const struct sigv4_request *q) {
    buf_vec16(out, q->method);
    buf_vec32(out, q->path);
    buf_vec32(out, q->query);
    buf_u16(out, (uint16_t)q->header_count);
    for (size_t i = 0; i < q->header_count; i++) {
        buf_vec16(out, q->headers[i].name);
        buf_vec32(out, q->headers[i].value);
    }
    buf_vec16(out, q->payload_hash);
}

static void request_get(struct rdr *r, struct arena *a, struct sigv4_request *ret) {
    ret->method = rdr_vec16(r);
    ret->path = rdr_vec32(r);
    ret->query = rdr_vec32(r);
    size_t n = rdr_u16(r);
    struct sigv4_header *headers = NULL;
    if (n > SEAM_HEADERS_MAX || (n > 0 && (headers = arena_array(a, n, sizeof *headers)) == NULL)) {
        r->bad = true;
        return;
    }
    for (size_t i = 0; i < n; i++) {
        headers[i].name = rdr_vec16(r);
        headers[i].value = rdr_vec32(r);
    }
    ret->headers = headers;
    ret->header_count = n;
    ret->payload_hash = rdr_vec16(r);
}

void seam_authorize_put(struct buf *out, const struct seam_authorize *q) {
    if (q->request.header_count > SEAM_HEADERS_MAX || q->check_count > SEAM_CHECKS_MAX) {
        out->failed = true;
        return;
    }
    buf_vec16(out, q->service);
    buf_vec16(out, q->request_id);
    buf_vec16(out, q->peer_ip);
    buf_u8(out, q->peer_tls ? 1 : 0);
    request_put(out, &q->request);
    buf_u16(out, (uint16_t)q->check_count);
    for (size_t i = 0; i < q->check_count; i++) {
        const struct seam_check *c = &q->checks[i];
        if (c->key_count > SEAM_CHECK_KEYS_MAX) {
            out->failed = true;
            return;
        }
        buf_vec16(out, c->action);
        buf_vec32(out, c->resource);
        buf_vec16(out, c->resource_account);
        buf_u16(out, (uint16_t)c->key_count);
        for (size_t k = 0; k < c->key_count; k++) {
            buf_vec16(out, c->keys[k].name);
            buf_vec32(out, c->keys[k].value);
        }
    }
    buf_vec32(out, q->resource_policy);
    buf_vec16(out, q->session);
}

static void check_get(struct rdr *r, struct arena *a, struct seam_check *ret) {
    ret->action = rdr_vec16(r);
    ret->resource = rdr_vec32(r);
    ret->resource_account = rdr_vec16(r);
    size_t n = rdr_u16(r);
    struct context_pair *keys = NULL;
    if (n > SEAM_CHECK_KEYS_MAX || (n > 0 && (keys = arena_array(a, n, sizeof *keys)) == NULL)) {
        r->bad = true;
        return;
    }
    for (size_t k = 0; k < n; k++) {
        keys[k].name = rdr_vec16(r);
        keys[k].value = rdr_vec32(r);
    }
    ret->keys = keys;
    ret->key_count = n;
}

struct sl_rc seam_authorize_get(struct slice payload, struct arena *a, struct seam_authorize *ret,
                                struct sl_error *err) {
    struct rdr r = rdr_of(payload);
    struct seam_authorize q = {0};
    q.service = rdr_vec16(&r);
    q.request_id = rdr_vec16(&r);
    q.peer_ip = rdr_vec16(&r);
    q.peer_tls = rdr_u8(&r) != 0;
    request_get(&r, a, &q.request);
    q.check_count = rdr_u16(&r);
    ENSURE(!r.bad && q.check_count <= SEAM_CHECKS_MAX, err, SL_E_PARSE, "authorize: malformed");
    struct seam_check *checks = arena_array(a, q.check_count + 1, sizeof *checks);
    ENSURE(checks != NULL, err, SL_E_NOMEM, "authorize: out of memory");
    for (size_t i = 0; i < q.check_count; i++) {
        check_get(&r, a, &checks[i]);
    }
    q.checks = checks;
    q.resource_policy = rdr_vec32(&r);
    q.session = rdr_vec16(&r);
    TRY(rdr_end(&r, err, "authorize"));
    *ret = q;
    return SL_OK;
}

void seam_granted_put(struct buf *out, const struct seam_granted *g) {
    buf_u8(out, g->anonymous ? 1 : 0);
    buf_vec16(out, g->account);
    buf_vec16(out, g->arn);
    buf_vec16(out, g->user_id);
    buf_vec16(out, g->region);
    buf_vec16(out, g->session);
    buf_vec16(out, secret_view(&g->signing_key));
}

/* Copying can only fail for want of arena; an empty slice stays empty. */
static struct slice keep(struct arena *a, struct slice s, bool *failed) {
    struct slice copy = arena_copy(a, s);
    *failed |= copy.ptr == NULL;
    return copy;
}

struct sl_rc seam_granted_get(struct slice payload, struct arena *a, struct seam_granted *ret,
                              struct sl_error *err) {
    struct rdr r = rdr_of(payload);
    struct seam_granted g = {0};
    bool failed = false;
    g.anonymous = rdr_u8(&r) != 0;
    g.account = keep(a, rdr_vec16(&r), &failed);
    g.arn = keep(a, rdr_vec16(&r), &failed);
    g.user_id = keep(a, rdr_vec16(&r), &failed);
    g.region = keep(a, rdr_vec16(&r), &failed);
    g.session = keep(a, rdr_vec16(&r), &failed);
    struct slice key = rdr_vec16(&r);
    TRY(rdr_end(&r, err, "authorize answer"));
    ENSURE(!failed, err, SL_E_NOMEM, "authorize answer: out of memory");
    if (key.len > 0) {
        TRY(secret_from(&g.signing_key, key));
    }
    *ret = g;
    return SL_OK;
}

void seam_credentials_put(struct buf *out, const struct seam_credentials *c) {
    buf_vec16(out, c->access_key_id);
    buf_vec16(out, secret_view(&c->secret_access_key));
    buf_vec16(out, c->session_token);
    buf_u64(out, (uint64_t)c->expires_s);
}

struct sl_rc seam_credentials_get(struct slice payload, struct arena *a,
                                  struct seam_credentials *ret, struct sl_error *err) {
    struct rdr r = rdr_of(payload);
    struct seam_credentials c = {0};
    bool failed = false;
    c.access_key_id = keep(a, rdr_vec16(&r), &failed);
    struct slice key = rdr_vec16(&r);
    c.session_token = keep(a, rdr_vec16(&r), &failed);
    c.expires_s = (int64_t)rdr_u64(&r);
    TRY(rdr_end(&r, err, "credentials"));
    ENSURE(!failed, err, SL_E_NOMEM, "credentials: out of memory");
    TRY(secret_from(&c.secret_access_key, key));
    *ret = c;
    return SL_OK;
}

void seam_failed_put(struct buf *out, enum sl_code code, const struct sl_error *err,
                     struct slice canonical, struct slice string_to_sign) {
    buf_vec16(out, slice_cstr(sl_code_info(code)->name));
    buf_vec16(out, slice_cstr(err ? err->detail : ""));
    buf_vec16(out, slice_cstr(err ? err->hint : ""));
    buf_vec16(out, slice_cstr(err ? err->denial : NULL));
    buf_vec32(out, canonical);
    buf_vec32(out, string_to_sign);
}

static enum sl_code code_by_name(struct slice name) {
    for (int c = SL_CODE_OK + 1; c < SL_CODE_COUNT; c++) {
        if (slice_eq_cstr(name, sl_code_info((enum sl_code)c)->name)) {
            return (enum sl_code)c;
        }
    }
    return SL_E_INTERNAL;
}

struct sl_rc seam_failed_get(struct slice payload, struct arena *a, struct sl_error *err,
                             struct slice *ret_canonical, struct slice *ret_string_to_sign) {
    struct rdr r = rdr_of(payload);
    enum sl_code code = code_by_name(rdr_vec16(&r));
    struct slice detail = rdr_vec16(&r);
    struct slice hint = rdr_vec16(&r);
    struct slice denial = rdr_vec16(&r);
    struct slice canonical = rdr_vec32(&r);
    struct slice to_sign = rdr_vec32(&r);
    TRY(rdr_end(&r, err, "failure answer"));
    if (ret_canonical != NULL && a != NULL) {
        *ret_canonical = arena_copy(a, canonical);
    }
    if (ret_string_to_sign != NULL && a != NULL) {
        *ret_string_to_sign = arena_copy(a, to_sign);
    }
    if (denial.len > 0 && a != NULL && err != NULL && err->code == SL_CODE_OK) {
        err->denial = arena_cstr(a, denial);
    }
    struct sl_rc rc = sl_fail(err, code, "%.*s", SLICE_FMT(detail));
    if (hint.len > 0) {
        sl_hint(err, "%.*s", SLICE_FMT(hint));
    }
    return rc;
}
