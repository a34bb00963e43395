/* Compression of one block held whole: zstd and LZ4. */
#ifndef SL_CODEC_COMPRESS_H
#define SL_CODEC_COMPRESS_H

#include "lib/base/rc.h"
#include "lib/base/slice.h"

enum block_method { BLOCK_STORED = 0, BLOCK_LZ4 = 1, BLOCK_ZSTD = 2, BLOCK_METHOD_COUNT };

enum { BLOCK_LEVEL_MIN = 1, BLOCK_LEVEL_MAX = 3, BLOCK_MAX_BYTES = 1 << 30 };

/* Contexts of one thread; made once, used for many blocks. */
struct block_work;
struct sl_rc block_work_new(struct block_work **ret);
void block_work_free(struct block_work *w);

/* Room that surely suffices for `n` bytes. */
size_t block_bound(size_t n);
/* `level` is zstd's (1…3). *ret_len: bytes written, or 0 when `cap` did not suffice, so that a
 * caller who gives less than in.len learns whether it pays. in.len <= BLOCK_MAX_BYTES. */
struct sl_rc block_compress(struct block_work *w, enum block_method method, int level,
                            struct slice in, uint8_t *out, size_t cap, size_t *ret_len);
/* Writes exactly `len` bytes, or SL_E_CORRUPT; never reads or writes beyond. */
struct sl_rc block_expand(struct block_work *w, enum block_method method, struct slice in,
                          uint8_t *out, size_t len, struct sl_error *err);

#endif
