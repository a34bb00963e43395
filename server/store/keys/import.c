/* See import.h. */
#include "server/store/keys/import.h"

#include "lib/base/limits.h"
#include "server/store/keys/sql_in.h"

static bool take_import(struct sqlite3_stmt *st, struct arena *a, void *item) {
    struct import_row *r = item;
    bool ok = true;
    r->material_id = sql_text(st, 0, a, &ok);
    r->description = sql_text(st, 1, a, &ok);
    r->imported = sql_int(st, 2) != 0;
    r->pending = sql_int(st, 3) != 0;
    r->expires = sql_int(st, 4) != 0;
    r->valid_to_ms = sql_int(st, 5);
    return ok;
}

struct sl_rc import_list(struct sqlite3 *conn, struct slice id, struct arena *a,
                         struct import_row **ret, size_t *ret_count, struct sl_error *err) {
    void *items = NULL;
    TRY(sql_rows(conn,
                 "SELECT material_id, description, imported, pending, expires, valid_to_ms"
                 " FROM kms_import WHERE key_id = ? ORDER BY n",
                 ARGS(T(id)), LIMIT_KMS_BACKING_KEYS, sizeof(struct import_row), take_import, a,
                 &items, ret_count, err));
    *ret = items;
    return SL_OK;
}

struct sl_rc import_put(struct sqlite3 *conn, struct slice id, const struct import_row *row,
                        struct sl_error *err) {
    return sql_run(
        conn,
        "INSERT INTO kms_import (key_id, n, material_id, description, imported, pending, expires,"
        " valid_to_ms) SELECT ?1, coalesce(max(n), 0) + 1, ?2, ?3, ?4, ?5, ?6, ?7 FROM kms_import"
        " WHERE key_id = ?1 ON CONFLICT (key_id, material_id) DO UPDATE SET"
        " description = excluded.description, imported = excluded.imported,"
        " pending = excluded.pending, expires = excluded.expires,"
        " valid_to_ms = excluded.valid_to_ms",
        ARGS(T(id), T(row->material_id), T(row->description), I(row->imported), I(row->pending),
             I(row->expires), I(row->valid_to_ms)),
        err);
}

struct sl_rc import_drop(struct sqlite3 *conn, struct slice id, struct slice material_id,
                         struct sl_error *err) {
    return sql_run(conn, "DELETE FROM kms_import WHERE key_id = ? AND material_id = ?",
                   ARGS(T(id), T(material_id)), err);
}

struct sl_rc import_store_key(struct sqlite3 *conn, struct key_row *k, bool first,
                              struct sl_error *err) {
    TRY(sql_run(conn,
                "UPDATE kms_key SET state = ?2, record = ?3, material_id = ?4, expires_ms ="
                " coalesce((SELECT min(valid_to_ms) FROM kms_import WHERE key_id = ?1"
                " AND imported = 1 AND pending = 0 AND expires = 1), 0) WHERE id = ?1",
                ARGS(T(k->id), I(k->state), B(k->record), T(k->material_id)), err));
    return first ? sql_run(conn,
                           "INSERT INTO kms_rotation (key_id, n, material_id, at_ms, automatic)"
                           " VALUES (?, 0, ?, 0, 0)",
                           ARGS(T(k->id), T(k->material_id)), err)
                 : SL_OK;
}

static bool take_name(struct sqlite3_stmt *st, struct arena *a, void *item) {
    struct key_row *k = item;
    bool ok = true;
    k->account = sql_text(st, 0, a, &ok);
    k->region = sql_text(st, 1, a, &ok);
    k->id = sql_text(st, 2, a, &ok);
    return ok;
}

struct sl_rc import_due(struct sqlite3 *conn, int64_t now_ms, struct arena *a, bool *ret_found,
                        struct key_row *ret, struct sl_error *err) {
    void *items = NULL;
    size_t n = 0;
    TRY(sql_rows(conn,
                 "SELECT k.account, k.region, k.id FROM kms_import i JOIN kms_key k"
                 " ON k.id = i.key_id WHERE i.imported = 1 AND i.expires = 1"
                 " AND i.valid_to_ms <= ?1 AND (k.deletion_ms = 0 OR k.deletion_ms > ?1) LIMIT 1",
                 ARGS(I(now_ms)), 1, sizeof *ret, take_name, a, &items, &n, err));
    *ret_found = n == 1;
    if (n == 1) {
        struct key_row found = *(struct key_row *)items;
        TRY(keys_get(conn, found.account, found.region, found.id, now_ms, a, ret_found, ret, err));
    }
    return SL_OK;
}
