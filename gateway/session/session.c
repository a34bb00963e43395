/* Sessions; see session.h. */
#include "gateway/session/session.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/session/login.h"
#include "gateway/session/proxy.h"
#include "gateway/wire/message.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/rdr.h"
#include "lib/crypto/crypto.h"

enum {
    STACK_BYTES = 1024 * 1024, /* address space; statements nest in the parser */
    PACKETS_BEFORE_SESSION = 4,
};

struct session {
    struct session_env *env;
    struct net_conn *conn;
    struct buf packet; /* the startup packet; `start` points into it */
    struct startup start;
    int64_t login_deadline;
    bool in_gate; /* env->gate is held for reading */
    struct sl_error err;
};

/* A session starts before a reset or after it: the gate is held until PostgreSQL has let it in. */
static void enter_gate(struct session *s) {
    pthread_rwlock_rdlock(&s->env->gate);
    s->in_gate = true;
}

static void leave_gate(void *arg) {
    struct session *s = arg;
    if (s->in_gate) {
        s->in_gate = false;
        pthread_rwlock_unlock(&s->env->gate);
    }
}

static void say_fatal(struct session *s, struct sl_rc rc) {
    SL_CLEANUP(buf_fini) struct buf b = BUF_INIT(16 * 1024);
    struct message_error e = message_error_of(rc, &s->err, true);
    message_error_put(&b, &e);
    sl_ignore(net_write(s->conn, buf_slice(&b), clock_mono_ms() + LIMIT_SQL_STOP_MS));
}

static struct sl_rc read_packet(struct session *s) {
    uint8_t head[4];
    TRY(net_read_exact(s->conn, head, sizeof head, s->login_deadline));
    struct rdr r = rdr_of(slice_of(head, sizeof head));
    uint32_t len = rdr_u32(&r);
    ENSURE(len >= 8 && len <= LIMIT_PG_STARTUP_BYTES, &s->err, SL_E_SQL_PROTOCOL,
           "invalid length of startup packet");
    buf_reset(&s->packet);
    uint8_t *p = buf_reserve(&s->packet, len - 4);
    ENSURE(p != NULL, &s->err, SL_E_NOMEM, "out of memory");
    TRY(net_read_exact(s->conn, p, len - 4, s->login_deadline));
    s->packet.len = len - 4;
    return startup_parse(buf_slice(&s->packet), &s->err, &s->start);
}

/* A client may begin TLS without asking for it first (sslnegotiation=direct). */
static struct sl_rc direct_tls(struct session *s) {
    uint8_t first;
    TRY(net_wait(s->conn, POLLIN, s->login_deadline));
    if (recv(net_fd(s->conn), &first, 1, MSG_PEEK | MSG_DONTWAIT) == 1 && first == 0x16) {
        return net_conn_tls_accept(s->conn, s->env->tls, s->login_deadline, &s->err);
    }
    return SL_OK;
}

static void cancel(struct session *s) {
    uint32_t key;
    if (cancel_find(s->env->cancels, s->start.cancel_pid, s->start.cancel_key, &key)) {
        backend_cancel(&s->env->target, s->start.cancel_pid, key);
    }
}

/* Up to the StartupMessage. *ret_done: there will be no session, and nothing is left to say. */
static struct sl_rc negotiate(struct session *s, bool *ret_done) {
    TRY(direct_tls(s));
    for (int i = 0; i < PACKETS_BEFORE_SESSION; i++) {
        TRY(read_packet(s));
        bool tls = net_peer(s->conn)->tls;
        switch (s->start.kind) {
        case STARTUP_TLS:
            ENSURE(!tls, &s->err, SL_E_SQL_PROTOCOL, "TLS is on already");
            TRY(net_write(s->conn, SLICE_LIT("S"), s->login_deadline));
            TRY(net_conn_tls_accept(s->conn, s->env->tls, s->login_deadline, &s->err));
            break;
        case STARTUP_GSS:
            TRY(net_write(s->conn, SLICE_LIT("N"), s->login_deadline));
            break;
        case STARTUP_CANCEL:
            cancel(s);
            *ret_done = true;
            return SL_OK;
        case STARTUP_SESSION:
            if (!tls) {
                struct sl_rc rc = sl_fail(&s->err, SL_E_SQL_LOGIN, "SSL connection is required");
                sl_hint(&s->err, "Connect with sslmode=require or stronger.");
                return rc;
            }
            return SL_OK;
        }
    }
    return sl_fail(&s->err, SL_E_SQL_PROTOCOL, "no startup packet");
}

