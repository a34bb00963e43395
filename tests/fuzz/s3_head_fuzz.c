/* Range, ETag lists, dates, and the routing of credentials: what s3 reads of a head by itself. */
#include "server/api/s3/range.h"
#include "server/main/s3_route.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice s = slice_of(data, size);
    size_t nl = slice_find(s, '\n');
    struct slice a = slice_sub(s, 0, nl);
    struct slice b = slice_sub(s, nl + 1, s.len);
    for (uint64_t total = 0; total < 3; total++) {
        uint64_t bytes = total == 2 ? UINT64_MAX / 4 : total * 100;
        uint64_t from = 0;
        uint64_t to = 0;
        if (range_parse(a, bytes, &from, &to) == RANGE_PART) {
            sl_assert(from < to && to <= bytes);
        }
    }
    struct range_conditions c = {a, SLICE_EMPTY, b, a};
    (void)range_check(&c, b, 1);
    c = (struct range_conditions){SLICE_EMPTY, b, a, b};
    (void)range_check(&c, a, 1);
    struct slice service = s3_route_scope(a, b);
    sl_assert(service.len == 0 ||
              (service.ptr >= data && service.ptr + service.len <= data + size));
    return 0;
}
