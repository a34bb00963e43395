/* The decoders of COPY's formats against the tools that write them. */
#include "tests/unit/codec/unpack_rig.h"

#include <stdio.h>
#include <unistd.h>

enum { MAX = 8 * 1024 * 1024, CASE_BYTES = 300 * 1000 };

static void make_zeros(struct buf *out, size_t len) {
    while (out->len < len) {
        buf_u8(out, 0);
    }
}

/* Noise that comes back from near and far: matches of each distance. */
static void make_echoes(struct buf *out, size_t len) {
    make_noise(out, 60000 < len ? 60000 : len);
    while (out->len < len) {
        size_t n = 3 + next_random() % 60, back = 1 + next_random() % 59999;
        for (size_t i = 0; i < n && out->len < len; i++) {
            buf_u8(out, out->ptr[out->len - back]);
        }
        for (unsigned i = next_random() % 5; i > 0 && out->len < len; i--) {
            buf_u8(out, (uint8_t)next_random());
        }
    }
}

static void put_file(const char *path, struct slice bytes) {
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    if (bytes.len > 0) {
        assert_int_equal(fwrite(bytes.ptr, 1, bytes.len, f), bytes.len);
    }
    assert_int_equal(fclose(f), 0);
}

/* Appends what `tool` makes of `plain`. */
static void pack(struct buf *out, const char *tool, struct slice plain) {
    char path[] = "/tmp/unpack_testXXXXXX";
    char command[256];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    put_file(path, plain);
    snprintf(command, sizeof command, "%s < %s", tool, path);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    size_t n;
    do {
        uint8_t *p = buf_reserve(out, 65536);
        assert_non_null(p);
        n = fread(p, 1, 65536, pipe);
        out->len += n;
    } while (n > 0);
    assert_int_equal(pclose(pipe), 0);
    unlink(path);
}

static void assert_decodes(enum unpack_format format, struct slice packed, struct slice plain,
                           size_t step, size_t cap) {
    struct buf out SL_CLEANUP(buf_fini) = BUF_INIT(MAX);
    struct sl_error err = {0};
    struct sl_rc rc = decode_pieces(format, packed, step, cap, &out, &err);
    if (sl_failed(rc)) {
        fail_msg("%s", err.detail);
    }
    assert_true(slice_eq(buf_slice(&out), plain));
}

static void assert_refused(enum unpack_format format, struct slice packed, const char *text) {
    struct buf out SL_CLEANUP(buf_fini) = BUF_INIT(MAX);
    struct sl_error err = {0};
    assert_int_equal(decode_pieces(format, packed, 1000, 65536, &out, &err).code, SL_E_PARSE);
    assert_string_equal(err.detail, text);
}

static const struct {
    enum unpack_format format;
    const char *tool;
} tools[] = {
    {UNPACK_GZIP, "gzip -c"},       {UNPACK_ZSTD, "zstd -q -c"},
    {UNPACK_ZSTD, "zstd -q -c -1"}, {UNPACK_ZSTD, "zstd -q -c -3 --long=27"},
    {UNPACK_BZIP2, "bzip2 -c"},     {UNPACK_BZIP2, "bzip2 -c -1"},
    {UNPACK_LZOP, "lzop -c"},       {UNPACK_LZOP, "lzop -c -1"},
    {UNPACK_LZOP, "lzop -c -9"},    {UNPACK_LZOP, "lzop -c -7 --crc32"},
    {UNPACK_LZOP, "lzop -c -CC"},   {UNPACK_LZOP, "lzop -c -F"},
};
enum { TOOLS = sizeof tools / sizeof tools[0] };

static void (*const makers[])(struct buf *, size_t) = {make_rows, make_noise, make_zeros,
                                                       make_echoes};

static void round_trips(void **state) {
    assert_null(unpack_name(UNPACK_NONE));
    for (size_t m = 0; m < sizeof makers / sizeof makers[0]; m++) {
        struct buf plain SL_CLEANUP(buf_fini) = BUF_INIT(MAX);
        makers[m](&plain, CASE_BYTES);
        for (size_t t = 0; t < TOOLS; t++) {
            struct buf packed SL_CLEANUP(buf_fini) = BUF_INIT(MAX);
            pack(&packed, tools[t].tool, buf_slice(&plain));
            assert_decodes(tools[t].format, buf_slice(&packed), buf_slice(&plain), packed.len,
                           65536);
            assert_decodes(tools[t].format, buf_slice(&packed), buf_slice(&plain), 977, 1013);
        }
    }
}

