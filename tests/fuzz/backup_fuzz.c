/* Headers of backups. What parses is written again byte for byte. */
#include "lib/base/limits.h"
#include "server/keys/backup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct backup_header h;
    struct sl_error err = {0};
    if (sl_is_ok(backup_parse(slice_of(data, size), &h, &err))) {
        struct buf again SL_CLEANUP(buf_fini) = BUF_INIT(LIMIT_BACKUP_HEADER_BYTES);
        sl_assert(h.len <= size && h.len == h.head.len + h.commitment.len);
        sl_assert(h.salt.len == BACKUP_SALT_LEN && h.commitment.len == BACKUP_COMMITMENT_LEN);
        sl_assert(sl_is_ok(backup_put_head(&again, &h, NULL)));
        sl_assert(slice_eq(buf_slice(&again), h.head));
    } else {
        sl_assert(err.detail[0] != '\0');
    }
    return 0;
}
