/* LZO1X decoder; see lzo.h. A stream is instructions: a run of literals, or a match (copy `length`
 * bytes from `distance` behind the end of the output) with up to three literals after it. What an
 * instruction below 16 means depends on how many literals the one before it has copied. */
#include "lib/codec/lzo.h"

enum { LITERALS_LONG = 4 }; /* a run of four or more */

struct lzo {
    struct slice in;
    uint8_t *out;
    size_t at, len;    /* in out */
    unsigned literals; /* copied by the instruction before: 0…3 or LITERALS_LONG */
    bool ended;
};

static bool take(struct lzo *z, size_t *ret) {
    if (z->in.len == 0) {
        return false;
    }
    *ret = z->in.ptr[0];
    z->in = slice_sub(z->in, 1, z->in.len);
    return true;
}

static bool copy_literals(struct lzo *z, size_t n) {
    if (n > z->in.len || n > z->len - z->at) {
        return false;
    }
    if (n > 0) {
        memcpy(z->out + z->at, z->in.ptr, n);
    }
    z->in = slice_sub(z->in, n, z->in.len);
    z->at += n;
    z->literals = n < LITERALS_LONG ? (unsigned)n : LITERALS_LONG;
    return true;
}

static bool copy_match(struct lzo *z, size_t distance, size_t n, size_t literals) {
    if (distance > z->at || n > z->len - z->at) {
        return false;
    }
    uint8_t *to = z->out + z->at;
    const uint8_t *from = to - distance;
    if (distance >= n) {
        memcpy(to, from, n);
    } else { /* it repeats itself */
        for (size_t i = 0; i < n; i++) {
            to[i] = from[i];
        }
    }
    z->at += n;
    return copy_literals(z, literals);
}

/* A length whose bits are all 0: 255 for each zero byte, and the first other byte. */
static bool long_length(struct lzo *z, size_t base, size_t *ret) {
    size_t n = base, b;
    do {
        if (!take(z, &b) || n > z->len) {
            return false;
        }
        n += b == 0 ? 255 : b;
    } while (b == 0);
    *ret = n;
    return true;
}

/* The two bytes behind a far match, low first: the distance's low 14 bits, two bits of literals. */
static bool far_bytes(struct lzo *z, size_t *ret_distance, size_t *ret_literals) {
    size_t low, high;
    if (!take(z, &low) || !take(z, &high)) {
        return false;
    }
    *ret_distance = (high << 8 | low) >> 2;
    *ret_literals = low & 3;
    return true;
}

/* op < 16 */
static bool near_or_literals(struct lzo *z, size_t op) {
    size_t b;
    if (z->literals == 0) {
        size_t n = op;
        return (op != 0 || long_length(z, 15, &n)) && copy_literals(z, n + 3);
    }
    if (!take(z, &b)) {
        return false;
    }
    size_t distance = (op >> 2) + (b << 2) + 1;
    return z->literals < LITERALS_LONG ? copy_match(z, distance, 2, op & 3)
                                       : copy_match(z, distance + 2048, 3, op & 3);
}

/* 16 <= op < 32: 16 KiB to 48 KiB back, or the end of the stream */
static bool far(struct lzo *z, size_t op) {
    size_t n = op & 7, distance, literals;
    if ((n == 0 && !long_length(z, 7, &n)) || !far_bytes(z, &distance, &literals)) {
        return false;
    }
    distance += (op & 8) << 11;
    if (distance == 0) {
        z->ended = true;
        return n == 1 && literals == 0;
    }
    return copy_match(z, distance + 16384, n + 2, literals);
}

static bool instruction(struct lzo *z, size_t op) {
    size_t n, distance, literals, b;
    if (op < 16) {
        return near_or_literals(z, op);
    }
    if (op < 32) {
        return far(z, op);
    }
    if (op < 64) { /* up to 16 KiB back */
        n = op & 31;
        return (n != 0 || long_length(z, 31, &n)) && far_bytes(z, &distance, &literals) &&
               copy_match(z, distance + 1, n + 2, literals);
    }
    return take(z, &b) && copy_match(z, (op >> 2 & 7) + (b << 3) + 1, (op >> 5) + 1, op & 3);
}

struct sl_rc lzo_expand(struct slice in, uint8_t *out, size_t len, struct sl_error *err) {
    struct lzo z = {.in = in, .out = out, .len = len};
    size_t op;
    bool ok = true;
    if (in.len > 0 && in.ptr[0] > 17) { /* a first run of literals has a form of its own */
        ok = take(&z, &op) && copy_literals(&z, op - 17);
    }
    while (ok && !z.ended) {
        ok = take(&z, &op) && instruction(&z, op);
    }
    ENSURE(ok && z.in.len == 0 && z.at == len, err, SL_E_PARSE, "lzop: invalid compressed data");
    return SL_OK;
}
