/* The server: one epoll, workers that watch it in turns, parked connections that are one-shot. A
 * connection belongs to the worker that got its event until that worker parks or closes it.
 *
 * Without a quick function any number of workers watch, and each serves what it sees. With one, a
 * single worker watches: it handles what needs no waiting itself, queues the rest, and when it has
 * queued something, leaves the watch to the next and serves. There is one thread more than may
 * serve, so somebody always watches.
 *
 * The thread in net_run is the janitor: it expires parked connections, re-arms listeners that ran
 * out of descriptors, and cuts what is left some time after a stop. `mu` guards the list of
 * connections, the listeners, and who watches and serves; nothing is read or written under it. */
#include "server/net/net_in.h"

#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    WORKERS_DEFAULT = 64,
    WORKER_STACK = 1024 * 1024,
    TICK_MS = 500,
    ACCEPT_BATCH = 32,
    EVENTS_MAX = 64,
};

struct net_listener {
    enum net_kind kind;
    int fd;
    struct net_tls *tls; /* or NULL */
    net_hello_fn hello;
    struct net_listener *next;
    _Atomic int64_t rearm_at; /* out of descriptors until then; 0 = armed */
};

struct net_stop_mark {
    enum net_kind kind;
};

struct net_server {
    struct net_conf conf;
    int epoll_fd;
    int stop_fd;
    struct net_stop_mark stop_mark;
    atomic_bool stopping;
    atomic_bool cut;         /* no more waiting for taken connections */
    _Atomic int connections; /* of TCP listeners */
    _Atomic int taken;       /* the watching thread's: connections that wait for net_answered */
    struct net_conn *again;  /* the watching thread's: to be looked at once more */
    pthread_mutex_t mu;
    pthread_cond_t work; /* something is queued, or nobody watches */
    struct net_conn *conns;
    struct net_listener *listeners;
    struct net_conn *queue, **queue_end; /* to be served */
    int watching, watching_max;
    int serving;
};

bool net_server_stopping(const struct net_server *s) {
    return atomic_load(&s->stopping);
}

struct sl_rc net_tcp_listener(const char *addr, uint16_t port, int *ret_fd, struct sl_error *err) {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } a = {0};
    socklen_t len;
    if (inet_pton(AF_INET, addr, &a.v4.sin_addr) == 1) {
        a.v4.sin_family = AF_INET;
        a.v4.sin_port = htons(port);
        len = sizeof a.v4;
    } else {
        ENSURE(inet_pton(AF_INET6, addr, &a.v6.sin6_addr) == 1, err, SL_E_PARSE,
               "'%s' is not an IP address.", addr);
        a.v6.sin6_family = AF_INET6;
        a.v6.sin6_port = htons(port);
        len = sizeof a.v6;
    }
    int fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    ENSURE(fd >= 0, err, SL_E_IO, "No socket: %s", strerror(errno));
    int on = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, &a.any, len) != 0 || listen(fd, 1024) != 0) {
        int e = errno;
        close(fd);
        return sl_fail(err, SL_E_IO, "Can't listen on %s port %u: %s", addr, port, strerror(e));
    }
    *ret_fd = fd;
    return SL_OK;
}

static bool arm(struct net_server *s, int fd, void *what, uint32_t events, bool again) {
    struct epoll_event e = {.events = events, .data.ptr = what};
    return epoll_ctl(s->epoll_fd, again ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &e) == 0;
}

struct sl_rc net_server_new(const struct net_conf *conf, struct net_server **ret,
                            struct sl_error *err) {
    sl_assert(conf->serve != NULL);
    struct net_server *s = calloc(1, sizeof *s);
    ENSURE(s != NULL, err, SL_E_NOMEM, "Out of memory.");
    s->conf = *conf;
    s->conf.workers = conf->workers > 0 ? conf->workers : WORKERS_DEFAULT;
    s->conf.max_connections =
        conf->max_connections > 0 ? conf->max_connections : LIMIT_HTTP_CONNECTIONS;
    s->conf.idle_ms = conf->idle_ms > 0 ? conf->idle_ms : LIMIT_HTTP_IDLE_MS;
    s->stop_mark.kind = NET_KIND_STOP;
    s->watching_max = conf->quick != NULL ? 1 : s->conf.workers;
    s->queue_end = &s->queue;
    pthread_mutex_init(&s->mu, NULL);
    pthread_cond_init(&s->work, NULL);
    s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    s->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->epoll_fd < 0 || s->stop_fd < 0 ||
        !arm(s, s->stop_fd, &s->stop_mark, EPOLLIN, false)) { /* level: every worker sees it */
        net_server_free(s);
        return sl_fail(err, SL_E_IO, "The server can't be set up: %s", strerror(errno));
    }
    *ret = s;
    return SL_OK;
}

