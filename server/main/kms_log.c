/* The audit log as the supervisor's edge sees it: its head, and whether records are as written.
 * Neither answer ever holds a MAC that its asker did not have. */
#include "server/main/kms_service.h"

#include "lib/ipc/seam_msg.h"

struct sl_rc kms_log_check(struct kms_rpc *r, struct slice payload, struct buf *out) {
    struct rdr in = rdr_of(payload);
    uint64_t segment = rdr_u64(&in), first = rdr_u64(&in);
    struct slice previous = rdr_bytes(&in, SEAM_MAC_LEN);
    struct keyholder_audit_entry *entries =
        arena_array(r->arena, SEAM_AUDIT_RECORDS_MAX, sizeof *entries);
    ENSURE(entries != NULL, &r->err, SL_E_NOMEM, "Out of memory.");
    size_t count = 0, good = 0;
    while (in.rest.len > 0 && !in.bad) {
        ENSURE(count < SEAM_AUDIT_RECORDS_MAX, &r->err, SL_E_LIMIT, "audit check: records");
        entries[count].record = rdr_vec32(&in);
        struct slice mac = rdr_bytes(&in, SEAM_MAC_LEN);
        if (mac.len == SEAM_MAC_LEN) {
            memcpy(entries[count++].mac, mac.ptr, SEAM_MAC_LEN);
        }
    }
    TRY(rdr_end(&in, &r->err, "audit check"));
    TRY(keyholder_audit_check(r->env.keys, segment, first, previous.ptr, entries, count, &good,
                              &r->err));
    buf_u32(out, (uint32_t)good);
    return SL_OK;
}

struct sl_rc kms_log_head(struct kms_rpc *r, struct slice payload, struct buf *out) {
    SL_CLEANUP(buf_fini) struct buf head = BUF_INIT(AUDIT_HEAD_LINE_MAX);
    TRY(audit_head(r->service->audit, &head, &r->err));
    buf_vec32(out, buf_slice(&head));
    return SL_OK;
}
