/* The seam to the kms process: what s3, gateway, postgres and the supervisor may ask of it, and the
 * client side. kms listens on DATA/run/kms.sock. A connection starts with a hello: edge, mode, the
 * edge's 32-byte token (handed to each child by the supervisor through an inherited descriptor, see
 * docs/decisions/processes.md), and for SEAM_HTTP the client's address. After it the connection is
 * framed calls (SEAM_RPC), one client's HTTP/1.1 (SEAM_HTTP), or requests of many clients as
 * messages (SEAM_CALLS, edge S3 alone; server/http/http.h). */
#ifndef SL_IPC_SEAM_H
#define SL_IPC_SEAM_H

#include "lib/base/arena.h"
#include "lib/crypto/context.h"
#include "lib/crypto/secret.h"
#include "lib/sigv4/sigv4.h"

enum seam_edge {
    SEAM_S3 = 1,
    SEAM_GATEWAY = 2,
    SEAM_POSTGRES = 3,
    SEAM_SUPERVISOR = 4,
    SEAM_SUPERUSER = 5, /* no edge of kms: sessions of PostgreSQL's superuser, the supervisor's */
    SEAM_TOKENS
};
enum seam_mode { SEAM_RPC = 1, SEAM_HTTP = 2, SEAM_CALLS = 3 };
enum { SEAM_TOKEN_LEN = 32, SEAM_SESSION_MAX = 8192, SEAM_CIPHER_MAX = 40 };

struct seam_hello {
    uint8_t edge;
    uint8_t mode;
    uint8_t token[SEAM_TOKEN_LEN];
    char peer_ip[46]; /* SEAM_HTTP: the client's address */
    uint16_t peer_port;
    bool peer_tls;
    uint8_t peer_tls_minor;            /* 2 or 3 of TLS 1.2 or 1.3; 0 without TLS */
    char peer_cipher[SEAM_CIPHER_MAX]; /* OpenSSL's name of the cipher suite */
};
/* The hello is a frame of type 'H': u8 edge, u8 mode, token, u16+ip, u16 port, u8 tls, u8 minor,
 * u16+cipher. Answer: frame 'O' (ok) or 'E'. */
void seam_hello_put(struct buf *out, const struct seam_hello *h);
struct sl_rc seam_hello_get(struct slice payload, struct seam_hello *ret, struct sl_error *err);
/* Connects a Unix stream socket, says hello, waits for the answer. */
struct sl_rc seam_connect(const char *path, const struct seam_hello *h, int *ret_fd,
                          struct sl_error *err);

/* ---- Authorize: verify a signature and decide. From s3 and gateway.
 * ------------------------------------------- */

struct seam_check {
    struct slice action;
    struct slice resource;
    struct slice resource_account; /* owner's account */
    const struct context_pair
        *keys; /* condition keys known to the caller, e.g. s3:x-amz-server-side-encryption */
    size_t key_count;
};
struct seam_authorize {
    struct slice service; /* "s3", "redshift": the scope must name it */
    struct slice request_id;
    struct slice peer_ip;
    bool peer_tls;
    struct sigv4_request
        request; /* payload_hash: x-amz-content-sha256 as sent, or computed by the caller */
    const struct seam_check *checks; /* all must be allowed; none = authenticate only */
    size_t check_count;
    struct slice resource_policy; /* bucket policy text or empty */
    /* Further checks of the same request: the session an earlier answer gave; the signature is not
     * verified again. */
    struct slice session;
};
struct seam_granted {
    bool anonymous;
    struct slice account;
    struct slice arn; /* caller */
    struct slice user_id;
    struct slice region; /* of the scope */
    struct slice
        session; /* opaque forward session for later calls of this request; minutes to live */
    struct secret
        signing_key; /* the day's key of this scope, for chunk signatures; empty for anonymous */
};
/* On a refusal the failure's code and err carry AWS's code and text. SL_E_SIGNATURE adds canonical
 * and string-to-sign into ret_canonical / ret_string_to_sign (either may be NULL). Slices in `a`;
 * caller ends ret->signing_key. */
struct sl_rc seam_authorize(int fd, const struct seam_authorize *q, struct arena *a,
                            struct sl_error *err, struct seam_granted *ret,
                            struct slice *ret_canonical, struct slice *ret_string_to_sign);

/* Is each a principal: a user, role, session of a role, or account? *ret_bad is the index of the
 * first that is not, `count` when all are. Edge S3, for bucket policies. */
enum { SEAM_PRINCIPALS_MAX = 1024 };
struct sl_rc seam_principals(int fd, const struct slice *principals, size_t count,
                             struct sl_error *err, size_t *ret_bad);

/* ---- Data keys for S3, as the end principal of the session, kms:ViaService =
 * s3.REGION.amazonaws.com ------------ */

