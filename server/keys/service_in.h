/* Inside of the keyholder's operations: service.c (uses, secrets, audit), import.c (material
 * that customers bring) and probe.c (proofs of material, for backups). */
#ifndef SL_KEYS_SERVICE_IN_H
#define SL_KEYS_SERVICE_IN_H

#include "lib/base/rdr.h"
#include "lib/crypto/crypto.h"
#include "server/keys/cache.h"
#include "server/keys/record.h"
#include "server/keys/service.h"

#include <pthread.h>

struct service {
    struct domain domain;
    struct secret record_mac;
    struct secret audit_mac;
    struct secret audit_seed; /* Ed25519 */
    struct key_cache *cache;
    struct {
        pthread_mutex_t mu;
        bool begun;
        uint64_t segment;
        uint64_t next_seq;
        uint8_t previous[SHA256_LEN];
    } chain;
};

/* A record counts for nothing until its MAC is checked: SL_E_CORRUPT. */
struct sl_rc service_record(struct service *s, struct slice bytes, struct record *ret,
                            struct sl_error *err);
/* Answers with the record (and one more entry, or empty) under a new MAC, behind a u32 length. */
struct sl_rc service_put_record(struct service *s, const struct record *r, struct slice more,
                                struct buf *out);
/* Answers with a public name of a backing key, in KMS's form: 64 hex digits. */
void service_put_material_id(struct slice backing_id, struct buf *out);
/* A backing key, wrapped, as a record's entry. */
struct sl_rc service_wrap_backing(struct service *s, struct slice arn, uint8_t spec,
                                  struct slice id, struct slice key32, struct buf *ret_entry);
/* SL_E_KMS_INVALID_STATE when its material is not there. */
struct sl_rc service_open_backing(struct service *s, const struct record *r,
                                  const struct backing *b, struct secret *ret,
                                  struct sl_error *err);

/* ---- probe.c ---- */

struct sl_rc service_probe(struct service *s, struct rdr *q, struct buf *out, struct sl_error *err);
struct sl_rc service_prove(struct service *s, struct rdr *q, struct buf *out, struct sl_error *err);

/* ---- import.c ---- */

struct sl_rc service_create_empty(struct service *s, struct rdr *q, struct buf *out,
                                  struct sl_error *err);
struct sl_rc service_import_begin(struct service *s, struct rdr *q, struct buf *out,
                                  struct sl_error *err);
struct sl_rc service_import(struct service *s, struct rdr *q, struct buf *out,
                            struct sl_error *err);
struct sl_rc service_forget(struct service *s, struct rdr *q, struct buf *out,
                            struct sl_error *err);
/* Rotation of an imported key: the material that waits for it becomes the current one. */
struct sl_rc service_promote(struct service *s, struct record *r, struct buf *out,
                             struct sl_error *err);

#endif
