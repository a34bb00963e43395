/* Connections: listen, TLS, parked idle connections in epoll, workers that serve a request in
 * straight, blocking code with deadlines. Model: workers take turns at watching one shared epoll; a
 * parked connection is one-shot; the worker that gets it owns it until it parks it again or closes
 * it. With a quick function one worker watches at a time, and answers or passes on what needs no
 * waiting by itself, many connections at a wake-up. */
#ifndef SL_NET_H
#define SL_NET_H

#include "lib/base/buf.h"
#include "lib/base/slice.h"

struct net_conn;
struct net_server;

enum net_verdict { NET_KEEP, NET_CLOSE }; /* park again, or close */

/* How a connection came in; fixed for its life. */
struct net_peer {
    char ip[46]; /* client address; for Unix listeners the one told in the hello */
    uint16_t port;
    bool tls;          /* the client's side of the outermost hop was TLS */
    uint8_t tls_minor; /* 2 or 3 of TLS 1.2 or 1.3; 0 without TLS */
    char cipher[40];   /* OpenSSL's name of the cipher suite */
    uint8_t edge;      /* enum seam_edge for Unix listeners, 0 for TCP */
    uint8_t mode;      /* enum seam_mode for Unix listeners */
};

/* Called by a worker when the connection is readable. `user` is net_conf.user. */
typedef enum net_verdict (*net_serve_fn)(struct net_conn *c, void *user);
/* Called by the watching thread first, where there is one; it must not wait. */
enum net_quick {
    NET_QUICK_KEEP,  /* park, as with NET_KEEP */
    NET_QUICK_CLOSE, /* as NET_CLOSE */
    NET_QUICK_SERVE, /* a worker has to serve it */
    NET_QUICK_TAKEN, /* net_answered will be called for it */
};
typedef enum net_quick (*net_quick_fn)(struct net_conn *c, void *user);
/* Unix listeners: checks the hello frame (lib/ipc/seam.h) and fills the peer; refuse by returning a
 * failure. */
typedef struct sl_rc (*net_hello_fn)(struct net_conn *c, struct net_peer *ret_peer, void *user);

struct net_conf {
    int workers;         /* threads; 0 = default (64): a request in progress holds one */
    int max_connections; /* 0 = LIMIT_HTTP_CONNECTIONS; one more is closed at once */
    int idle_ms;         /* parked TCP connections; 0 = LIMIT_HTTP_IDLE_MS. Unix ones may idle */
    net_serve_fn serve;
    net_quick_fn quick; /* or NULL */
    /* With quick: called after each look at the events, and at least twice a second while a
     * connection is taken. */
    void (*looked)(void *user);
    void *user;
};

struct sl_rc net_server_new(const struct net_conf *conf, struct net_server **ret,
                            struct sl_error *err);
/* Takes ownership of a listening socket (closed on failure too). tls: a context from net_tls_new,
 * which the caller may free afterwards, or NULL for plain. May be
 * called before or while running. hello != NULL makes it a Unix listener that starts each
 * connection with a hello. */
struct net_tls;
struct sl_rc net_listen(struct net_server *s, int take_fd, struct net_tls *tls, net_hello_fn hello,
                        struct sl_error *err);
/* Makes a bound, listening TCP socket (SO_REUSEADDR); port 0 picks one. */
struct sl_rc net_tcp_listener(const char *addr, uint16_t port, int *ret_fd, struct sl_error *err);
/* Runs workers until net_stop; returns after every worker has ended. Requests in progress are
 * finished, within LIMIT_NET_STOP_MS; then their connections are cut. */
struct sl_rc net_run(struct net_server *s, struct sl_error *err);
/* With quick: a further descriptor, for whose bytes or end the watching thread calls `fn`, until it
 * is closed. Called by the watching thread; `w` stays the caller's. */
struct net_watch {
    uint32_t kind; /* private */
    int fd;
    void (*fn)(void *user);
    void *user;
};
struct sl_rc net_watch(struct net_server *s, struct net_watch *w, struct sl_error *err);
/* A taken connection, answered by the watching thread: NET_QUICK_SERVE when a worker has to end
 * that. */
void net_answered(struct net_conn *c, enum net_quick how);
void net_stop(struct net_server *s); /* async-signal-safe */
void net_server_free(struct net_server *s);

