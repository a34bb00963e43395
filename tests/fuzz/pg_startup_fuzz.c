#include "gateway/wire/startup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct startup s;
    struct sl_error err = {0};
    if (sl_is_ok(startup_parse(slice_of(data, size), &err, &s)) && s.kind == STARTUP_SESSION) {
        sl_assert(s.user.len > 0 && s.user.len < 64 && s.database.len > 0);
        sl_assert(!s.replication);
    }
    return 0;
}
