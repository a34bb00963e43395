/* Database keys: 256 random bits each, wrapped under the cluster key in
 * <sealift.keys>/<oid>/key, made with the database's first table key. */
#ifndef SEALIFT_KEYS_DATABASE_KEY_H
#define SEALIFT_KEYS_DATABASE_KEY_H

#include "postgres.h"

#include "extension/keys/wrap.h"

struct database_key {
    uint8_t id[KEY_ID_LEN];
    struct secret key;
};

/* This session's database's key, kept for the session; made when `make` and there is none yet. Ends
 * in ereport. */
const struct database_key *database_key(bool make);
/* The same; NULL when its file is missing or altered. */
const struct database_key *database_key_find(void);

/* Makes `to` a key of its own, and wraps the table keys of `from` under it. Nothing to do where
 * `from` has none. */
struct sl_rc database_key_copy(Oid from, Oid to, struct sl_error *err);

void database_key_folder(Oid database, char *out, size_t size);

#endif
