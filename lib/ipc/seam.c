/* The client side of the seam: one request frame, one answer frame. Requests and answers may hold
 * secrets, so both buffers are wiped. A connection on which a call failed in transport must be
 * closed by its owner; a refusal leaves it usable. */
#include "lib/ipc/seam.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/ipc/frame.h"
#include "lib/ipc/seam_msg.h"

#define SEAM_BUF SL_CLEANUP(buf_fini) struct buf

static struct buf seam_buf(void) {
    return (struct buf){.max = LIMIT_FRAME_BYTES, .wipe = true};
}

struct failure_detail {
    struct slice *canonical;
    struct slice *string_to_sign;
};

static struct sl_rc call(int fd, uint8_t type, const struct buf *request, struct arena *a,
                         struct sl_error *err, struct buf *ret_answer,
                         const struct failure_detail *more) {
    int64_t deadline = clock_mono_ms() + LIMIT_RPC_MS;
    uint8_t got = 0;
    ENSURE(!request->failed, err, SL_E_LIMIT, "The request is too large.");
    struct sl_rc rc = frame_send(fd, type, buf_slice(request), deadline);
    if (!sl_failed(rc)) {
        rc = frame_recv(fd, &got, ret_answer, deadline);
    }
    if (sl_failed(rc)) {
        return sl_fail(err, rc.code, "The key service did not answer.");
    }
    if (got == SEAM_OK) {
        return SL_OK;
    }
    ENSURE(got == SEAM_FAILED, err, SL_E_INTERNAL, "Unknown answer from the key service.");
    return seam_failed_get(buf_slice(ret_answer), a, err, more ? more->canonical : NULL,
                           more ? more->string_to_sign : NULL);
}

