/* The keyholder's client side, used by the kms process only, and what the keyholder answers. See
 * docs/decisions/2-keyholder-messages.md. A struct keyholder is one channel: one thread at a time.
 */
#ifndef SL_KEYS_KEYHOLDER_H
#define SL_KEYS_KEYHOLDER_H

#include "lib/base/buf.h"
#include "lib/crypto/context.h"
#include "lib/crypto/secret.h"
#include "server/keys/root.h"

struct keyholder;

/* Takes a connected socket to the keyholder (inherited). */
struct sl_rc keyholder_open(int take_fd, struct keyholder **ret, struct sl_error *err);
/* A further channel, for another thread, made through an existing one. */
struct sl_rc keyholder_fork(struct keyholder *k, struct keyholder **ret, struct sl_error *err);
void keyholder_close(struct keyholder *k);
/* Did a call break off? Then no other will go well. */
bool keyholder_is_broken(const struct keyholder *k);

enum key_state {
    KEY_ENABLED = 1,
    KEY_DISABLED = 2,
    KEY_PENDING_DELETION = 3,
    KEY_PENDING_IMPORT = 4
};

/* A key record is opaque bytes that kms stores beside the key's metadata: key ARN, state, wrapped
 * backing keys, MAC. Every use passes it; the keyholder checks the MAC and the state before
 * anything else (SL_E_CORRUPT, SL_E_KMS_DISABLED, SL_E_KMS_INVALID_STATE). */
struct sl_rc keyholder_key_create(struct keyholder *k, struct slice key_arn, struct buf *ret_record,
                                  char ret_material_id[65], struct sl_error *err);
struct sl_rc keyholder_key_set_state(struct keyholder *k, struct slice record, enum key_state state,
                                     struct buf *ret_record, struct sl_error *err);
struct sl_rc keyholder_key_rotate(struct keyholder *k, struct slice record, struct buf *ret_record,
                                  char ret_material_id[65], struct sl_error *err);
/* Uses of keys, as many as one likes in few messages: each is checked and answered for itself. */
struct keyholder_use {
    enum keyholder_use_kind {
        KEYHOLDER_USE_ENCRYPT = 4,
        KEYHOLDER_USE_DECRYPT = 5,
        KEYHOLDER_USE_DATA_KEY = 6,
    } kind;
    struct slice record;
    const struct context *context;
    struct slice input; /* plaintext, or blob to decrypt */
    size_t bytes;       /* of a data key */
    bool blind;         /* a data key's plaintext is not wanted */
    struct sl_error *err;
    /* Filled in: */
    struct sl_rc rc;
    struct secret plaintext; /* decrypt, data key; the caller ends it */
    struct buf blob;         /* encrypt, data key; set up by the caller, who ends it */
    char material_id[65];
};
void keyholder_uses(struct keyholder *k, struct keyholder_use *const *uses, size_t count);
/* One use. */
struct sl_rc keyholder_encrypt(struct keyholder *k, struct slice record,
                               const struct context *context, struct slice plaintext,
                               struct buf *ret_blob, char ret_material_id[65],
                               struct sl_error *err);
struct sl_rc keyholder_decrypt(struct keyholder *k, struct slice record,
                               const struct context *context, struct slice blob,
                               struct secret *ret_plaintext, char ret_material_id[65],
                               struct sl_error *err);
/* n random bytes and their blob. ret_plaintext may be NULL (GenerateDataKeyWithoutPlaintext). */
struct sl_rc keyholder_data_key(struct keyholder *k, struct slice record,
                                const struct context *context, size_t n,
                                struct secret *ret_plaintext, struct buf *ret_blob,
                                char ret_material_id[65], struct sl_error *err);
/* The key ARN named in a blob's clear header, without any key: SL_E_KMS_INVALID_CIPHERTEXT when it
 * is no blob of ours. */
struct sl_rc keyholder_blob_key_arn(struct slice blob, struct slice *ret_arn);

/* Keys whose material the customer brings (KEY_PENDING_IMPORT until all of it is there). */
/* How it travels. AES: an AES-256 key under RSA, the material under that key. */
enum keyholder_wrapping {
    KEYHOLDER_OAEP_SHA1 = 1,
    KEYHOLDER_OAEP_SHA256 = 2,
    KEYHOLDER_AES_SHA1 = 3,
    KEYHOLDER_AES_SHA256 = 4,
};

enum keyholder_import { /* none: new for a key without, existing for others */
                        KEYHOLDER_ANY_MATERIAL = 0,
                        KEYHOLDER_NEW_MATERIAL = 1,
                        KEYHOLDER_EXISTING_MATERIAL = 2
};
struct keyholder_material {
    char id[65];
    enum key_state state; /* of the key, now */
    bool pending;         /* the material waits (or waited) for a rotation */
};
struct sl_rc keyholder_key_create_empty(struct keyholder *k, struct slice key_arn,
                                        struct buf *ret_record, struct sl_error *err);
