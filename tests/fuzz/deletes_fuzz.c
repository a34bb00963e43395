/* A delete vector's bytes behind their seal: rows (3), then the bytes. What is read has as many
 * rows as it says, and there and back through a sealed vector it is the same. */
#include "lib/base/rdr.h"
#include "lib/columnar/deletes_in.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void there_and_back(const struct deletes *d) {
    static struct secret key;
    struct segment_ref ref = {.rows = d->rows};
    struct buf out = BUF_INIT(1 << 21);
    struct deletes got;
    if (key.len == 0) {
        sl_assert(sl_is_ok(secret_random(&key, 32)));
    }
    sl_assert(sl_is_ok(deletes_seal(&key, &ref, d, &out, NULL)) &&
              sl_is_ok(deletes_open(&key, &ref, buf_slice(&out), &got, NULL)));
    sl_assert(got.count == d->count);
    uint32_t count = 0;
    for (uint32_t i = 0; i < d->rows; i++) {
        sl_assert(deletes_test(&got, i) == deletes_test(d, i));
        count += deletes_test(d, i);
    }
    sl_assert(count == d->count);
    deletes_fini(&got);
    buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct rdr r = rdr_of(slice_of(data, size));
    struct deletes d;
    uint32_t rows = (uint32_t)rdr_uint(&r, 3) % (SEGMENT_ROWS + 1);
    sl_assert(sl_is_ok(deletes_init(&d, rows)));
    struct sl_rc rc = deletes_read(r.rest, &d, NULL);
    sl_assert(sl_is_ok(rc) || rc.code == SL_E_CORRUPT);
    if (sl_is_ok(rc)) {
        there_and_back(&d);
    }
    deletes_fini(&d);
    return 0;
}
