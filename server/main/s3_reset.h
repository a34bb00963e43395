/* POST /moto-api/reset: an ephemeral instance is emptied, as public test suites expect
 * (docs/decisions/8-clock-and-reset.md). No other request of the public port runs meanwhile: those
 * that had begun end first, later ones wait. */
#ifndef SL_MAIN_S3_RESET_H
#define SL_MAIN_S3_RESET_H

#include <pthread.h>

#include "server/http/http.h"
#include "server/store/index/index.h"

struct reset {
    bool allowed; /* the instance is ephemeral */
    const char *gateway_socket;
    const uint8_t *token; /* of s3's edge; the caller's */
    struct index *index;
    struct blob_store *blobs;
    pthread_mutex_t mu;
    pthread_cond_t changed;
    unsigned inside; /* under mu: requests between enter and leave */
    bool emptying;   /* under mu */
};

void reset_init(struct reset *r);
/* Is it this request? Then it is answered: 200 when all is empty; 403 with an Origin header (a web
 * page must not do it), from another machine, or on an ordinary instance; 500 or 503 when a part
 * failed: then asking again does the rest. */
bool reset_serve(struct reset *r, struct http *h);
/* Around every other request; not by one thread necessarily. */
void reset_enter(struct reset *r);
bool reset_try_enter(struct reset *r); /* false: enter would wait */
void reset_leave(struct reset *r);

#endif
