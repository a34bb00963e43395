/* Envelope of client-side encryption; see envelope.h. */
#include "lib/awsclient/envelope.h"

#include <stdio.h>

#include "lib/codec/text.h"

void envelope_note(struct envelope_meta *m, struct slice name, struct slice value) {
    const struct {
        const char *name;
        char *text;
        size_t size;
    } fields[] = {{"x-amz-key", m->key, sizeof m->key},
                  {"x-amz-iv", m->iv, sizeof m->iv},
                  {"x-amz-key-v2", m->key_v2, sizeof m->key_v2}};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (slice_ieq(name, slice_cstr(fields[i].name))) {
            snprintf(fields[i].text, fields[i].size, "%.*s",
                     SLICE_FMT(slice_sub(value, 0, fields[i].size)));
        }
    }
}

struct sl_rc envelope_open(const struct envelope_meta *m, struct slice master_key32,
                           struct cbc **ret, struct sl_error *err) {
    ENSURE(m->key_v2[0] == '\0', err, SL_E_CORRUPT,
           "The object is encrypted in a later format than the S3 encryption client's first, which "
           "is the one that is supported.");
    ENSURE(m->key[0] != '\0' && m->iv[0] != '\0', err, SL_E_CORRUPT,
           "The object is not encrypted by a client: x-amz-key and x-amz-iv are missing.");
    SL_CLEANUP(buf_fini) struct buf wrapped = BUF_INIT(sizeof m->key);
    SL_CLEANUP(buf_fini) struct buf iv = BUF_INIT(sizeof m->iv);
    bool good = sl_is_ok(base64_get(slice_cstr(m->key), &wrapped, NULL)) &&
                sl_is_ok(base64_get(slice_cstr(m->iv), &iv, NULL));
    ENSURE(good && wrapped.len == CBC_WRAPPED_KEY_LEN && iv.len == AES_BLOCK_LEN, err, SL_E_CORRUPT,
           "The object's x-amz-key or x-amz-iv is damaged.");
    struct secret key = {0};
    struct sl_rc rc = ecb_unwrap(master_key32, buf_slice(&wrapped), &key);
    ENSURE(rc.code != SL_E_CORRUPT, err, SL_E_CORRUPT,
           "The object's key can't be opened with this MASTER_SYMMETRIC_KEY.");
    if (sl_is_ok(rc)) {
        rc = cbc_new(secret_view(&key), iv.ptr, ret);
    }
    secret_fini(&key);
    return sl_is_ok(rc) ? SL_OK : sl_fail(err, rc.code, "out of memory");
}
