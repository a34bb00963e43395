/* gzip (RFC 1952). isa-l inflates raw DEFLATE; header and trailer of each member are read here,
 * since isa-l's own reader neither tells where a member ends nor checks a header's CRC. */
#include "lib/codec/unpack_in.h"

#include "lib/codec/crc.h"

#include <isa-l/igzip_lib.h>
#include <stdlib.h>

enum { FHCRC = 2, FEXTRA = 4, FNAME = 8, FCOMMENT = 16, FRESERVED = 0xe0 };
enum { FIXED_LEN = 10, TRAILER_LEN = 8, FEED_MAX = 1 << 30 };

enum step {
    STEP_FIXED,
    STEP_EXTRA_LEN,
    STEP_EXTRA,
    STEP_NAME,
    STEP_COMMENT,
    STEP_HCRC,
    STEP_BODY,
    STEP_TRAILER
};

struct gzip {
    enum step step;
    uint8_t field[FIXED_LEN]; /* fixed header, a length, a header CRC or the trailer */
    size_t field_len;
    size_t extra_left;
    uint8_t flags;
    uint32_t header_crc;
    uint32_t crc;
    uint32_t size; /* modulo 2^32, as ISIZE */
    bool seen;     /* a whole member */
    struct inflate_state raw;
};

static struct sl_rc gzip_begin(void **ret) {
    struct gzip *z = calloc(1, sizeof *z);
    ENSURE(z != NULL, NULL, SL_E_NOMEM, "out of memory");
    isal_inflate_init(&z->raw);
    *ret = z;
    return SL_OK;
}

/* Moves bytes into z->field until it holds `want`; true when it does. */
static bool gather(struct gzip *z, struct slice *in, size_t want) {
    size_t n = want - z->field_len;
    struct slice part = slice_sub(*in, 0, n);
    if (part.len > 0) {
        memcpy(z->field + z->field_len, part.ptr, part.len);
        z->field_len += part.len;
        *in = slice_sub(*in, part.len, in->len);
    }
    return z->field_len == want;
}

static void header_seen(struct gzip *z, struct slice bytes) {
    z->header_crc = crc32_more(z->header_crc, bytes);
}

static uint32_t little(const uint8_t *p, int n) {
    uint32_t v = 0;
    for (int i = n - 1; i >= 0; i--) {
        v = v << 8 | p[i];
    }
    return v;
}

static void enter(struct gzip *z, enum step step) {
    z->step = step;
    z->field_len = 0;
}

static struct sl_rc read_fixed(struct gzip *z, struct slice *in, struct sl_error *err) {
    static const uint8_t magic[] = {0x1f, 0x8b, 8};
    bool whole = gather(z, in, FIXED_LEN);
    size_t known = z->field_len < sizeof magic ? z->field_len : sizeof magic;
    ENSURE(memcmp(z->field, magic, known) == 0, err, SL_E_PARSE, "%s",
           z->seen ? "gzip: garbage after the end" : "gzip: not a gzip file");
    if (whole) {
        z->flags = z->field[3];
        ENSURE((z->flags & FRESERVED) == 0, err, SL_E_PARSE, "gzip: unknown header flags");
        z->header_crc = 0;
        z->crc = 0;
        z->size = 0;
        header_seen(z, slice_of(z->field, FIXED_LEN));
        enter(z, STEP_EXTRA_LEN);
    }
    return SL_OK;
}

static void read_extra(struct gzip *z, struct slice *in) {
    struct slice part = slice_sub(*in, 0, z->extra_left);
    header_seen(z, part);
    z->extra_left -= part.len;
    *in = slice_sub(*in, part.len, in->len);
    if (z->extra_left == 0) {
        enter(z, STEP_NAME);
    }
}

static void read_text(struct gzip *z, struct slice *in, enum step next) {
    size_t nul = slice_find(*in, 0);
    header_seen(z, slice_sub(*in, 0, nul + 1));
    if (nul < in->len) {
        enter(z, next);
    }
    *in = slice_sub(*in, nul + 1, in->len);
}

