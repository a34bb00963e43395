/* See backup.h. */
#include "server/store/keys/backup.h"

#include "server/store/keys/sql_in.h"

const char backup_schema[] =
    "CREATE TABLE IF NOT EXISTS backup_probe ("
    " key_id TEXT PRIMARY KEY, probe BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS backup_head (n INTEGER PRIMARY KEY, line TEXT NOT NULL);";

struct sl_rc backup_clear(struct sqlite3 *conn, struct sl_error *err) {
    TRY(sql_run(conn, "DELETE FROM backup_probe", NO_ARGS, err));
    return sql_run(conn, "DELETE FROM backup_head", NO_ARGS, err);
}

static bool take_key(struct sqlite3_stmt *st, struct arena *a, void *item) {
    struct backup_key *k = item;
    bool ok = true;
    k->id = sql_text(st, 0, a, &ok);
    k->arn = sql_text(st, 1, a, &ok);
    k->record = sql_text(st, 2, a, &ok);
    k->probe = sql_text(st, 3, a, &ok);
    return ok;
}

struct sl_rc backup_keys(struct sqlite3 *conn, struct slice after, size_t max, struct arena *a,
                         struct backup_key **ret, size_t *ret_count, struct sl_error *err) {
    void *items = NULL;
    TRY(sql_rows(conn,
                 "SELECT k.id, k.arn, k.record, p.probe FROM kms_key k"
                 " LEFT JOIN backup_probe p ON p.key_id = k.id WHERE k.id > ? ORDER BY k.id",
                 ARGS(T(after)), max, sizeof **ret, take_key, a, &items, ret_count, err));
    *ret = items;
    return SL_OK;
}

struct sl_rc backup_probe_add(struct sqlite3 *conn, struct slice key_id, struct slice probe,
                              struct sl_error *err) {
    return sql_run(conn, "INSERT INTO backup_probe (key_id, probe) VALUES (?,?)",
                   ARGS(T(key_id), B(probe)), err);
}

struct sl_rc backup_head_add(struct sqlite3 *conn, struct slice line, struct sl_error *err) {
    return sql_run(conn, "INSERT INTO backup_head (line) VALUES (?)", ARGS(T(line)), err);
}

static bool take_head(struct sqlite3_stmt *st, struct arena *a, void *item) {
    bool ok = true;
    *(struct slice *)item = sql_text(st, 0, a, &ok);
    return ok;
}

struct sl_rc backup_heads(struct sqlite3 *conn, int64_t after, size_t max, struct arena *a,
                          struct slice **ret, size_t *ret_count, struct sl_error *err) {
    void *items = NULL;
    TRY(sql_rows(conn, "SELECT line FROM backup_head WHERE n > ? ORDER BY n", ARGS(I(after)), max,
                 sizeof **ret, take_head, a, &items, ret_count, err));
    *ret = items;
    return SL_OK;
}

static bool take_secret(struct sqlite3_stmt *st, struct arena *a, void *item) {
    struct backup_secret *s = item;
    bool ok = true;
    s->name = sql_text(st, 0, a, &ok);
    s->sealed = sql_text(st, 1, a, &ok);
    return ok;
}

struct sl_rc backup_secrets(struct sqlite3 *conn, size_t max, struct arena *a,
                            struct backup_secret **ret, size_t *ret_count, struct sl_error *err) {
    void *items = NULL;
    TRY(sql_rows(conn,
                 "SELECT name, sealed FROM kms_kept WHERE name GLOB 'tls-*' AND length(sealed) > 0"
                 " ORDER BY name",
                 NO_ARGS, max, sizeof **ret, take_secret, a, &items, ret_count, err));
    *ret = items;
    return SL_OK;
}