/* key_id: id, ARN, alias or alias ARN; empty = alias/aws/s3 of the session's account (made on first
 * use). SSE-S3: use seam_service_key, which needs no kms right. ret_key_arn is the key's ARN.
 * Errors: KMS codes, which s3 turns into KMS.* of HTTP 400, and SL_E_ACCESS_DENIED with KMS's text.
 */
struct sl_rc seam_data_key(int fd, struct slice session, struct slice key_id,
                           const struct context *context, struct arena *a, struct sl_error *err,
                           struct slice *ret_key_arn, struct slice *ret_blob,
                           struct secret *ret_plaintext);
struct sl_rc seam_data_key_open(int fd, struct slice session, struct slice key_arn,
                                struct slice blob, const struct context *context, struct arena *a,
                                struct sl_error *err, struct secret *ret_plaintext);
/* May the session use this action on the key (multipart needs kms:Decrypt at initiate)? Nothing is
 * made. */
struct sl_rc seam_key_check(int fd, struct slice session, struct slice key_id, struct slice action,
                            const struct context *context, struct arena *a, struct sl_error *err,
                            struct slice *ret_key_arn);
/* SSE-S3: a fresh key under S3's own service key, and its opening. Edge S3 only. */
struct sl_rc seam_service_key(int fd, const struct context *context, struct arena *a,
                              struct sl_error *err, struct slice *ret_blob,
                              struct secret *ret_plaintext);
struct sl_rc seam_service_key_open(int fd, struct slice blob, const struct context *context,
                                   struct arena *a, struct sl_error *err,
                                   struct secret *ret_plaintext);

/* ---- The warehouse
 * ---------------------------------------------------------------------------------------------- */

struct seam_credentials {
    struct slice access_key_id;
    struct secret secret_access_key;
    struct slice session_token;
    int64_t expires_s;
};
/* COPY's role (edge POSTGRES only): `db_user` of the cluster assumes role_arn: attached to the
 * cluster, trust policy allows redshift.amazonaws.com with aws:SourceArn (the cluster's ARN),
 * aws:SourceAccount and sts:ExternalId (arn:aws:redshift:REGION:ACCOUNT:dbuser:CLUSTER/USER).
 * role_arn "default" is the cluster's default role. SL_E_COPY_ROLE with Redshift's text otherwise.
 * A chain passes later roles in `chain` (each assumes the next). */
struct sl_rc seam_cluster_credentials(int fd, struct slice db_user, const struct slice *roles,
                                      size_t role_count, struct arena *a, struct sl_error *err,
                                      struct seam_credentials *ret);
/* Cluster's roles (edge GATEWAY, after seam_authorize with redshift:ModifyClusterIamRoles and
 * iam:PassRole). */
struct seam_cluster_role {
    struct slice arn;
    bool is_default;
};
struct sl_rc seam_cluster_roles_get(int fd, struct arena *a, struct sl_error *err,
                                    struct seam_cluster_role **ret, size_t *ret_count);
/* session: as given by seam_authorize. Adds, removes, sets the default (empty: unchanged). */
struct sl_rc seam_cluster_roles_modify(int fd, struct slice session, const struct slice *add,
                                       size_t add_count, const struct slice *remove,
                                       size_t remove_count, struct slice default_role,
                                       struct arena *a, struct sl_error *err);

/* The cluster key of the warehouse (edge POSTGRES only), as the cluster's account through Redshift
 * under the context aws:redshift:arn, aws:redshift:createtime: a new one (under the root key that
 * the administrator chose, or alias/aws/redshift), and its opening. Errors: KMS's codes. */
struct sl_rc seam_cluster_key(int fd, struct arena *a, struct sl_error *err, struct slice *ret_blob,
                              struct secret *ret_plaintext);
struct sl_rc seam_cluster_key_open(int fd, struct slice blob, struct sl_error *err,
                                   struct secret *ret_plaintext);

/* Edge POSTGRES: no older cluster key is used any more. Every start, and every rotation's end. */
struct sl_rc seam_cluster_rotated(int fd, struct sl_error *err);
/* Edge GATEWAY: the root key's ARN (empty: none yet, or the service's own), and whether a rotation
 * runs. */
struct sl_rc seam_cluster_encryption(int fd, struct arena *a, struct sl_error *err,
                                     struct slice *ret_key_arn, bool *ret_rotating);

/* ---- Service life (edges as named)
 * --------------------------------------------------------------------------------- */

/* Any edge: is kms ready? SL_E_SEALED while the root of trust is locked. */
struct sl_rc seam_ping(int fd, struct sl_error *err);
/* Edge SUPERVISOR, first start: the account and its user admin with the access key that the caller
 * made and has already kept, so that a crash in between loses nothing; SL_E_EXISTS later. */
