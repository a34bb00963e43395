/* Inside of lib/columnar: what sealing and opening of segments share. */
#ifndef SL_COLUMNAR_SEGMENT_IN_H
#define SL_COLUMNAR_SEGMENT_IN_H

#include "lib/codec/compress.h"
#include "lib/columnar/encode_in.h"
#include "lib/crypto/commit.h"

enum { SEGMENT_SALT_LEN = 32, SEGMENT_BLOCK_MAX = 1 << 28 };

struct segment_work {
    struct block_work *block;
    struct encode_work encode;
    struct buf body;   /* a chunk, encoded */
    struct buf packed; /* the same compressed */
    /* the segment worked on last: making a handle costs more than a small chunk */
    struct aead *aead;
    uint8_t aead_of[COMMITMENT_LEN];
};

/* A column of the footer. */
struct footer_column {
    struct segment_column shown;
    enum encoding encoding;
    enum block_method method;
    uint8_t tag[GCM_TAG_LEN];
};

struct segment {
    struct segment_ref ref;
    struct secret key;
    uint8_t commitment[COMMITMENT_LEN];
    uint8_t aad[SHA256_LEN];
    struct footer_column columns[];
};

/* The handle for a key with this commitment, kept in `w`. */
struct sl_rc segment_key_handle(struct segment_work *w, const struct secret *key,
                                const uint8_t commitment[COMMITMENT_LEN], struct aead **ret);

enum segment_part { SEGMENT_CHUNK = 0, SEGMENT_FOOTER = 1 };
/* `out` as long as the input; see aead_seal_apart and aead_open_apart. */
struct sl_rc segment_part_seal(struct aead *a, enum segment_part part, uint32_t column,
                               const uint8_t aad[SHA256_LEN], struct slice plain, uint8_t *out,
                               uint8_t ret_tag[GCM_TAG_LEN]);
struct sl_rc segment_part_open(struct aead *a, enum segment_part part, uint32_t column,
                               const uint8_t aad[SHA256_LEN], struct slice cipher,
                               const uint8_t tag[GCM_TAG_LEN], uint8_t *out);

/* The footer's plain bytes, and back. `columns` has ref->columns elements. SL_E_CORRUPT. */
void footer_write(const struct footer_column *columns, uint32_t count, struct buf *out);
struct sl_rc footer_read(struct slice plain, const struct segment_ref *ref,
                         struct footer_column *columns, struct sl_error *err);

/* A chunk's decrypted bytes into a vector: expand, then decode. */
struct sl_rc segment_decode_plain(struct segment_work *w, const struct footer_column *column,
                                  uint32_t rows, struct slice packed, struct vector_memory *memory,
                                  struct vector *ret, struct sl_error *err);

#endif
