/* Statements that the gateway refuses, answered through PostgreSQL, so that the error comes in its
 * turn and has its effect on the transaction, in the simple and the extended protocol alike.
 *
 * In place of the refused text PostgreSQL gets a word that no grammar takes, random for the session
 * and numbered. The syntax error that it raises quotes the word, by which the gateway finds the
 * true error and says that instead. Nothing of the refused text reaches PostgreSQL. */
#ifndef SL_GATEWAY_REFUSAL_H
#define SL_GATEWAY_REFUSAL_H

#include "lib/base/buf.h"

enum { REFUSAL_KEPT = 8192 }; /* more than fit the buffers between here and PostgreSQL */

struct refusal {
    struct refusal *next;
    uint64_t number;
    const char *sqlstate;
    size_t position; /* in characters, from 1; 0 = none */
    const char *hint;
    char message[]; /* the hint follows it */
};

struct refusals {
    char word[40];        /* "sealift_<24 hex>_" */
    uint64_t given;       /* numbers given so far */
    struct refusal *head; /* oldest first */
    struct refusal *tail;
    size_t count;
};

void refusals_init(struct refusals *r);
void refusals_fini(struct refusals *r);
/* Keeps the error and appends the word that stands for it. */
struct sl_rc refusal_put(struct refusals *r, struct sl_rc rc, const struct sl_error *err,
                         size_t position, struct buf *out);
/* The refusal that an error's message quotes, or NULL. The caller frees it. Errors come in the
 * order of their causes, so older refusals are forgotten: PostgreSQL has skipped them. */
struct refusal *refusal_take(struct refusals *r, struct slice message);

#endif
