/* Probes: a sealed nothing for each backing key of a record, made when a backup is, opened where it
 * was restored. They say that the material is the same and can be used, whatever the key's state,
 * and they open nothing else: their keys are derived under a label of their own.
 *
 *     probe = n × (backing id 16 | salt 32 | commitment 16 | tag 16) */
#include "server/keys/service_in.h"

#include "lib/base/limits.h"
#include "server/keys/envelope.h"

#define LABEL_PROBE "sealift/probe/1"

enum { PROBE_LEN = BACKING_ID_LEN + ENVELOPE_EXTRA_LEN };

static bool has_material(const struct backing *b) {
    return b->created_ms > 0;
}

struct sl_rc service_probe(struct service *s, struct rdr *q, struct buf *out,
                           struct sl_error *err) {
    struct slice bytes = rdr_vec32(q);
    struct record r;
    TRY(rdr_end(q, err, "probe"));
    TRY(service_record(s, bytes, &r, err));
    for (size_t i = 0; i < r.count; i++) {
        struct backing b = record_backing(&r, i);
        struct secret key SL_CLEANUP(secret_fini) = {0};
        struct buf one SL_CLEANUP(buf_fini) = BUF_INIT(PROBE_LEN);
        if (has_material(&b)) {
            TRY(service_open_backing(s, &r, &b, &key, err));
            buf_put(&one, b.id);
            TRY(envelope_seal(secret_view(&key), LABEL_PROBE, r.arn, SLICE_EMPTY, &one));
            buf_put(out, buf_slice(&one));
        }
    }
    return buf_check(out, err);
}

/* Answers with how many materials were proven: all that the record has. */
struct sl_rc service_prove(struct service *s, struct rdr *q, struct buf *out,
                           struct sl_error *err) {
    struct slice bytes = rdr_vec32(q);
    struct slice probe = rdr_vec32(q);
    struct record r;
    uint32_t proven = 0;
    TRY(rdr_end(q, err, "prove"));
    TRY(service_record(s, bytes, &r, err));
    for (size_t i = 0; i < r.count; i++) {
        struct backing b = record_backing(&r, i);
        struct secret key SL_CLEANUP(secret_fini) = {0};
        if (!has_material(&b)) {
            continue;
        }
        struct slice one = slice_sub(probe, 0, PROBE_LEN);
        uint8_t nothing[1];
        ENSURE(one.len == PROBE_LEN && slice_starts(one, b.id), err, SL_E_CORRUPT,
               "The probe is of other key material.");
        TRY(service_open_backing(s, &r, &b, &key, err));
        struct sl_rc rc =
            envelope_open(secret_view(&key), LABEL_PROBE, r.arn, one, BACKING_ID_LEN, nothing);
        ENSURE(sl_is_ok(rc), err, rc.code, "The probe does not open.");
        probe = slice_sub(probe, PROBE_LEN, probe.len);
        proven++;
    }
    ENSURE(probe.len == 0, err, SL_E_CORRUPT, "The probe is of other key material.");
    buf_u32(out, proven);
    return SL_OK;
}
