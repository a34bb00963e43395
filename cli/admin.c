/* Requests of verbs to the supervisor; see admin.h. */
#include "cli/admin.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "gateway/backend/lookup.h"
#include "gateway/backend/question.h"
#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/rdr.h"
#include "lib/crypto/crypto.h"
#include "lib/ipc/frame.h"

enum { CLIENT_MS = 1000, BACKLOG = 8 };

static struct sl_rc address(const struct instance *in, struct sockaddr_un *ret,
                            struct sl_error *err) {
    char path[INSTANCE_PATH_MAX];
    instance_path(in, "run/admin.sock", path, sizeof path);
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    ENSURE(strlen(path) < sizeof ret->sun_path, err, SL_E_LIMIT, "%s: path too long for a socket",
           path);
    memcpy(ret->sun_path, path, strlen(path) + 1);
    return SL_OK;
}

/* ---- Supervisor ---- */

struct sl_rc admin_listen(struct supervisor *s, struct sl_error *err) {
    struct sockaddr_un addr;
    TRY(address(s->in, &addr, err));
    unlink(addr.sun_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    ENSURE(fd >= 0, err, SL_E_IO, "socket: %m");
    mode_t before = umask(0177);
    bool ok = bind(fd, (struct sockaddr *)&addr, sizeof addr) == 0 && listen(fd, BACKLOG) == 0;
    umask(before);
    if (!ok) {
        close(fd);
        return sl_fail(err, SL_E_IO, "%s: %m", addr.sun_path);
    }
    s->admin_fd = fd;
    return SL_OK;
}

/* A session of the role that this edge's token is for, its startup packet sent. */
static struct sl_rc open_session(const struct supervisor *s, enum seam_edge edge, struct slice role,
                                 struct slice database, int *ret_fd, struct sl_error *err) {
    char path[INSTANCE_PATH_MAX];
    struct backend_target t = {.socket_path = path};
    SL_CLEANUP(secret_fini) struct secret key = {0};
    SL_CLEANUP(buf_fini) struct buf b = {.max = LIMIT_PG_HELD_BYTES, .wipe = true};
    ENSURE(database.len > 0 && slice_find(database, 0) == database.len, err, SL_E_PARSE,
           "admin request: no database's name");
    instance_path(s->in, "run/pg/.s.PGSQL.5432", path, sizeof path);
    memcpy(t.token, s->token[edge], SEAM_TOKEN_LEN);
    TRY(secret_random(&key, AES256_KEY_LEN));
    /* A database's owner chooses its settings, and may have functions of his own before ours; what
     * the startup packet says goes before those. */
    const struct startup_param own[] = {{SLICE_LIT("search_path"), SLICE_LIT("pg_catalog")},
                                        {SLICE_LIT("statement_timeout"), SLICE_LIT("0")}};
    struct sl_rc rc =
        backend_startup_put(&t, role, database, own, sizeof own / sizeof own[0], &key, &b, err);
    secret_wipe(&t, sizeof t);
    t.socket_path = path;
    TRY(rc);
    int fd;
    TRY(backend_connect(&t, &fd, err));
    if (send(fd, b.ptr, b.len, MSG_NOSIGNAL) != (ssize_t)b.len) {
        close(fd);
        return sl_fail(err, SL_E_SQL_NOT_READY, "The warehouse is not accepting connections.");
    }
    *ret_fd = fd;
    return SL_OK;
}

/* ret_fd: passed along with the answer. After ADMIN_UNSEAL the supervisor has the client, and
 * answers later. */
static struct sl_rc handle(struct supervisor *s, int client, uint8_t type, struct slice payload,
                           int *ret_fd, struct sl_error *err) {
    switch (type) {
    case ADMIN_KMS:
        ENSURE(!s->sealed, err, SL_E_SEALED, "the keys are sealed; run 'sealift unseal'");
        ENSURE(payload.len == 0, err, SL_E_PARSE, "admin request: payload not expected");
        return supervise_connect(s, ret_fd, err);
    case ADMIN_UNSEAL:
        ENSURE(payload.len > 0 && payload.len <= LIMIT_ROOT_WORD_BYTES, err, SL_E_LIMIT,
               "a passphrase or PIN has 1 to %d bytes", LIMIT_ROOT_WORD_BYTES);
        return supervise_unseal(s, payload, client, err);
    case ADMIN_SQL:
        return open_session(s, SEAM_POSTGRES, SLICE_LIT(LOOKUP_ROLE), payload, ret_fd, err);
    case ADMIN_SUPERUSER:
        return open_session(s, SEAM_SUPERUSER, SLICE_LIT("sealift"), payload, ret_fd, err);
    case ADMIN_TLS:
        ENSURE(payload.len == 0, err, SL_E_PARSE, "admin request: payload not expected");
        return supervise_reload_tls(s, err);
    default:
        return sl_fail(err, SL_E_PARSE, "admin request %u is not known", type);
    }
}

static bool peer_may(int fd) {
    struct ucred peer;
    socklen_t len = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
           (peer.uid == 0 || peer.uid == geteuid());
}

static struct sl_rc answer(int client, struct sl_rc how, const struct sl_error *why, int passed) {
    SL_CLEANUP(buf_fini) struct buf out = BUF_INIT(ADMIN_BYTES_MAX);
    if (sl_failed(how)) {
        buf_u16(&out, (uint16_t)how.code);
        buf_puts(&out, sl_error_message(why, how.code));
    }
    uint8_t word = sl_failed(how) ? 'E' : 'O';
    return passed >= 0 ? frame_send_fd(client, word, buf_slice(&out), passed)
                       : frame_send(client, word, buf_slice(&out), clock_mono_ms() + CLIENT_MS);
}

static struct sl_rc serve_one(struct supervisor *s, int client) {
    struct sl_error err = {0};
    SL_CLEANUP(buf_fini) struct buf in = {.max = ADMIN_BYTES_MAX, .wipe = true};
    uint8_t type = 0;
    int passed = -1;
    TRY(frame_recv_fd(client, &type, &in, &passed, clock_mono_ms() + CLIENT_MS));
    if (passed >= 0) {
        close(passed);
    }
    int fd = -1;
    struct sl_rc rc = handle(s, client, type, buf_slice(&in), &fd, &err);
    if (s->unseal_fd == client) {
        return SL_OK;
    }
    rc = answer(client, rc, &err, fd);
    if (fd >= 0) {
        close(fd);
    }
    return rc;
}

void admin_serve(struct supervisor *s) {
    int fd = accept4(s->admin_fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0) {
        return;
    }
    struct sl_rc rc = peer_may(fd) ? serve_one(s, fd) : sl_rc_of(SL_E_ACCESS_DENIED);
    if (sl_failed(rc)) {
        sl_log(SL_WARN, "admin.refused", "code=%s", sl_code_info(rc.code)->name);
    }
    if (fd != s->unseal_fd) {
        close(fd);
    }
}

void admin_answer(int take_fd, struct sl_rc rc, const struct sl_error *err) {
    struct sl_rc sent = answer(take_fd, rc, err, -1);
    if (sl_failed(sent)) {
        sl_log(SL_WARN, "admin.unanswered", "code=%s", sl_code_info(sent.code)->name);
    }
    close(take_fd);
}

/* ---- Verbs ---- */

static struct sl_rc reach(const struct instance *in, int *ret_fd, struct sl_error *err) {
    struct sockaddr_un addr;
    TRY(address(in, &addr, err));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ENSURE(fd >= 0, err, SL_E_IO, "socket: %m");
    if (connect(fd, (struct sockaddr *)&addr, sizeof addr) != 0) {
        int why = errno;
        close(fd);
        errno = why;
        ENSURE(why == ENOENT || why == ECONNREFUSED, err, SL_E_IO, "%s: %m", addr.sun_path);
        sl_hint(err, "start it with: sealift up --data %s", in->data);
        return sl_fail(err, SL_E_NOT_FOUND, "Sealift is not up on %s", in->data);
    }
    *ret_fd = fd;
    return SL_OK;
}

static struct sl_rc understood(uint8_t word, struct slice answer, struct sl_error *err) {
    if (word == 'O') {
        return SL_OK;
    }
    struct rdr r = rdr_of(answer);
    uint16_t code = rdr_u16(&r);
    ENSURE(word == 'E' && answer.len > 2 && code > SL_CODE_OK && code < SL_CODE_COUNT, err,
           SL_E_PARSE, "the supervisor's answer is not understood");
    struct slice text = slice_sub(answer, 2, answer.len);
    return sl_fail(err, (enum sl_code)code, "%.*s", SLICE_FMT(text));
}

struct sl_rc admin_call(const struct instance *in, enum admin_request type, struct slice payload,
                        int timeout_ms, struct buf *ret_answer, int *ret_fd, struct sl_error *err) {
    int fd, passed = -1;
    uint8_t word = 0;
    SL_CLEANUP(buf_fini) struct buf answer = {.max = ADMIN_BYTES_MAX, .wipe = true};
    int64_t deadline = clock_mono_ms() + timeout_ms;
    TRY(reach(in, &fd, err));
    struct sl_rc rc = frame_send(fd, (uint8_t)type, payload, deadline);
    rc = sl_is_ok(rc) ? frame_recv_fd(fd, &word, &answer, &passed, deadline) : rc;
    close(fd);
    if (sl_failed(rc)) {
        return sl_fail(err, rc.code, "the supervisor does not answer");
    }
    rc = understood(word, buf_slice(&answer), err);
    if (sl_is_ok(rc) && ret_answer != NULL) {
        buf_put(ret_answer, buf_slice(&answer));
        rc = buf_check(ret_answer, err);
    }
    if (passed >= 0 && (sl_failed(rc) || ret_fd == NULL)) {
        close(passed);
        return rc;
    }
    if (ret_fd != NULL) {
        *ret_fd = passed;
    }
    return rc;
}

static struct sl_rc connection(const struct instance *in, enum admin_request type,
                               struct slice payload, int *ret_fd, struct sl_error *err) {
    int fd = -1;
    TRY(admin_call(in, type, payload, CLIENT_MS * 10, NULL, &fd, err));
    ENSURE(fd >= 0, err, SL_E_PARSE, "the supervisor passed no connection");
    *ret_fd = fd;
    return SL_OK;
}

struct sl_rc admin_kms(const struct instance *in, int *ret_fd, struct sl_error *err) {
    return connection(in, ADMIN_KMS, SLICE_EMPTY, ret_fd, err);
}

/* The supervisor has sent the startup packet. */
static struct sl_rc session(const struct instance *in, enum admin_request type,
                            struct slice database, int64_t deadline, struct net_conn **ret,
                            struct sl_error *err) {
    int fd;
    struct net_conn *c;
    TRY(connection(in, type, database, &fd, err));
    TRY(net_conn_from_fd(fd, &c));
    struct sl_rc rc = question_begin(c, deadline, err);
    if (sl_failed(rc)) {
        net_conn_free(c);
        return rc;
    }
    *ret = c;
    return SL_OK;
}

struct sl_rc admin_sql(const struct instance *in, struct slice database, int64_t deadline,
                       struct net_conn **ret, struct sl_error *err) {
    return session(in, ADMIN_SQL, database, deadline, ret, err);
}

struct sl_rc admin_superuser(const struct instance *in, struct slice database, int64_t deadline,
                             struct net_conn **ret, struct sl_error *err) {
    return session(in, ADMIN_SUPERUSER, database, deadline, ret, err);
}
