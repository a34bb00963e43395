/* SQL of keys, aliases, tags, rotations and the service's own things; see keys.h. */
#include "server/store/keys/keys.h"

#include "server/keys/keyholder.h"
#include "server/store/keys/sql_in.h"

const char keys_schema[] =
    "CREATE TABLE IF NOT EXISTS kms_key ("
    " id TEXT PRIMARY KEY, account TEXT NOT NULL, region TEXT NOT NULL, arn TEXT NOT NULL UNIQUE,"
    " description TEXT NOT NULL, policy TEXT NOT NULL, record BLOB NOT NULL,"
    " material_id TEXT NOT NULL, state INTEGER NOT NULL, manager INTEGER NOT NULL,"
    " created_ms INTEGER NOT NULL, deletion_ms INTEGER NOT NULL, window_days INTEGER NOT NULL,"
    " origin INTEGER NOT NULL, expires_ms INTEGER NOT NULL, rotation_days INTEGER NOT NULL,"
    " rotation_ms INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS kms_key_owner ON kms_key (account, region, id);"
    "CREATE INDEX IF NOT EXISTS kms_key_deletion ON kms_key (deletion_ms) WHERE deletion_ms > 0;"
    "CREATE INDEX IF NOT EXISTS kms_key_rotation ON kms_key (rotation_ms) WHERE rotation_ms > 0;"
    "CREATE TABLE IF NOT EXISTS kms_alias ("
    " account TEXT NOT NULL, region TEXT NOT NULL, name TEXT NOT NULL, key_id TEXT NOT NULL,"
    " created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL,"
    " PRIMARY KEY (account, region, name)) WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS kms_alias_key ON kms_alias (key_id);"
    "CREATE TABLE IF NOT EXISTS kms_tag ("
    " key_id TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,"
    " PRIMARY KEY (key_id, name)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS kms_rotation ("
    " key_id TEXT NOT NULL, n INTEGER NOT NULL, material_id TEXT NOT NULL, at_ms INTEGER NOT NULL,"
    " automatic INTEGER NOT NULL,"
    " PRIMARY KEY (key_id, n)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS kms_import ("
    " key_id TEXT NOT NULL, n INTEGER NOT NULL, material_id TEXT NOT NULL,"
    " description TEXT NOT NULL, imported INTEGER NOT NULL, pending INTEGER NOT NULL,"
    " expires INTEGER NOT NULL, valid_to_ms INTEGER NOT NULL, PRIMARY KEY (key_id, n),"
    " UNIQUE (key_id, material_id)) WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS kms_import_end ON kms_import (valid_to_ms) "
    "WHERE imported = 1 AND expires = 1;"
    "CREATE TABLE IF NOT EXISTS kms_grant ("
    " key_id TEXT NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL, grantee TEXT NOT NULL,"
    " grantee_id TEXT NOT NULL, retiring TEXT NOT NULL, retiring_id TEXT NOT NULL,"
    " issuer TEXT NOT NULL, constraints TEXT NOT NULL, operations INTEGER NOT NULL,"
    " created_ms INTEGER NOT NULL, PRIMARY KEY (key_id, id)) WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS kms_grant_grantee ON kms_grant (key_id, grantee, id);"
    "CREATE INDEX IF NOT EXISTS kms_grant_retiring ON kms_grant (retiring, id) WHERE retiring <> "
    "'';"
    "CREATE INDEX IF NOT EXISTS kms_grant_name ON kms_grant (key_id, name) WHERE name <> '';"
    "CREATE TABLE IF NOT EXISTS kms_kept ("
    " name TEXT PRIMARY KEY, public BLOB NOT NULL, sealed BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS cluster_role ("
    " arn TEXT PRIMARY KEY, is_default INTEGER NOT NULL, added_ms INTEGER NOT NULL) WITHOUT ROWID;";

/* KEY_SERVICE, and what the warehouse's keys hang on. */
#define SERVICE_KEYS                                                                               \
    "(SELECT id FROM kms_key WHERE manager = 3 OR arn IN"                                          \
    " (SELECT CAST(public AS TEXT) FROM kms_kept WHERE name = 'cluster'))"