/* A fresh RSA pair of 2048, 3072 or 4096 bits: its public half (DER), and the token that holds the
 * private one, sealed, good for this key until valid_to_ms. */
struct sl_rc keyholder_import_begin(struct keyholder *k, struct slice record,
                                    enum keyholder_wrapping wrapping, unsigned bits,
                                    int64_t valid_to_ms, struct buf *ret_public_der,
                                    struct buf *ret_token, struct sl_error *err);
struct keyholder_import_request {
    struct slice token;
    struct slice wrapped;
    int64_t now_ms; /* the service's clock */
    enum keyholder_import kind;
    struct slice material_id; /* 64 hex, or empty */
};
/* SL_E_KMS_IMPORT_TOKEN, SL_E_KMS_IMPORT_EXPIRED, SL_E_KMS_INVALID_CIPHERTEXT (it can't be
 * unwrapped), SL_E_KMS_MATERIAL (it is not the one expected). */
struct sl_rc keyholder_import(struct keyholder *k, struct slice record,
                              const struct keyholder_import_request *r, struct buf *ret_record,
                              struct keyholder_material *ret, struct sl_error *err);
/* Takes the material with this id, or the current one, out of the record: it can be imported again
 * unless it was pending a rotation. SL_E_KMS_MATERIAL when the key has none such. */
struct sl_rc keyholder_forget(struct keyholder *k, struct slice record, struct slice material_id,
                              struct buf *ret_record, struct keyholder_material *ret,
                              struct sl_error *err);

/* Proofs of a record's key material, of any state, for a backup; and that it has all of it:
 * *ret_materials is how many keys that are. SL_E_CORRUPT: other material, or not as it was. */
struct sl_rc keyholder_probe(struct keyholder *k, struct slice record, struct buf *ret_probe,
                             struct sl_error *err);
struct sl_rc keyholder_prove(struct keyholder *k, struct slice record, struct slice probe,
                             uint32_t *ret_materials, struct sl_error *err);

/* Seals small secrets of kms itself (IAM secrets, TLS keys, session tokens) under a key of the
 * keyholder's own; `purpose` and `aad` are bound. */
struct sl_rc keyholder_seal(struct keyholder *k, const char *purpose, struct slice aad,
                            struct slice plain, struct buf *ret_sealed, struct sl_error *err);
struct sl_rc keyholder_unseal(struct keyholder *k, const char *purpose, struct slice aad,
                              struct slice sealed, struct secret *ret_plain, struct sl_error *err);
/* A 32-byte key derived for kms's own use by label, stable over restarts: session tokens
 * ("session-token"). */
struct sl_rc keyholder_derive(struct keyholder *k, const char *label, struct secret *ret_key,
                              struct sl_error *err);

/* Audit: MACs of the next records of segment `segment`, chained inside the keyholder (seq and
 * previous MAC are its own once a segment was begun), all or none; and Ed25519 signature of a
 * segment head. See docs/decisions/4-audit-record.md. All records of one call must fit a frame. */
struct keyholder_audit_entry {
    struct slice record;
    uint8_t mac[32];
};
struct sl_rc keyholder_audit_begin(struct keyholder *k, uint64_t segment, uint64_t next_seq,
                                   const uint8_t previous[32], struct sl_error *err);
struct sl_rc keyholder_audit_mac(struct keyholder *k, uint64_t segment,
                                 struct keyholder_audit_entry *entries, size_t count,
                                 uint64_t *ret_first_seq, struct sl_error *err);
struct sl_rc keyholder_audit_sign(struct keyholder *k, struct slice head, uint8_t ret_signature[64],
                                  uint8_t ret_public_key[32], struct sl_error *err);
/* Do the records from first_seq on, chained to `previous`, carry their right MACs? *ret_good is how
 * many do before the first that does not. All entries together must fit a frame. */
struct sl_rc keyholder_audit_check(struct keyholder *k, uint64_t segment, uint64_t first_seq,
                                   const uint8_t previous[32],
                                   const struct keyholder_audit_entry *entries, size_t count,
                                   size_t *ret_good, struct sl_error *err);

/* The process itself: opens the domain key file, or with `create` makes what is missing (the root
 * key file 0600), asking on control_fd for a passphrase or PIN where the root needs one; calls
 * `sandbox` (drops privileges, no files from there), then says "ready" or "error" on control_fd and
 * serves until its end. With `move_to` it puts the domain key under that root instead, says
 * "moved" and ends. */
struct keyholder_conf {
    const char *root_key_file;
    const char *domain_file; /* DATA/keys/domain */
    bool create;
    const struct root_place *first;   /* root of a new domain key; NULL: root_key_file */
    const struct root_place *move_to; /* or NULL */
    int control_fd; /* socketpair to the supervisor: "channel" messages carry a descriptor for kms
                     */
    struct sl_rc (*sandbox)(void *user, struct sl_error *err);
    void *user;
};
struct sl_rc keyholder_serve(const struct keyholder_conf *conf, struct sl_error *err);

#endif