/* NegotiateProtocolVersion: this side speaks 3.0 and knows no further options. */
static struct sl_rc answer_version(struct session *s) {
    if (s->start.minor == 0 && s->start.unknown_count == 0) {
        return SL_OK;
    }
    SL_CLEANUP(buf_fini) struct buf b = BUF_INIT(LIMIT_PG_STARTUP_BYTES + 16);
    buf_u32(&b, 3 << 16);
    buf_u32(&b, (uint32_t)s->start.unknown_count);
    for (size_t i = 0; i < s->start.unknown_count; i++) {
        buf_put(&b, s->start.unknown[i]);
        buf_u8(&b, 0);
    }
    SL_CLEANUP(buf_fini) struct buf m = BUF_INIT(LIMIT_PG_STARTUP_BYTES + 32);
    message_put(&m, 'v', buf_slice(&b));
    TRY(buf_check(&m, &s->err));
    return net_write(s->conn, buf_slice(&m), s->login_deadline);
}

static void log_start(const struct session *s) {
    struct slice driver = SLICE_EMPTY;
    for (size_t i = 0; i < s->start.driver_count; i++) {
        if (slice_eq_cstr(s->start.driver[i].name, "driver_version")) {
            driver = s->start.driver[i].value;
        }
    }
    sl_log(SL_INFO, "session_start", "user=%s database=%s peer=%s driver=%s", SL_Q(s->start.user),
           SL_Q(s->start.database), net_peer(s->conn)->ip, SL_Q(driver));
}

static struct sl_rc serve_backend(struct session *s) {
    SL_CLEANUP(secret_fini) struct secret key = {0};
    SL_CLEANUP(buf_fini) struct buf first = BUF_INIT(LIMIT_PG_STARTUP_BYTES);
    first.wipe = true;
    TRY(secret_random(&key, AES256_KEY_LEN));
    if (s->start.replication && s->start.param_count < LIMIT_PG_PARAMETERS) {
        s->start.params[s->start.param_count++] =
            (struct startup_param){SLICE_LIT("replication"), SLICE_LIT("true")};
    }
    TRY(backend_startup_put(&s->env->target, s->start.user, s->start.database, s->start.params,
                            s->start.param_count, &key, &first, &s->err));
    struct proxy_conf conf = {
        .client = s->conn,
        .session_key = &key,
        .startup = buf_slice(&first),
        .cancels = s->env->cancels,
        .stop_fd = s->env->stop_fd,
        .begun = leave_gate,
        .begun_arg = s,
        .redshift_said = s->start.driver_count > 0,
        .replication = s->start.replication,
    };
    enter_gate(s);
    struct sl_rc rc = backend_connect(&s->env->target, &conf.backend_fd, &s->err);
    if (sl_failed(rc)) {
        leave_gate(s);
        return rc;
    }
    log_start(s);
    rc = proxy_run(&conf, &s->err);
    leave_gate(s);
    close(conf.backend_fd);
    sl_log(SL_INFO, "session_end", "user=%s peer=%s result=%s", SL_Q(s->start.user),
           net_peer(s->conn)->ip, sl_code_info(rc.code)->name);
    return SL_OK; /* the proxy has told the client */
}

static struct sl_rc log_in(struct session *s) {
    TRY(answer_version(s));
    struct sl_rc rc = login_run(s->conn, s->env->lookup, &s->env->fake_key, s->start.user,
                                s->login_deadline, &s->err);
    if (sl_failed(rc)) {
        sl_log(SL_WARN, "login_failed", "user=%s peer=%s code=%s", SL_Q(s->start.user),
               net_peer(s->conn)->ip, sl_code_info(rc.code)->name);
    }
    return rc;
}

static void serve(struct session *s) {
    bool done = false;
    struct sl_rc rc = negotiate(s, &done);
    if (sl_is_ok(rc) && !done && access(s->env->sealed_path, F_OK) == 0) {
        rc = sl_fail(&s->err, SL_E_SEALED, "the instance is sealed");
        sl_hint(&s->err, "Its administrator opens it with 'sealift unseal'.");
    }
    if (sl_is_ok(rc) && !done) {
        rc = log_in(s);
        if (sl_is_ok(rc)) {
            if (atomic_fetch_add(&s->env->sessions, 1) < LIMIT_SQL_SESSIONS) {
                rc = serve_backend(s);
            } else {
                rc = sl_fail(&s->err, SL_E_SQL_TOO_MANY, "sorry, too many clients already");
            }
            atomic_fetch_sub(&s->env->sessions, 1);
        }
    }
    if (sl_failed(rc) && rc.code != SL_E_CLOSED) {
        say_fatal(s, rc);
    }
}

