/* Kept upstream connections; see s3_upstream.h. A small table in which the oldest gives way. */
#include "server/main/s3_upstream.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

enum { KEPT_MAX = 256 };

struct kept {
    const char *path; /* NULL = free */
    struct net_peer peer;
    int fd;
    uint64_t age;
};

struct upstreams {
    uint8_t token[SEAM_TOKEN_LEN];
    pthread_mutex_t mu;
    uint64_t clock; /* under mu, like all below */
    struct kept kept[KEPT_MAX];
};

struct sl_rc upstreams_new(const uint8_t token[SEAM_TOKEN_LEN], struct upstreams **ret) {
    struct upstreams *u = calloc(1, sizeof *u);
    if (u == NULL) {
        return sl_rc_of(SL_E_NOMEM);
    }
    memcpy(u->token, token, SEAM_TOKEN_LEN);
    pthread_mutex_init(&u->mu, NULL);
    *ret = u;
    return SL_OK;
}

void upstreams_free(struct upstreams *u) {
    if (u == NULL) {
        return;
    }
    for (size_t i = 0; i < KEPT_MAX; i++) {
        if (u->kept[i].path != NULL) {
            close(u->kept[i].fd);
        }
    }
    pthread_mutex_destroy(&u->mu);
    secret_wipe(u->token, sizeof u->token);
    free(u);
}

static bool same(const struct kept *k, const char *path, const struct net_peer *peer) {
    return k->path == path && k->peer.port == peer->port && k->peer.tls_minor == peer->tls_minor &&
           strcmp(k->peer.ip, peer->ip) == 0 && strcmp(k->peer.cipher, peer->cipher) == 0;
}

static int find(struct upstreams *u, const char *path, const struct net_peer *peer) {
    int fd = -1;
    pthread_mutex_lock(&u->mu);
    for (size_t i = 0; i < KEPT_MAX && fd < 0; i++) {
        if (same(&u->kept[i], path, peer)) {
            fd = u->kept[i].fd;
            u->kept[i].path = NULL;
        }
    }
    pthread_mutex_unlock(&u->mu);
    return fd;
}

struct sl_rc upstreams_take(struct upstreams *u, const char *socket_path,
                            const struct net_peer *peer, int *ret_fd, struct sl_error *err) {
    int fd;
    while ((fd = find(u, socket_path, peer)) >= 0) {
        struct pollfd pf = {.fd = fd, .events = POLLIN};
        if (poll(&pf, 1, 0) == 0) {
            *ret_fd = fd;
            return SL_OK;
        }
        close(fd); /* ended meanwhile */
    }
    struct seam_hello hello = {.edge = SEAM_S3,
                               .mode = SEAM_HTTP,
                               .peer_port = peer->port,
                               .peer_tls = peer->tls,
                               .peer_tls_minor = peer->tls_minor};
    memcpy(hello.token, u->token, SEAM_TOKEN_LEN);
    snprintf(hello.peer_ip, sizeof hello.peer_ip, "%s", peer->ip);
    snprintf(hello.peer_cipher, sizeof hello.peer_cipher, "%s", peer->cipher);
    struct sl_rc rc = seam_connect(socket_path, &hello, ret_fd, err);
    secret_wipe(&hello, sizeof hello);
    return rc;
}

void upstreams_give(struct upstreams *u, const char *socket_path, const struct net_peer *peer,
                    int take_fd) {
    int old = -1;
    pthread_mutex_lock(&u->mu);
    struct kept *at = &u->kept[0];
    for (size_t i = 0; i < KEPT_MAX; i++) {
        if (u->kept[i].path == NULL) {
            at = &u->kept[i];
            break;
        }
        if (u->kept[i].age < at->age) {
            at = &u->kept[i];
        }
    }
    if (at->path != NULL) {
        old = at->fd;
    }
    *at = (struct kept){.path = socket_path, .peer = *peer, .fd = take_fd, .age = ++u->clock};
    pthread_mutex_unlock(&u->mu);
    if (old >= 0) {
        close(old);
    }
}