/* TLS 1.2/1.3 server context from PEM texts (chain, private key). ALPN http/1.1 when `http`, else
 * postgresql. */
struct sl_rc net_tls_new(struct slice chain_pem, struct slice key_pem, bool http,
                         struct net_tls **ret, struct sl_error *err);
/* Handshakes that begin later use this certificate; connections go on as they are. `named` (or
 * NULL) goes to clients that ask by SNI for a host that it names, but for localhost. */
struct net_cert {
    struct slice chain_pem;
    struct slice key_pem;
};
struct sl_rc net_tls_replace(struct net_tls *t, const struct net_cert *cert,
                             const struct net_cert *named, struct sl_error *err);
void net_tls_free(struct net_tls *t);

/* TLS on a descriptor outside the server (the gateway's sessions): blocking accept with a deadline.
 * Bytes that came before the handshake, and were read ahead, are refused. */
struct sl_rc net_conn_from_fd(int take_fd, struct net_conn **ret);
struct sl_rc net_conn_tls_accept(struct net_conn *c, struct net_tls *t, int64_t deadline_mono_ms,
                                 struct sl_error *err);
void net_conn_free(struct net_conn *c); /* closes */

/* Reads at least one byte (up to cap), or *ret_len = 0 at the peer's orderly end. SL_E_TIMEOUT past
 * the deadline. */
struct sl_rc net_read(struct net_conn *c, void *out, size_t cap, int64_t deadline_mono_ms,
                      size_t *ret_len);
struct sl_rc net_read_exact(struct net_conn *c, void *out, size_t n, int64_t deadline_mono_ms);
struct sl_rc net_write(struct net_conn *c, struct slice s,
                       int64_t deadline_mono_ms); /* all of it */
/* Bytes that were read ahead (decrypted or buffered) and would be returned without blocking; 1 when
 * the end or a failure of the connection is known and would be returned. Poll net_fd only at 0. */
size_t net_buffered(const struct net_conn *c);
/* Gives bytes back, to be read again first; at most what was read. */
void net_unread(struct net_conn *c, struct slice s);
const struct net_peer *net_peer(const struct net_conn *c);
int net_fd(const struct net_conn *c); /* for poll; owned by the connection */
/* A slot for the protocol's per-connection state, freed by `free_fn` with the connection. */
void net_set_state(struct net_conn *c, void *take_state, void (*free_fn)(void *));
void *net_state(const struct net_conn *c);

/* One attempt, without waiting. *ret_want = 0: done (for a read *ret_len = 0 is the orderly end);
 * else nothing was moved, and POLLIN or POLLOUT on net_fd is what to wait for. A write that wants
 * to wait must be repeated with the same bytes first. */
struct sl_rc net_try_read(struct net_conn *c, void *out, size_t cap, size_t *ret_len,
                          short *ret_want);
struct sl_rc net_try_write(struct net_conn *c, struct slice s, size_t *ret_len, short *ret_want);
/* Waits for `want` on the descriptor; SL_E_TIMEOUT past the deadline. */
struct sl_rc net_wait(const struct net_conn *c, short want, int64_t deadline_mono_ms);
/* The bytes read ahead, in one piece; valid until the next call on `c`. net_fill makes one attempt
 * to add to them (results as net_try_read; SL_E_LIMIT when NET_AHEAD_BYTES are there), net_consume
 * takes from the front. */
enum { NET_AHEAD_BYTES = 64 * 1024 };
struct slice net_peek(const struct net_conn *c);
struct sl_rc net_fill(struct net_conn *c, size_t *ret_len, short *ret_want);
void net_consume(struct net_conn *c, size_t n);
/* For a serve function that holds part of a message: with NET_KEEP, park until more bytes come.
 * Past the deadline serve is called once more and net_expired is true. */
void net_await_more(struct net_conn *c, int64_t deadline_mono_ms);
bool net_expired(const struct net_conn *c);
/* The server is stopping: finish this request and close. */
bool net_stopping(const struct net_conn *c);
/* With NET_CLOSE: close our direction, then discard for a moment what the peer still sends, so that
 * no reset overtakes the last answer. Holds no worker. */
void net_linger(struct net_conn *c);

#endif
