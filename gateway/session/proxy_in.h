/* The inside of a proxied session, shared by proxy.c (the loop), upstream.c (client to PostgreSQL)
 * and downstream.c (PostgreSQL to client). */
#ifndef SL_GATEWAY_PROXY_IN_H
#define SL_GATEWAY_PROXY_IN_H

#include "gateway/session/proxy.h"
#include "gateway/session/refusal.h"
#include "gateway/session/rewrite.h"
#include "gateway/wire/message.h"

enum { PROXY_CHUNK_BYTES = 32 * 1024 };

enum proxy_mode { PROXY_PASS, PROXY_HOLD, PROXY_SKIP };

struct proxy {
    const struct proxy_conf *conf;
    struct rewrite *rewrite;
    struct refusals refusals;
    uint8_t *chunk; /* PROXY_CHUNK_BYTES, of whichever direction is being moved */

    struct {
        struct message_scan scan;
        enum proxy_mode mode;
        uint8_t type;
        struct buf held; /* statement being collected; wiped */
        struct buf out;  /* to PostgreSQL, not yet taken by its socket */
        size_t out_sent;
        bool terminated; /* the client said goodbye */
        /* Of the last text sent, empty when it was not rewritten; and how many since the last
         * ReadyForQuery, for an error is known to belong to it only when it is the one. */
        struct rewrite_map map;
        unsigned texts;
    } up;

    struct {
        struct message_scan scan;
        enum proxy_mode mode;
        uint8_t type;
        struct buf held;
        struct buf out;
        bool ready; /* the first ReadyForQuery has come */
        bool fatal; /* PostgreSQL said FATAL */
    } down;

    bool cancel_known;
    uint32_t cancel_pid;
    uint32_t cancel_key;
};

/* Moves `in` (whole or part messages of the client) to up.out. A failure ends the session. */
struct sl_rc upstream_feed(struct proxy *p, struct slice in, struct sl_error *err);
/* Moves `in` (from PostgreSQL) to down.out. */
struct sl_rc downstream_feed(struct proxy *p, struct slice in, struct sl_error *err);
/* Neither direction is inside a message. */
bool downstream_between(const struct proxy *p);

#endif
