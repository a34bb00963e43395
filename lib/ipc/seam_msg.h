/* Layouts of the seam's frames, shared by its client (seam.c) and the kms process. Integers are
 * big-endian; vec16 and vec32 are bytes behind a length. Private to the two sides.
 *
 *   hello 'H'   u8 edge, u8 mode, token, vec16 ip, u16 port, u8 tls, u8 minor, vec16 cipher
 *   ok 'O'      the answer of the request, or empty
 *   failed 'E'  vec16 name of the sl_code, vec16 detail, vec16 hint, vec16 sealed explanation of a
 *               denial, vec32 canonical, vec32 string-to-sign
 */
#ifndef SL_IPC_SEAM_MSG_H
#define SL_IPC_SEAM_MSG_H

#include "lib/base/limits.h"
#include "lib/base/rdr.h"
#include "lib/ipc/seam.h"

enum seam_type {
    SEAM_HELLO = 'H',
    SEAM_OK = 'O',
    SEAM_FAILED = 'E',

    SEAM_AUTHORIZE = 1,           /* seam_authorize_put -> seam_granted_put */
    SEAM_DATA_KEY = 2,            /* vec16 session, key id; context -> vec16 arn, blob, plaintext */
    SEAM_DATA_KEY_OPEN = 3,       /* vec16 session, arn, blob; context -> vec16 plaintext */
    SEAM_KEY_CHECK = 4,           /* vec16 session, key id, action; context -> vec16 arn */
    SEAM_SERVICE_KEY = 5,         /* context -> vec16 blob, plaintext */
    SEAM_SERVICE_KEY_OPEN = 6,    /* vec16 blob; context -> vec16 plaintext */
    SEAM_CLUSTER_CREDS = 7,       /* vec16 db user; list of roles -> credentials */
    SEAM_CLUSTER_ROLES = 8,       /* -> u16 n x (vec16 arn, u8 default) */
    SEAM_CLUSTER_MODIFY = 9,      /* vec16 session; list add, list remove; vec16 default */
    SEAM_PING = 10,               /* -> */
    SEAM_BOOTSTRAP = 11,          /* u8 again, vec16 account -> credentials */
    SEAM_TLS = 12,                /* -> vec32 chain, key, own chain, own key */
    SEAM_CA = 13,                 /* -> vec32 certificate */
    SEAM_CLUSTER_KEY = 14,        /* -> vec16 blob, plaintext */
    SEAM_CLUSTER_KEY_OPEN = 15,   /* vec16 blob -> vec16 plaintext */
    SEAM_CLUSTER_ROTATED = 16,    /* -> */
    SEAM_CLUSTER_ENCRYPTION = 17, /* -> vec16 key ARN, u8 rotating */
    SEAM_AUDIT_CHECK = 40,  /* u64 segment, first; MAC before; n x (vec32 record, MAC) -> u32 */
    SEAM_AUDIT_HEAD = 41,   /* -> vec32 signed head */
    SEAM_BACKUP = 42,       /* vec16 id, after -> vec16 after */
    SEAM_BACKUP_CHECK = 43, /* u8 kind, vec16 after -> vec16 after, u32 x 3, vec16 problem */
    SEAM_BACKUP_NOTE = 44,  /* u8 restored, u8 good, vec16 id -> */
    SEAM_PRINCIPALS = 24,   /* list of principals -> u16 index of the first that is none, or n */
    SEAM_CLOCK = 50,        /* u8 how, u64 ms -> u64 service's clock, real clock (ms) */
    SEAM_RESET = 51,        /* -> */
    SEAM_TLS_RENEW = 52,    /* -> */
    SEAM_TLS_OWN = 53,      /* vec32 chain, key -> */
};

enum {
    SEAM_CHECKS_MAX = 64,
    SEAM_CHECK_KEYS_MAX = 256,
    SEAM_HEADERS_MAX = 256,
    SEAM_ROLES_MAX = 64,
};

void seam_context_put(struct buf *out, const struct context *c);
/* A reader that fails marks `r` bad, as the rdr functions do. Slices point into the frame. */
void seam_context_get(struct rdr *r, struct arena *a, struct context *ret);
void seam_list_put(struct buf *out, const struct slice *items, size_t count);
void seam_list_get(struct rdr *r, size_t max, struct arena *a, const struct slice **ret,
                   size_t *ret_count);

/* A repeated name among a check's keys makes one key with several values. */
void seam_authorize_put(struct buf *out, const struct seam_authorize *q);
struct sl_rc seam_authorize_get(struct slice payload, struct arena *a, struct seam_authorize *ret,
                                struct sl_error *err);
void seam_granted_put(struct buf *out, const struct seam_granted *g);
/* Copies into `a`. */
struct sl_rc seam_granted_get(struct slice payload, struct arena *a, struct seam_granted *ret,
                              struct sl_error *err);
void seam_credentials_put(struct buf *out, const struct seam_credentials *c);
struct sl_rc seam_credentials_get(struct slice payload, struct arena *a,
                                  struct seam_credentials *ret, struct sl_error *err);

void seam_failed_put(struct buf *out, enum sl_code code, const struct sl_error *err,
                     struct slice canonical, struct slice string_to_sign);
/* Always a failure: the code the other side gave, with its detail, hint and (where `a` is given)
 * denial in `err`. */
struct sl_rc seam_failed_get(struct slice payload, struct arena *a, struct sl_error *err,
                             struct slice *ret_canonical, struct slice *ret_string_to_sign);

#endif