const struct db_keep keys_kept[] = {{"kms_key", "id IN " SERVICE_KEYS},
                                    {"kms_alias", "key_id IN " SERVICE_KEYS},
                                    {"kms_rotation", "key_id IN " SERVICE_KEYS},
                                    {"kms_kept", "name <> 'clock'"},
                                    {NULL, NULL}};

#define KEY_COLUMNS                                                                                \
    "id, account, region, arn, description, policy, record, material_id, state, manager,"          \
    " created_ms, deletion_ms, window_days, origin, expires_ms, rotation_days, rotation_ms"
#define ALIVE(alias_) "(" alias_ "deletion_ms = 0 OR " alias_ "deletion_ms > ?)"

static bool take_key(struct sqlite3_stmt *st, struct arena *a, void *item) {
    struct key_row *k = item;
    bool ok = true;
    k->id = sql_text(st, 0, a, &ok);
    k->account = sql_text(st, 1, a, &ok);
    k->region = sql_text(st, 2, a, &ok);
    k->arn = sql_text(st, 3, a, &ok);
    k->description = sql_text(st, 4, a, &ok);
    k->policy = sql_text(st, 5, a, &ok);
    k->record = sql_text(st, 6, a, &ok);
    k->material_id = sql_text(st, 7, a, &ok);
    k->state = (int)sql_int(st, 8);
    k->manager = (int)sql_int(st, 9);
    k->created_ms = sql_int(st, 10);
    k->deletion_ms = sql_int(st, 11);
    k->window_days = (int32_t)sql_int(st, 12);
    k->origin = (int)sql_int(st, 13);
    k->expires_ms = sql_int(st, 14);
    k->rotation_days = (int32_t)sql_int(st, 15);
    k->rotation_ms = sql_int(st, 16);
    return ok;
}

struct sl_rc keys_get(struct sqlite3 *conn, struct slice account, struct slice region,
                      struct slice id, int64_t now_ms, struct arena *a, bool *ret_found,
                      struct key_row *ret, struct sl_error *err) {
    void *items = NULL;
    size_t n = 0;
    TRY(sql_rows(conn,
                 "SELECT " KEY_COLUMNS
                 " FROM kms_key WHERE id = ? AND account = ? AND region = ? AND " ALIVE(""),
                 ARGS(T(id), T(account), T(region), I(now_ms)), 1, sizeof *ret, take_key, a, &items,
                 &n, err));
    *ret_found = n == 1;
    if (n == 1) {
        *ret = *(struct key_row *)items;
        bool expired = ret->expires_ms > 0 && ret->expires_ms <= now_ms;
        if (expired && (ret->state == KEY_ENABLED || ret->state == KEY_DISABLED)) {
            ret->state = KEY_PENDING_IMPORT;
        }
    }
    return SL_OK;
}

struct sl_rc keys_insert(struct sqlite3 *conn, const struct key_row *k, struct sl_error *err) {
    TRY(sql_run(conn,
                "INSERT INTO kms_key (" KEY_COLUMNS ") VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                ARGS(T(k->id), T(k->account), T(k->region), T(k->arn), T(k->description),
                     T(k->policy), B(k->record), T(k->material_id), I(k->state), I(k->manager),
                     I(k->created_ms), I(k->deletion_ms), I(k->window_days), I(k->origin),
                     I(k->expires_ms), I(k->rotation_days), I(k->rotation_ms)),
                err));
    if (k->material_id.len == 0) { /* nothing imported yet */
        return SL_OK;
    }
    return sql_run(
        conn,
        "INSERT INTO kms_rotation (key_id, n, material_id, at_ms, automatic) VALUES (?,0,?,0,0)",
        ARGS(T(k->id), T(k->material_id)), err);
}

struct sl_rc keys_set_state(struct sqlite3 *conn, const struct key_row *k, struct sl_error *err) {
    return sql_run(conn,
                   "UPDATE kms_key SET state = ?, record = ?, deletion_ms = ?, window_days = ? "
                   "WHERE id = ?",
                   ARGS(I(k->state), B(k->record), I(k->deletion_ms), I(k->window_days), T(k->id)),
                   err);
}

