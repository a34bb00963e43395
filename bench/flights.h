/* The flights of the walk-through and what benchmarks in C share: CPU time, and an end at the first
 * failure. For one .c file each. */
#ifndef SL_BENCH_FLIGHTS_H
#define SL_BENCH_FLIGHTS_H

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "lib/base/rc.h"
#include "lib/codec/copy_convert.h"

enum { COLUMNS = 15 };

static const struct copy_column table[COLUMNS] = {
    {.type = COPY_TIMESTAMP},
    {.type = COPY_INT4},
    {.type = COPY_VARCHAR, .max_bytes = 10},
    {.type = COPY_VARCHAR, .max_bytes = 20},
    {.type = COPY_CHAR, .max_bytes = 15},
    {.type = COPY_CHAR, .max_bytes = 2},
    {.type = COPY_CHAR, .max_bytes = 3},
    {.type = COPY_VARCHAR, .max_bytes = 10},
    {.type = COPY_VARCHAR, .max_bytes = 20},
    {.type = COPY_CHAR, .max_bytes = 15},
    {.type = COPY_CHAR, .max_bytes = 2},
    {.type = COPY_CHAR, .max_bytes = 3},
    {.type = COPY_NUMERIC, .precision = 8, .scale = 2},
    {.type = COPY_NUMERIC, .precision = 8, .scale = 2},
    {.type = COPY_BOOL},
};

#define MUST(call)                                                                                 \
    do {                                                                                           \
        struct sl_error err_ = {0};                                                                \
        struct sl_error *err = &err_;                                                              \
        struct sl_rc rc_ = (call);                                                                 \
        if (sl_failed(rc_)) {                                                                      \
            fprintf(stderr, "%s: %s\n", #call, sl_error_message(err, rc_.code));                   \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static double cpu(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

#endif