struct sl_rc net_listen(struct net_server *s, int take_fd, struct net_tls *tls, net_hello_fn hello,
                        struct sl_error *err) {
    struct net_listener *l = calloc(1, sizeof *l);
    int flags = fcntl(take_fd, F_GETFL);
    if (l == NULL || flags < 0 || fcntl(take_fd, F_SETFL, flags | O_NONBLOCK) != 0) {
        close(take_fd);
        free(l);
        return sl_fail(err, SL_E_IO, "The listener can't be set up.");
    }
    l->kind = NET_KIND_LISTENER;
    l->fd = take_fd;
    l->hello = hello;
    if (tls != NULL) {
        l->tls = tls_hold(tls);
    }
    pthread_mutex_lock(&s->mu);
    l->next = s->listeners;
    s->listeners = l;
    pthread_mutex_unlock(&s->mu);
    ENSURE(arm(s, l->fd, l, EPOLLIN | EPOLLONESHOT, false), err, SL_E_IO,
           "The listener can't be set up: %s", strerror(errno));
    return SL_OK;
}

/* ---- one connection's life ---- */

static void drop(struct net_server *s, struct net_conn *c) {
    pthread_mutex_lock(&s->mu);
    *(c->prev != NULL ? &c->prev->next : &s->conns) = c->next;
    if (c->next != NULL) {
        c->next->prev = c->prev;
    }
    pthread_mutex_unlock(&s->mu);
    if (c->from->hello == NULL) {
        atomic_fetch_sub(&s->connections, 1);
    }
    net_conn_free(c);
}

/* Gives the connection up until `want` or the deadline. The caller must not touch it afterwards. */
static void park(struct net_server *s, struct net_conn *c, short want, int64_t deadline) {
    conn_trim(c);
    atomic_store(&c->deadline, deadline);
    bool again = c->armed;
    c->armed = true;
    int fd = c->w->fd;
    uint32_t events = ((want & POLLOUT) != 0 ? EPOLLOUT : EPOLLIN) | (uint32_t)EPOLLONESHOT;
    atomic_store(&c->hold, NET_PARKED);
    if (!arm(s, fd, c, events, again)) {
        atomic_store(&c->hold, NET_BUSY);
        drop(s, c);
    }
}

static void close_conn(struct net_server *s, struct net_conn *c) {
    if (!c->linger || c->w->failure != SL_CODE_OK || net_server_stopping(s)) {
        drop(s, c);
        return;
    }
    conn_end_output(c);
    c->phase = NET_LINGER;
    c->w->pos = c->w->len; /* nobody will read it */
    park(s, c, POLLIN, clock_mono_ms() + LIMIT_NET_LINGER_MS);
}

static void linger(struct net_server *s, struct net_conn *c) {
    uint8_t waste[16384];
    ssize_t n = 0;
    while (!c->expired && c->lingered < LIMIT_NET_LINGER_BYTES) {
        n = recv(c->w->fd, waste, sizeof waste, MSG_DONTWAIT);
        if (n <= 0) {
            break;
        }
        c->lingered += (size_t)n;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        park(s, c, POLLIN, atomic_load(&c->deadline));
        return;
    }
    c->w->failure = SL_E_CLOSED; /* the TLS end was said already */
    drop(s, c);
}

static int64_t idle_until(const struct net_server *s, const struct net_conn *c) {
    return c->from->hello != NULL ? INT64_MAX : clock_mono_ms() + s->conf.idle_ms;
}

