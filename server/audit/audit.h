/* The audit log's writer, in the kms process; format in docs/decisions/4-audit-record.md. */
#ifndef SL_AUDIT_H
#define SL_AUDIT_H

#include "server/audit/segment.h"

struct audit;
struct keyholder;

/* Opens DATA/kms/audit (made if missing), recovers the last segment (cuts a torn line), starts the
 * writer thread with a keyholder channel of its own (taken). strict: every record is flushed before
 * audit_write returns. */
struct sl_rc audit_open(const char *dir, struct keyholder *take_keys, bool strict,
                        struct audit **ret, struct sl_error *err);
/* Writes records (JSON objects without newline or tab), all or none: at most AUDIT_RECORDS_MAX, of
 * twice LIMIT_AUDIT_RECORD_BYTES together. Returns once they are written, and flushed if `flush` or
 * strict; else they are flushed within 50 ms. A failure means: fail the calls. Thread-safe. */
enum { AUDIT_RECORDS_MAX = 256 };
struct sl_rc audit_write(struct audit *a, const struct slice *records, size_t count, bool flush,
                         struct sl_error *err);
/* The disk is so full that the log lives on its reserve: what need not be recorded should not be.
 */
bool audit_is_short(struct audit *a);
/* A flush failed, so what is on disk is not known: no record is taken any more, until the log is
 * opened anew. */
bool audit_is_broken(struct audit *a);
/* Calls `fn` once that is so, under the log's lock: a flush in the background has no caller who
 * would find out. NULL: no more. */
void audit_on_broken(struct audit *a, void (*fn)(void *user), void *user);
/* The signed head of the log as it stands, a line to be kept elsewhere (audit_verify_head). */
struct sl_rc audit_head(struct audit *a, struct buf *ret_head, struct sl_error *err);
void audit_close(struct audit *a); /* closes the segment with a signed head */

/* Who holds the audit key, for verification: says how many of the lines, which follow `previous` in
 * their segment, carry their right MACs before the first that does not. */
struct audit_judge {
    struct sl_rc (*check)(void *user, uint64_t segment, const uint8_t previous[AUDIT_MAC_LEN],
                          const struct audit_line *lines, size_t count, size_t *ret_good,
                          struct sl_error *err);
    void *user;
    uint8_t public_key[32]; /* of its signatures */
};
/* The keyholder itself, which stays the caller's. */
struct sl_rc audit_judge_of(struct keyholder *keys, struct audit_judge *ret, struct sl_error *err);

/* Verifies all segments under dir; prints a line a segment and the verdict through `print`. judge
 * NULL: heads and sequence only. SL_E_CORRUPT when anything was altered. */
struct sl_rc audit_verify(const char *dir, const struct audit_judge *judge,
                          void (*print)(void *, const char *line), void *user,
                          struct sl_error *err);
/* Does the log hold the record that a head kept elsewhere names (a line of audit_head)?
 * SL_E_CORRUPT when not, as after a cut tail. */
struct sl_rc audit_verify_head(const char *dir, struct slice head,
                               void (*print)(void *, const char *line), void *user,
                               struct sl_error *err);

#endif
