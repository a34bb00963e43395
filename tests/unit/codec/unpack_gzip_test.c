/* The gzip decoder against zlib's encoder. */
#include "tests/unit/codec/unpack_rig.h"

#include <zlib.h>

enum { MAX = 4 * 1024 * 1024 };

/* Appends one member. */
static void deflate_member(struct buf *out, struct slice plain, int level, int strategy,
                           gz_header *head) {
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, level, Z_DEFLATED, 15 + 16, 8, strategy), Z_OK);
    if (head != NULL) {
        assert_int_equal(deflateSetHeader(&z, head), Z_OK);
    }
    size_t bound = deflateBound(&z, plain.len) + 4096;
    z.next_in = (Bytef *)(uintptr_t)plain.ptr;
    z.avail_in = (uInt)plain.len;
    z.next_out = buf_reserve(out, bound);
    z.avail_out = (uInt)bound;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    out->len += bound - z.avail_out;
    deflateEnd(&z);
}

static enum sl_code decode(struct slice gz, size_t step, size_t cap, struct buf *out) {
    struct sl_error err = {0};
    struct sl_rc rc = decode_pieces(UNPACK_GZIP, gz, step, cap, out, &err);
    assert_true(sl_is_ok(rc) == (err.detail[0] == '\0'));
    return rc.code;
}

static void expect(struct slice gz, struct slice plain) {
    static const size_t steps[] = {1, 2, 3, 7, 8, 9, 100, 4096, 65536, MAX};
    static const size_t caps[] = {1, 13, 4096, 262144};
    for (size_t s = 0; s < sizeof steps / sizeof steps[0]; s++) {
        for (size_t c = 0; c < sizeof caps / sizeof caps[0]; c++) {
            /* isa-l moves its window at every call, which makes tiny steps slow */
            if ((plain.len > 2000 && caps[c] < 100) || (plain.len > 40000 && steps[s] < 100)) {
                continue;
            }
            struct buf out = BUF_INIT(2 * MAX);
            if (decode(gz, steps[s], caps[c], &out) != SL_CODE_OK ||
                !slice_eq(buf_slice(&out), plain)) {
                fail_msg("step %zu, cap %zu, %zu bytes", steps[s], caps[c], plain.len);
            }
            buf_fini(&out);
        }
    }
}

static void test_levels(void **state) {
    static const size_t sizes[] = {0, 1, 10, 1000, 33000, 70000, 1000000};
    static const int levels[] = {0, 1, 6, 9};
    static const int strategies[] = {Z_DEFAULT_STRATEGY, Z_HUFFMAN_ONLY, Z_RLE, Z_FIXED};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        for (int noise = 0; noise < 2; noise++) {
            struct buf plain = BUF_INIT(MAX);
            (noise ? make_noise : make_rows)(&plain, sizes[s]);
            for (size_t l = 0; l < 4; l++) {
                for (size_t t = 0; t < (sizes[s] < 100000 ? 4 : 1); t++) {
                    struct buf gz = BUF_INIT(MAX);
                    deflate_member(&gz, buf_slice(&plain), levels[l], strategies[t], NULL);
                    expect(buf_slice(&gz), buf_slice(&plain));
                    buf_fini(&gz);
                }
            }
            buf_fini(&plain);
        }
    }
}

static void test_members(void **state) {
    struct buf plain = BUF_INIT(MAX), gz = BUF_INIT(MAX);
    for (int i = 0; i < 60; i++) {
        struct buf one = BUF_INIT(MAX);
        make_rows(&one, i % 3 == 0 ? 0 : next_random() % 700);
        deflate_member(&gz, buf_slice(&one), i % 10, Z_DEFAULT_STRATEGY, NULL);
        buf_put(&plain, buf_slice(&one));
        buf_fini(&one);
    }
    expect(buf_slice(&gz), buf_slice(&plain));
    buf_fini(&plain);
    buf_fini(&gz);
}

static void test_headers(void **state) {
    static Bytef extra[300], name[500], comment[] = "a comment";
    memset(extra, 'e', sizeof extra);
    memset(name, 'n', sizeof name - 1);
    for (int mask = 0; mask < 16; mask++) {
        gz_header head = {.text = 1,
                          .time = 12345,
                          .os = 3,
                          .extra = mask & 1 ? extra : NULL,
                          .extra_len = mask & 1 ? sizeof extra : 0,
                          .name = mask & 2 ? name : NULL,
                          .comment = mask & 4 ? comment : NULL,
                          .hcrc = mask >> 3};
        struct buf gz = BUF_INIT(MAX);
        deflate_member(&gz, SLICE_LIT("hello"), 6, Z_DEFAULT_STRATEGY, &head);
        expect(buf_slice(&gz), SLICE_LIT("hello"));
        if (mask & 8) { /* the header's checksum covers every byte of it */
            for (size_t i = 4; i < gz.len - 15; i += 7) {
                gz.ptr[i] ^= 1;
                struct buf out = BUF_INIT(MAX);
                assert_int_equal(decode(buf_slice(&gz), 5, 100, &out), SL_E_PARSE);
                buf_fini(&out);
                gz.ptr[i] ^= 1;
            }
        }
        buf_fini(&gz);
    }
}

