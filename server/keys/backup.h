/* The backup of a key store as bytes: its header, and the chunks of its body. Format in
 * docs/format.md. The file itself is written and read by cli/backup_file.c. */
#ifndef SL_KEYS_BACKUP_H
#define SL_KEYS_BACKUP_H

#include "lib/base/buf.h"
#include "lib/crypto/crypto.h"

enum {
    BACKUP_SALT_LEN = 32,
    BACKUP_COMMITMENT_LEN = 32,
    BACKUP_CHUNK_LOG2 = 16,
    BACKUP_CHUNK_BYTES = 1 << BACKUP_CHUNK_LOG2,
};
#define BACKUP_LABEL "backup" /* of keyholder_derive: the key behind every backup of a store */

/* Slices point into the parsed bytes. */
struct backup_header {
    int64_t made_ms;
    struct slice salt;
    struct slice instance, account, region; /* whose */
    int64_t created_s;
    bool ephemeral;
    struct slice domain; /* a domain key file, under a passphrase */
    struct slice head;   /* all before the commitment */
    struct slice commitment;
    size_t len; /* of the whole header */
};
/* `bytes` begin with a header. SL_E_CORRUPT, SL_E_UNSUPPORTED (version). */
struct sl_rc backup_parse(struct slice bytes, struct backup_header *ret, struct sl_error *err);
/* head; the commitment follows it. */
struct sl_rc backup_put_head(struct buf *out, const struct backup_header *h, struct sl_error *err);

struct backup_sealing;
/* The keys of one backup, from the store's and the head; ret_commitment tells whether they are the
 * right ones, and whether the head is as it was written. */
struct sl_rc backup_sealing_new(const struct secret *store_key, struct slice salt,
                                struct slice head, struct backup_sealing **ret,
                                uint8_t ret_commitment[BACKUP_COMMITMENT_LEN],
                                struct sl_error *err);
void backup_sealing_free(struct backup_sealing *s);
/* out holds plain.len + GCM_TAG_LEN bytes, and may be plain.ptr. */
struct sl_rc backup_chunk_seal(struct backup_sealing *s, uint64_t index, bool final,
                               struct slice plain, uint8_t *out);
/* out holds cipher.len - GCM_TAG_LEN bytes. SL_E_CORRUPT: altered, or another chunk. */
struct sl_rc backup_chunk_open(struct backup_sealing *s, uint64_t index, bool final,
                               struct slice cipher, uint8_t *out);

#endif