static void small_and_several(void **state) {
    for (size_t t = 0; t < TOOLS; t++) {
        struct buf packed SL_CLEANUP(buf_fini) = BUF_INIT(MAX);
        struct buf plain SL_CLEANUP(buf_fini) = BUF_INIT(MAX);
        pack(&packed, tools[t].tool, SLICE_EMPTY);
        assert_decodes(tools[t].format, buf_slice(&packed), SLICE_EMPTY, 1, 1);
        for (size_t len = 1; len < 300; len += 41) { /* members behind each other */
            struct buf more SL_CLEANUP(buf_fini) = BUF_INIT(MAX);
            make_rows(&more, len);
            buf_put(&plain, buf_slice(&more));
            pack(&packed, tools[t].tool, buf_slice(&more));
            assert_decodes(tools[t].format, buf_slice(&packed), buf_slice(&plain), 1, 1);
            assert_decodes(tools[t].format, buf_slice(&packed), buf_slice(&plain), packed.len,
                           65536);
        }
    }
}

static void damaged(void **state) {
    static const struct {
        enum unpack_format format;
        const char *tool, *name;
    } kinds[] = {{UNPACK_ZSTD, "zstd -q -c", "zstd"},
                 {UNPACK_BZIP2, "bzip2 -c -1", "bzip2"},
                 {UNPACK_LZOP, "lzop -c", "lzop"}};
    for (size_t k = 0; k < 3; k++) {
        struct buf plain SL_CLEANUP(buf_fini) = BUF_INIT(MAX);
        struct buf packed SL_CLEANUP(buf_fini) = BUF_INIT(MAX);
        char text[100];
        make_rows(&plain, 1000);
        pack(&packed, kinds[k].tool, buf_slice(&plain));
        struct slice all = buf_slice(&packed);
        snprintf(text, sizeof text, "%s: unexpected end of file", kinds[k].name);
        for (size_t n = 0; n < all.len; n++) {
            assert_refused(kinds[k].format, slice_sub(all, 0, n), text);
        }
        snprintf(text, sizeof text, "%s: not a%s %s file", kinds[k].name, k == 2 ? "n" : "",
                 kinds[k].name);
        assert_refused(kinds[k].format, SLICE_LIT("1,LAX,2\n3,SFO,4\n5,JFK,6\n"), text);
        for (size_t i = 0; i < all.len; i++) { /* an error, or nothing that matters */
            struct buf out SL_CLEANUP(buf_fini) = BUF_INIT(MAX);
            packed.ptr[i] ^= 0x10;
            if (sl_is_ok(decode_pieces(kinds[k].format, all, 100, 65536, &out, NULL))) {
                assert_true(slice_eq(buf_slice(&out), buf_slice(&plain)));
            }
            packed.ptr[i] ^= 0x10;
        }
        buf_puts(&packed, "garbage at the end");
        snprintf(text, sizeof text, "%s: garbage after the end", kinds[k].name);
        assert_refused(kinds[k].format, buf_slice(&packed), text);
    }
}

static void too_much_memory(void **state) {
    struct buf out SL_CLEANUP(buf_fini) = BUF_INIT(MAX);
    struct sl_error err = {0};
    /* A frame with a window of 1 GiB (RFC 8878, 3.1.1: exponent 20). */
    static const uint8_t frame[] = {0x28, 0xb5, 0x2f, 0xfd, 0x00, 20 << 3, 0x01, 0x00, 0x00};
    assert_int_equal(
        decode_pieces(UNPACK_ZSTD, slice_of(frame, sizeof frame), 100, 1000, &out, &err).code,
        SL_E_LIMIT);
    assert_string_equal(err.detail, "zstd: a window of more than 128 MiB");
    err = (struct sl_error){0};
    /* An lzop block that claims 64 MiB. */
    struct buf packed SL_CLEANUP(buf_fini) = BUF_INIT(MAX);
    pack(&packed, "lzop -c", SLICE_LIT("a block\n"));
    packed.ptr[packed.len - 4 - 8 - 12] = 4; /* its plain length's first byte */
    packed.ptr[packed.len - 4 - 8 - 9] = 0;
    assert_int_equal(decode_pieces(UNPACK_LZOP, buf_slice(&packed), 100, 1000, &out, &err).code,
                     SL_E_LIMIT);
    assert_string_equal(err.detail, "lzop: a block of 67108864 bytes, more than 16777216");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trips),
        cmocka_unit_test(small_and_several),
        cmocka_unit_test(damaged),
        cmocka_unit_test(too_much_memory),
    };
    unpack_free(NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
