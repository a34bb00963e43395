/* Segments: up to SEGMENT_ROWS rows as sealed column chunks and a sealed footer, written once. The
 * bytes are on the page "Segments" of docs/format.md; decision 10 says where they lie.
 *
 * Nothing of a segment is believed before its seal was checked: header and footer by segment_open,
 * a chunk by segment_decode. The caller brings the bytes, so a scan reads only the columns it
 * wants. All failures for reasons of the bytes are SL_E_CORRUPT and say which part and which
 * check. */
#ifndef SL_COLUMNAR_SEGMENT_H
#define SL_COLUMNAR_SEGMENT_H

#include "lib/columnar/vector.h"
#include "lib/crypto/crypto.h"

enum {
    SEGMENT_ROWS = 131072,
    SEGMENT_VALUE_BYTES = 32 * 1024 * 1024, /* a writer ends a segment once its values pass that */
    STORAGE_ID_LEN = 16,
    SEGMENT_ID_LEN = 16,
    SEGMENT_HEADER_LEN = 5 + 1 + 1 + STORAGE_ID_LEN + SEGMENT_ID_LEN + 32 + 32 + 4 + 4,
    SEGMENT_BOUND_BYTES = 32, /* of a text, kept as min or max */
};

/* What the catalog row says of a segment: its names, and what ties the bytes to the row. */
struct segment_ref {
    uint8_t storage_id[STORAGE_ID_LEN];
    uint8_t segment_id[SEGMENT_ID_LEN];
    uint32_t columns;
    uint32_t rows;
    uint32_t bytes;         /* all of the segment */
    uint32_t footer_offset; /* the footer reaches from here to the end */
    uint8_t footer_tag[GCM_TAG_LEN];
};

/* Scratch memory and contexts of one thread, for sealing and decoding. Used by one thread at a
 * time, kept for many segments (a few MiB once warm). */
struct segment_work;
struct sl_rc segment_work_new(struct segment_work **ret);
void segment_work_free(struct segment_work *w);

/* Appends the segment to `out`. All vectors have `rows` rows. ref->storage_id and ref->segment_id
 * are given (a segment id is crypto_random's, never used twice), the rest of *ref is set.
 * SL_E_LIMIT: more than SEGMENT_ROWS rows, LIMIT_SEGMENT_COLUMNS columns, LIMIT_SEGMENT_HEAP_BYTES
 * of a column's texts, LIMIT_SEGMENT_BYTES, or out's cap. On failure `out` is as it was. */
struct sl_rc segment_seal(struct segment_work *w, const struct secret *table_key,
                          const struct vector *columns, uint32_t column_count, uint32_t rows,
                          struct buf *out, struct segment_ref *ref, struct sl_error *err);

/* Least and greatest value of a chunk, for skipping: every value x that isn't NULL has
 * min <= x <= max. Integers and BOOL in `i`. Floats in `f`, ordered as PostgreSQL does: NaN is
 * equal to itself and greater than all others, -0 = 0. BYTES by memcmp, shorter first on a tie: min
 * is cut to SEGMENT_BOUND_BYTES; max too, and if `cut`, then what was cut off follows (so compare
 * only as many bytes). Note for CHAR: PostgreSQL ignores its trailing blanks, memcmp does not. */
struct segment_bound {
    __int128 i;
    double f;
    uint8_t bytes[SEGMENT_BOUND_BYTES];
    uint8_t len;
    bool cut;
};

struct segment_column {
    enum vector_kind kind;
    bool decimal;    /* INT64, INT128: the values are times 10^scale, so are the bounds */
    uint8_t scale;   /* then; else 0 */
    uint32_t offset; /* of the chunk in the segment */
    uint32_t length;
    uint32_t nulls; /* rows that are NULL */
    bool bounded;   /* min and max hold; false when all rows are NULL (or there's none) */
    struct segment_bound min, max;
    const char *encoding;    /* "plain", "dictionary", … */
    const char *compression; /* "none", "lz4", "zstd" */
    uint32_t plain_bytes;    /* of the chunk, encoded, before compression */
};

/* An opened segment: its key and footer. Unchanging, so threads share it. */
struct segment;
/* `header`: the segment's first SEGMENT_HEADER_LEN bytes; `footer`: its bytes from
 * ref->footer_offset to ref->bytes. Refused: a segment that isn't the one of `ref` (ids, counts,
 * sizes, tag), or was sealed under another key, or was changed in header or footer. */
struct sl_rc segment_open(const struct secret *table_key, const struct segment_ref *ref,
                          struct slice header, struct slice footer, struct segment **ret,
                          struct sl_error *err);
void segment_free(struct segment *s);
uint32_t segment_rows(const struct segment *s);
uint32_t segment_column_count(const struct segment *s);
/* column < segment_column_count. The result lives as long as the segment. */
const struct segment_column *segment_column(const struct segment *s, uint32_t column);

/* `chunk`: the bytes [offset, offset + length) of the segment. The vector's values lie in `memory`
 * (zeroed or used before) until it is used again. */
struct sl_rc segment_decode(struct segment_work *w, const struct segment *s, uint32_t column,
                            struct slice chunk, struct vector_memory *memory, struct vector *ret,
                            struct sl_error *err);

/* For small segments held whole (a catalog row): header and footer cut out of `bytes`, and a
 * column's chunk. */
struct sl_rc segment_open_whole(const struct secret *table_key, const struct segment_ref *ref,
                                struct slice bytes, struct segment **ret, struct sl_error *err);
struct slice segment_chunk_of(const struct segment *s, uint32_t column, struct slice bytes);

/* True in a build whose segments are not encrypted (option null_cipher, for tests alone). */
bool segment_null_cipher(void);

#endif
