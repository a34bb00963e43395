/* A message between s3 and kms that carries a request: what can be read is written again, and is
 * the same but for what has one spelling only. */
#include "lib/base/limits.h"
#include "server/http/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice in = slice_of(data, size), payload, body, again_body;
    uint8_t type;
    size_t len;
    if (sl_failed(http_call_frame(in, LIMIT_CALL_BYTES, &type, &payload, &len)) || len == 0) {
        return 0;
    }
    sl_assert(len <= size && payload.len < len);
    struct arena a = ARENA_INIT(LIMIT_REQUEST_ARENA_BYTES);
    struct buf out = BUF_INIT(2 * LIMIT_CALL_BYTES);
    struct buf answer = BUF_INIT(2 * LIMIT_CALL_BYTES);
    struct http *h = http_call_new(&a, &answer), *again = http_call_new(&a, &answer);
    uint64_t id, again_id;
    sl_assert(h != NULL && again != NULL);
    if (sl_is_ok(http_call_get(payload, h, &id)) &&
        sl_is_ok(http_body_all(h, LIMIT_CALL_BYTES, &body)) &&
        sl_is_ok(http_call_put(&out, id, h, body, false))) {
        struct slice written = slice_sub(buf_slice(&out), 5, out.len);
        sl_assert(sl_is_ok(http_call_get(written, again, &again_id)));
        sl_assert(sl_is_ok(http_body_all(again, LIMIT_CALL_BYTES, &again_body)));
        sl_assert(id == again_id && slice_eq(body, again_body));
        sl_assert(slice_eq(h->method, again->method) && slice_eq(h->path, again->path) &&
                  slice_eq(h->query, again->query) && h->header_count == again->header_count);
        for (size_t i = 0; i < h->header_count; i++) {
            sl_assert(slice_eq(h->headers[i].name, again->headers[i].name) &&
                      slice_eq(h->headers[i].value, again->headers[i].value));
        }
        sl_assert(strcmp(h->peer->ip, again->peer->ip) == 0 && h->peer->port == again->peer->port);
        sl_assert(sl_is_ok(http_reply(h, body)) && answer.len > body.len);
    }
    buf_fini(&answer);
    buf_fini(&out);
    arena_fini(&a);
    return 0;
}
