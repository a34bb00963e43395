/* Objects that a client encrypted before it stored them: the S3 encryption client's first format
 * ("encryption only"), the one that Redshift reads. The object's metadata carries a content key of
 * its own, wrapped by the master key with AES-256-ECB (x-amz-key, base64), and the IV (x-amz-iv);
 * the body is one AES-256-CBC stream. */
#ifndef SL_AWSCLIENT_ENVELOPE_H
#define SL_AWSCLIENT_ENVELOPE_H

#include "lib/crypto/cbc.h"

/* User metadata of an object, as far as it says how the client encrypted it. Texts are empty where
 * the object has none, cut where they are too long to mean anything. */
struct envelope_meta {
    char key[128];
    char iv[64];
    char key_v2[16]; /* of the later formats */
};

/* Keeps a metadata header's value, by its name without x-amz-meta- (any case). */
void envelope_note(struct envelope_meta *m, struct slice name, struct slice value);
static inline bool envelope_is_sealed(const struct envelope_meta *m) {
    return m->key[0] != '\0' || m->key_v2[0] != '\0';
}
/* SL_E_CORRUPT with a detail: not encrypted by a client, in a later format, damaged, or under
 * another master key. */
struct sl_rc envelope_open(const struct envelope_meta *m, struct slice master_key32,
                           struct cbc **ret, struct sl_error *err);

#endif
