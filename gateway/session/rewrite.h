/* A client's statements into PostgreSQL's: lib/dialect with the session's key behind its seal (see
 * docs/decisions/6-secrets-in-sql.md). One thread at a time. */
#ifndef SL_GATEWAY_REWRITE_H
#define SL_GATEWAY_REWRITE_H

#include "lib/base/buf.h"
#include "lib/crypto/crypto.h"
#include "lib/dialect/dialect.h"

enum { REWRITE_ARENA_BYTES = 128 * 1024 * 1024 };

struct rewrite;

/* Where the characters of a rewritten text come from, so that positions in PostgreSQL's errors can
 * be told as positions in what the client wrote. */
enum { REWRITE_SPANS = 64 };
struct rewrite_span {
    size_t out_at; /* offsets in characters */
    size_t source_at;
    bool same; /* copied; else the span stands for a whole statement at source_at */
};
struct rewrite_map {
    struct rewrite_span spans[REWRITE_SPANS];
    size_t count; /* 0: not known */
};
/* A position (from 1) in the rewritten text as one in the source; 0 when there is none. */
size_t rewrite_position(const struct rewrite_map *m, size_t position);

struct sl_rc rewrite_new(const struct secret *session_key, struct rewrite **ret);
void rewrite_free(struct rewrite *w);
/* Rewrites every statement of `source` and appends the whole text, what stands between statements
 * included, to the empty `out`. *ret_changed is false, and nothing appended, when the source can go
 * on as it is. */
struct sl_rc rewrite_text(struct rewrite *w, struct slice source, struct buf *out,
                          struct rewrite_map *ret_map, bool *ret_changed,
                          struct dialect_error *ret_error);
/* The dialect's seal callback; ctx is a struct rewrite. */
struct sl_rc rewrite_seal(void *ctx, const char *what, struct slice user, struct slice secret,
                          struct buf *out, struct sl_error *err);

#endif