static void test_cut(void **state) {
    struct buf plain = BUF_INIT(MAX), gz = BUF_INIT(MAX);
    make_rows(&plain, 3000);
    deflate_member(&gz, buf_slice(&plain), 6, Z_DEFAULT_STRATEGY, NULL);
    size_t first = gz.len;
    deflate_member(&gz, SLICE_LIT("second"), 6, Z_DEFAULT_STRATEGY, NULL);
    for (size_t len = 0; len <= gz.len; len++) {
        bool whole = len == first || len == gz.len;
        for (size_t step = 1; step <= MAX; step *= MAX) {
            struct buf out = BUF_INIT(MAX);
            assert_int_equal(decode(slice_of(gz.ptr, len), step, 1000, &out),
                             whole ? SL_CODE_OK : SL_E_PARSE);
            buf_fini(&out);
        }
    }
    buf_fini(&plain);
    buf_fini(&gz);
}

/* What zlib makes of one member; -1 when it refuses. */
static long by_zlib(struct slice gz, uint8_t *out, size_t cap) {
    z_stream z = {.next_in = (Bytef *)(uintptr_t)gz.ptr,
                  .avail_in = (uInt)gz.len,
                  .next_out = out,
                  .avail_out = (uInt)cap};
    assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
    int rc = inflate(&z, Z_FINISH);
    inflateEnd(&z);
    return rc == Z_STREAM_END && z.avail_in == 0 ? (long)(cap - z.avail_out) : -1;
}

/* A changed bit is refused, or means nothing (time of the header, bits that pad the last byte);
 * zlib is asked which. */
static void test_corrupted(void **state) {
    struct buf plain = BUF_INIT(MAX), gz = BUF_INIT(MAX);
    make_rows(&plain, 2000);
    deflate_member(&gz, buf_slice(&plain), 6, Z_DEFAULT_STRATEGY, NULL);
    size_t accepted = 0;
    for (size_t i = 0; i < gz.len; i++) {
        for (int bit = 0; bit < 8; bit++) {
            gz.ptr[i] ^= (uint8_t)(1 << bit);
            static uint8_t want[65536];
            long len = by_zlib(buf_slice(&gz), want, sizeof want);
            struct buf out = BUF_INIT(MAX);
            enum sl_code code = decode(buf_slice(&gz), i % 2 ? 1 : MAX, 4096, &out);
            if (code != (len < 0 ? SL_E_PARSE : SL_CODE_OK)) {
                fail_msg("bit %d of byte %zu: zlib %ld, here %s", bit, i, len,
                         sl_code_info(code)->name);
            }
            assert_true(len < 0 || slice_eq(buf_slice(&out), buf_slice(&plain)));
            accepted += len >= 0;
            buf_fini(&out);
            gz.ptr[i] ^= (uint8_t)(1 << bit);
        }
    }
    assert_in_range(accepted, 49, 70);
    buf_fini(&plain);
    buf_fini(&gz);
}

static void test_garbage(void **state) {
    static const char *const tails[] = {"x",
                                        "\n",
                                        "\x1f",
                                        "\x1f\x8b",
                                        "\x1f\x8b\x08",
                                        "\x1f\x8b\x07\x01\x01\x01\x01\x01\x01\x01",
                                        "garbage garbage"};
    for (size_t i = 0; i <= sizeof tails / sizeof tails[0]; i++) {
        struct buf gz = BUF_INIT(MAX), out = BUF_INIT(MAX);
        deflate_member(&gz, SLICE_LIT("hello"), 6, Z_DEFAULT_STRATEGY, NULL);
        buf_put(&gz, i == 0 ? SLICE_LIT("\0\0\0\0") : slice_cstr(tails[i - 1]));
        for (size_t step = 1; step <= MAX; step *= MAX) {
            buf_reset(&out);
            assert_int_equal(decode(buf_slice(&gz), step, 100, &out), SL_E_PARSE);
        }
        buf_fini(&gz);
        buf_fini(&out);
    }
    struct buf out = BUF_INIT(MAX);
    assert_int_equal(decode(SLICE_LIT("plain text, not gzip"), MAX, 100, &out), SL_E_PARSE);
    assert_int_equal(decode(SLICE_EMPTY, 1, 100, &out), SL_E_PARSE);
    buf_fini(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels),    cmocka_unit_test(test_members),
        cmocka_unit_test(test_headers),   cmocka_unit_test(test_cut),
        cmocka_unit_test(test_corrupted), cmocka_unit_test(test_garbage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
