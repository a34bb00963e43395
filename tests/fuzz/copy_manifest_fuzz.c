/* COPY's manifest, as a user wrote it. */
#include "lib/base/limits.h"
#include "lib/codec/copy_manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena a = ARENA_INIT(16 * 1024 * 1024);
    struct copy_manifest_entry *entries;
    size_t n;
    struct sl_error err = {0};
    if (sl_is_ok(copy_manifest_parse(slice_of(data, size), &a, &entries, &n, &err))) {
        for (size_t i = 0; i < n; i++) {
            size_t bucket = strlen(entries[i].bucket);
            sl_assert(bucket > 0 && bucket <= LIMIT_S3_BUCKET_BYTES && entries[i].key.len > 0 &&
                      entries[i].key.len <= LIMIT_S3_KEY_BYTES);
        }
    }
    arena_fini(&a);
    return 0;
}
