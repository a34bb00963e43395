/* Inside of lib/dialect: a COPY from S3 while its text is read. */
#ifndef SL_DIALECT_COPY_IN_H
#define SL_DIALECT_COPY_IN_H

#include "lib/dialect/parser_in.h"

enum { COPY_TEXT_MAX = PARSED_STATEMENT_MAX * 2, COPY_OPTIONS_MAX = 64 };

struct copy {
    struct parser *p;
    struct buf with; /* WITH list so far */
    bool authorised;
    bool credentials_clause; /* CREDENTIALS form */
    bool keys_clause;        /* ACCESS_KEY_ID form */
    struct slice role, access_key_id, secret, token, master_key;
    uint64_t seen;               /* options by index: each may stand once */
    size_t at[COPY_OPTIONS_MAX]; /* where */
};

/* name 'value' into the WITH list. */
void copy_put_option(struct copy *c, const char *name, struct slice value);
/* The next option, whatever it is. */
struct sl_rc copy_option(struct copy *c);
/* Options that exclude or need each other, once all are read. */
struct sl_rc copy_options_check(struct copy *c);
/* "Invalid credentials. …" at `at`. */
struct sl_rc copy_fail_credentials(struct copy *c, size_t at);

#endif