struct sl_rc keys_set_description(struct sqlite3 *conn, struct slice id, struct slice description,
                                  struct sl_error *err) {
    return sql_run(conn, "UPDATE kms_key SET description = ? WHERE id = ?",
                   ARGS(T(description), T(id)), err);
}

struct sl_rc keys_set_policy(struct sqlite3 *conn, struct slice id, struct slice policy,
                             struct sl_error *err) {
    return sql_run(conn, "UPDATE kms_key SET policy = ? WHERE id = ?", ARGS(T(policy), T(id)), err);
}

struct sl_rc keys_rotated(struct sqlite3 *conn, const struct key_row *k, bool automatic,
                          int64_t now_ms, struct sl_error *err) {
    TRY(sql_run(conn,
                "UPDATE kms_key SET record = ?, material_id = ?, rotation_ms = ? WHERE id = ?",
                ARGS(B(k->record), T(k->material_id), I(k->rotation_ms), T(k->id)), err));
    return sql_run(conn,
                   "INSERT INTO kms_rotation (key_id, n, material_id, at_ms, automatic) SELECT ?1,"
                   " coalesce(max(n), 0) + 1, ?2, ?3, ?4 FROM kms_rotation WHERE key_id = ?1",
                   ARGS(T(k->id), T(k->material_id), I(now_ms), I(automatic)), err);
}

struct sl_rc keys_set_rotation(struct sqlite3 *conn, const struct key_row *k,
                               struct sl_error *err) {
    return sql_run(conn, "UPDATE kms_key SET rotation_days = ?, rotation_ms = ? WHERE id = ?",
                   ARGS(I(k->rotation_days), I(k->rotation_ms), T(k->id)), err);
}

static struct sl_rc first_key(struct sqlite3 *conn, const char *sql, const struct sql_arg *args,
                              struct arena *a, bool *ret_found, struct key_row *ret,
                              struct sl_error *err) {
    void *items = NULL;
    size_t n = 0;
    TRY(sql_rows(conn, sql, args, 1, sizeof *ret, take_key, a, &items, &n, err));
    *ret_found = n == 1;
    if (n == 1) {
        *ret = *(struct key_row *)items;
    }
    return SL_OK;
}

struct sl_rc keys_deletion_due(struct sqlite3 *conn, struct slice after, int64_t now_ms,
                               struct arena *a, bool *ret_found, struct key_row *ret,
                               struct sl_error *err) {
    return first_key(conn,
                     "SELECT " KEY_COLUMNS " FROM kms_key WHERE deletion_ms > 0"
                     " AND deletion_ms <= ? AND id > ? ORDER BY id LIMIT 1",
                     ARGS(I(now_ms), T(after)), a, ret_found, ret, err);
}

struct sl_rc keys_rotation_due(struct sqlite3 *conn, struct slice after, struct slice only,
                               int64_t now_ms, struct arena *a, bool *ret_found,
                               struct key_row *ret, struct sl_error *err) {
    return first_key(conn,
                     "SELECT " KEY_COLUMNS " FROM kms_key WHERE rotation_ms > 0"
                     " AND rotation_ms <= ?1 AND id > ?2 AND (?3 = '' OR id = ?3) AND state = ?4"
                     " ORDER BY id LIMIT 1",
                     ARGS(I(now_ms), T(after), T(only), I(KEY_ENABLED)), a, ret_found, ret, err);
}

static bool take_slice(struct sqlite3_stmt *st, struct arena *a, void *item) {
    bool ok = true;
    *(struct slice *)item = sql_text(st, 0, a, &ok);
    return ok;
}

