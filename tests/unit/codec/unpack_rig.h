/* Bytes to compress, and a decoder fed in pieces. */
#ifndef SL_TEST_UNPACK_RIG_H
#define SL_TEST_UNPACK_RIG_H

#include "lib/base/buf.h"
#include "lib/codec/unpack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static uint32_t seed = 1;

static uint32_t next_random(void) {
    seed = seed * 1664525u + 1013904223u;
    return seed >> 8;
}

/* Rows of numbers and words: something that matches, something that does not. */
static void make_rows(struct buf *out, size_t len) {
    static const char *const words[] = {"LAX", "SFO", "JFK", "true", "false", "2014-05-21"};
    while (out->len < len) {
        buf_printf(out, "%u,%s,%u\n", next_random() % 1000, words[next_random() % 6],
                   next_random());
    }
    out->len = len;
}

static void make_noise(struct buf *out, size_t len) {
    while (out->len < len) {
        buf_u8(out, (uint8_t)next_random());
    }
}

/* Feeds `step` bytes at a time, takes `cap` bytes at a time. */
static struct sl_rc decode_pieces(enum unpack_format format, struct slice in, size_t step,
                                  size_t cap, struct buf *out, struct sl_error *err) {
    struct unpack *u;
    assert_true(sl_is_ok(unpack_new(format, &u)));
    struct sl_rc rc = SL_OK;
    while (in.len > 0 && sl_is_ok(rc)) {
        struct slice part = slice_sub(in, 0, step);
        in = slice_sub(in, part.len, in.len);
        size_t len;
        do {
            len = 0;
            uint8_t *p = buf_reserve(out, cap);
            assert_non_null(p);
            rc = unpack_feed(u, &part, p, cap, &len, err);
            assert_true(len <= cap);
            out->len += len;
        } while (sl_is_ok(rc) && (part.len > 0 || len == cap));
    }
    if (sl_is_ok(rc)) {
        rc = unpack_end(u, err);
    } else { /* an error stays */
        uint8_t byte;
        size_t len = 0;
        assert_int_equal(unpack_feed(u, &in, &byte, 1, &len, NULL).code, SL_E_PARSE);
        assert_int_equal(unpack_end(u, NULL).code, SL_E_PARSE);
    }
    unpack_free(u);
    return rc;
}

#endif