static struct sl_rc read_header(struct gzip *z, struct slice *in, struct sl_error *err) {
    switch (z->step) {
    case STEP_FIXED:
        return read_fixed(z, in, err);
    case STEP_EXTRA_LEN:
        if (!(z->flags & FEXTRA)) {
            enter(z, STEP_NAME);
        } else if (gather(z, in, 2)) {
            header_seen(z, slice_of(z->field, 2));
            z->extra_left = little(z->field, 2);
            enter(z, STEP_EXTRA);
        }
        return SL_OK;
    case STEP_EXTRA:
        read_extra(z, in);
        return SL_OK;
    case STEP_NAME:
    case STEP_COMMENT: {
        enum step next = z->step == STEP_NAME ? STEP_COMMENT : STEP_HCRC;
        if (z->flags & (z->step == STEP_NAME ? FNAME : FCOMMENT)) {
            read_text(z, in, next);
        } else {
            enter(z, next);
        }
        return SL_OK;
    }
    default:
        if (z->flags & FHCRC) {
            if (!gather(z, in, 2)) {
                return SL_OK;
            }
            ENSURE(little(z->field, 2) == (z->header_crc & 0xffff), err, SL_E_PARSE,
                   "gzip: wrong checksum of the header");
        }
        enter(z, STEP_BODY);
        isal_inflate_reset(&z->raw);
        return SL_OK;
    }
}

/* Inflates once. isa-l reads ahead of the member's end, by less than a trailer: what it holds is
 * the trailer's begin. */
static struct sl_rc read_body(struct gzip *z, struct slice *in, uint8_t *out, size_t cap,
                              size_t *ret_len, struct sl_error *err) {
    struct slice part = slice_sub(*in, 0, FEED_MAX);
    z->raw.next_in = (uint8_t *)(uintptr_t)part.ptr;
    z->raw.avail_in = (uint32_t)part.len;
    z->raw.next_out = out;
    z->raw.avail_out = (uint32_t)(cap < FEED_MAX ? cap : FEED_MAX);
    int rc = isal_inflate(&z->raw);
    ENSURE(rc >= 0, err, SL_E_PARSE, "gzip: invalid compressed data");
    size_t made = (size_t)(z->raw.next_out - out);
    z->crc = crc32_more(z->crc, slice_of(out, made));
    z->size += (uint32_t)made;
    *in = slice_sub(*in, part.len - z->raw.avail_in, in->len);
    *ret_len = made;
    if (z->raw.block_state == ISAL_BLOCK_FINISH) {
        enter(z, STEP_TRAILER);
        int bits = z->raw.read_in_length;
        sl_assert(bits >= 0 && bits <= 8 * TRAILER_LEN);
        uint64_t held = z->raw.read_in >> (bits % 8);
        for (int i = 0; i < bits / 8; i++) {
            z->field[z->field_len++] = (uint8_t)(held >> 8 * i);
        }
    }
    return SL_OK;
}

static struct sl_rc read_trailer(struct gzip *z, struct slice *in, struct sl_error *err) {
    if (gather(z, in, TRAILER_LEN)) {
        ENSURE(little(z->field, 4) == z->crc, err, SL_E_PARSE, "gzip: wrong checksum");
        ENSURE(little(z->field + 4, 4) == z->size, err, SL_E_PARSE, "gzip: wrong length");
        z->seen = true;
        enter(z, STEP_FIXED);
    }
    return SL_OK;
}

static struct sl_rc gzip_feed(void *user, struct slice *in, uint8_t *out, size_t cap,
                              size_t *ret_len, struct sl_error *err) {
    struct gzip *z = user;
    size_t len = 0;
    for (;;) {
        enum step before = z->step;
        size_t in_before = in->len, out_before = len;
        if (z->step < STEP_BODY) {
            TRY(read_header(z, in, err));
        } else if (z->step == STEP_BODY) {
            size_t made = 0;
            TRY(read_body(z, in, out + len, cap - len, &made, err));
            len += made;
        } else {
            TRY(read_trailer(z, in, err));
        }
        bool moved = z->step != before || in->len != in_before || len != out_before;
        if (!moved) {
            break;
        }
    }
    ENSURE(in->len == 0 || len == cap, err, SL_E_PARSE, "gzip: invalid compressed data");
    *ret_len = len;
    return SL_OK;
}

static struct sl_rc gzip_end(void *user, struct sl_error *err) {
    struct gzip *z = user;
    bool between = z->step == STEP_FIXED && z->field_len == 0;
    ENSURE(z->seen && between, err, SL_E_PARSE, "gzip: unexpected end of file");
    return SL_OK;
}

const struct unpack_decoder unpack_gzip = {gzip_begin, free, gzip_feed, gzip_end};
