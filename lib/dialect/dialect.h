/* The Redshift dialect's syntax: an error-tolerant statement parser with source spans, and the
 * rewrite into PostgreSQL 15 SQL. Used by the gateway for what clients send, and by the extension
 * for EXECUTE strings.
 *
 * What is not known is passed through byte for byte. What is known and wrong is refused with a
 * position. Secrets of COPY (keys, tokens, master_symmetric_key) and passwords leave the text: each
 * is handed to `seal`, whose result stands in their place. A COPY that can't be parsed is an error
 * here and never reaches PostgreSQL. */
#ifndef SL_DIALECT_H
#define SL_DIALECT_H

#include "lib/base/arena.h"
#include "lib/base/buf.h"

enum dialect_kind {
    DIALECT_EMPTY, /* blanks and comments only */
    DIALECT_OTHER, /* passed through */
    DIALECT_CREATE_TABLE,
    DIALECT_CREATE_TABLE_AS,
    DIALECT_COPY, /* from S3, rewritten */
    DIALECT_USER, /* CREATE/ALTER USER|ROLE with PASSWORD */
    DIALECT_VACUUM,
    DIALECT_ALTER_TABLE, /* its attributes */
};

/* One statement of a text. Offsets in bytes of the source. */
struct dialect_statement {
    enum dialect_kind kind;
    size_t start;
    size_t end;       /* one past the last byte, semicolon not included */
    struct slice sql; /* PostgreSQL text: the source span itself, or rewritten text in the arena */
    bool rewritten;
};

/* Replaces a secret: writes a token that is safe in a text and a log (base64url characters) to
 * `out`. `what` is "password", "copy-credentials" or "master-symmetric-key"; for passwords the
 * result is a SCRAM verifier or 'md5…' text as PostgreSQL stores it, made from `user` and the clear
 * text. */
typedef struct sl_rc (*dialect_seal_fn)(void *ctx, const char *what, struct slice user,
                                        struct slice secret, struct buf *out, struct sl_error *err);

struct dialect_options {
    dialect_seal_fn seal;
    void *seal_ctx;
};

struct dialect_error {
    struct sl_error err; /* code SL_E_SQL_SYNTAX or SL_E_SQL_UNSUPPORTED; detail, hint */
    size_t position;     /* byte offset in the source, for ErrorResponse field P (1-based characters
                            there) */
};

/* Splits `source` (maybe several statements) and rewrites each. On failure *ret_error says what and
 * where. */
struct sl_rc dialect_rewrite(struct slice source, const struct dialect_options *opt,
                             struct arena *a, struct dialect_statement **ret_statements,
                             size_t *ret_count, struct dialect_error *ret_error);

#endif
