/* A bounded cache of unwrapped backing keys, by backing key id. Thread-safe; keys are wiped when
 * they leave. */
#ifndef SL_KEYS_CACHE_H
#define SL_KEYS_CACHE_H

#include "lib/crypto/secret.h"
#include "server/keys/record.h"

enum { KEY_CACHE_ENTRIES = 4096 };

struct key_cache;
struct key_cache *key_cache_new(void); /* NULL: no memory */
void key_cache_free(struct key_cache *c);
/* Copies the key into out (32 bytes); false when it is not there. */
bool key_cache_get(struct key_cache *c, struct slice id, uint8_t *out);
void key_cache_put(struct key_cache *c, struct slice id, struct slice key32);
void key_cache_drop(struct key_cache *c, struct slice id);

#endif
