/* Table keys: one for each storage, 256 random bits, wrapped under the key of its database in the
 * file <sealift.keys>/<database oid>/<storage id, hex>; a temporary table's is in memory only.
 *
 * They live and die with transactions. What table_key_create made is durable when it returns, and
 * is gone again when its transaction or subtransaction aborts; what table_key_destroy names is gone
 * when the transaction commits, and stays when it, or the subtransaction, aborts. After a crash a
 * sweep removes the files that no row of sealift.storage names (sweep.c).
 *
 * All functions end in ereport: a file that is missing, altered or another's is
 * ERRCODE_DATA_CORRUPTED. Main thread only; the key that table_key_open gives is a copy, which
 * other threads may use. */
#ifndef SEALIFT_KEYS_TABLE_KEYS_H
#define SEALIFT_KEYS_TABLE_KEYS_H

#include "lib/columnar/segment.h"
#include "lib/crypto/secret.h"

enum { TABLE_KEY_LEN = 32 };

/* In the postmaster, while preloading. */
void table_keys_init(void);

/* A new key for a storage id that the caller drew at random. relpersistence: RELPERSISTENCE_TEMP or
 * RELPERSISTENCE_PERMANENT. Not in a read-only server. */
void table_key_create(const uint8_t storage[STORAGE_ID_LEN], char relpersistence);

/* The key of a storage of this database (TABLE_KEY_LEN bytes). The caller ends *ret with
 * secret_fini; on ereport it is as before. A key that was destroyed, by whatever session, is no
 * longer given. */
void table_key_open(const uint8_t storage[STORAGE_ID_LEN], struct secret *ret);

/* The same; false when its file is missing, altered or another's. */
bool table_key_find(const uint8_t storage[STORAGE_ID_LEN], struct secret *ret);

/* Marks it to be destroyed at commit: DROP, TRUNCATE, a rewrite. */
void table_key_destroy(const uint8_t storage[STORAGE_ID_LEN]);

/* CREATE DATABASE: the keys of the template's storages for the new database, under a database key
 * of its own; gone again at an abort. Nobody may be in the template. A database's keys go with it.
 */
void table_keys_copy_database(unsigned from, unsigned to);

#endif
