/* Domain key files. */
#include "server/keys/domain.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct domain_file f;
    if (sl_is_ok(domain_parse(slice_of(data, size), &f, NULL))) {
        sl_assert(f.head.len + f.wrapped.len == size && f.nonce.len == 12 && f.wrapped.len == 48);
        sl_assert(f.kind != ROOT_TOKEN || (f.token.module[0] == '/' && f.token.key[0] != 0));
        sl_assert(f.kind != ROOT_PASSPHRASE || (f.log_n >= 17 && f.log_n < 32));
    }
    return 0;
}
