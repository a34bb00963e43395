/* One request to the keyholder: operation, then its fields. The domain key is all zeros, so that
 * the corpus can hold records and blobs that are genuine under it. */
#include "server/keys/messages.h"
#include "server/keys/service.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct service *s;
    if (s == NULL) {
        struct domain d = {0};
        sl_assert(sl_is_ok(secret_init(&d.key, DOMAIN_KEY_LEN)));
        sl_assert(sl_is_ok(service_new(&d, &s, NULL)));
    }
    if (size > 0) {
        struct buf out SL_CLEANUP(buf_fini) = BUF_INIT(1 << 20);
        struct sl_error err = {0};
        sl_ignore(service_handle(s, data[0], slice_of(data + 1, size - 1), &out, &err));
    }
    return 0;
}
