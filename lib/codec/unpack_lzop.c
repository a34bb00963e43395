/* lzop files: a header, then blocks, each with its lengths and checksums, up to a length of 0; then
 * possibly the next file's header. Format as lzop 1.04 writes it (checked against the tool). Names,
 * modes and times are read over. */
#include "lib/codec/unpack_in.h"

#include "lib/base/buf.h"
#include "lib/base/limits.h"
#include "lib/codec/crc.h"
#include "lib/codec/lzo.h"

#include <isa-l/igzip_lib.h>
#include <stdlib.h>

enum {
    ADLER_PLAIN = 0x1,
    ADLER_PACKED = 0x2,
    EXTRA_FIELD = 0x40,
    CRC_PLAIN = 0x100,
    CRC_PACKED = 0x200,
    FILTERED = 0x800,
    CRC_HEADER = 0x1000,
};
enum { VERSION_NEWEST = 0x1040, VERSION_LEVEL = 0x0940, METHOD_LAST = 3 };
/* version … mtime, without the filter's four bytes: in old files and in new ones */
enum { MAGIC_LEN = 9, OLD_FIXED = 18, NEW_FIXED = 25 };

static const uint8_t magic[MAGIC_LEN] = {0x89, 'L', 'Z', 'O', 0x00, 0x0d, 0x0a, 0x1a, 0x0a};

enum step {
    STEP_MAGIC,
    STEP_VERSION,
    STEP_FIXED,
    STEP_NAME,
    STEP_EXTRA,
    STEP_EXTRA_REST,
    STEP_PLAIN_LEN,
    STEP_SIZES,
    STEP_BODY,
    STEP_OUT
};

struct lzop {
    enum step step;
    struct buf field;  /* what the step gathers */
    struct buf header; /* all since the magic, for its checksum */
    struct buf plain;  /* the block, expanded */
    size_t taken;      /* of it */
    uint32_t flags;
    bool has_level;
    size_t want_extra;
    size_t plain_len, packed_len, sums_len;
    uint8_t sums[16];
    bool seen;
};

static struct sl_rc lzop_begin(void **ret) {
    struct lzop *z = calloc(1, sizeof *z);
    ENSURE(z != NULL, NULL, SL_E_NOMEM, "out of memory");
    z->field = BUF_INIT(LIMIT_LZOP_BLOCK_BYTES + sizeof z->sums);
    z->header = BUF_INIT(512);
    z->plain = BUF_INIT(LIMIT_LZOP_BLOCK_BYTES);
    *ret = z;
    return SL_OK;
}

static void lzop_free(void *user) {
    struct lzop *z = user;
    buf_fini(&z->field);
    buf_fini(&z->header);
    buf_fini(&z->plain);
    free(z);
}

static void enter(struct lzop *z, enum step step) {
    z->step = step;
    buf_reset(&z->field);
}

/* Moves bytes into the field until it holds `want`; *ret_whole tells. */
static struct sl_rc gather(struct lzop *z, struct slice *in, size_t want, bool *ret_whole,
                           struct sl_error *err) {
    struct slice part = slice_sub(*in, 0, want - z->field.len);
    buf_put(&z->field, part);
    ENSURE(!z->field.failed, err, SL_E_NOMEM, "out of memory");
    *in = slice_sub(*in, part.len, in->len);
    *ret_whole = z->field.len == want;
    return SL_OK;
}

static uint32_t big(const uint8_t *p, int n) {
    uint32_t v = 0;
    for (int i = 0; i < n; i++) {
        v = v << 8 | p[i];
    }
    return v;
}

static uint32_t checksum(bool crc, struct slice s) {
    return crc ? crc32_more(0, s) : isal_adler32(1, s.ptr, s.len);
}

/* ---- the header ---- */

static size_t fixed_len(const struct lzop *z) {
    return z->has_level ? NEW_FIXED : OLD_FIXED;
}

/* The field, read whole: it counts for the header's checksum. */
static struct sl_rc header_seen(struct lzop *z, struct sl_error *err) {
    buf_put(&z->header, buf_slice(&z->field));
    ENSURE(!z->header.failed, err, SL_E_PARSE, "lzop: invalid header");
    return SL_OK;
}

static struct sl_rc magic_seen(struct lzop *z, struct sl_error *err) {
    ENSURE(memcmp(z->field.ptr, magic, z->field.len) == 0, err, SL_E_PARSE, "%s",
           z->seen ? "lzop: garbage after the end" : "lzop: not an lzop file");
    return SL_OK;
}

