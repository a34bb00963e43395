/* The loop of a session. PostgreSQL's socket is written without blocking and the client is not read
 * while bytes for PostgreSQL wait, so a client that sends much and reads late can't lock both ends;
 * the client's socket is written blocking, as PostgreSQL itself does. */
#include "gateway/session/proxy_in.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "lib/base/clock.h"

enum {
    UP_OUT_MAX = 4 * LIMIT_SQL_STATEMENT_BYTES,
    DOWN_OUT_MAX = 1024 * 1024,
    KEEP_OUT_BYTES = 4 * PROXY_CHUNK_BYTES, /* larger buffers are given back once empty */
};

static bool up_pending(const struct proxy *p) {
    return p->up.out_sent < p->up.out.len;
}

/* Gives PostgreSQL what it takes now. */
static struct sl_rc flush_up(struct proxy *p) {
    struct buf *out = &p->up.out;
    while (up_pending(p)) {
        ssize_t n = send(p->conf->backend_fd, out->ptr + p->up.out_sent, out->len - p->up.out_sent,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return errno == EAGAIN ? SL_OK : sl_rc_of(SL_E_CLOSED);
        }
        p->up.out_sent += (size_t)n;
    }
    p->up.out_sent = 0;
    if (out->cap > KEEP_OUT_BYTES) {
        buf_fini(out);
    }
    buf_reset(out);
    return SL_OK;
}

static struct sl_rc flush_down(struct proxy *p) {
    struct sl_rc rc = net_write(p->conf->client, buf_slice(&p->down.out), INT64_MAX);
    if (p->down.out.cap > KEEP_OUT_BYTES) {
        buf_fini(&p->down.out);
    }
    buf_reset(&p->down.out);
    return rc;
}

/* *ret_end: the client is gone. */
static struct sl_rc from_client(struct proxy *p, bool *ret_end, struct sl_error *err) {
    size_t n;
    short want;
    if (sl_failed(net_try_read(p->conf->client, p->chunk, PROXY_CHUNK_BYTES, &n, &want))) {
        *ret_end = true;
        return SL_OK;
    }
    if (want != 0) {
        return SL_OK;
    }
    if (n == 0) {
        *ret_end = true;
        return SL_OK;
    }
    struct sl_rc rc = upstream_feed(p, slice_of(p->chunk, n), err);
    explicit_bzero(p->chunk, n); /* statements have secrets */
    return rc;
}

/* *ret_end: PostgreSQL's session is over. */
static struct sl_rc from_backend(struct proxy *p, bool *ret_end, struct sl_error *err) {
    ssize_t n = recv(p->conf->backend_fd, p->chunk, PROXY_CHUNK_BYTES, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return SL_OK;
    }
    if (n <= 0) {
        *ret_end = true;
        return SL_OK;
    }
    bool before = p->down.ready;
    struct sl_rc rc = downstream_feed(p, slice_of(p->chunk, (size_t)n), err);
    if (p->down.ready && !before) {
        p->conf->begun(p->conf->begun_arg);
    }
    explicit_bzero(p->chunk, (size_t)n);
    TRY(rc);
    if (sl_failed(flush_down(p))) {
        return sl_rc_of(SL_E_CLOSED);
    }
    return SL_OK;
}

static struct sl_rc wait_any(struct proxy *p, int64_t start_deadline, struct pollfd fds[3],
                             struct sl_error *err) {
    bool read_client = p->down.ready && !up_pending(p);
    bool buffered = read_client && net_buffered(p->conf->client) > 0;
    fds[0] = (struct pollfd){net_fd(p->conf->client), read_client ? POLLIN : 0, 0};
    fds[1] =
        (struct pollfd){p->conf->backend_fd, (short)(POLLIN | (up_pending(p) ? POLLOUT : 0)), 0};
    fds[2] = (struct pollfd){p->conf->stop_fd, POLLIN, 0};
    int64_t left = p->down.ready ? -1 : start_deadline - clock_mono_ms();
    ENSURE(p->down.ready || left > 0, err, SL_E_SQL_NOT_READY,
           "The warehouse did not start a session in time.");
    int n = poll(fds, 3, buffered ? 0 : (int)left);
    ENSURE(n >= 0 || errno == EINTR, err, SL_E_IO, "poll: error %d", errno);
    if (n < 0) {
        fds[0].revents = fds[1].revents = fds[2].revents = 0;
    }
    if (buffered) {
        fds[0].revents |= POLLIN;
    }
    return SL_OK;
}