struct sl_rc keys_list(struct sqlite3 *conn, struct slice account, struct slice region,
                       struct slice after, int64_t now_ms, size_t max, struct arena *a,
                       struct slice **ret_ids, size_t *ret_count, struct sl_error *err) {
    void *items = NULL;
    TRY(sql_rows(conn,
                 "SELECT id FROM kms_key WHERE account = ? AND region = ? AND id > ? AND " ALIVE(
                     "") " ORDER BY id LIMIT ?",
                 ARGS(T(account), T(region), T(after), I(now_ms), I((int64_t)max)), max,
                 sizeof(struct slice), take_slice, a, &items, ret_count, err));
    *ret_ids = items;
    return SL_OK;
}

struct sl_rc keys_count(struct sqlite3 *conn, struct slice account, struct slice region,
                        int64_t now_ms, int64_t *ret, struct sl_error *err) {
    return sql_number(conn,
                      "SELECT count(*) FROM kms_key WHERE account = ? AND region = ? AND "
                      "manager = ? AND " ALIVE(""),
                      ARGS(T(account), T(region), I(KEY_CUSTOMER), I(now_ms)), ret, err);
}

struct sl_rc keys_purge(struct kms_db *db, int64_t now_ms, struct sl_error *err) {
    static const char *const statements[] = {
        "DELETE FROM kms_alias WHERE key_id IN (SELECT id FROM kms_key WHERE deletion_ms > 0 AND "
        "deletion_ms <= ?)",
        "DELETE FROM kms_tag WHERE key_id IN (SELECT id FROM kms_key WHERE deletion_ms > 0 AND "
        "deletion_ms <= ?)",
        "DELETE FROM kms_rotation WHERE key_id IN (SELECT id FROM kms_key WHERE deletion_ms > 0 "
        "AND deletion_ms <= ?)",
        "DELETE FROM kms_import WHERE key_id IN (SELECT id FROM kms_key WHERE deletion_ms > 0 "
        "AND deletion_ms <= ?)",
        "DELETE FROM kms_grant WHERE key_id IN (SELECT id FROM kms_key WHERE deletion_ms > 0 AND "
        "deletion_ms <= ?)",
        "DELETE FROM kms_key WHERE deletion_ms > 0 AND deletion_ms <= ?",
    };
    struct sqlite3 *conn = NULL;
    TRY(kms_db_write(db, &conn, err));
    struct sl_rc rc = SL_OK;
    for (size_t i = 0; i < sizeof statements / sizeof *statements && !sl_failed(rc); i++) {
        rc = sql_run(conn, statements[i], ARGS(I(now_ms)), err);
    }
    struct sl_rc end = kms_db_write_end(db, conn, !sl_failed(rc), err);
    return sl_failed(rc) ? rc : end;
}

#define ALIAS_COLUMNS "a.name, a.key_id, a.created_ms, a.updated_ms"
#define ALIAS_FROM " FROM kms_alias a JOIN kms_key k ON k.id = a.key_id AND " ALIVE("k.")

static bool take_alias(struct sqlite3_stmt *st, struct arena *a, void *item) {
    struct alias_row *alias = item;
    bool ok = true;
    alias->name = sql_text(st, 0, a, &ok);
    alias->key_id = sql_text(st, 1, a, &ok);
    alias->created_ms = sql_int(st, 2);
    alias->updated_ms = sql_int(st, 3);
    return ok;
}

struct sl_rc keys_alias_get(struct sqlite3 *conn, struct slice account, struct slice region,
                            struct slice name, int64_t now_ms, struct arena *a, bool *ret_found,
                            struct alias_row *ret, struct sl_error *err) {
    void *items = NULL;
    size_t n = 0;
    TRY(sql_rows(conn,
                 "SELECT " ALIAS_COLUMNS ALIAS_FROM
                 " WHERE a.account = ? AND a.region = ? AND a.name = ?",
                 ARGS(I(now_ms), T(account), T(region), T(name)), 1, sizeof *ret, take_alias, a,
                 &items, &n, err));
    *ret_found = n == 1;
    if (n == 1) {
        *ret = *(struct alias_row *)items;
    }
    return SL_OK;
}

