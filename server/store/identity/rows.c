/* Statements of the identity store; see rows_in.h. */
#include "server/store/identity/rows_in.h"

#include <sqlite3.h>
#include <stdarg.h>

static struct sl_rc open_va(sqlite3 *conn, struct sl_error *err, sqlite3_stmt **ret,
                            const char *sql, const char *types, va_list ap) {
    sqlite3_stmt *st = NULL;
    TRY(db_prepare(conn, sql, &st, err));
    for (int i = 0; types[i] != 0; i++) {
        switch (types[i]) {
        case 't':
            db_bind_slice(st, i + 1, va_arg(ap, struct slice));
            break;
        case 'b':
            db_bind_blob(st, i + 1, va_arg(ap, struct slice));
            break;
        default:
            sl_assert(types[i] == 'i');
            db_bind_int(st, i + 1, va_arg(ap, int64_t));
        }
    }
    *ret = st;
    return SL_OK;
}

struct sl_rc rows_open(sqlite3 *conn, struct sl_error *err, sqlite3_stmt **ret, const char *sql,
                       const char *types, ...) {
    va_list ap;
    va_start(ap, types);
    struct sl_rc rc = open_va(conn, err, ret, sql, types, ap);
    va_end(ap);
    return rc;
}

struct sl_rc rows_run(sqlite3 *conn, struct sl_error *err, int *ret_changes, const char *sql,
                      const char *types, ...) {
    sqlite3_stmt *st = NULL;
    bool row = true;
    va_list ap;
    va_start(ap, types);
    struct sl_rc rc = open_va(conn, err, &st, sql, types, ap);
    va_end(ap);
    TRY(rc);
    while (sl_is_ok(rc) && row) {
        rc = db_step(st, &row, err);
    }
    db_done(st);
    if (sl_is_ok(rc) && ret_changes != NULL) {
        *ret_changes = sqlite3_changes(conn);
    }
    return rc;
}

struct sl_rc rows_int(sqlite3 *conn, struct sl_error *err, int64_t *ret, const char *sql,
                      const char *types, ...) {
    sqlite3_stmt *st = NULL;
    bool row;
    va_list ap;
    va_start(ap, types);
    struct sl_rc rc = open_va(conn, err, &st, sql, types, ap);
    va_end(ap);
    TRY(rc);
    rc = db_step(st, &row, err);
    if (sl_is_ok(rc)) {
        *ret = row ? sqlite3_column_int64(st, 0) : 0;
    }
    db_done(st);
    return rc;
}

struct slice rows_text(sqlite3_stmt *st, int column, struct arena *a, bool *failed) {
    struct slice copy = arena_copy(a, db_column(st, column));
    *failed |= copy.ptr == NULL;
    return copy;
}

struct sl_rc rows_texts(sqlite3_stmt *st, size_t limit, struct arena *a, struct sl_error *err,
                        struct slice **ret, size_t *ret_count) {
    struct slice *items = arena_array(a, limit ? limit : 1, sizeof *items);
    size_t n = 0;
    bool row = true, failed = items == NULL;
    struct sl_rc rc = SL_OK;
    while (!failed && n < limit && sl_is_ok(rc = db_step(st, &row, err)) && row) {
        items[n++] = rows_text(st, 0, a, &failed);
    }
    db_done(st);
    TRY(rc);
    ENSURE(!failed, err, SL_E_NOMEM, "Out of memory.");
    *ret = items;
    *ret_count = n;
    return SL_OK;
}
