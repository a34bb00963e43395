/* What a backup's copy of the database carries beyond the database: a probe of each key's material
 * (server/keys/probe.c) and the signed heads of the audit log, for the drill. And what the drill
 * looks at. */
#ifndef SL_STORE_KEYS_BACKUP_H
#define SL_STORE_KEYS_BACKUP_H

#include "lib/base/arena.h"
#include "server/store/meta/meta.h"

extern const char backup_schema[];

/* Probes and heads of an earlier backup, which this database comes from, go. */
struct sl_rc backup_clear(struct sqlite3 *conn, struct sl_error *err);

/* Keys by id above `after`, whatever their state. */
struct backup_key {
    struct slice id, arn, record;
    struct slice probe; /* empty: none is there, or no material */
};
struct sl_rc backup_keys(struct sqlite3 *conn, struct slice after, size_t max, struct arena *a,
                         struct backup_key **ret, size_t *ret_count, struct sl_error *err);
struct sl_rc backup_probe_add(struct sqlite3 *conn, struct slice key_id, struct slice probe,
                              struct sl_error *err);

/* Lines in the order of their segments. */
struct sl_rc backup_head_add(struct sqlite3 *conn, struct slice line, struct sl_error *err);
struct sl_rc backup_heads(struct sqlite3 *conn, int64_t after, size_t max, struct arena *a,
                          struct slice **ret, size_t *ret_count, struct sl_error *err);

/* The private keys of certificates, sealed. */
struct backup_secret {
    struct slice name, sealed;
};
struct sl_rc backup_secrets(struct sqlite3 *conn, size_t max, struct arena *a,
                            struct backup_secret **ret, size_t *ret_count, struct sl_error *err);

#endif
