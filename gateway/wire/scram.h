/* SCRAM-SHA-256, server's side (RFC 5802, RFC 7677), over verifiers as PostgreSQL stores them. No
 * channel binding. */
#ifndef SL_GATEWAY_SCRAM_H
#define SL_GATEWAY_SCRAM_H

#include "lib/base/buf.h"
#include "lib/crypto/crypto.h"

enum { SCRAM_ROUNDS = 4096, SCRAM_SALT_BYTES = 16, SCRAM_SALT_MAX = 64, SCRAM_TEXT_MAX = 1024 };

struct scram_verifier {
    uint32_t rounds;
    uint8_t salt[SCRAM_SALT_MAX];
    size_t salt_len;
    uint8_t stored_key[SHA256_LEN];
    uint8_t server_key[SHA256_LEN];
};
/* "SCRAM-SHA-256$<rounds>:<salt>$<StoredKey>:<ServerKey>" */
struct sl_rc scram_verifier_parse(struct slice text, struct scram_verifier *ret);
/* Appends a verifier for a clear password, with a fresh salt. */
struct sl_rc scram_verifier_put(struct slice password, struct buf *out);
/* For a user that does not exist: the salt is always the same for a name, and no password fits. */
void scram_verifier_fake(struct slice key, struct slice user, struct scram_verifier *ret);

/* One exchange. Zero-initialise, set the verifier, end with scram_fini. */
struct scram {
    struct scram_verifier verifier;
    struct buf bare;  /* client-first-message-bare */
    struct buf first; /* server-first-message */
    uint8_t gs2[4];   /* "n,," or "y,," */
};
/* Takes client-first-message, appends server-first-message. `nonce`: the server's part, printable
 * without commas. */
struct sl_rc scram_first(struct scram *s, struct slice client_first, struct slice nonce,
                         struct buf *out, struct sl_error *err);
/* Takes client-final-message, appends server-final-message. SL_E_SQL_AUTH when the proof is wrong,
 * SL_E_SQL_PROTOCOL when the message is. */
struct sl_rc scram_final(struct scram *s, struct slice client_final, struct buf *out,
                         struct sl_error *err);
void scram_fini(struct scram *s);

#endif
