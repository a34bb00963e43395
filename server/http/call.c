/* Requests as messages between processes; see http.h. What is read was written by another process
 * of ours, and bounded all the same. */
#include "server/http/http_in.h"

#include "lib/base/limits.h"
#include "lib/base/rdr.h"
#include "lib/crypto/crypto.h"

enum { FRAME_HEAD = 5 };

struct http *http_call_new(struct arena *a, struct buf *out) {
    struct http *h = arena_alloc(a, sizeof *h);
    struct http_state *st = arena_alloc(a, sizeof *st);
    if (h == NULL || st == NULL) {
        return NULL;
    }
    st->magic = HTTP_STATE_MAGIC;
    st->sink = out;
    st->status = 200;
    h->arena = a;
    h->state = st;
    crypto_uuid(h->request_id);
    return h;
}

static void put_u32(uint8_t *p, uint32_t v) {
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

struct sl_rc http_call_put(struct buf *out, uint64_t id, const struct http *h, struct slice body,
                           bool close) {
    size_t at = out->len;
    buf_u32(out, 0);
    buf_u8(out, CALL_REQUEST);
    buf_u64(out, id);
    buf_u8(out, close);
    buf_u8(out, h->peer->tls);
    buf_u8(out, h->peer->tls_minor);
    buf_u16(out, h->peer->port);
    buf_vec16(out, slice_cstr(h->peer->ip));
    buf_vec16(out, slice_cstr(h->peer->cipher));
    buf_vec16(out, h->method);
    buf_vec16(out, h->path);
    buf_vec16(out, h->query);
    buf_u16(out, (uint16_t)h->header_count);
    for (size_t i = 0; i < h->header_count; i++) {
        buf_vec16(out, h->headers[i].name);
        buf_vec16(out, h->headers[i].value);
    }
    buf_put(out, body);
    if (out->failed || out->len - at > LIMIT_CALL_BYTES) {
        out->len = at;
        out->failed = false;
        return sl_rc_of(SL_E_LIMIT);
    }
    put_u32(out->ptr + at, (uint32_t)(out->len - at - 4));
    return SL_OK;
}

static bool get_text(struct rdr *r, char *out, size_t cap) {
    struct slice s = rdr_vec16(r);
    if (s.len >= cap) {
        return false;
    }
    if (s.len > 0) {
        memcpy(out, s.ptr, s.len);
    }
    out[s.len] = '\0';
    return true;
}

struct sl_rc http_call_get(struct slice payload, struct http *h, uint64_t *ret_id) {
    struct http_state *st = http_state_of(h);
    struct rdr r = rdr_of(payload);
    struct net_peer *peer = arena_alloc(h->arena, sizeof *peer);
    ENSURE(peer != NULL, NULL, SL_E_NOMEM, "call");
    *ret_id = rdr_u64(&r);
    st->client_close = rdr_u8(&r) != 0;
    peer->tls = rdr_u8(&r) != 0;
    peer->tls_minor = rdr_u8(&r);
    peer->port = rdr_u16(&r);
    bool texts =
        get_text(&r, peer->ip, sizeof peer->ip) && get_text(&r, peer->cipher, sizeof peer->cipher);
    h->peer = peer;
    h->method = rdr_vec16(&r);
    h->path = rdr_vec16(&r);
    h->query = rdr_vec16(&r);
    h->header_count = rdr_u16(&r);
    ENSURE(texts && !r.bad && h->header_count <= LIMIT_HTTP_HEADERS, NULL, SL_E_PARSE, "call");
    struct http_header *headers = arena_array(h->arena, h->header_count, sizeof *headers);
    ENSURE(headers != NULL, NULL, SL_E_NOMEM, "call");
    for (size_t i = 0; i < h->header_count; i++) {
        headers[i].name = rdr_vec16(&r);
        headers[i].value = rdr_vec16(&r);
    }
    ENSURE(!r.bad, NULL, SL_E_PARSE, "call");
    h->headers = headers;
    h->has_length = true;
    h->length = r.rest.len;
    st->whole = r.rest;
    return SL_OK;
}

struct sl_rc http_call_frame(struct slice in, size_t max, uint8_t *ret_type,
                             struct slice *ret_payload, size_t *ret_len) {
    *ret_len = 0;
    if (in.len < FRAME_HEAD) {
        return SL_OK;
    }
    struct rdr r = rdr_of(in);
    size_t len = 4 + (size_t)rdr_u32(&r);
    ENSURE(len >= FRAME_HEAD, NULL, SL_E_PARSE, "empty frame");
    ENSURE(len <= max, NULL, SL_E_LIMIT, "frame too long");
    if (in.len < len) {
        return SL_OK;
    }
    *ret_type = rdr_u8(&r);
    *ret_payload = slice_sub(in, FRAME_HEAD, len);
    *ret_len = len;
    return SL_OK;
}