/* Serves as long as bytes are at hand, then parks or closes. */
static void serve(struct net_server *s, struct net_conn *c) {
    for (;;) {
        c->await_more = false;
        enum net_verdict v = s->conf.serve(c, s->conf.user);
        if (v == NET_CLOSE || c->expired || net_server_stopping(s)) {
            close_conn(s, c);
            return;
        }
        if (c->await_more) {
            park(s, c, POLLIN, c->await_until);
            return;
        }
        if (net_buffered(c) == 0) {
            park(s, c, POLLIN, idle_until(s, c));
            return;
        }
    }
}

static void handshake(struct net_server *s, struct net_conn *c) {
    short want;
    if (c->expired || sl_failed(conn_tls_step(c, &want))) {
        drop(s, c);
        return;
    }
    if (want != 0) {
        park(s, c, want, atomic_load(&c->deadline));
        return;
    }
    c->phase = NET_SERVE;
    if (net_buffered(c) > 0) {
        serve(s, c);
    } else {
        park(s, c, POLLIN, clock_mono_ms() + s->conf.idle_ms);
    }
}

static void hello(struct net_server *s, struct net_conn *c) {
    struct net_peer peer = {0};
    if (c->expired || sl_failed(c->from->hello(c, &peer, s->conf.user))) {
        close_conn(s, c);
        return;
    }
    c->peer = peer;
    c->phase = NET_SERVE;
    if (net_buffered(c) > 0) {
        serve(s, c);
    } else {
        park(s, c, POLLIN, INT64_MAX);
    }
}

/* What a claimed connection's event means, in the worker that serves it. */
static void on_conn(struct net_server *s, struct net_conn *c) {
    switch (c->phase) {
    case NET_HANDSHAKE:
        handshake(s, c);
        break;
    case NET_HELLO:
        hello(s, c);
        break;
    case NET_SERVE:
        if (c->expired && c->w->pos == c->w->len) {
            drop(s, c); /* idle, nothing to answer */
        } else {
            serve(s, c);
        }
        break;
    case NET_LINGER:
        linger(s, c);
        break;
    }
}

static void adopt(struct net_server *s, struct net_listener *l, int fd) {
    bool tcp = l->hello == NULL;
    if (tcp && atomic_fetch_add(&s->connections, 1) >= s->conf.max_connections) {
        atomic_fetch_sub(&s->connections, 1);
        close(fd);
        return;
    }
    struct net_conn *c = conn_new(fd);
    if (c == NULL || (l->tls != NULL && sl_failed(conn_tls_begin(c, l->tls)))) {
        if (c != NULL) {
            net_conn_free(c);
        } else {
            close(fd);
        }
        if (tcp) {
            atomic_fetch_sub(&s->connections, 1);
        }
        return;
    }
    c->server = s;
    c->from = l;
    c->phase = l->tls != NULL ? NET_HANDSHAKE : tcp ? NET_SERVE : NET_HELLO;
    pthread_mutex_lock(&s->mu);
    c->next = s->conns;
    if (c->next != NULL) {
        c->next->prev = c;
    }
    s->conns = c;
    pthread_mutex_unlock(&s->mu);
    park(s, c, POLLIN,
         clock_mono_ms() + (c->phase == NET_SERVE ? s->conf.idle_ms : LIMIT_NET_HANDSHAKE_MS));
}

static void on_listener(struct net_server *s, struct net_listener *l) {
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            adopt(s, l, fd);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            break;
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            sl_log(SL_WARN, "accept_failed", "error=\"%s\"", strerror(errno));
            atomic_store(&l->rearm_at, clock_mono_ms() + TICK_MS); /* the janitor tries again */
            return;
        } /* else: that client is gone already */
    }
    (void)arm(s, l->fd, l, EPOLLIN | EPOLLONESHOT, true);
}

/* ---- watching ---- */

static void enqueue(struct net_server *s, struct net_conn *c) {
    pthread_mutex_lock(&s->mu);
    c->queued = NULL;
    *s->queue_end = c;
    s->queue_end = &c->queued;
    pthread_mutex_unlock(&s->mu);
}

