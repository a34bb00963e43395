/* Inside of the identity store: statements with their bindings in one call. */
#ifndef SL_STORE_IDENTITY_ROWS_IN_H
#define SL_STORE_IDENTITY_ROWS_IN_H

#include "server/store/identity/iam.h"

struct sqlite3_stmt;

/* Binds the arguments by `types` ('t' struct slice as text, 'b' struct slice as blob, 'i' int64_t),
 * in order. rows_open leaves the statement to be stepped and ended with db_done; rows_run steps it
 * to its end and tells how many rows it changed (ret may be NULL). `sql` must be a literal. */
struct sl_rc rows_open(struct sqlite3 *conn, struct sl_error *err, struct sqlite3_stmt **ret,
                       const char *sql, const char *types, ...);
struct sl_rc rows_run(struct sqlite3 *conn, struct sl_error *err, int *ret_changes, const char *sql,
                      const char *types, ...);
/* One integer; 0 without a row. */
struct sl_rc rows_int(struct sqlite3 *conn, struct sl_error *err, int64_t *ret, const char *sql,
                      const char *types, ...);
/* All rows of one text column. The statement is ended. */
struct sl_rc rows_texts(struct sqlite3_stmt *st, size_t limit, struct arena *a,
                        struct sl_error *err, struct slice **ret, size_t *ret_count);
/* A column copied into the arena; NULL ptr sets *failed. */
struct slice rows_text(struct sqlite3_stmt *st, int column, struct arena *a, bool *failed);

#endif
