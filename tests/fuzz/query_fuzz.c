/* Parameters of a query and of a form; encoded again they read the same. */
#include "lib/base/limits.h"
#include "lib/codec/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    for (int form = 0; form < 2; form++) {
        struct arena a = ARENA_INIT(LIMIT_REQUEST_ARENA_BYTES);
        struct params p, again;
        if (sl_is_ok(params_parse(slice_of(data, size), form, &a, NULL, &p))) {
            struct buf out = BUF_INIT(16 * 1024 * 1024);
            for (size_t i = 0; i < p.count; i++) {
                uri_encode(&out, p.items[i].name, false);
                buf_putc(&out, '=');
                uri_encode(&out, p.items[i].value, false);
                buf_putc(&out, '&');
            }
            struct arena b = ARENA_INIT(64 * 1024 * 1024);
            sl_assert(sl_is_ok(params_parse(buf_slice(&out), form, &b, NULL, &again)));
            sl_assert(again.count == p.count);
            for (size_t i = 0; i < p.count; i++) {
                sl_assert(slice_eq(p.items[i].name, again.items[i].name));
                sl_assert(slice_eq(p.items[i].value, again.items[i].value));
            }
            arena_fini(&b);
            buf_fini(&out);
        }
        arena_fini(&a);
    }
    return 0;
}