static void look(struct net_server *s, struct net_conn *c) {
    c->await_more = false;
    switch (s->conf.quick(c, s->conf.user)) {
    case NET_QUICK_KEEP:
        park(s, c, POLLIN, c->await_more ? c->await_until : idle_until(s, c));
        break;
    case NET_QUICK_CLOSE:
        close_conn(s, c);
        break;
    case NET_QUICK_SERVE:
        enqueue(s, c);
        break;
    case NET_QUICK_TAKEN:
        conn_trim(c);
        atomic_fetch_add(&s->taken, 1);
        break;
    }
}

void net_answered(struct net_conn *c, enum net_quick how) {
    struct net_server *s = c->server;
    atomic_fetch_sub(&s->taken, 1);
    if (how == NET_QUICK_SERVE) {
        enqueue(s, c);
    } else if (how == NET_QUICK_CLOSE || net_server_stopping(s)) {
        close_conn(s, c);
    } else if (net_buffered(c) > 0) {
        c->queued = s->again;
        s->again = c;
    } else {
        park(s, c, POLLIN, idle_until(s, c));
    }
}

static void see(struct net_server *s, struct net_conn *c) {
    sl_assert(c->magic == NET_CONN_MAGIC);
    int was = atomic_exchange(&c->hold, NET_BUSY);
    sl_assert(was != NET_BUSY);
    c->expired = was == NET_EXPIRED;
    if (s->conf.quick != NULL && c->phase == NET_SERVE && !c->expired) {
        look(s, c);
    } else {
        enqueue(s, c);
    }
}

static void see_event(struct net_server *s, void *what) {
    struct net_watch *w = what;
    switch (*(enum net_kind *)what) {
    case NET_KIND_CONN:
        see(s, what);
        break;
    case NET_KIND_LISTENER:
        on_listener(s, what);
        break;
    case NET_KIND_WATCH:
        if (w->fd >= 0) { /* not closed since the event came */
            w->fn(w->user);
        }
        break;
    case NET_KIND_STOP:
        if (s->conf.quick != NULL) { /* it has been seen; taken connections may go on */
            (void)epoll_ctl(s->epoll_fd, EPOLL_CTL_DEL, s->stop_fd, NULL);
        }
        break;
    }
}

struct sl_rc net_watch(struct net_server *s, struct net_watch *w, struct sl_error *err) {
    w->kind = NET_KIND_WATCH;
    ENSURE(arm(s, w->fd, w, EPOLLIN, false), err, SL_E_IO, "The descriptor can't be watched: %s",
           strerror(errno));
    return SL_OK;
}

static bool over(struct net_server *s) {
    return net_server_stopping(s) && (atomic_load(&s->taken) == 0 || atomic_load(&s->cut));
}

/* Looks at what has happened, once; waits for it. */
static void watch(struct net_server *s) {
    struct epoll_event events[EVENTS_MAX];
    bool quick = s->conf.quick != NULL;
    int n = epoll_wait(s->epoll_fd, events, quick ? EVENTS_MAX : 1,
                       atomic_load(&s->taken) > 0 ? TICK_MS : -1);
    for (int i = 0; i < n; i++) {
        see_event(s, events[i].data.ptr);
    }
    do {
        while (s->again != NULL) {
            struct net_conn *c = s->again;
            s->again = c->queued;
            look(s, c);
        }
        if (s->conf.looked != NULL) {
            s->conf.looked(s->conf.user);
        }
    } while (s->again != NULL);
}

/* The next connection to be served, or NULL. Under mu. */
static struct net_conn *next_queued(struct net_server *s) {
    struct net_conn *c = s->queue;
    if (c == NULL || s->serving == s->conf.workers || net_server_stopping(s)) {
        return NULL; /* what nobody has begun is not in progress */
    }
    s->queue = c->queued;
    if (s->queue == NULL) {
        s->queue_end = &s->queue;
    }
    return c;
}

static void *worker(void *arg) {
    struct net_server *s = arg;
    struct net_conn *c;
    pthread_mutex_lock(&s->mu);
    while (!over(s)) {
        if ((c = next_queued(s)) != NULL) {
            s->serving++;
            if (s->queue != NULL || s->watching == 0) {
                pthread_cond_signal(&s->work);
            }
            pthread_mutex_unlock(&s->mu);
            on_conn(s, c);
            pthread_mutex_lock(&s->mu);
            s->serving--;
        } else if (s->watching < s->watching_max) {
            s->watching++;
            pthread_mutex_unlock(&s->mu);
            watch(s);
            pthread_mutex_lock(&s->mu);
            s->watching--;
        } else {
            pthread_cond_wait(&s->work, &s->mu);
        }
    }
    pthread_cond_broadcast(&s->work);
    pthread_mutex_unlock(&s->mu);
    return NULL;
}

