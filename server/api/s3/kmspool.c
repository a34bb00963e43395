/* Pool of calls' connections; see kmspool.h. */
#include "server/api/s3/kmspool.h"

#include <poll.h>
#include <pthread.h>
#include <unistd.h>

enum { IDLE_MAX = 32 };

struct kmspool {
    const char *path;
    struct seam_hello hello;
    pthread_mutex_t mu;
    int idle[IDLE_MAX]; /* under mu */
    size_t count;
};

struct sl_rc kmspool_new(const char *path, const uint8_t token[SEAM_TOKEN_LEN],
                         struct kmspool **ret) {
    struct kmspool *p = calloc(1, sizeof *p);
    if (p == NULL) {
        return sl_rc_of(SL_E_NOMEM);
    }
    p->path = path;
    p->hello = (struct seam_hello){.edge = SEAM_S3, .mode = SEAM_RPC};
    memcpy(p->hello.token, token, SEAM_TOKEN_LEN);
    pthread_mutex_init(&p->mu, NULL);
    *ret = p;
    return SL_OK;
}

void kmspool_free(struct kmspool *p) {
    if (p == NULL) {
        return;
    }
    for (size_t i = 0; i < p->count; i++) {
        close(p->idle[i]);
    }
    pthread_mutex_destroy(&p->mu);
    secret_wipe(&p->hello, sizeof p->hello);
    free(p);
}

/* An idle connection on which nothing has come in (an end, above all), or -1. */
static int take(struct kmspool *p) {
    for (;;) {
        pthread_mutex_lock(&p->mu);
        int fd = p->count > 0 ? p->idle[--p->count] : -1;
        pthread_mutex_unlock(&p->mu);
        struct pollfd pf = {.fd = fd, .events = POLLIN};
        if (fd < 0 || poll(&pf, 1, 0) == 0) {
            return fd;
        }
        close(fd);
    }
}

static void give(struct kmspool *p, int fd) {
    pthread_mutex_lock(&p->mu);
    bool kept = p->count < IDLE_MAX;
    if (kept) {
        p->idle[p->count++] = fd;
    }
    pthread_mutex_unlock(&p->mu);
    if (!kept) {
        close(fd);
    }
}

static bool broken(struct sl_rc rc) {
    return rc.code == SL_E_CLOSED || rc.code == SL_E_IO || rc.code == SL_E_TIMEOUT ||
           rc.code == SL_E_PARSE || rc.code == SL_E_INTERNAL || rc.code == SL_E_LIMIT;
}

struct sl_rc kmspool_call(struct kmspool *p, kmspool_fn fn, void *arg, struct sl_error *err) {
    int fd = take(p);
    bool fresh = fd < 0;
    for (;;) {
        if (fd < 0) {
            TRY(seam_connect(p->path, &p->hello, &fd, err));
        }
        struct sl_rc rc = fn(fd, arg, err);
        if (!broken(rc)) {
            give(p, fd);
            return rc;
        }
        close(fd);
        fd = -1;
        if (fresh || (rc.code != SL_E_CLOSED && rc.code != SL_E_IO)) {
            return rc;
        }
        fresh = true;
        sl_error_clear(err);
    }
}
