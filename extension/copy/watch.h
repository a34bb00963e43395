/* What a load tells of itself while it runs: counters that other sessions read, and a line for each
 * file. All threads of a load call it. Knows no PostgreSQL. A watch that is NULL takes no notice.
 */
#ifndef SEALIFT_COPY_WATCH_H
#define SEALIFT_COPY_WATCH_H

#include <pthread.h>
#include <stdatomic.h>

#include "lib/base/limits.h"
#include "lib/base/rc.h"

enum { WATCH_OBJECT_BYTES = LIMIT_S3_BUCKET_BYTES + 1 + LIMIT_S3_KEY_BYTES + 1 };

/* In shared memory: one load writes, any process reads, at any time. */
struct watch_counters {
    atomic_uint_least64_t files, size; /* to load, as far as is known */
    atomic_uint_least64_t done;        /* files read to the end */
    atomic_uint_least64_t fetched;     /* bytes, as stored in S3 */
    atomic_uint_least64_t plain;       /* bytes, decompressed */
    atomic_uint_least64_t lines, rows, errors;
    atomic_uint version; /* of `object`; odd while it changes */
    atomic_uint_least64_t object[(WATCH_OBJECT_BYTES + 7) / 8]; /* begun last: bucket/key */
};

void watch_counters_reset(struct watch_counters *c);
/* The file begun last, "" for none. `out` has WATCH_OBJECT_BYTES. */
void watch_counters_object(const struct watch_counters *c, char *out);

struct watch_file {
    char *object; /* bucket/key */
    uint64_t fetched, plain, lines;
    int64_t start_us, end_us; /* wall clock; end 0: not read to the end */
};

struct watch {
    struct watch_counters *counters;
    pthread_mutex_t mu; /* over the rest, and what is written to counters->object */
    struct watch_file *files;
    size_t count, cap;
};

void watch_init(struct watch *w, struct watch_counters *counters);
void watch_fini(struct watch *w);

/* Further files to load, and their bytes (0: not known). */
void watch_found(struct watch *w, uint64_t files, uint64_t bytes);
/* A file begins: *ret_file names it in the calls below. */
struct sl_rc watch_begin(struct watch *w, const char *object, struct sl_error *err,
                         size_t *ret_file);
/* Further bytes of it, as fetched and as decompressed; further lines of it. */
void watch_bytes(struct watch *w, size_t file, uint64_t fetched, uint64_t plain);
void watch_lines(struct watch *w, size_t file, uint64_t lines);
void watch_end(struct watch *w, size_t file);
/* Rows that went into the table; rejected rows. */
void watch_rows(struct watch *w, uint64_t rows);
void watch_errors(struct watch *w, uint64_t errors);

#endif
