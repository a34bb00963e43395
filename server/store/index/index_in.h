/* Inside of server/store/index. */
#ifndef SL_STORE_INDEX_IN_H
#define SL_STORE_INDEX_IN_H

#include "server/store/index/index.h"
#include "server/store/meta/meta.h"

#include <sqlite3.h>

struct index {
    struct kms_db *db;
};

/* Copies of a column into the arena. */
struct sl_rc index_column(struct sqlite3_stmt *st, int i, struct arena *a, struct slice *ret,
                          struct sl_error *err);
struct sl_rc index_column_id(struct sqlite3_stmt *st, int i, struct blob_id *ret,
                             struct sl_error *err);
/* All part files of an object or upload. */
struct sl_rc index_files(struct sqlite3 *conn, const struct blob_id *owner, struct arena *a,
                         struct index_dropped *ret, struct sl_error *err);
struct sl_rc index_files_delete(struct sqlite3 *conn, const struct blob_id *owner,
                                struct sl_error *err);
struct sl_rc index_file_add(struct sqlite3 *conn, const struct blob_id *owner,
                            const struct blob_id *part, struct sl_error *err);
/* Inside a write transaction: puts the row, drops the one it replaces. */
struct sl_rc index_object_place(struct sqlite3 *conn, const struct blob_id *bucket,
                                const struct index_object *o, const struct index_condition *cond,
                                struct arena *a, struct index_dropped *ret_dropped,
                                struct sl_error *err);
/* One statement with up to three bindings done by the caller, no rows wanted. */
struct sl_rc index_run(struct sqlite3_stmt *st, struct sl_error *err);

#endif
