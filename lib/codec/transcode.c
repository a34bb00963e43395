/* Other encodings into UTF-8; see transcode.h. */
#include "lib/codec/transcode.h"

#include "lib/codec/utf8_in.h"

enum { BOM = 0xfeff, BOM_SWAPPED = 0xfffe };

static const char *const names[TRANSCODE_COUNT] = {
    [TRANSCODE_UTF8] = "utf8",         [TRANSCODE_UTF16] = "utf16",
    [TRANSCODE_UTF16LE] = "utf16le",   [TRANSCODE_UTF16BE] = "utf16be",
    [TRANSCODE_ISO88591] = "iso88591",
};

const char *transcode_name(enum transcode_from from) {
    return names[from];
}

void transcode_start(struct transcode *t, enum transcode_from from) {
    *t = (struct transcode){.from = from, .big = from != TRANSCODE_UTF16LE};
}

static void put(struct transcode *t, uint32_t c) {
    t->out_len = (uint8_t)(utf8_put(t->out + t->out_len, c) - t->out);
}

/* A code unit of UTF-16. A surrogate without its other half is put as it stands. */
static void unit(struct transcode *t, uint32_t u) {
    bool low = u >= 0xdc00 && u <= 0xdfff;
    if (t->high != 0) {
        uint32_t high = t->high;
        t->high = 0;
        if (low) {
            put(t, 0x10000 + ((high - 0xd800) << 10) + (u - 0xdc00));
            return;
        }
        put(t, high);
    }
    if (u >= 0xd800 && u <= 0xdbff) {
        t->high = u;
    } else {
        put(t, u);
    }
}

/* The first unit as it reads in big endian order. */
static struct sl_rc first_unit(struct transcode *t, uint32_t u, struct sl_error *err) {
    bool mark = u == BOM || u == BOM_SWAPPED;
    ENSURE(mark || t->from != TRANSCODE_UTF16, err, SL_E_PARSE,
           "The file has no byte order mark, which ENCODING UTF16 needs.");
    if (t->from == TRANSCODE_UTF16) {
        t->big = u == BOM;
    } else {
        ENSURE(!mark || t->big == (u == BOM), err, SL_E_PARSE,
               "The file's byte order mark is not of the encoding that is named.");
    }
    if (!mark) {
        unit(t, t->big ? u : (u & 0xff) << 8 | u >> 8);
    }
    return SL_OK;
}

static struct sl_rc step(struct transcode *t, uint8_t byte, struct sl_error *err) {
    if (t->from == TRANSCODE_ISO88591) {
        put(t, byte);
        return SL_OK;
    }
    if (!t->has_half) {
        t->half = byte;
        t->has_half = true;
        return SL_OK;
    }
    t->has_half = false;
    if (!t->started) {
        t->started = true;
        return first_unit(t, (uint32_t)t->half << 8 | byte, err);
    }
    unit(t, t->big ? (uint32_t)t->half << 8 | byte : (uint32_t)byte << 8 | t->half);
    return SL_OK;
}

/* What the end leaves over. */
static void end(struct transcode *t) {
    if (t->high != 0) {
        put(t, t->high);
        t->high = 0;
    }
    if (t->has_half) {
        t->out[t->out_len++] = 0xff;
        t->has_half = false;
    }
}

struct sl_rc transcode_feed(struct transcode *t, struct slice *in, bool last, uint8_t *out,
                            size_t cap, size_t *ret_len, struct sl_error *err) {
    size_t n = 0, used = 0;
    while (n < cap) {
        if (t->out_at == t->out_len) {
            t->out_at = t->out_len = 0;
            if (used < in->len) {
                TRY(step(t, in->ptr[used++], err));
            } else if (last && (t->high != 0 || t->has_half)) {
                end(t);
            } else {
                break;
            }
        }
        while (t->out_at < t->out_len && n < cap) {
            out[n++] = t->out[t->out_at++];
        }
    }
    *in = slice_sub(*in, used, in->len);
    *ret_len = n;
    return SL_OK;
}
