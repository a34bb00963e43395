/* Loads as lines of text, for `sealift loads`. */
#ifndef SL_CLI_LOADS_TEXT_H
#define SL_CLI_LOADS_TEXT_H

#include "lib/base/buf.h"

/* A row of sealift.loads; texts as the server gives them. */
struct load_line {
    bool running;
    bool failed;
    struct slice query, database, table, user, start; /* "2026-11-24 19:03:12" */
    uint64_t ms;                                      /* so far, or altogether */
    uint64_t rows, errors, bytes, size, done, files;  /* bytes and size as stored in S3 */
    unsigned percent;
    struct slice source, object, message;
};

/* One line without its end, at most `width` characters (0: no limit). Control characters become
 * '?'. */
void loads_text_put(struct buf *out, const struct load_line *l, size_t width);

#endif
