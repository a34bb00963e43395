/* The cluster key: a data key of the root key in KMS, under which the database keys are wrapped.
 * Its wrapped form lies in <sealift.keys>/cluster; the postmaster has KMS open it at each start,
 * and keeps it in locked memory that only its forks share. While a rotation runs there are two. */
#ifndef SEALIFT_KEYS_CLUSTER_KEY_H
#define SEALIFT_KEYS_CLUSTER_KEY_H

#include "extension/keys/wrap.h"

extern char *keys_folder; /* sealift.keys */

void cluster_key_settings(void);
/* While preloading. `token`: the edge's. Keys are there once shared memory has started; FATAL with
 * KMS's words when it refuses them. */
void cluster_key_init(const uint8_t *token);

/* Keys and their files don't change hands between these two; nothing may be raised there. */
void cluster_keys_hold(void);
void cluster_keys_release(void);
/* Under the newest key, whose id goes into name->parent. Held. */
struct sl_rc cluster_key_wrap(struct wrap_name *name, struct slice key,
                              uint8_t out[WRAP_RECORD_LEN], struct sl_error *err);
/* Under the key that want->parent names; SL_E_NOT_FOUND when there is none. Held. */
struct sl_rc cluster_key_unwrap(struct slice record, const struct wrap_name *want,
                                struct secret *ret, struct sl_error *err);

/* Rotation, restartable at any point: a new key is made, recorded beside the old one and published
 * (cluster_key_begin); the keys' own process wraps the database keys anew; the old one goes
 * (cluster_key_finish, which also clears up after a begin that failed). One at a time: both hold
 * the rotation's lock. begin: SL_E_EXISTS while another runs, KMS's codes. */
struct sl_rc cluster_key_begin(struct sl_error *err);
bool cluster_key_rotating(void);
struct sl_rc cluster_key_finish(struct sl_error *err);
void cluster_rotation_lock(void);
void cluster_rotation_unlock(void);
/* The keys' own process, to be woken at a begin. */
void cluster_key_worker_here(void);

/* Do the files belong to this server? A standby or copy that reads another's leaves them alone. */
bool keys_owned(void);
/* 16 random bytes of this start of shared memory, as files carry them. */
const uint8_t *keys_run(void);
/* How many keys were destroyed so far, by all sessions. */
uint64_t keys_destroyed(void);
void keys_note_destroyed(void);

/* A name for a file that is not yet whole, in `folder`. */
void keys_temporary(const char *folder, char *out, size_t size);

#endif
