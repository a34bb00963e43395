/* Inside of the kms process: what its HTTP and seam sides share. */
#ifndef SL_MAIN_KMS_SERVICE_H
#define SL_MAIN_KMS_SERVICE_H

#include <pthread.h>
#include <stdatomic.h>

#include "lib/ipc/seam.h"
#include "server/api/api.h"
#include "server/audit/audit.h"
#include "server/http/http.h"
#include "server/keys/keyholder.h"
#include "server/main/conf.h"

enum { KMS_CHANNELS_MAX = 64 };

struct net_server;

struct kms_service {
    const struct conf *conf;
    bool sealed; /* the keys are closed: whatever is asked is refused, nothing below is open */
    struct conf_tokens tokens;
    struct kms_db *db;
    struct used *used;
    struct audit *audit;
    struct net_server *server; /* while it runs */
    char audit_dir[4096];
    struct secret token_key;
    struct secret forward_key;
    struct secret denial_key;
    struct http_service http;
    atomic_llong refused_next_ms; /* monotonic: when the next refusal is free again */
    atomic_llong refused_unrecorded;
    atomic_llong next_due_ms;    /* by the service's clock; kms_clock.c */
    atomic_llong clock_ahead_ms; /* of the service's clock before real time; ephemeral only */
    pthread_mutex_t clock_mu;    /* one move at a time */
    pthread_mutex_t tls_mu;      /* one certificate is made, not two */
    pthread_mutex_t backup_mu;   /* one snapshot, and whose it is */
    char backup_id[SEAM_BACKUP_ID_CHARS + 1];
    pthread_mutex_t root_mu; /* the channel below */
    struct keyholder *root;  /* for forking only */
    pthread_mutex_t mu;      /* the two below */
    struct keyholder *idle[KMS_CHANNELS_MAX];
    size_t idle_count;
};

/* One request's environment: time, and a keyholder channel of its own until kms_env_end. */
struct sl_rc kms_env_begin(struct kms_service *k, struct auth_env *ret, struct sl_error *err);
void kms_env_end(struct kms_service *k, struct auth_env *env);

/* One record in CloudTrail's shape. */
struct kms_event {
    const char *source; /* "kms.amazonaws.com" */
    struct slice name;  /* "Decrypt" */
    bool read_only;
    bool key_use;                /* flushed in a group */
    bool by_service;             /* nobody called: what fell due */
    bool data;                   /* an object's event, which CloudTrail's default leaves out */
    struct slice account;        /* whose event, where the caller has no account; may be empty */
    const struct net_peer *peer; /* of a client's own call, for the TLS details; or NULL */
    struct slice host;           /* the Host header of it */
};
/* Records of calls, to be written together. */
enum { KMS_TRAIL_RECORDS = 130 };
struct kms_trail {
    struct buf text;
    size_t ends[KMS_TRAIL_RECORDS]; /* of each in the text */
    size_t count;
    bool flush; /* for one of them */
};
void kms_trail_init(struct kms_trail *t);
static inline void kms_trail_fini(struct kms_trail *t) {
    buf_fini(&t->text);
}
/* Adds what is to be recorded of a call that ended with rc; c holds caller, err and the audit
 * fields. Not when the trail is full. */
void kms_trail_add(struct kms_service *k, struct kms_trail *t, const struct kms_event *e,
                   const struct api_call *c, struct sl_rc rc);
bool kms_trail_full(const struct kms_trail *t);
/* Writes all, or nothing; the trail is empty afterwards. */
struct sl_rc kms_trail_write(struct kms_service *k, struct kms_trail *t, struct sl_error *err);
/* The result of a call that ended with rc, after its record was written, or was not: then the call
 * has failed. */
struct sl_rc kms_recorded(struct api_call *c, struct sl_rc rc, struct sl_rc written);
/* Writes the record of a call that ended with rc; c holds caller, err and the audit fields. The
 * call's result, or a failure when the record could not be written: then the call has failed. */
struct sl_rc kms_audit(struct kms_service *k, const struct kms_event *e, struct api_call *c,
                       struct sl_rc rc);

/* Writes the record of a request that was refused before its caller was known, as far as
 * LIMIT_AUDIT_REFUSED_* goes; its answer never waits for the disk, nor fails with it. */