static struct sl_rc loop(struct proxy *p, struct sl_error *err) {
    int64_t start_deadline = clock_mono_ms() + LIMIT_SQL_BACKEND_MS;
    for (;;) {
        struct pollfd fds[3];
        bool end = false;
        bool backend_gone = sl_failed(flush_up(p));
        if (!backend_gone) {
            TRY(wait_any(p, start_deadline, fds, err));
            ENSURE(fds[2].revents == 0, err, SL_E_SQL_SHUTDOWN,
                   "terminating connection due to administrator command");
        }
        /* A backend that takes nothing more may still have said why. */
        if (backend_gone || fds[1].revents & (POLLIN | POLLHUP | POLLERR)) {
            TRY(from_backend(p, &end, err));
            if (end) {
                ENSURE(p->up.terminated || p->down.fatal, err, SL_E_SQL_SHUTDOWN,
                       "terminating connection: the warehouse's session ended");
                return SL_OK;
            }
        }
        if (backend_gone) {
            continue;
        }
        if (fds[0].revents & POLLIN) {
            TRY(from_client(p, &end, err));
        } else if (fds[0].revents & (POLLHUP | POLLERR)) {
            end = true;
        }
        if (end) {
            return SL_OK;
        }
    }
}

/* Where both streams stand between messages, says what ends the session. */
static void farewell(struct proxy *p, struct sl_rc rc, const struct sl_error *err) {
    if (sl_failed(rc) && rc.code != SL_E_CLOSED && downstream_between(p)) {
        struct message_error e = message_error_of(rc, err, true);
        buf_reset(&p->down.out);
        message_error_put(&p->down.out, &e);
        sl_ignore(net_write(p->conf->client, buf_slice(&p->down.out),
                            clock_mono_ms() + LIMIT_SQL_STOP_MS / 2));
    }
    if (p->up.scan.head_len == 0 && !up_pending(p)) {
        (void)send(p->conf->backend_fd, "X\0\0\0\4", 5, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
}

struct sl_rc proxy_run(const struct proxy_conf *conf, struct sl_error *err) {
    struct proxy p = {.conf = conf};
    p.up.held = BUF_INIT(LIMIT_SQL_STATEMENT_BYTES);
    p.up.held.wipe = true;
    p.up.out = BUF_INIT(UP_OUT_MAX);
    p.up.out.wipe = true;
    p.down.held = BUF_INIT(LIMIT_PG_HELD_BYTES);
    p.down.out = BUF_INIT(DOWN_OUT_MAX);
    refusals_init(&p.refusals);
    p.chunk = malloc(PROXY_CHUNK_BYTES);
    struct sl_rc rc =
        p.chunk != NULL ? rewrite_new(conf->session_key, &p.rewrite) : sl_rc_of(SL_E_NOMEM);
    if (sl_is_ok(rc)) {
        buf_put(&p.up.out, conf->startup);
        rc = buf_check(&p.up.out, err);
    }
    if (sl_is_ok(rc)) {
        rc = loop(&p, err);
    }
    farewell(&p, rc, err);
    if (p.cancel_known) {
        cancel_remove(conf->cancels, p.cancel_pid, p.cancel_key);
    }
    rewrite_free(p.rewrite);
    refusals_fini(&p.refusals);
    buf_fini(&p.up.held);
    buf_fini(&p.up.out);
    buf_fini(&p.down.held);
    buf_fini(&p.down.out);
    free(p.chunk);
    return rc;
}