void session_serve(struct session_env *env, int take_fd) {
    struct session *s = calloc(1, sizeof *s);
    if (s == NULL) {
        close(take_fd);
        return;
    }
    s->env = env;
    s->packet = BUF_INIT(LIMIT_PG_STARTUP_BYTES);
    s->login_deadline = clock_mono_ms() + LIMIT_SQL_LOGIN_MS;
    if (sl_is_ok(net_conn_from_fd(take_fd, &s->conn))) {
        serve(s);
        net_conn_free(s->conn);
    }
    buf_fini(&s->packet);
    free(s);
}

static void keep_alive(int fd) {
    const int on = 1;
    const int idle_s = 60;
    const int interval_s = 10;
    const int probes = 6;
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof interval_s);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

struct thread_arg {
    struct session_env *env;
    int fd;
};

static void *thread_main(void *arg) {
    struct thread_arg a = *(struct thread_arg *)arg;
    free(arg);
    session_serve(a.env, a.fd);
    atomic_fetch_sub(&a.env->connections, 1);
    return NULL;
}

/* Before any thread or TLS: what the socket's buffer takes, or nothing. */
static void refuse_plain(int fd) {
    SL_CLEANUP(buf_fini) struct buf b = BUF_INIT(1024);
    struct message_error e = message_error_of(sl_rc_of(SL_E_SQL_TOO_MANY), NULL, true);
    message_error_put(&b, &e);
    (void)send(fd, b.ptr, b.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    close(fd);
}

static void start_thread(struct session_env *env, int fd, const pthread_attr_t *attr) {
    struct thread_arg *arg = malloc(sizeof *arg);
    pthread_t t;
    if (atomic_fetch_add(&env->connections, 1) < LIMIT_SQL_CONNECTIONS && arg != NULL) {
        *arg = (struct thread_arg){env, fd};
        if (pthread_create(&t, attr, thread_main, arg) == 0) {
            return;
        }
    }
    atomic_fetch_sub(&env->connections, 1);
    free(arg);
    refuse_plain(fd);
}

void session_accept_loop(struct session_env *env, int listener) {
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    for (;;) {
        struct pollfd fds[2] = {{listener, POLLIN, 0}, {env->stop_fd, POLLIN, 0}};
        if (poll(fds, 2, -1) < 0 && errno != EINTR) {
            break;
        }
        if (fds[1].revents != 0) {
            break;
        }
        if (fds[0].revents == 0) {
            continue;
        }
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            keep_alive(fd);
            start_thread(env, fd, &attr);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
            sl_log(SL_WARN, "accept_failed", "errno=%d", errno);
            (void)poll(&fds[1], 1, 100); /* until something was closed */
        }
    }
    pthread_attr_destroy(&attr);
}

void session_stop(struct session_env *env) {
    const uint64_t one = 1;
    if (write(env->stop_fd, &one, sizeof one) < 0) {
        return;
    }
    int64_t deadline = clock_mono_ms() + LIMIT_SQL_STOP_MS;
    while (atomic_load(&env->connections) > 0 && clock_mono_ms() < deadline) {
        (void)poll(NULL, 0, 20);
    }
}

struct sl_rc session_env_init(struct session_env *env, struct sl_error *err) {
    env->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ENSURE(env->stop_fd >= 0, err, SL_E_IO, "eventfd: error %d", errno);
    TRY(secret_random(&env->fake_key, 32));
    pthread_rwlockattr_t writers_first;
    pthread_rwlockattr_init(&writers_first);
    pthread_rwlockattr_setkind_np(&writers_first, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&env->gate, &writers_first);
    pthread_rwlockattr_destroy(&writers_first);
    TRY(cancel_map_new(LIMIT_SQL_CONNECTIONS, &env->cancels));
    return lookup_new(&env->target, &env->lookup);
}

void session_env_fini(struct session_env *env) {
    lookup_free(env->lookup);
    pthread_rwlock_destroy(&env->gate);
    cancel_map_free(env->cancels);
    secret_fini(&env->fake_key);
    if (env->stop_fd > 0) {
        close(env->stop_fd);
    }
}
