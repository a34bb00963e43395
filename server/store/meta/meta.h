/* The kms process's database (SQLite, WAL, synchronous=FULL): one writer at a time, readers from a
 * pool. Schema by module: server/store/identity and server/store/keys each bring their own CREATE
 * TABLE texts. */
#ifndef SL_STORE_META_H
#define SL_STORE_META_H

#include "lib/base/rc.h"
#include "lib/base/slice.h"

struct sqlite3;
struct sqlite3_stmt;
struct kms_db;

/* Opens or creates; runs `schemas` (idempotent SQL texts, NULL-ended). */
struct sl_rc kms_db_open(const char *path, const char *const *schemas, struct kms_db **ret,
                         struct sl_error *err);
void kms_db_close(struct kms_db *db);
/* A reading connection with an open read transaction; give it back. */
struct sl_rc kms_db_read(struct kms_db *db, struct sqlite3 **ret, struct sl_error *err);
void kms_db_read_end(struct kms_db *db, struct sqlite3 *conn);
/* The writing connection inside BEGIN IMMEDIATE; waits its turn. End commits (durable when it
 * returns) or rolls back. */
struct sl_rc kms_db_write(struct kms_db *db, struct sqlite3 **ret, struct sl_error *err);
struct sl_rc kms_db_write_end(struct kms_db *db, struct sqlite3 *conn, bool commit,
                              struct sl_error *err);

/* In a write transaction: deletes all rows of all tables but those that a list names: of `table`
 * the rows for which the SQL condition `rows` holds. Lists end with an empty entry; `keep` with
 * NULL. */
struct db_keep {
    const char *table;
    const char *rows;
};
struct sl_rc kms_db_clear(struct sqlite3 *conn, const struct db_keep *const *keep,
                          struct sl_error *err);

/* The database at `path`, as of one instant, into a new file `to` (0600), which must not be open:
 * what of it an earlier run left goes. Nothing of deleted rows is in it. */
struct sl_rc kms_db_snapshot(const char *path, const char *to, struct sl_error *err);
/* Removes it, with what SQLite keeps beside it. */
struct sl_rc kms_db_snapshot_drop(const char *to, struct sl_error *err);
/* Does SQLite find the database well-formed? */
struct sl_rc kms_db_sound(struct sqlite3 *conn, bool *ret, struct sl_error *err);

/* Small helpers over prepared statements (cached per connection by SQL text pointer: pass string
 * literals). */
struct sl_rc db_prepare(struct sqlite3 *conn, const char *sql, struct sqlite3_stmt **ret,
                        struct sl_error *err);
void db_bind_slice(struct sqlite3_stmt *st, int index, struct slice s); /* as TEXT */
void db_bind_blob(struct sqlite3_stmt *st, int index, struct slice s);
void db_bind_int(struct sqlite3_stmt *st, int index, int64_t v);
/* One row: *ret_row true; no more: false. Errors as SL_E_IO / SL_E_FULL / SL_E_EXISTS (unique
 * constraint). */
struct sl_rc db_step(struct sqlite3_stmt *st, bool *ret_row, struct sl_error *err);
struct slice db_column(struct sqlite3_stmt *st, int index); /* valid until the next step */
void db_done(struct sqlite3_stmt *st);                      /* reset and clear bindings */

#endif
