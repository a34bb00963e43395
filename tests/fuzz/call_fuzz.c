/* Requests between processes as messages: a run of frames, taken as kms takes it from s3. */
#include "server/http/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice in = slice_of(data, size);
    for (;;) {
        SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(1024 * 1024);
        uint8_t type;
        struct slice payload, body;
        size_t len;
        uint64_t id;
        struct http h;
        bool close;
        if (sl_failed(http_call_frame(in, LIMIT_CALL_BYTES, &type, &payload, &len)) || len == 0) {
            return 0;
        }
        if (sl_is_ok(http_call_get(payload, &a, &id, &h, &body, &close))) {
            SL_CLEANUP(buf_fini) struct buf again = BUF_INIT(2 * LIMIT_CALL_BYTES);
            SL_CLEANUP(buf_fini) struct buf answer = BUF_INIT(64 * 1024);
            sl_assert(sl_is_ok(http_call_put(&again, id, &h, body, close)));
            sl_assert(again.len <= len); /* a text may end early, at a zero */
            struct http *call = http_call_new(&h, body, close, &answer);
            sl_assert(call != NULL && sl_is_ok(http_reply(call, body)) && answer.len > body.len);
        }
        in = slice_sub(in, len, in.len);
    }
}
