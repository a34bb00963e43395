/* See sql_in.h. */
#include "server/store/keys/sql_in.h"

#include <sqlite3.h>

struct sl_rc sql_start(struct sqlite3 *conn, const char *sql, const struct sql_arg *args,
                       struct sqlite3_stmt **ret, struct sl_error *err) {
    TRY(db_prepare(conn, sql, ret, err));
    for (int i = 0; args[i].type != ARG_END; i++) {
        switch (args[i].type) {
        case ARG_TEXT:
            db_bind_slice(*ret, i + 1, args[i].s);
            break;
        case ARG_BLOB:
            db_bind_blob(*ret, i + 1, args[i].s);
            break;
        default:
            db_bind_int(*ret, i + 1, args[i].v);
            break;
        }
    }
    return SL_OK;
}

struct sl_rc sql_run(struct sqlite3 *conn, const char *sql, const struct sql_arg *args,
                     struct sl_error *err) {
    struct sqlite3_stmt *st = NULL;
    bool row = false;
    TRY(sql_start(conn, sql, args, &st, err));
    struct sl_rc rc = db_step(st, &row, err);
    db_done(st);
    return rc;
}

struct sl_rc sql_number(struct sqlite3 *conn, const char *sql, const struct sql_arg *args,
                        int64_t *ret, struct sl_error *err) {
    struct sqlite3_stmt *st = NULL;
    bool row = false;
    TRY(sql_start(conn, sql, args, &st, err));
    struct sl_rc rc = db_step(st, &row, err);
    if (!sl_failed(rc) && row) {
        *ret = sql_int(st, 0);
    }
    db_done(st);
    return rc;
}

struct sl_rc sql_rows(struct sqlite3 *conn, const char *sql, const struct sql_arg *args, size_t max,
                      size_t size, sql_take_fn take, struct arena *a, void **ret, size_t *ret_count,
                      struct sl_error *err) {
    struct sqlite3_stmt *st = NULL;
    size_t n = 0, cap = 0;
    uint8_t *items = NULL;
    bool row = false;
    TRY(sql_start(conn, sql, args, &st, err));
    struct sl_rc rc = SL_OK;
    while (n < max && !sl_failed(rc = db_step(st, &row, err)) && row) {
        if (n == cap) {
            size_t more = cap ? cap * 2 : 8;
            uint8_t *bigger = arena_array(a, more, size);
            if (bigger != NULL && n > 0) {
                memcpy(bigger, items, n * size);
            }
            items = bigger;
            cap = more;
        }
        if (items == NULL || !take(st, a, items + n * size)) {
            rc = sl_fail(err, SL_E_NOMEM, "Out of memory.");
            break;
        }
        n++;
    }
    db_done(st);
    if (!sl_failed(rc)) {
        *ret = items;
        *ret_count = n;
    }
    return rc;
}

struct slice sql_text(struct sqlite3_stmt *st, int i, struct arena *a, bool *ok) {
    struct slice copy = arena_copy(a, db_column(st, i));
    *ok &= copy.ptr != NULL;
    return copy;
}

int64_t sql_int(struct sqlite3_stmt *st, int i) {
    return sqlite3_column_int64(st, i);
}
