/* Files of wrapped keys, as somebody with the disk may have left them. */
#include "extension/keys/cluster_file.h"
#include "extension/keys/sealed_blob.h"
#include "extension/keys/wrap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint8_t parent[WAREHOUSE_KEY_LEN];
    struct slice bytes = slice_of(data, size);
    struct cluster_file f;
    struct wrap_name name;
    struct secret key = {0};
    sl_ignore(cluster_file_get(bytes, &f, NULL));
    if (sl_is_ok(wrap_name(bytes, &name, NULL))) {
        sl_ignore(wrap_open(bytes, &name, slice_of(parent, sizeof parent), &key, NULL));
        secret_fini(&key);
    }
    struct buf plain = {.max = LIMIT_SEALED_BLOB_BYTES, .wipe = true};
    sl_ignore(sealed_blob_open(parent, slice_of(parent, sizeof parent), SLICE_EMPTY, bytes, &plain,
                               NULL));
    buf_fini(&plain);
    return 0;
}