static struct sl_rc version_seen(struct lzop *z, struct sl_error *err) {
    z->has_level = big(z->field.ptr, 2) >= VERSION_LEVEL;
    return header_seen(z, err);
}

/* What follows the version: [library version] [version needed] method [level] flags mode mtime
 * [mtime's high half] length of the name. */
static struct sl_rc fixed_seen(struct lzop *z, struct sl_error *err) {
    const uint8_t *p = z->field.ptr + 2;
    if (z->has_level) {
        ENSURE(big(p, 2) <= VERSION_NEWEST, err, SL_E_PARSE, "lzop: made for a newer lzop");
        p += 2;
    }
    ENSURE(p[0] >= 1 && p[0] <= METHOD_LAST, err, SL_E_PARSE, "lzop: unknown method %d", p[0]);
    p += z->has_level ? 2 : 1;
    z->flags = big(p, 4);
    ENSURE((z->flags & FILTERED) == 0, err, SL_E_PARSE,
           "lzop: made with --filter, which is not supported");
    return header_seen(z, err);
}

/* The name, then the header's checksum. */
static struct sl_rc name_seen(struct lzop *z, struct sl_error *err) {
    struct slice all = buf_slice(&z->field);
    struct slice sum = slice_sub(all, all.len - 4, all.len);
    z->field.len -= 4;
    TRY(header_seen(z, err));
    ENSURE(checksum((z->flags & CRC_HEADER) != 0, buf_slice(&z->header)) == big(sum.ptr, 4), err,
           SL_E_PARSE, "lzop: wrong checksum of the header");
    return SL_OK;
}

static struct sl_rc read_header(struct lzop *z, struct slice *in, struct sl_error *err) {
    bool whole = false;
    switch (z->step) {
    case STEP_MAGIC:
        TRY(gather(z, in, MAGIC_LEN, &whole, err));
        TRY(magic_seen(z, err));
        if (whole) {
            buf_reset(&z->header);
            enter(z, STEP_VERSION);
        }
        return SL_OK;
    case STEP_VERSION:
        TRY(gather(z, in, 2, &whole, err));
        if (whole) {
            TRY(version_seen(z, err));
            enter(z, STEP_FIXED);
        }
        return SL_OK;
    case STEP_FIXED:
        TRY(gather(z, in, fixed_len(z) - 2, &whole, err));
        if (whole) {
            TRY(fixed_seen(z, err));
            enter(z, STEP_NAME);
        }
        return SL_OK;
    case STEP_NAME: {
        size_t name = z->header.ptr[fixed_len(z) - 1];
        TRY(gather(z, in, name + 4, &whole, err));
        if (whole) {
            TRY(name_seen(z, err));
            enter(z, (z->flags & EXTRA_FIELD) != 0 ? STEP_EXTRA : STEP_PLAIN_LEN);
        }
        return SL_OK;
    }
    case STEP_EXTRA:
        TRY(gather(z, in, 4, &whole, err));
        if (whole) {
            z->want_extra = (size_t)big(z->field.ptr, 4) + 4; /* and its checksum */
            enter(z, STEP_EXTRA_REST);
        }
        return SL_OK;
    default: {
        struct slice part = slice_sub(*in, 0, z->want_extra);
        *in = slice_sub(*in, part.len, in->len);
        z->want_extra -= part.len;
        if (z->want_extra == 0) {
            enter(z, STEP_PLAIN_LEN);
        }
        return SL_OK;
    }
    }
}

/* ---- blocks ---- */

static size_t sum_count(uint32_t flags) {
    return (size_t)__builtin_popcount(flags) * 4;
}

static struct sl_rc read_plain_len(struct lzop *z, struct slice *in, struct sl_error *err) {
    bool whole = false;
    TRY(gather(z, in, 4, &whole, err));
    if (!whole) {
        return SL_OK;
    }
    z->plain_len = big(z->field.ptr, 4);
    if (z->plain_len == 0) {
        z->seen = true;
        enter(z, STEP_MAGIC);
        return SL_OK;
    }
    ENSURE(z->plain_len <= LIMIT_LZOP_BLOCK_BYTES, err, SL_E_LIMIT,
           "lzop: a block of %zu bytes, more than %d", z->plain_len, (int)LIMIT_LZOP_BLOCK_BYTES);
    enter(z, STEP_SIZES);
    return SL_OK;
}

