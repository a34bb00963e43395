/* See grant.h. */
#include "server/store/keys/grant.h"

#include "server/store/keys/sql_in.h"

#define COLUMNS                                                                                    \
    "g.id, g.name, g.grantee, g.grantee_id, g.retiring, g.retiring_id, g.issuer, g.constraints,"   \
    " g.operations, g.created_ms"

static bool take(struct sqlite3_stmt *st, struct arena *a, void *item) {
    struct grant_row *g = item;
    bool ok = true;
    g->key_id = sql_text(st, 0, a, &ok);
    g->id = sql_text(st, 1, a, &ok);
    g->name = sql_text(st, 2, a, &ok);
    g->grantee = sql_text(st, 3, a, &ok);
    g->grantee_id = sql_text(st, 4, a, &ok);
    g->retiring = sql_text(st, 5, a, &ok);
    g->retiring_id = sql_text(st, 6, a, &ok);
    g->issuer = sql_text(st, 7, a, &ok);
    g->constraints = sql_text(st, 8, a, &ok);
    g->operations = (uint32_t)sql_int(st, 9);
    g->created_ms = sql_int(st, 10);
    return ok;
}

static struct sl_rc rows(struct sqlite3 *conn, const char *sql, const struct sql_arg *args,
                         size_t max, struct arena *a, struct grant_row **ret, size_t *ret_count,
                         struct sl_error *err) {
    void *items = NULL;
    TRY(sql_rows(conn, sql, args, max, sizeof **ret, take, a, &items, ret_count, err));
    *ret = items;
    return SL_OK;
}

struct sl_rc grant_insert(struct sqlite3 *conn, const struct grant_row *g, struct sl_error *err) {
    return sql_run(conn,
                   "INSERT INTO kms_grant (key_id, id, name, grantee, grantee_id, retiring,"
                   " retiring_id, issuer, constraints, operations, created_ms)"
                   " VALUES (?,?,?,?,?,?,?,?,?,?,?)",
                   ARGS(T(g->key_id), T(g->id), T(g->name), T(g->grantee), T(g->grantee_id),
                        T(g->retiring), T(g->retiring_id), T(g->issuer), T(g->constraints),
                        I(g->operations), I(g->created_ms)),
                   err);
}

struct sl_rc grant_delete(struct sqlite3 *conn, struct slice key_id, struct slice id,
                          struct sl_error *err) {
    return sql_run(conn, "DELETE FROM kms_grant WHERE key_id = ? AND id = ?",
                   ARGS(T(key_id), T(id)), err);
}

struct sl_rc grant_get(struct sqlite3 *conn, struct slice key_id, struct slice id, struct arena *a,
                       bool *ret_found, struct grant_row *ret, struct sl_error *err) {
    struct grant_row *items = NULL;
    size_t n = 0;
    TRY(rows(conn, "SELECT g.key_id, " COLUMNS " FROM kms_grant g WHERE key_id = ? AND id = ?",
             ARGS(T(key_id), T(id)), 1, a, &items, &n, err));
    *ret_found = n == 1;
    if (n == 1) {
        *ret = items[0];
    }
    return SL_OK;
}

struct sl_rc grant_named(struct sqlite3 *conn, struct slice key_id, struct slice name,
                         struct arena *a, struct grant_row **ret, size_t *ret_count,
                         struct sl_error *err) {
    return rows(conn,
                "SELECT g.key_id, " COLUMNS " FROM kms_grant g"
                " WHERE key_id = ? AND name = ? AND name <> '' ORDER BY created_ms, id",
                ARGS(T(key_id), T(name)), SIZE_MAX, a, ret, ret_count, err);
}

struct sl_rc grant_count(struct sqlite3 *conn, struct slice key_id, int64_t *ret,
                         struct sl_error *err) {
    return sql_number(conn, "SELECT count(*) FROM kms_grant WHERE key_id = ?", ARGS(T(key_id)), ret,
                      err);
}

struct sl_rc grant_any(struct sqlite3 *conn, struct slice key_id, bool *ret, struct sl_error *err) {
    struct sqlite3_stmt *st = NULL;
    TRY(sql_start(conn, "SELECT 1 FROM kms_grant WHERE key_id = ? LIMIT 1", ARGS(T(key_id)), &st,
                  err));
    struct sl_rc rc = db_step(st, ret, err);
    db_done(st);
    return rc;
}

struct sl_rc grant_list(struct sqlite3 *conn, struct slice key_id, struct slice grantee,
                        struct slice after, size_t max, struct arena *a, struct grant_row **ret,
                        size_t *ret_count, struct sl_error *err) {
    if (grantee.len > 0) {
        return rows(conn,
                    "SELECT g.key_id, " COLUMNS " FROM kms_grant g"
                    " WHERE key_id = ? AND grantee = ? AND id > ? ORDER BY id LIMIT ?",
                    ARGS(T(key_id), T(grantee), T(after), I((int64_t)max)), max, a, ret, ret_count,
                    err);
    }
    return rows(conn,
                "SELECT g.key_id, " COLUMNS " FROM kms_grant g"
                " WHERE key_id = ? AND id > ? ORDER BY id LIMIT ?",
                ARGS(T(key_id), T(after), I((int64_t)max)), max, a, ret, ret_count, err);
}

struct sl_rc grant_list_retirable(struct sqlite3 *conn, struct slice region, struct slice retiring,
                                  struct slice after, int64_t now_ms, size_t max, struct arena *a,
                                  struct grant_row **ret, size_t *ret_count, struct sl_error *err) {
    return rows(conn,
                "SELECT k.arn, " COLUMNS " FROM kms_grant g JOIN kms_key k ON k.id = g.key_id"
                " WHERE g.retiring = ? AND g.id > ? AND k.region = ?"
                " AND (k.deletion_ms = 0 OR k.deletion_ms > ?) ORDER BY g.id LIMIT ?",
                ARGS(T(retiring), T(after), T(region), I(now_ms), I((int64_t)max)), max, a, ret,
                ret_count, err);
}
