/* Failures of lib/columnar as PostgreSQL's errors, always with the table's name, never with a
 * value. */
#ifndef SEALIFT_COLUMNAR_FAIL_H
#define SEALIFT_COLUMNAR_FAIL_H

#include "postgres.h"

#include "utils/relcache.h"

#include "lib/base/rc.h"

/* ERRCODE_DATA_CORRUPTED. */
SL_NORETURN void fail_damaged(Relation rel, const char *why);
/* Raises when rc is a failure. */
void fail_check(Relation rel, struct sl_rc rc, const struct sl_error *err);
SL_NORETURN void fail_unsupported(Relation rel, const char *what);

/* PostgreSQL's own errors between push and pop name the table too. */
struct fail_context {
    ErrorContextCallback callback;
};
void fail_context_push(struct fail_context *c, Relation rel);
void fail_context_pop(struct fail_context *c);

#endif
