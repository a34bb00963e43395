/* See record.h. */
#include "server/keys/record.h"

#include "lib/base/limits.h"
#include "lib/base/rdr.h"
#include "server/keys/envelope.h"
#include "server/keys/keyholder.h"
#include "server/keys/messages.h"

/* Records of imported keys carry one field more. */
enum { RECORD_VERSION = 1, RECORD_VERSION_IMPORTED = 2 };

struct sl_rc record_parse(struct slice bytes, struct record *ret, struct sl_error *err) {
    struct rdr r = rdr_of(bytes);
    struct record rec = {0};
    uint8_t s = rdr_u8(&r);
    uint8_t k = rdr_u8(&r);
    uint8_t version = rdr_u8(&r);
    rec.arn = rdr_vec16(&r);
    rec.state = rdr_u8(&r);
    rec.spec = rdr_u8(&r);
    rec.counter = rdr_u32(&r);
    rec.count = rdr_u16(&r);
    bool imported = version == RECORD_VERSION_IMPORTED;
    rec.pending = imported ? rdr_u8(&r) : 0;
    rec.backings = rdr_bytes(&r, (size_t)rec.count * BACKING_ENTRY_LEN);
    rec.mac = rdr_bytes(&r, RECORD_MAC_LEN);
    bool ok = !r.bad && r.rest.len == 0 && s == 'S' && k == 'K' &&
              (imported || version == RECORD_VERSION) && rec.arn.len >= 1 &&
              rec.arn.len <= KEY_ARN_MAX && rec.state >= KEY_ENABLED &&
              rec.state <= KEY_PENDING_IMPORT &&
              rec.spec == (imported ? RECORD_SPEC_IMPORTED : RECORD_SPEC_SYMMETRIC) &&
              rec.count >= (imported ? rec.pending : 1) && rec.pending <= 1 &&
              rec.count <= LIMIT_KMS_BACKING_KEYS;
    ENSURE(ok, err, SL_E_CORRUPT, "The key record is not valid.");
    rec.covered = slice_sub(bytes, 0, bytes.len - RECORD_MAC_LEN);
    *ret = rec;
    return SL_OK;
}

struct backing record_backing(const struct record *r, size_t index) {
    sl_assert(index < r->count);
    struct rdr e =
        rdr_of(slice_sub(r->backings, index * BACKING_ENTRY_LEN, (index + 1) * BACKING_ENTRY_LEN));
    struct backing b;
    b.id = rdr_bytes(&e, BACKING_ID_LEN);
    b.created_ms = rdr_u64(&e);
    b.wrapped = rdr_bytes(&e, BACKING_WRAPPED_LEN);
    b.nonce = rdr_bytes(&e, BACKING_NONCE_LEN);
    return b;
}

bool record_complete(const struct record *r) {
    for (size_t i = 0; i + r->pending < r->count; i++) {
        if (record_backing(r, i).created_ms == 0) {
            return false;
        }
    }
    return r->count > r->pending;
}

bool record_find(const struct record *r, struct slice id, struct backing *ret) {
    for (size_t i = r->count; i > 0; i--) { /* the newest is the likely one */
        struct backing b = record_backing(r, i - 1);
        if (slice_eq(b.id, id)) {
            *ret = b;
            return true;
        }
    }
    return false;
}

void record_put(struct buf *out, const struct record *r, struct slice more) {
    buf_puts(out, "SK");
    bool imported = r->spec == RECORD_SPEC_IMPORTED;
    buf_u8(out, imported ? RECORD_VERSION_IMPORTED : RECORD_VERSION);
    buf_vec16(out, r->arn);
    buf_u8(out, r->state);
    buf_u8(out, r->spec);
    buf_u32(out, r->counter);
    buf_u16(out, (uint16_t)(r->count + (more.len > 0 ? 1 : 0)));
    if (imported) {
        buf_u8(out, r->pending);
    }
    buf_put(out, r->backings);
    buf_put(out, more);
}

struct sl_rc blob_parse(struct slice bytes, struct blob *ret) {
    struct rdr r = rdr_of(bytes);
    uint8_t version = rdr_u8(&r);
    uint8_t alg = rdr_u8(&r);
    struct blob b = {.arn = rdr_vec16(&r)};
    b.backing_id = rdr_bytes(&r, BACKING_ID_LEN);
    b.head_len = bytes.len - r.rest.len;
    bool ok = !r.bad && version == BLOB_VERSION && alg == BLOB_ALG && b.arn.len >= 1 &&
              b.arn.len <= KEY_ARN_MAX && bytes.len <= LIMIT_KMS_CIPHERTEXT_BYTES &&
              r.rest.len >= ENVELOPE_EXTRA_LEN;
    if (!ok) {
        return sl_rc_of(SL_E_KMS_INVALID_CIPHERTEXT);
    }
    b.plain_len = r.rest.len - ENVELOPE_EXTRA_LEN;
    *ret = b;
    return SL_OK;
}

void blob_put_head(struct buf *out, struct slice arn, struct slice backing_id) {
    buf_u8(out, BLOB_VERSION);
    buf_u8(out, BLOB_ALG);
    buf_vec16(out, arn);
    buf_put(out, backing_id);
}
