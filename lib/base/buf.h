/* struct buf: a growable byte buffer with a hard cap, for building output. A write past the cap, or
 * a failed allocation, sets `failed` and drops the bytes; check once at the end with buf_check.
 * Zero-initialise through BUF_INIT. */
#ifndef SL_BASE_BUF_H
#define SL_BASE_BUF_H

#include "lib/base/rc.h"
#include "lib/base/slice.h"

struct buf {
    uint8_t *ptr;
    size_t len;
    size_t cap;
    size_t max;  /* hard cap */
    bool failed; /* something was dropped */
    bool wipe;   /* contents are zeroed when freed or moved */
};

#define BUF_INIT(max_bytes) ((struct buf){.max = (max_bytes)})

void buf_fini(struct buf *b);  /* frees, also half-built; usable with SL_CLEANUP(buf_fini) */
void buf_reset(struct buf *b); /* empties, keeps the memory */
/* Room for `n` more bytes at b->ptr + b->len, or NULL (and failed). The caller then adds to len. */
uint8_t *buf_reserve(struct buf *b, size_t n);
void buf_put(struct buf *b, struct slice s);
void buf_puts(struct buf *b, const char *s);
void buf_printf(struct buf *b, const char *fmt, ...) SL_PRINTF(2, 3);
static inline void buf_putc(struct buf *b, uint8_t c) {
    if (b->len < b->cap && !b->failed) {
        b->ptr[b->len++] = c;
    } else {
        buf_put(b, slice_of(&c, 1));
    }
}
void buf_decimal(struct buf *b, uint64_t v);
/* Big-endian integers, and bytes behind a u16 or u32 length. */
void buf_u8(struct buf *b, uint8_t v);
void buf_u16(struct buf *b, uint16_t v);
void buf_u32(struct buf *b, uint32_t v);
void buf_u64(struct buf *b, uint64_t v);
void buf_vec16(struct buf *b, struct slice s);
void buf_vec32(struct buf *b, struct slice s);
/* SL_OK, or SL_E_LIMIT when anything was dropped. */
struct sl_rc buf_check(const struct buf *b, struct sl_error *err);
static inline struct slice buf_slice(const struct buf *b) {
    return (struct slice){b->ptr, b->len};
}

#endif