struct sl_rc keys_alias_insert(struct sqlite3 *conn, struct slice account, struct slice region,
                               const struct alias_row *alias, struct sl_error *err) {
    return sql_run(conn,
                   "INSERT INTO kms_alias (account, region, name, key_id, created_ms, updated_ms) "
                   "VALUES (?,?,?,?,?,?)",
                   ARGS(T(account), T(region), T(alias->name), T(alias->key_id),
                        I(alias->created_ms), I(alias->updated_ms)),
                   err);
}

struct sl_rc keys_alias_update(struct sqlite3 *conn, struct slice account, struct slice region,
                               const struct alias_row *alias, struct sl_error *err) {
    return sql_run(
        conn,
        "UPDATE kms_alias SET key_id = ?, updated_ms = ? "
        "WHERE account = ? AND region = ? AND name = ?",
        ARGS(T(alias->key_id), I(alias->updated_ms), T(account), T(region), T(alias->name)), err);
}

struct sl_rc keys_alias_delete(struct sqlite3 *conn, struct slice account, struct slice region,
                               struct slice name, struct sl_error *err) {
    return sql_run(conn, "DELETE FROM kms_alias WHERE account = ? AND region = ? AND name = ?",
                   ARGS(T(account), T(region), T(name)), err);
}

struct sl_rc keys_alias_list(struct sqlite3 *conn, struct slice account, struct slice region,
                             struct slice key_id, struct slice after, int64_t now_ms, size_t max,
                             struct arena *a, struct alias_row **ret, size_t *ret_count,
                             struct sl_error *err) {
    void *items = NULL;
    if (key_id.len > 0) {
        TRY(sql_rows(conn,
                     "SELECT " ALIAS_COLUMNS ALIAS_FROM " WHERE a.key_id = ? AND a.name > ? "
                     "ORDER BY a.name LIMIT ?",
                     ARGS(I(now_ms), T(key_id), T(after), I((int64_t)max)), max, sizeof **ret,
                     take_alias, a, &items, ret_count, err));
    } else {
        TRY(sql_rows(conn,
                     "SELECT " ALIAS_COLUMNS ALIAS_FROM " WHERE a.account = ? AND a.region = ? AND "
                     "a.name > ? ORDER BY a.name LIMIT ?",
                     ARGS(I(now_ms), T(account), T(region), T(after), I((int64_t)max)), max,
                     sizeof **ret, take_alias, a, &items, ret_count, err));
    }
    *ret = items;
    return SL_OK;
}

struct sl_rc keys_tag_set(struct sqlite3 *conn, struct slice id, struct tag_row tag,
                          struct sl_error *err) {
    return sql_run(conn,
                   "INSERT INTO kms_tag (key_id, name, value) VALUES (?,?,?) "
                   "ON CONFLICT (key_id, name) DO UPDATE SET value = excluded.value",
                   ARGS(T(id), T(tag.name), T(tag.value)), err);
}

struct sl_rc keys_tag_delete(struct sqlite3 *conn, struct slice id, struct slice name,
                             struct sl_error *err) {
    return sql_run(conn, "DELETE FROM kms_tag WHERE key_id = ? AND name = ?", ARGS(T(id), T(name)),
                   err);
}

static bool take_tag(struct sqlite3_stmt *st, struct arena *a, void *item) {
    struct tag_row *tag = item;
    bool ok = true;
    tag->name = sql_text(st, 0, a, &ok);
    tag->value = sql_text(st, 1, a, &ok);
    return ok;
}

struct sl_rc keys_tag_list(struct sqlite3 *conn, struct slice id, struct slice after, size_t max,
                           struct arena *a, struct tag_row **ret, size_t *ret_count,
                           struct sl_error *err) {
    void *items = NULL;
    TRY(sql_rows(
        conn, "SELECT name, value FROM kms_tag WHERE key_id = ? AND name > ? ORDER BY name LIMIT ?",
        ARGS(T(id), T(after), I((int64_t)max)), max, sizeof **ret, take_tag, a, &items, ret_count,
        err));
    *ret = items;
    return SL_OK;
}

