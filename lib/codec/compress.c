/* Blocks through libzstd and liblz4; see compress.h. Output sizes are the caller's, so neither a
 * frame's own claim nor its contents decide how much is written. */
#include "lib/codec/compress.h"

#include <lz4.h>
#include <zstd.h>
#include <zstd_errors.h>

struct block_work {
    ZSTD_CCtx *shrink;
    ZSTD_DCtx *expand;
};

struct sl_rc block_work_new(struct block_work **ret) {
    struct block_work *w = calloc(1, sizeof *w);
    if (w != NULL) {
        w->shrink = ZSTD_createCCtx();
        w->expand = ZSTD_createDCtx();
    }
    if (w == NULL || w->shrink == NULL || w->expand == NULL) {
        block_work_free(w);
        return sl_fail(NULL, SL_E_NOMEM, "compression contexts");
    }
    *ret = w;
    return SL_OK;
}

void block_work_free(struct block_work *w) {
    if (w != NULL) {
        ZSTD_freeCCtx(w->shrink);
        ZSTD_freeDCtx(w->expand);
        free(w);
    }
}

size_t block_bound(size_t n) {
    size_t lz4 = n + n / 255 + 16;
    size_t zstd = ZSTD_compressBound(n);
    return lz4 > zstd ? lz4 : zstd;
}

struct sl_rc block_compress(struct block_work *w, enum block_method method, int level,
                            struct slice in, uint8_t *out, size_t cap, size_t *ret_len) {
    sl_assert(in.len <= BLOCK_MAX_BYTES && level >= BLOCK_LEVEL_MIN && level <= BLOCK_LEVEL_MAX);
    if (cap > BLOCK_MAX_BYTES) {
        cap = BLOCK_MAX_BYTES;
    }
    if (method == BLOCK_LZ4) {
        int n = LZ4_compress_default((const char *)in.ptr, (char *)out, (int)in.len, (int)cap);
        *ret_len = n > 0 ? (size_t)n : 0;
        return SL_OK;
    }
    sl_assert(method == BLOCK_ZSTD);
    size_t n = ZSTD_compressCCtx(w->shrink, out, cap, in.ptr, in.len, level);
    if (ZSTD_isError(n)) {
        ENSURE(ZSTD_getErrorCode(n) == ZSTD_error_dstSize_tooSmall, NULL, SL_E_NOMEM, "zstd");
        n = 0;
    }
    *ret_len = n;
    return SL_OK;
}

struct sl_rc block_expand(struct block_work *w, enum block_method method, struct slice in,
                          uint8_t *out, size_t len, struct sl_error *err) {
    ENSURE(in.len <= BLOCK_MAX_BYTES && len <= BLOCK_MAX_BYTES, err, SL_E_CORRUPT,
           "a compressed block of %zu bytes, %zu expanded", in.len, len);
    if (method == BLOCK_STORED) {
        ENSURE(in.len == len, err, SL_E_CORRUPT, "a stored block of %zu instead of %zu bytes",
               in.len, len);
        if (len > 0) {
            memcpy(out, in.ptr, len);
        }
        return SL_OK;
    }
    if (method == BLOCK_LZ4) {
        int n = LZ4_decompress_safe((const char *)in.ptr, (char *)out, (int)in.len, (int)len);
        ENSURE(n >= 0 && (size_t)n == len, err, SL_E_CORRUPT, "an LZ4 block that does not expand");
        return SL_OK;
    }
    ENSURE(method == BLOCK_ZSTD, err, SL_E_CORRUPT, "compression %d is not known", (int)method);
    size_t n = ZSTD_decompressDCtx(w->expand, out, len, in.ptr, in.len);
    ENSURE(n == len, err, SL_E_CORRUPT, "a zstd block that does not expand");
    return SL_OK;
}