struct kms_refused {
    struct kms_event event;
    const struct auth_env *env;
    struct arena *arena;
    struct sl_error *err; /* of the refusal */
    const char *request_id;
    struct slice source_ip, user_agent, authorization, query;
};
void kms_audit_refused(struct kms_service *k, const struct kms_refused *f, struct sl_rc rc);
/* kms_checked.c: the same for a decision that s3 or gateway asked for. */
struct sl_rc kms_audit_check(struct kms_service *k, struct api_call *c, struct slice action,
                             struct slice resource, struct sl_rc rc);
/* kms_params.c: requestParameters and responseElements, values or null. */
void kms_audit_request(struct jsonw *w, const struct api_call *c);
void kms_audit_response(struct jsonw *w, const struct kms_event *e, const struct api_call *c,
                        struct sl_rc rc);

/* kms_http.c: http_handle_fn; user is the struct kms_service. */
void kms_http_handle(struct http *h, void *user);
/* Answers requests together: one message to the keyholder, one write to the audit log. Those that
 * don't use a key should come alone, since the others wait for them. */
enum { KMS_AT_ONCE = 64 };
void kms_http_many(struct kms_service *k, struct http *const *requests, size_t count);
/* kms_calls.c: a connection of mode SEAM_CALLS. */
enum net_verdict kms_calls_serve(struct net_conn *c, struct kms_service *k);
/* kms_rpc.c: net_hello_fn and net_serve_fn. */
struct sl_rc kms_hello(struct net_conn *c, struct net_peer *ret_peer, void *user);
enum net_verdict kms_serve(struct net_conn *c, void *user);
/* One request frame, answered into `out` (SEAM_OK's payload). Apart for tests. */
struct kms_rpc {
    struct kms_service *service;
    struct auth_env env;
    uint8_t edge;
    struct arena *arena;
    struct sl_error err;
    struct slice canonical;
    struct slice string_to_sign;
};
struct sl_rc kms_rpc_run(struct kms_rpc *r, uint8_t type, struct slice payload, struct buf *out);

/* kms_clock.c: the service's clock, and what falls due by it. */
struct sl_rc kms_clock_load(struct kms_service *k, struct sl_error *err);
/* Once an hour of the service's clock: the due work. A failure is logged, the request goes on. */
void kms_clock_tick(struct kms_service *k, const struct auth_env *env);
int64_t kms_clock_ahead_s(const struct auth_env *env);
struct sl_rc kms_clock_rpc(struct kms_rpc *r, struct slice payload, struct buf *out);
struct sl_rc kms_reset_rpc(struct kms_rpc *r, struct slice payload, struct buf *out);

/* kms_cluster.c: the warehouse's roles. */
struct sl_rc kms_cluster_credentials(struct kms_rpc *r, struct slice payload, struct buf *out);
struct sl_rc kms_cluster_roles(struct kms_rpc *r, struct slice payload, struct buf *out);
struct sl_rc kms_cluster_modify(struct kms_rpc *r, struct slice payload, struct buf *out);

/* kms_cluster_key.c: the warehouse's cluster key. */
struct sl_rc kms_cluster_key(struct kms_rpc *r, struct slice payload, struct buf *out);
struct sl_rc kms_cluster_key_open(struct kms_rpc *r, struct slice payload, struct buf *out);
struct sl_rc kms_cluster_rotated(struct kms_rpc *r, struct slice payload, struct buf *out);
struct sl_rc kms_cluster_encryption(struct kms_rpc *r, struct slice payload, struct buf *out);

/* kms_backup.c: backup and drill of the key store. */
struct sl_rc kms_backup_sweep(const struct kms_service *k, struct sl_error *err);
struct sl_rc kms_backup_rpc(struct kms_rpc *r, struct slice payload, struct buf *out);
struct sl_rc kms_backup_check_rpc(struct kms_rpc *r, struct slice payload, struct buf *out);
struct sl_rc kms_backup_note_rpc(struct kms_rpc *r, struct slice payload, struct buf *out);

/* kms_log.c: the audit log, for its verification. */
struct sl_rc kms_log_check(struct kms_rpc *r, struct slice payload, struct buf *out);
struct sl_rc kms_log_head(struct kms_rpc *r, struct slice payload, struct buf *out);

/* kms_tls.c: the instance's certificates. */
struct sl_rc kms_tls_identity(struct kms_rpc *r, struct slice payload, struct buf *out);
struct sl_rc kms_tls_ca(struct kms_rpc *r, struct slice payload, struct buf *out);
struct sl_rc kms_tls_own(struct kms_rpc *r, struct slice payload, struct buf *out);
struct sl_rc kms_tls_renew(struct kms_rpc *r, struct slice payload, struct buf *out);

#endif
