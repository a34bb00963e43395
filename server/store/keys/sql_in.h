/* Short forms for the SQL of this folder: a statement with its parameters, rows into an arena. */
#ifndef SL_STORE_KEYS_SQL_IN_H
#define SL_STORE_KEYS_SQL_IN_H

#include "lib/base/arena.h"
#include "server/store/meta/meta.h"

/* Parameters of one statement, in order; ends at the first without a type. */
struct sql_arg {
    enum { ARG_END, ARG_TEXT, ARG_BLOB, ARG_INT } type;
    struct slice s;
    int64_t v;
};
#define T(slice_) ((struct sql_arg){ARG_TEXT, (slice_), 0})
#define B(slice_) ((struct sql_arg){ARG_BLOB, (slice_), 0})
#define I(int_) ((struct sql_arg){ARG_INT, SLICE_EMPTY, (int_)})
#define ARGS(...) ((const struct sql_arg[]){__VA_ARGS__, {ARG_END, {NULL, 0}, 0}})

#define NO_ARGS ((const struct sql_arg[]){{ARG_END, {NULL, 0}, 0}})

/* Prepared and bound. */
struct sl_rc sql_start(struct sqlite3 *conn, const char *sql, const struct sql_arg *args,
                       struct sqlite3_stmt **ret, struct sl_error *err);
/* One step: a change. */
struct sl_rc sql_run(struct sqlite3 *conn, const char *sql, const struct sql_arg *args,
                     struct sl_error *err);
/* The number in the one row. */
struct sl_rc sql_number(struct sqlite3 *conn, const char *sql, const struct sql_arg *args,
                        int64_t *ret, struct sl_error *err);
/* Calls `take` for each row, with room for `max` items of `size` bytes; more rows end the read. */
typedef bool (*sql_take_fn)(struct sqlite3_stmt *st, struct arena *a, void *item);
struct sl_rc sql_rows(struct sqlite3 *conn, const char *sql, const struct sql_arg *args, size_t max,
                      size_t size, sql_take_fn take, struct arena *a, void **ret, size_t *ret_count,
                      struct sl_error *err);
/* A column, copied; *ok falls when there is no memory. */
struct slice sql_text(struct sqlite3_stmt *st, int i, struct arena *a, bool *ok);
int64_t sql_int(struct sqlite3_stmt *st, int i);

#endif