static bool take_rotation(struct sqlite3_stmt *st, struct arena *a, void *item) {
    struct rotation_row *r = item;
    bool ok = true;
    r->material_id = sql_text(st, 0, a, &ok);
    r->at_ms = sql_int(st, 1);
    r->automatic = sql_int(st, 2) != 0;
    return ok;
}

struct sl_rc keys_rotation_list(struct sqlite3 *conn, struct slice id, struct arena *a,
                                struct rotation_row **ret, size_t *ret_count,
                                struct sl_error *err) {
    void *items = NULL;
    TRY(sql_rows(
        conn, "SELECT material_id, at_ms, automatic FROM kms_rotation WHERE key_id = ? ORDER BY n",
        ARGS(T(id)), SIZE_MAX, sizeof **ret, take_rotation, a, &items, ret_count, err));
    *ret = items;
    return SL_OK;
}

struct sl_rc keys_kept_get(struct sqlite3 *conn, const char *name, struct arena *a, bool *ret_found,
                           struct slice *ret_public, struct slice *ret_sealed,
                           struct sl_error *err) {
    void *items = NULL;
    size_t n = 0;
    TRY(sql_rows(conn, "SELECT public, sealed FROM kms_kept WHERE name = ?",
                 ARGS(T(slice_cstr(name))), 1, sizeof(struct tag_row), take_tag, a, &items, &n,
                 err));
    *ret_found = n == 1;
    if (n == 1) {
        const struct tag_row *kept = items;
        *ret_public = kept->name;
        *ret_sealed = kept->value;
    }
    return SL_OK;
}

struct sl_rc keys_kept_set(struct sqlite3 *conn, const char *name, struct slice public_part,
                           struct slice sealed, struct sl_error *err) {
    return sql_run(conn,
                   "INSERT INTO kms_kept (name, public, sealed) VALUES (?,?,?) ON CONFLICT (name) "
                   "DO UPDATE SET public = excluded.public, sealed = excluded.sealed",
                   ARGS(T(slice_cstr(name)), B(public_part), B(sealed)), err);
}

static bool take_cluster_role(struct sqlite3_stmt *st, struct arena *a, void *item) {
    struct cluster_role_row *r = item;
    bool ok = true;
    r->arn = sql_text(st, 0, a, &ok);
    r->is_default = sql_int(st, 1) != 0;
    return ok;
}

struct sl_rc keys_cluster_roles(struct sqlite3 *conn, struct arena *a,
                                struct cluster_role_row **ret, size_t *ret_count,
                                struct sl_error *err) {
    void *items = NULL;
    TRY(sql_rows(conn, "SELECT arn, is_default FROM cluster_role ORDER BY added_ms, arn",
                 (const struct sql_arg[]){{ARG_END, {NULL, 0}, 0}}, SIZE_MAX, sizeof **ret,
                 take_cluster_role, a, &items, ret_count, err));
    *ret = items;
    return SL_OK;
}

struct sl_rc keys_cluster_role_add(struct sqlite3 *conn, struct slice arn, int64_t now_ms,
                                   struct sl_error *err) {
    return sql_run(conn,
                   "INSERT OR IGNORE INTO cluster_role (arn, is_default, added_ms) VALUES (?,0,?)",
                   ARGS(T(arn), I(now_ms)), err);
}

struct sl_rc keys_cluster_role_remove(struct sqlite3 *conn, struct slice arn,
                                      struct sl_error *err) {
    return sql_run(conn, "DELETE FROM cluster_role WHERE arn = ?", ARGS(T(arn)), err);
}

struct sl_rc keys_cluster_role_default(struct sqlite3 *conn, struct slice arn, bool *ret_found,
                                       struct sl_error *err) {
    struct sqlite3_stmt *st = NULL;
    bool row = false;
    TRY(sql_start(conn, "SELECT 1 FROM cluster_role WHERE arn = ?", ARGS(T(arn)), &st, err));
    struct sl_rc rc = db_step(st, &row, err);
    db_done(st);
    TRY(rc);
    *ret_found = row;
    return row ? sql_run(conn, "UPDATE cluster_role SET is_default = (arn = ?)", ARGS(T(arn)), err)
               : SL_OK;
}