/* The packed length, and checksums: of the plain bytes always, of the packed ones where they are
 * fewer. */
static struct sl_rc read_sizes(struct lzop *z, struct slice *in, struct sl_error *err) {
    bool whole = false;
    TRY(gather(z, in, 4, &whole, err));
    if (!whole) {
        return SL_OK;
    }
    z->packed_len = big(z->field.ptr, 4);
    ENSURE(z->packed_len > 0 && z->packed_len <= z->plain_len, err, SL_E_PARSE,
           "lzop: invalid length of a block");
    z->sums_len = sum_count(z->flags & (ADLER_PLAIN | CRC_PLAIN));
    if (z->packed_len < z->plain_len) {
        z->sums_len += sum_count(z->flags & (ADLER_PACKED | CRC_PACKED));
    }
    enter(z, STEP_BODY);
    return SL_OK;
}

static struct sl_rc check_sum(const struct lzop *z, uint32_t flag, bool crc, struct slice bytes,
                              const uint8_t **at, struct sl_error *err) {
    if ((z->flags & flag) != 0) {
        ENSURE(checksum(crc, bytes) == big(*at, 4), err, SL_E_PARSE, "lzop: wrong checksum");
        *at += 4;
    }
    return SL_OK;
}

static struct sl_rc expand(struct lzop *z, struct slice packed, struct sl_error *err) {
    buf_reset(&z->plain);
    uint8_t *to = buf_reserve(&z->plain, z->plain_len);
    ENSURE(to != NULL, err, SL_E_NOMEM, "out of memory");
    if (packed.len == z->plain_len) {
        memcpy(to, packed.ptr, packed.len);
    } else {
        TRY(lzo_expand(packed, to, z->plain_len, err));
    }
    z->plain.len = z->plain_len;
    return SL_OK;
}

static struct sl_rc read_body(struct lzop *z, struct slice *in, struct sl_error *err) {
    bool whole = false;
    TRY(gather(z, in, z->sums_len + z->packed_len, &whole, err));
    if (!whole) {
        return SL_OK;
    }
    struct slice all = buf_slice(&z->field), packed = slice_sub(all, z->sums_len, all.len);
    const uint8_t *at = all.ptr;
    TRY(expand(z, packed, err));
    TRY(check_sum(z, ADLER_PLAIN, false, buf_slice(&z->plain), &at, err));
    TRY(check_sum(z, CRC_PLAIN, true, buf_slice(&z->plain), &at, err));
    if (packed.len < z->plain_len) {
        TRY(check_sum(z, ADLER_PACKED, false, packed, &at, err));
        TRY(check_sum(z, CRC_PACKED, true, packed, &at, err));
    }
    z->taken = 0;
    enter(z, STEP_OUT);
    return SL_OK;
}

static void give(struct lzop *z, uint8_t *out, size_t cap, size_t *len) {
    struct slice part = slice_sub(buf_slice(&z->plain), z->taken, z->taken + (cap - *len));
    if (part.len > 0) {
        memcpy(out + *len, part.ptr, part.len);
        *len += part.len;
        z->taken += part.len;
    }
    if (z->taken == z->plain.len) {
        enter(z, STEP_PLAIN_LEN);
    }
}

static struct sl_rc lzop_feed(void *user, struct slice *in, uint8_t *out, size_t cap,
                              size_t *ret_len, struct sl_error *err) {
    struct lzop *z = user;
    size_t len = 0;
    for (;;) {
        if (z->step == STEP_OUT) {
            give(z, out, cap, &len);
            if (z->step == STEP_OUT) {
                break; /* out is full */
            }
        }
        if (in->len == 0) {
            break;
        }
        switch (z->step) {
        case STEP_PLAIN_LEN:
            TRY(read_plain_len(z, in, err));
            break;
        case STEP_SIZES:
            TRY(read_sizes(z, in, err));
            break;
        case STEP_BODY:
            TRY(read_body(z, in, err));
            break;
        default:
            TRY(read_header(z, in, err));
        }
    }
    *ret_len = len;
    return SL_OK;
}

static struct sl_rc lzop_end(void *user, struct sl_error *err) {
    struct lzop *z = user;
    ENSURE(z->seen && z->step == STEP_MAGIC && z->field.len == 0, err, SL_E_PARSE,
           "lzop: unexpected end of file");
    return SL_OK;
}

const struct unpack_decoder unpack_lzop = {lzop_begin, lzop_free, lzop_feed, lzop_end};
