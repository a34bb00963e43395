/* A request head with a body behind it, as it would come from a socket, in steps; then the same
 * bytes as an upstream's answer. The first byte gives the step. */
#include "lib/base/limits.h"
#include "server/http/head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode(struct slice rest, size_t step) {
    struct chunks c = {0};
    uint64_t all = 0;
    while (rest.len > 0 && !c.done) {
        uint8_t part[257];
        size_t n = rest.len < step ? rest.len : step, used, body;
        memcpy(part, rest.ptr, n);
        if (!chunks_feed(&c, part, n, true, &used, &body)) {
            return;
        }
        sl_assert(used <= n && body <= used && (used == n || c.done));
        all += body;
        rest = slice_sub(rest, used, rest.len);
    }
    sl_assert(all <= SIZE_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) {
        return 0;
    }
    size_t step = (size_t)data[0] + 1, scanned = 0, len = 0, whole = 0;
    struct slice in = slice_of(data + 1, size - 1);
    int status = HEAD_MORE, at_once = head_scan(in, &whole, &len);
    for (size_t have = 0; status == HEAD_MORE && have < in.len;) {
        have = have + step < in.len ? have + step : in.len;
        status = head_scan(slice_sub(in, 0, have), &scanned, &len);
    }
    sl_assert(status == at_once || in.len == 0); /* however it is cut */
    if (status != HEAD_OK) {
        return 0;
    }
    sl_assert(len <= in.len && len <= LIMIT_HTTP_HEAD_BYTES);
    struct slice head = slice_sub(in, 0, len), rest = slice_sub(in, len, in.len);
    struct arena a = ARENA_INIT(LIMIT_REQUEST_ARENA_BYTES);
    struct head h;
    if (head_parse(head, &a, &h) == HEAD_OK) {
        sl_assert(h.path.len > 0 && h.header_count <= LIMIT_HTTP_HEADERS);
        sl_assert(!(h.chunked && h.has_length) && slice_eq(h.raw, head));
        if (h.chunked) {
            decode(rest, step);
        }
    }
    struct reply_head r;
    if (reply_head_parse(head, &r) && r.chunked) {
        decode(rest, step);
    }
    arena_fini(&a);
    return 0;
}
