/* A client's statements into PostgreSQL's: lib/dialect with the session's key behind its seal (see
 * docs/decisions/6-secrets-in-sql.md). One thread at a time. */
#ifndef SL_GATEWAY_REWRITE_H
#define SL_GATEWAY_REWRITE_H

#include "lib/base/buf.h"
#include "lib/crypto/crypto.h"
#include "lib/dialect/dialect.h"

enum { REWRITE_ARENA_BYTES = 128 * 1024 * 1024 };

struct rewrite;

struct sl_rc rewrite_new(const struct secret *session_key, struct rewrite **ret);
void rewrite_free(struct rewrite *w);
/* Rewrites every statement of `source` and appends the whole text, what stands between statements
 * included. *ret_changed is false, and nothing appended, when the source can go on as it is. */
struct sl_rc rewrite_text(struct rewrite *w, struct slice source, struct buf *out,
                          bool *ret_changed, struct dialect_error *ret_error);
/* The dialect's seal callback; ctx is a struct rewrite. */
struct sl_rc rewrite_seal(void *ctx, const char *what, struct slice user, struct slice secret,
                          struct buf *out, struct sl_error *err);

#endif