struct sl_rc seam_connect(const char *path, const struct seam_hello *h, int *ret_fd,
                          struct sl_error *err) {
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    ENSURE(strlen(path) < sizeof sa.sun_path, err, SL_E_LIMIT, "%s: path too long", path);
    memcpy(sa.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ENSURE(fd >= 0, err, SL_E_IO, "socket: %s", strerror(errno));
    if (connect(fd, (const struct sockaddr *)&sa, sizeof sa) != 0) {
        int why = errno;
        close(fd);
        return sl_fail(err, SL_E_CLOSED, "The key service can't be reached: %s", strerror(why));
    }
    SEAM_BUF hello = seam_buf();
    SEAM_BUF answer = seam_buf();
    seam_hello_put(&hello, h);
    struct sl_rc rc = call(fd, SEAM_HELLO, &hello, NULL, err, &answer, NULL);
    if (sl_failed(rc)) {
        close(fd);
        return rc;
    }
    *ret_fd = fd;
    return SL_OK;
}

struct sl_rc seam_authorize(int fd, const struct seam_authorize *q, struct arena *a,
                            struct sl_error *err, struct seam_granted *ret,
                            struct slice *ret_canonical, struct slice *ret_string_to_sign) {
    SEAM_BUF out = seam_buf();
    SEAM_BUF in = seam_buf();
    seam_authorize_put(&out, q);
    struct failure_detail more = {ret_canonical, ret_string_to_sign};
    TRY(call(fd, SEAM_AUTHORIZE, &out, a, err, &in, &more));
    return seam_granted_get(buf_slice(&in), a, ret, err);
}

struct sl_rc seam_principals(int fd, const struct slice *principals, size_t count,
                             struct sl_error *err, size_t *ret_bad) {
    SEAM_BUF out = seam_buf();
    SEAM_BUF in = seam_buf();
    ENSURE(count <= SEAM_PRINCIPALS_MAX, err, SL_E_LIMIT, "Too many principals.");
    seam_list_put(&out, principals, count);
    TRY(call(fd, SEAM_PRINCIPALS, &out, NULL, err, &in, NULL));
    struct rdr r = rdr_of(buf_slice(&in));
    size_t bad = rdr_u16(&r);
    TRY(rdr_end(&r, err, "principals"));
    *ret_bad = bad;
    return SL_OK;
}

static struct sl_rc copy(struct arena *a, struct slice s, struct slice *ret, struct sl_error *err) {
    struct slice kept = arena_copy(a, s);
    ENSURE(kept.ptr != NULL, err, SL_E_NOMEM, "Out of memory.");
    *ret = kept;
    return SL_OK;
}

struct sl_rc seam_data_key(int fd, struct slice session, struct slice key_id,
                           const struct context *context, struct arena *a, struct sl_error *err,
                           struct slice *ret_key_arn, struct slice *ret_blob,
                           struct secret *ret_plaintext) {
    SEAM_BUF out = seam_buf();
    SEAM_BUF in = seam_buf();
    buf_vec16(&out, session);
    buf_vec16(&out, key_id);
    seam_context_put(&out, context);
    TRY(call(fd, SEAM_DATA_KEY, &out, a, err, &in, NULL));
    struct rdr r = rdr_of(buf_slice(&in));
    struct slice arn = rdr_vec16(&r);
    struct slice blob = rdr_vec16(&r);
    struct slice plain = rdr_vec16(&r);
    TRY(rdr_end(&r, err, "data key"));
    TRY(copy(a, arn, &arn, err));
    TRY(copy(a, blob, &blob, err));
    TRY(secret_from(ret_plaintext, plain));
    *ret_key_arn = arn;
    *ret_blob = blob;
    return SL_OK;
}

/* The answer is one secret. */
static struct sl_rc secret_answer(const struct buf *in, struct sl_error *err, struct secret *ret) {
    struct rdr r = rdr_of(buf_slice(in));
    struct slice plain = rdr_vec16(&r);
    TRY(rdr_end(&r, err, "data key"));
    return secret_from(ret, plain);
}

struct sl_rc seam_data_key_open(int fd, struct slice session, struct slice key_arn,
                                struct slice blob, const struct context *context, struct arena *a,
                                struct sl_error *err, struct secret *ret_plaintext) {
    SEAM_BUF out = seam_buf();
    SEAM_BUF in = seam_buf();
    buf_vec16(&out, session);
    buf_vec16(&out, key_arn);
    buf_vec16(&out, blob);
    seam_context_put(&out, context);
    TRY(call(fd, SEAM_DATA_KEY_OPEN, &out, a, err, &in, NULL));
    return secret_answer(&in, err, ret_plaintext);
}

struct sl_rc seam_key_check(int fd, struct slice session, struct slice key_id, struct slice action,
                            const struct context *context, struct arena *a, struct sl_error *err,
                            struct slice *ret_key_arn) {
    SEAM_BUF out = seam_buf();
    SEAM_BUF in = seam_buf();
    buf_vec16(&out, session);
    buf_vec16(&out, key_id);
    buf_vec16(&out, action);
    seam_context_put(&out, context);
    TRY(call(fd, SEAM_KEY_CHECK, &out, a, err, &in, NULL));
    struct rdr r = rdr_of(buf_slice(&in));
    struct slice arn = rdr_vec16(&r);
    TRY(rdr_end(&r, err, "key check"));
    return copy(a, arn, ret_key_arn, err);
}

/* A service's own key: blob and plaintext. */
static struct sl_rc own_key(int fd, uint8_t type, const struct buf *request, struct arena *a,
                            struct sl_error *err, struct slice *ret_blob,
                            struct secret *ret_plaintext) {
    SEAM_BUF in = seam_buf();
    TRY(call(fd, type, request, a, err, &in, NULL));
    struct rdr r = rdr_of(buf_slice(&in));
    struct slice blob = rdr_vec16(&r);
    struct slice plain = rdr_vec16(&r);
    TRY(rdr_end(&r, err, "service key"));
    TRY(copy(a, blob, &blob, err));
    TRY(secret_from(ret_plaintext, plain));
    *ret_blob = blob;
    return SL_OK;
}

struct sl_rc seam_service_key(int fd, const struct context *context, struct arena *a,
                              struct sl_error *err, struct slice *ret_blob,
                              struct secret *ret_plaintext) {
    SEAM_BUF out = seam_buf();
    seam_context_put(&out, context);
    return own_key(fd, SEAM_SERVICE_KEY, &out, a, err, ret_blob, ret_plaintext);
}

struct sl_rc seam_cluster_key(int fd, struct arena *a, struct sl_error *err, struct slice *ret_blob,
                              struct secret *ret_plaintext) {
    SEAM_BUF out = seam_buf();
    return own_key(fd, SEAM_CLUSTER_KEY, &out, a, err, ret_blob, ret_plaintext);
}

struct sl_rc seam_cluster_key_open(int fd, struct slice blob, struct sl_error *err,
                                   struct secret *ret_plaintext) {
    SEAM_BUF out = seam_buf();
    SEAM_BUF in = seam_buf();
    buf_vec16(&out, blob);
    TRY(call(fd, SEAM_CLUSTER_KEY_OPEN, &out, NULL, err, &in, NULL));
    return secret_answer(&in, err, ret_plaintext);
}

struct sl_rc seam_service_key_open(int fd, struct slice blob, const struct context *context,
                                   struct arena *a, struct sl_error *err,
                                   struct secret *ret_plaintext) {
    SEAM_BUF out = seam_buf();
    SEAM_BUF in = seam_buf();
    buf_vec16(&out, blob);
    seam_context_put(&out, context);
    TRY(call(fd, SEAM_SERVICE_KEY_OPEN, &out, a, err, &in, NULL));
    return secret_answer(&in, err, ret_plaintext);
}

struct sl_rc seam_cluster_rotated(int fd, struct sl_error *err) {
    SEAM_BUF out = seam_buf();
    SEAM_BUF in = seam_buf();
    return call(fd, SEAM_CLUSTER_ROTATED, &out, NULL, err, &in, NULL);
}

struct sl_rc seam_cluster_encryption(int fd, struct arena *a, struct sl_error *err,
                                     struct slice *ret_key_arn, bool *ret_rotating) {
    SEAM_BUF out = seam_buf();
    SEAM_BUF in = seam_buf();
    TRY(call(fd, SEAM_CLUSTER_ENCRYPTION, &out, a, err, &in, NULL));
    struct rdr r = rdr_of(buf_slice(&in));
    struct slice arn = rdr_vec16(&r);
    bool rotating = rdr_u8(&r) != 0;
    TRY(rdr_end(&r, err, "cluster encryption"));
    TRY(copy(a, arn, ret_key_arn, err));
    *ret_rotating = rotating;
    return SL_OK;
}

struct sl_rc seam_cluster_credentials(int fd, struct slice db_user, const struct slice *roles,
                                      size_t role_count, struct arena *a, struct sl_error *err,
                                      struct seam_credentials *ret) {
    SEAM_BUF out = seam_buf();
    SEAM_BUF in = seam_buf();
    buf_vec16(&out, db_user);
    seam_list_put(&out, roles, role_count);
    TRY(call(fd, SEAM_CLUSTER_CREDS, &out, a, err, &in, NULL));
    return seam_credentials_get(buf_slice(&in), a, ret, err);
}

struct sl_rc seam_cluster_roles_get(int fd, struct arena *a, struct sl_error *err,
                                    struct seam_cluster_role **ret, size_t *ret_count) {
    SEAM_BUF out = seam_buf();
    SEAM_BUF in = seam_buf();
    TRY(call(fd, SEAM_CLUSTER_ROLES, &out, a, err, &in, NULL));
    struct rdr r = rdr_of(buf_slice(&in));
    size_t n = rdr_u16(&r);
    struct seam_cluster_role *roles = arena_array(a, n + 1, sizeof *roles);
    ENSURE(roles != NULL, err, SL_E_NOMEM, "Out of memory.");
    for (size_t i = 0; i < n; i++) {
        TRY(copy(a, rdr_vec16(&r), &roles[i].arn, err));
        roles[i].is_default = rdr_u8(&r) != 0;
    }
    TRY(rdr_end(&r, err, "cluster roles"));
    *ret = roles;
    *ret_count = n;
    return SL_OK;
}

struct sl_rc seam_cluster_roles_modify(int fd, struct slice session, const struct slice *add,
                                       size_t add_count, const struct slice *remove,
                                       size_t remove_count, struct slice default_role,
                                       struct arena *a, struct sl_error *err) {
    SEAM_BUF out = seam_buf();
    SEAM_BUF in = seam_buf();
    buf_vec16(&out, session);
    seam_list_put(&out, add, add_count);
    seam_list_put(&out, remove, remove_count);
    buf_vec16(&out, default_role);
    return call(fd, SEAM_CLUSTER_MODIFY, &out, a, err, &in, NULL);
}

struct sl_rc seam_ping(int fd, struct sl_error *err) {
    SEAM_BUF out = seam_buf();
    SEAM_BUF in = seam_buf();
    return call(fd, SEAM_PING, &out, NULL, err, &in, NULL);
}

struct sl_rc seam_bootstrap(int fd, struct slice account, struct slice access_key_id,
                            const struct secret *secret_access_key, struct arena *a,
                            struct sl_error *err) {
    SEAM_BUF out = seam_buf();
    SEAM_BUF in = seam_buf();
    buf_u8(&out, 0);
    buf_vec16(&out, account);
    buf_vec16(&out, access_key_id);
    buf_vec16(&out, secret_view(secret_access_key));
    return call(fd, SEAM_BOOTSTRAP, &out, a, err, &in, NULL);
}

struct sl_rc seam_account_add(int fd, struct slice account, struct slice access_key_id,
                              const struct secret *secret_access_key, struct arena *a,
                              struct sl_error *err, struct seam_credentials *ret) {
    SEAM_BUF out = seam_buf();
    SEAM_BUF in = seam_buf();
    buf_u8(&out, 1);
    buf_vec16(&out, account);
    buf_vec16(&out, access_key_id);
    buf_vec16(&out, secret_view(secret_access_key));
    TRY(call(fd, SEAM_BOOTSTRAP, &out, a, err, &in, NULL));
    return seam_credentials_get(buf_slice(&in), a, ret, err);
}

struct sl_rc seam_clock(int fd, enum seam_clock how, int64_t ms, struct sl_error *err,
                        int64_t *ret_now_ms, int64_t *ret_real_ms) {
    SEAM_BUF out = seam_buf();
    SEAM_BUF in = seam_buf();
    buf_u8(&out, (uint8_t)how);
    buf_u64(&out, (uint64_t)ms);
    TRY(call(fd, SEAM_CLOCK, &out, NULL, err, &in, NULL));
    struct rdr r = rdr_of(buf_slice(&in));
    int64_t now_ms = (int64_t)rdr_u64(&r), real_ms = (int64_t)rdr_u64(&r);
    TRY(rdr_end(&r, err, "clock"));
    *ret_now_ms = now_ms;
    *ret_real_ms = real_ms;
    return SL_OK;
}

struct sl_rc seam_reset(int fd, struct sl_error *err) {
    SEAM_BUF out = seam_buf();
    SEAM_BUF in = seam_buf();
    return call(fd, SEAM_RESET, &out, NULL, err, &in, NULL);
}

void seam_tls_fini(struct seam_tls *t) {
    secret_fini(&t->key);
    secret_fini(&t->own_key);
}

static struct sl_rc tls_get(struct rdr *r, struct arena *a, struct sl_error *err,
                            struct seam_tls *t) {
    struct slice chain = rdr_vec32(r), key = rdr_vec32(r);
    struct slice own_chain = rdr_vec32(r), own_key = rdr_vec32(r);
    TRY(rdr_end(r, err, "TLS identity"));
    TRY(copy(a, chain, &t->chain, err));
    TRY(copy(a, own_chain, &t->own_chain, err));
    TRY(secret_from(&t->key, key));
    return own_key.len > 0 ? secret_from(&t->own_key, own_key) : SL_OK;
}

struct sl_rc seam_tls_identity(int fd, struct arena *a, struct sl_error *err,
                               struct seam_tls *ret) {
    SEAM_BUF out = seam_buf();
    SEAM_BUF in = seam_buf();
    struct seam_tls t = {0};
    TRY(call(fd, SEAM_TLS, &out, a, err, &in, NULL));
    struct rdr r = rdr_of(buf_slice(&in));
    struct sl_rc rc = tls_get(&r, a, err, &t);
    if (sl_failed(rc)) {
        seam_tls_fini(&t);
        return rc;
    }
    *ret = t;
    return SL_OK;
}

struct sl_rc seam_tls_own(int fd, struct slice chain_pem, const struct secret *key_pem,
                          struct sl_error *err) {
    SEAM_BUF out = seam_buf();
    SEAM_BUF in = seam_buf();
    buf_vec32(&out, chain_pem);
    buf_vec32(&out, secret_view(key_pem));
    return call(fd, SEAM_TLS_OWN, &out, NULL, err, &in, NULL);
}

struct sl_rc seam_tls_renew(int fd, struct sl_error *err) {
    SEAM_BUF out = seam_buf();
    SEAM_BUF in = seam_buf();
    return call(fd, SEAM_TLS_RENEW, &out, NULL, err, &in, NULL);
}

struct sl_rc seam_ca(int fd, struct arena *a, struct sl_error *err, struct slice *ret_ca_pem) {
    SEAM_BUF out = seam_buf();
    SEAM_BUF in = seam_buf();
    TRY(call(fd, SEAM_CA, &out, a, err, &in, NULL));
    struct rdr r = rdr_of(buf_slice(&in));
    struct slice pem = rdr_vec32(&r);
    TRY(rdr_end(&r, err, "CA certificate"));
    return copy(a, pem, ret_ca_pem, err);
}

struct sl_rc seam_audit_check(int fd, uint64_t segment, uint64_t first_seq, const uint8_t *previous,
                              const struct seam_audit_record *records, size_t count,
                              struct sl_error *err, size_t *ret_good) {
    SEAM_BUF out = seam_buf();
    SEAM_BUF in = seam_buf();
    buf_u64(&out, segment);
    buf_u64(&out, first_seq);
    buf_put(&out, slice_of(previous, SEAM_MAC_LEN));
    for (size_t i = 0; i < count; i++) {
        buf_vec32(&out, records[i].record);
        buf_put(&out, slice_of(records[i].mac, SEAM_MAC_LEN));
    }
    TRY(call(fd, SEAM_AUDIT_CHECK, &out, NULL, err, &in, NULL));
    struct rdr r = rdr_of(buf_slice(&in));
    size_t good = rdr_u32(&r);
    TRY(rdr_end(&r, err, "audit check"));
    ENSURE(good <= count, err, SL_E_PARSE, "audit check: more records than were asked for");
    *ret_good = good;
    return SL_OK;
}

struct sl_rc seam_audit_head(int fd, struct arena *a, struct sl_error *err,
                             struct slice *ret_head) {
    SEAM_BUF out = seam_buf();
    SEAM_BUF in = seam_buf();
    TRY(call(fd, SEAM_AUDIT_HEAD, &out, a, err, &in, NULL));
    struct rdr r = rdr_of(buf_slice(&in));
    struct slice head = rdr_vec32(&r);
    TRY(rdr_end(&r, err, "audit head"));
    return copy(a, head, ret_head, err);
}

static struct sl_rc backup_page(int fd, const char *id, struct slice after, struct arena *a,
                                struct sl_error *err, struct slice *ret_after) {
    SEAM_BUF out = seam_buf();
    SEAM_BUF in = seam_buf();
    buf_vec16(&out, slice_cstr(id));
    buf_vec16(&out, after);
    TRY(call(fd, SEAM_BACKUP, &out, a, err, &in, NULL));
    struct rdr r = rdr_of(buf_slice(&in));
    struct slice next = rdr_vec16(&r);
    TRY(rdr_end(&r, err, "backup"));
    return copy(a, next, ret_after, err);
}

struct sl_rc seam_backup(int fd, const char *id, struct arena *a, struct sl_error *err) {
    struct slice after = SLICE_EMPTY;
    do {
        TRY(backup_page(fd, id, after, a, err, &after));
    } while (after.len > 0);
    return SL_OK;
}

static struct sl_rc check_page(int fd, enum seam_backup_kind kind, struct slice after,
                               struct arena *a, struct sl_error *err, struct slice *ret_after,
                               struct seam_backup_tally *sum) {
    SEAM_BUF out = seam_buf();
    SEAM_BUF in = seam_buf();
    buf_u8(&out, (uint8_t)kind);
    buf_vec16(&out, after);
    TRY(call(fd, SEAM_BACKUP_CHECK, &out, a, err, &in, NULL));
    struct rdr r = rdr_of(buf_slice(&in));
    struct slice next = rdr_vec16(&r);
    uint32_t seen = rdr_u32(&r), good = rdr_u32(&r), materials = rdr_u32(&r);
    struct slice problem = rdr_vec16(&r);
    TRY(rdr_end(&r, err, "backup check"));
    TRY(copy(a, next, ret_after, err));
    sum->seen += seen;
    sum->good += good;
    sum->materials += materials;
    return sum->problem.len > 0 ? SL_OK : copy(a, problem, &sum->problem, err);
}

struct sl_rc seam_backup_check(int fd, enum seam_backup_kind kind, struct arena *a,
                               struct sl_error *err, struct seam_backup_tally *ret) {
    struct slice after = SLICE_EMPTY;
    struct seam_backup_tally sum = {0};
    do {
        TRY(check_page(fd, kind, after, a, err, &after, &sum));
    } while (after.len > 0);
    *ret = sum;
    return SL_OK;
}

struct sl_rc seam_backup_note(int fd, const char *id, bool restored, bool good,
                              struct sl_error *err) {
    SEAM_BUF out = seam_buf();
    SEAM_BUF in = seam_buf();
    buf_u8(&out, restored);
    buf_u8(&out, good);
    buf_vec16(&out, slice_cstr(id));
    return call(fd, SEAM_BACKUP_NOTE, &out, NULL, err, &in, NULL);
}
