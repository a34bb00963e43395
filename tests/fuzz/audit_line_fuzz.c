/* Lines, headers and heads of audit segments. */
#include "server/audit/segment.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice s = slice_of(data, size);
    struct audit_line line;
    struct audit_point point;
    uint64_t segment, last;
    uint8_t mac[AUDIT_MAC_LEN];
    if (audit_line_parse(s, &line)) {
        struct buf again SL_CLEANUP(buf_fini) = BUF_INIT(8 << 20);
        audit_line_put(&again, &line);
        sl_assert(slice_eq(slice_sub(buf_slice(&again), 0, again.len - 1), s));
        (void)audit_header_parse(line.record, &segment, &last, mac);
    }
    (void)audit_header_parse(s, &segment, &last, mac);
    sl_ignore(audit_head_parse(s, &point, mac, NULL));
    return 0;
}
