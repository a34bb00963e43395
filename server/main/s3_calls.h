/* Uses of keys, passed on to kms without a worker that waits: few connections, each with many calls
 * under way (server/http/http.h), answered in any order. All but calls_connect is the watching
 * thread's. */
#ifndef SL_MAIN_S3_CALLS_H
#define SL_MAIN_S3_CALLS_H

#include "lib/ipc/seam.h"
#include "server/http/http.h"

struct calls;

struct calls_conf {
    const char *socket;
    const uint8_t *token;     /* of s3's edge; the caller's */
    int channels;             /* connections, at most CALLS_CHANNELS_MAX */
    void (*done)(void *user); /* after each call that was taken */
    void *user;
};
enum { CALLS_CHANNELS_MAX = 4 };

struct sl_rc calls_new(const struct calls_conf *conf, struct calls **ret);
void calls_free(struct calls *m);
/* Where calls are answered; before it runs. */
void calls_serve(struct calls *m, struct net_server *server);
/* Connects what is not connected. By a worker: it waits for kms. */
void calls_connect(struct calls *m);
/* Takes the request if there is room and a connection; it is answered with http_answer, whatever
 * happens to kms. */
bool calls_take(struct calls *m, struct net_conn *c, const struct http *h, struct slice body,
                bool close);
/* net_conf.looked: sends what was taken, ends what takes too long. */
void calls_looked(struct calls *m);

#endif
