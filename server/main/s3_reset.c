/* The reset, as s3 leads it; see s3_reset.h. First the own index, then, through the gateway, the
 * warehouse and kms: all under the gate, so nobody sees a part. */
#include "server/main/s3_reset.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/ipc/seam.h"

enum { STATUS_LINE_BYTES = 12 }; /* "HTTP/1.1 200" */

void reset_init(struct reset *r) {
    pthread_mutex_init(&r->mu, NULL);
    pthread_cond_init(&r->changed, NULL);
}

static bool enter(struct reset *r, bool wait) {
    if (!r->allowed) {
        return true;
    }
    pthread_mutex_lock(&r->mu);
    while (r->emptying && wait) {
        pthread_cond_wait(&r->changed, &r->mu);
    }
    bool entered = !r->emptying;
    r->inside += entered;
    pthread_mutex_unlock(&r->mu);
    return entered;
}

void reset_enter(struct reset *r) {
    (void)enter(r, true);
}

bool reset_try_enter(struct reset *r) {
    return enter(r, false);
}

void reset_leave(struct reset *r) {
    if (r->allowed) {
        pthread_mutex_lock(&r->mu);
        if (--r->inside == 0 && r->emptying) {
            pthread_cond_broadcast(&r->changed);
        }
        pthread_mutex_unlock(&r->mu);
    }
}

/* Nobody is inside from here to emptied. */
static void empty_begin(struct reset *r) {
    pthread_mutex_lock(&r->mu);
    while (r->emptying) {
        pthread_cond_wait(&r->changed, &r->mu);
    }
    r->emptying = true;
    while (r->inside > 0) {
        pthread_cond_wait(&r->changed, &r->mu);
    }
    pthread_mutex_unlock(&r->mu);
}

static void empty_end(struct reset *r) {
    pthread_mutex_lock(&r->mu);
    r->emptying = false;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->mu);
}

static struct sl_rc empty_own(struct reset *r, struct sl_error *err) {
    size_t removed;
    TRY(index_clear(r->index, err));
    return blob_sweep(r->blobs, INT64_MAX, index_part_known, r->index, &removed, err);
}

/* The gateway's answer is a head alone; its first bytes say all. */
static struct sl_rc exchange(int fd, struct sl_error *err) {
    static const char request[] = "POST /moto-api/reset HTTP/1.1\r\nHost: gateway\r\n"
                                  "Content-Length: 0\r\nConnection: close\r\n\r\n";
    char got[STATUS_LINE_BYTES + 1] = "";
    size_t n = 0;
    int64_t deadline = clock_mono_ms() + LIMIT_SQL_RESET_MS + LIMIT_RPC_MS;
    ENSURE(send(fd, request, sizeof request - 1, MSG_NOSIGNAL) == sizeof request - 1, err,
           SL_E_CLOSED, "The gateway went away.");
    while (n < STATUS_LINE_BYTES) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int64_t left = deadline - clock_mono_ms();
        ENSURE(left > 0 && poll(&p, 1, (int)left) >= 0, err, SL_E_TIMEOUT,
               "The gateway does not answer.");
        ssize_t more = recv(fd, got + n, STATUS_LINE_BYTES - n, MSG_DONTWAIT);
        ENSURE(more > 0 || p.revents == 0, err, SL_E_CLOSED, "The gateway went away.");
        n += more > 0 ? (size_t)more : 0;
    }
    ENSURE(strcmp(got, "HTTP/1.1 200") == 0, err, SL_E_INTERNAL,
           "The warehouse and the keys could not be emptied; see gateway's log.");
    return SL_OK;
}

static struct sl_rc empty_others(const struct reset *r, const struct net_peer *peer,
                                 struct sl_error *err) {
    struct seam_hello hello = {
        .edge = SEAM_S3, .mode = SEAM_HTTP, .peer_port = peer->port, .peer_tls = peer->tls};
    int fd;
    memcpy(hello.token, r->token, SEAM_TOKEN_LEN);
    memcpy(hello.peer_ip, peer->ip, sizeof hello.peer_ip);
    struct sl_rc rc = seam_connect(r->gateway_socket, &hello, &fd, err);
    secret_wipe(&hello, sizeof hello);
    TRY(rc);
    rc = exchange(fd, err);
    close(fd);
    return rc;
}

static void reply(struct http *h, int status, const char *json) {
    http_status(h, status);
    http_set_cstr(h, "content-type", "application/json");
    sl_ignore(http_reply(h, slice_cstr(json)));
}

bool reset_serve(struct reset *r, struct http *h) {
    if (!slice_eq_cstr(h->path, "/moto-api/reset") || !slice_eq_cstr(h->method, "POST")) {
        return false;
    }
    bool loopback = strncmp(h->peer->ip, "127.", 4) == 0 || strcmp(h->peer->ip, "::1") == 0;
    if (!r->allowed || !loopback || http_header(h, "origin").ptr != NULL) {
        reply(h, 403, "{\"status\":\"refused\"}");
        return true;
    }
    int64_t begun_ms = clock_mono_ms();
    empty_begin(r);
    struct sl_rc rc = empty_own(r, &h->err);
    rc = sl_failed(rc) ? rc : empty_others(r, h->peer, &h->err);
    empty_end(r);
    sl_log(sl_failed(rc) ? SL_ERROR : SL_INFO, "s3.reset", "ms=%lld error=%s",
           (long long)(clock_mono_ms() - begun_ms),
           SL_Q(slice_cstr(sl_failed(rc) ? sl_error_message(&h->err, rc.code) : "")));
    reply(h, sl_failed(rc) ? 500 : 200,
          sl_failed(rc) ? "{\"status\":\"failed\"}" : "{\"status\":\"ok\"}");
    return true;
}
