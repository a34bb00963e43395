/* See cluster_file.h. */
#include "extension/keys/cluster_file.h"

#include "lib/base/rdr.h"

#define MAGIC SLICE_LIT("SLCLK")
enum { VERSION = 1 };

void cluster_file_put(struct buf *out, const struct cluster_file *f) {
    buf_put(out, MAGIC);
    buf_u8(out, VERSION);
    buf_u8(out, (uint8_t)f->count);
    for (size_t i = 0; i < f->count; i++) {
        buf_put(out, slice_of(f->key[i].id, KEY_ID_LEN));
        buf_vec16(out, f->key[i].blob);
    }
}

struct sl_rc cluster_file_get(struct slice bytes, struct cluster_file *ret, struct sl_error *err) {
    struct cluster_file f = {0};
    struct rdr r = rdr_of(bytes);
    bool ours = slice_eq(rdr_bytes(&r, MAGIC.len), MAGIC);
    ours &= rdr_u8(&r) == VERSION;
    f.count = rdr_u8(&r);
    ENSURE(ours && f.count >= 1 && f.count <= CLUSTER_KEYS_MAX, err, SL_E_CORRUPT,
           "it does not hold cluster keys");
    for (size_t i = 0; i < f.count; i++) {
        struct slice id = rdr_bytes(&r, KEY_ID_LEN);
        if (id.len > 0) {
            memcpy(f.key[i].id, id.ptr, KEY_ID_LEN);
        }
        f.key[i].blob = rdr_vec16(&r);
    }
    if (sl_failed(rdr_end(&r, NULL, ""))) {
        return sl_fail(err, SL_E_CORRUPT, "it is cut short or too long");
    }
    *ret = f;
    return SL_OK;
}
