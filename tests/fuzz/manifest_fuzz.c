/* Manifests of objects: what is read as one is written again as the same bytes, so two texts never
 * mean the same object. */
#include "server/store/index/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(16 * 1024 * 1024);
    struct manifest m;
    if (size <= MANIFEST_MAX_BYTES &&
        sl_is_ok(manifest_decode(slice_of(data, size), &a, &m, NULL))) {
        SL_CLEANUP(buf_fini) struct buf out = BUF_INIT(2 * MANIFEST_MAX_BYTES);
        manifest_encode(&m, &out);
        sl_assert(sl_is_ok(buf_check(&out, NULL)));
        sl_assert(slice_eq(buf_slice(&out), slice_of(data, size)));
    }
    return 0;
}
