/* The inside of a connection, shared by conn.c, tls.c and server.c. */
#ifndef SL_NET_IN_H
#define SL_NET_IN_H

#include "server/net/net.h"

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>

enum { NET_CONN_MAGIC = 0x6e657443 };

/* First member of everything that epoll points to. */
enum net_kind { NET_KIND_CONN = 1, NET_KIND_LISTENER, NET_KIND_STOP, NET_KIND_WATCH };

/* What the next event on a parked connection means. */
enum net_phase { NET_HANDSHAKE, NET_HELLO, NET_SERVE, NET_LINGER };

/* Who may touch a connection: its worker, or (parked) whoever wins the exchange. The janitor only
 * ever moves PARKED to EXPIRED and wakes a worker by shutting the reading side. */
enum net_hold { NET_BUSY, NET_PARKED, NET_EXPIRED };

/* The two ends of the byte stream, and the bytes read ahead: [pos, len). Behind a pointer, since
 * net_buffered, which is const, may have to open a TLS record. */
struct net_wire {
    int fd;
    SSL *ssl; /* NULL = plain */
    uint8_t *ptr;
    size_t pos, len, cap;
    size_t touched;       /* of ptr, from its beginning: what is wiped at the end */
    bool eof;             /* the peer's orderly end was read */
    enum sl_code failure; /* set once the connection failed; returned from then on */
};

struct net_conn {
    enum net_kind kind;
    uint32_t magic;
    struct net_wire *w;
    struct net_peer peer;
    void *state;
    void (*state_free)(void *);

    /* inside a server */
    struct net_server *server;
    struct net_listener *from;
    struct net_conn *next, *prev; /* under server->mu */
    struct net_conn *queued;      /* the next one in a queue of the server's */
    enum net_phase phase;
    bool armed; /* known to epoll */
    bool await_more;
    bool expired;
    bool linger;
    size_t lingered; /* bytes discarded so far */
    int64_t await_until;
    _Atomic int hold;
    _Atomic int64_t deadline; /* of the parking, monotonic; INT64_MAX = none */
};

struct net_tls {
    atomic_int refs;
    bool http;
    pthread_mutex_t mu;
    SSL_CTX *ctx; /* under mu: replaced when the certificate is renewed */
};
struct net_tls *tls_hold(struct net_tls *t);
/* The present context, a reference of the caller's own. */
SSL_CTX *tls_ctx(struct net_tls *t);

/* Takes fd on success only. */
struct net_conn *conn_new(int fd);
/* Makes the TLS state for a server-side handshake. */
struct sl_rc conn_tls_begin(struct net_conn *c, struct net_tls *t);
/* One step of the handshake; *ret_want as net_try_read. */
struct sl_rc conn_tls_step(struct net_conn *c, short *ret_want);
/* Tells the peer that nothing more comes; no waiting. */
void conn_end_output(struct net_conn *c);
/* Drops the read-ahead buffer when it is empty. */
void conn_trim(struct net_conn *c);
/* Makes the BIO that reads and writes a socket without ever raising SIGPIPE. */
BIO *conn_bio_new(int fd);
bool net_server_stopping(const struct net_server *s);

#endif