/* ---- the janitor ---- */

static void sweep(struct net_server *s, int64_t now) {
    pthread_mutex_lock(&s->mu);
    for (struct net_conn *c = s->conns; c != NULL; c = c->next) {
        int parked = NET_PARKED;
        if (atomic_load(&c->hold) == NET_PARKED && now > atomic_load(&c->deadline) &&
            atomic_compare_exchange_strong(&c->hold, &parked, NET_EXPIRED)) {
            /* Shutting the reading side makes epoll deliver the one event it owes, so a worker
             * closes it; nothing is freed here. A connection being closed waits for `mu`. */
            (void)shutdown(c->w->fd, SHUT_RD);
        }
    }
    for (struct net_listener *l = s->listeners; l != NULL; l = l->next) {
        int64_t at = atomic_load(&l->rearm_at);
        if (at != 0 && now >= at) {
            atomic_store(&l->rearm_at, 0);
            (void)arm(s, l->fd, l, EPOLLIN | EPOLLONESHOT, true);
        }
    }
    pthread_mutex_unlock(&s->mu);
}

static void cut_all(struct net_server *s) {
    atomic_store(&s->cut, true);
    pthread_mutex_lock(&s->mu);
    for (struct net_conn *c = s->conns; c != NULL; c = c->next) {
        (void)shutdown(c->w->fd, SHUT_RDWR);
    }
    pthread_mutex_unlock(&s->mu);
}

/* Joins the workers; what they still serve LIMIT_NET_STOP_MS after the stop is cut. */
static void join_all(struct net_server *s, pthread_t *threads, int n) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += LIMIT_NET_STOP_MS / 1000;
    for (int i = 0; i < n; i++) {
        while (pthread_timedjoin_np(threads[i], NULL, &until) != 0) {
            cut_all(s);
            clock_gettime(CLOCK_REALTIME, &until);
            until.tv_sec += 1;
        }
    }
}

struct sl_rc net_run(struct net_server *s, struct sl_error *err) {
    int want = s->conf.workers + (s->conf.quick != NULL);
    pthread_t *threads = calloc((size_t)want, sizeof *threads);
    ENSURE(threads != NULL, err, SL_E_NOMEM, "Out of memory.");
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, WORKER_STACK);
    int n = 0;
    while (n < want && pthread_create(&threads[n], &attr, worker, s) == 0) {
        n++;
    }
    pthread_attr_destroy(&attr);
    struct sl_rc rc = SL_OK;
    if (n < want) {
        net_stop(s);
        rc = sl_fail(err, SL_E_IO, "Only %d of %d workers could be started.", n, want);
    }
    while (!net_server_stopping(s)) {
        struct pollfd p = {.fd = s->stop_fd, .events = POLLIN};
        (void)poll(&p, 1, TICK_MS);
        sweep(s, clock_mono_ms());
    }
    join_all(s, threads, n);
    free(threads);
    while (s->conns != NULL) {
        drop(s, s->conns);
    }
    return rc;
}

void net_stop(struct net_server *s) {
    int e = errno;
    atomic_store(&s->stopping, true);
    uint64_t one = 1;
    if (write(s->stop_fd, &one, sizeof one) < 0) {
        /* full means told already */
    }
    errno = e;
}

void net_server_free(struct net_server *s) {
    if (s == NULL) {
        return;
    }
    while (s->conns != NULL) {
        drop(s, s->conns);
    }
    while (s->listeners != NULL) {
        struct net_listener *l = s->listeners;
        s->listeners = l->next;
        close(l->fd);
        net_tls_free(l->tls);
        free(l);
    }
    if (s->epoll_fd >= 0) {
        close(s->epoll_fd);
    }
    if (s->stop_fd >= 0) {
        close(s->stop_fd);
    }
    pthread_mutex_destroy(&s->mu);
    pthread_cond_destroy(&s->work);
    free(s);
}
