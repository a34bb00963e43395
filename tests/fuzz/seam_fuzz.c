/* Every message of the seam that another process can send or answer: the first byte chooses. */
#include "lib/ipc/seam_msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) {
        return 0;
    }
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(8 * 1024 * 1024);
    struct slice in = slice_of(data + 1, size - 1);
    struct sl_error err = {0};
    switch (data[0] % 6) {
    case 0: {
        struct seam_hello h;
        if (sl_is_ok(seam_hello_get(in, &h, &err))) {
            SL_CLEANUP(buf_fini) struct buf again = BUF_INIT(256);
            seam_hello_put(&again, &h);
            /* Whatever is taken has one form, but for the flag, of which any bit counts. */
            sl_assert(again.len == in.len);
        }
        break;
    }
    case 1: {
        struct seam_authorize q;
        if (sl_is_ok(seam_authorize_get(in, &a, &q, &err))) {
            SL_CLEANUP(buf_fini) struct buf again = BUF_INIT(4 * 1024 * 1024);
            seam_authorize_put(&again, &q);
            sl_assert(again.failed || again.len == in.len);
        }
        break;
    }
    case 2: {
        struct seam_granted g = {0};
        if (sl_is_ok(seam_granted_get(in, &a, &g, &err))) {
            secret_fini(&g.signing_key);
        }
        break;
    }
    case 3: {
        struct seam_credentials c = {0};
        if (sl_is_ok(seam_credentials_get(in, &a, &c, &err))) {
            secret_fini(&c.secret_access_key);
        }
        break;
    }
    case 4: {
        struct slice x, y;
        sl_assert(sl_failed(seam_failed_get(in, &a, &err, &x, &y)));
        break;
    }
    default: {
        struct rdr r = rdr_of(in);
        const struct slice *items;
        struct context context;
        size_t n;
        seam_list_get(&r, SEAM_ROLES_MAX, &a, &items, &n);
        seam_context_get(&r, &a, &context);
        sl_ignore(rdr_end(&r, &err, "lists"));
        break;
    }
    }
    return 0;
}
