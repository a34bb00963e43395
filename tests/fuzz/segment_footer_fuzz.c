/* A segment's footer behind its seal: columns (2), rows (3), where the footer begins (4), then its
 * bytes. What is read writes the same bytes again. */
#include "lib/base/rdr.h"
#include "lib/columnar/segment_in.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct footer_column columns[64];
    struct rdr r = rdr_of(slice_of(data, size));
    struct segment_ref ref = {.columns = rdr_u16(&r) % 64,
                              .rows = (uint32_t)rdr_uint(&r, 3) % (SEGMENT_ROWS + 1),
                              .footer_offset = rdr_u32(&r)};
    struct sl_rc rc = footer_read(r.rest, &ref, columns, NULL);
    sl_assert(sl_is_ok(rc) || rc.code == SL_E_CORRUPT);
    if (sl_is_ok(rc)) {
        struct buf out = BUF_INIT(1 << 20);
        footer_write(columns, ref.columns, &out);
        sl_assert(slice_eq(buf_slice(&out), r.rest));
        buf_fini(&out);
    }
    return 0;
}
