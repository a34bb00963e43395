/* From an object's bytes to text in UTF-8, as they stream by: decrypted (client-side encryption),
 * decompressed, transcoded, each where the statement says so. Knows no PostgreSQL. */
#ifndef SEALIFT_COPY_DECODE_H
#define SEALIFT_COPY_DECODE_H

#include "lib/awsclient/envelope.h"
#include "lib/codec/transcode.h"
#include "lib/codec/unpack.h"

struct decode_conf {
    const struct secret *master_key; /* or NULL: not encrypted by a client */
    enum unpack_format compression;
    enum transcode_from encoding;
};

/* The step that an error is of. */
enum decode_step { DECODE_DECRYPT, DECODE_UNPACK, DECODE_TRANSCODE };

struct decode;
struct sl_rc decode_new(const struct decode_conf *conf, struct decode **ret);
void decode_free(struct decode *d); /* NULL is fine */
/* Consumes from *in (advanced), writes at most cap bytes to out. *ret_len == cap means that more
 * may come, with or without input. `meta` is the object's, looked at with its first bytes. `last`:
 * the object ends behind *in. */
struct sl_rc decode_feed(struct decode *d, const struct envelope_meta *meta, struct slice *in,
                         bool last, uint8_t *out, size_t cap, size_t *ret_len,
                         struct sl_error *err);
/* After the last output: was the object whole? An object without bytes is. */
struct sl_rc decode_end(struct decode *d, struct sl_error *err);
enum decode_step decode_failed(const struct decode *d);

#endif
