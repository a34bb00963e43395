/* Statements of Sealift's own on a connection to PostgreSQL. */
#ifndef SL_GATEWAY_QUESTION_H
#define SL_GATEWAY_QUESTION_H

#include "lib/base/buf.h"
#include "lib/base/rdr.h"
#include "server/net/net.h"

enum { QUESTION_COLUMNS_MAX = 64 };

/* After the startup packet: waits until the session is ready. */
struct sl_rc question_begin(struct net_conn *c, int64_t deadline, struct sl_error *err);

/* A row's fields as texts; NULL is empty. They are gone when it returns. */
typedef struct sl_rc (*question_row_fn)(void *ctx, const struct slice *fields, size_t count,
                                        struct sl_error *err);
/* `row` may be NULL. A refusal of the server's fails with `refused` and its words. */
struct sl_rc question_ask(struct net_conn *c, struct slice statement, int64_t deadline,
                          enum sl_code refused, question_row_fn row, void *ctx,
                          struct sl_error *err);
/* The same where the server tells how far it is. */
typedef void (*question_notice_fn)(void *ctx, struct slice text);
struct sl_rc question_ask_long(struct net_conn *c, struct slice statement, int64_t deadline,
                               enum sl_code refused, question_row_fn row, question_notice_fn notice,
                               void *ctx, struct sl_error *err);
/* The same with a text for the statement's $1. */
struct sl_rc question_ask_of(struct net_conn *c, struct slice statement, struct slice parameter,
                             int64_t deadline, enum sl_code refused, question_row_fn row, void *ctx,
                             struct sl_error *err);

#endif