struct sl_rc seam_bootstrap(int fd, struct slice account, struct slice access_key_id,
                            const struct secret *secret_access_key, struct arena *a,
                            struct sl_error *err);
/* Edge SUPERVISOR: a further account with its admin user and key. The key may be given (both parts;
 * else empty) on an ephemeral instance only. Same message as bootstrap with `again`. */
struct sl_rc seam_account_add(int fd, struct slice account, struct slice access_key_id,
                              const struct secret *secret_access_key, struct arena *a,
                              struct sl_error *err, struct seam_credentials *ret);
/* Edge SUPERVISOR, ephemeral instances only (SL_E_VALIDATION otherwise): the service's clock, shown
 * or moved: by `ms`, to `ms` since the epoch, or back to real time. What has fallen due by then is
 * done when this returns. */
enum seam_clock { SEAM_CLOCK_SHOW, SEAM_CLOCK_ADVANCE, SEAM_CLOCK_SET, SEAM_CLOCK_RESET };
struct sl_rc seam_clock(int fd, enum seam_clock how, int64_t ms, struct sl_error *err,
                        int64_t *ret_now_ms, int64_t *ret_real_ms);
/* Edge GATEWAY, ephemeral instances only: identities and keys are as after the first start, in one
 * step; accounts, their `admin` and its first access key stay. The clock is real time again. */
struct sl_rc seam_reset(int fd, struct sl_error *err);
/* Edges S3, GATEWAY: what to serve TLS with, as PEM. The instance's certificate is made by kms on
 * first use for the instance's host names (localhost, 127.0.0.1, ::1 and --host), under the
 * instance's own CA, and renewed ahead of its end; private keys are sealed by the keyholder. The
 * administrator's own (empty: none) is for the hosts that it names. */
struct seam_tls {
    struct slice chain, own_chain;
    struct secret key, own_key;
};
void seam_tls_fini(struct seam_tls *t);
struct sl_rc seam_tls_identity(int fd, struct arena *a, struct sl_error *err, struct seam_tls *ret);
/* Edge SUPERVISOR: the administrator's own certificate, checked; both empty: none any more. */
struct sl_rc seam_tls_own(int fd, struct slice chain_pem, const struct secret *key_pem,
                          struct sl_error *err);
/* Edge SUPERVISOR: a new server certificate and key, under the same CA, now. Who serves the old one
 * has to ask again. */
struct sl_rc seam_tls_renew(int fd, struct sl_error *err);
/* Edge SUPERVISOR: the CA certificate (PEM), public. */
struct sl_rc seam_ca(int fd, struct arena *a, struct sl_error *err, struct slice *ret_ca_pem);

/* ---- The audit log (edge SUPERVISOR) ---- */

/* Does each record, from first_seq of the segment on, carry its right MAC? *ret_good is how many do
 * before the first that does not. All together must fit a frame. */
enum { SEAM_MAC_LEN = 32, SEAM_AUDIT_RECORDS_MAX = 1024 };
struct seam_audit_record {
    struct slice record;
    const uint8_t *mac;
};
struct sl_rc seam_audit_check(int fd, uint64_t segment, uint64_t first_seq, const uint8_t *previous,
                              const struct seam_audit_record *records, size_t count,
                              struct sl_error *err, size_t *ret_good);
/* The signed head of the log as it stands. */
struct sl_rc seam_audit_head(int fd, struct arena *a, struct sl_error *err, struct slice *ret_head);

/* ---- Backup of the key store (edge SUPERVISOR) ---- */

#define SEAM_BACKUP_FILE "backup.db"
enum { SEAM_BACKUP_ID_CHARS = 32 };

/* Makes the snapshot DATA/kms/backup.db, with what proves it, after the event is recorded. `id` is
 * 32 hex digits of the backup. SL_E_EXISTS: another one has begun meanwhile. */
struct sl_rc seam_backup(int fd, const char *id, struct arena *a, struct sl_error *err);

enum seam_backup_kind {
    SEAM_BACKUP_DATABASE,
    SEAM_BACKUP_KEYS,
    SEAM_BACKUP_ACCESS_KEYS,
    SEAM_BACKUP_TLS,
    SEAM_BACKUP_HEADS,
    SEAM_BACKUP_KINDS
};
/* Of a store that comes from a backup: how many things of this kind there are, how many prove to be
 * as they were, and the first that does not. */
struct seam_backup_tally {
    uint32_t seen, good;
    uint32_t materials; /* of keys */
    struct slice problem;
};
struct sl_rc seam_backup_check(int fd, enum seam_backup_kind kind, struct arena *a,
                               struct sl_error *err, struct seam_backup_tally *ret);
/* Records that a backup was restored here, or drilled elsewhere, and whether it was good. */
struct sl_rc seam_backup_note(int fd, const char *id, bool restored, bool good,
                              struct sl_error *err);

#endif
