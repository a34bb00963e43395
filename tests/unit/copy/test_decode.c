/* From objects' bytes to text: an object that is compressed UTF-16, encrypted by a client (made
 * with openssl), and each step alone, in pieces of any size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "extension/copy/decode.h"
#include "lib/codec/text.h"

/* Twenty times "1|é LF 2|U+1F600 LF" in UTF-16 with its mark, gzip, AES-256-CBC. */
static const char sealed_hex[] =
    "6508f052464165462d614715da1d67e14e3e30576e7a6acf47951e1330e2a9936b4f487001932e9f"
    "a8af819d2904e785";
static const struct envelope_meta meta = {
    .key = "k9gRILYgu01+jb+r5r+Q3Epf32rLlTzu/WNqzHmy0NOfO3UEkm+L024xGOkDpM1K",
    .iv = "yMnKy8zNzs/Q0dLT1NXW1w=="};

static uint64_t random_state = 0x9e3779b97f4a7c15;

static size_t random_below(size_t n) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (size_t)(random_state % n);
}

static void master_key(struct secret *ret) {
    uint8_t key[AES256_KEY_LEN];
    for (size_t i = 0; i < sizeof key; i++) {
        key[i] = (uint8_t)i;
    }
    assert_true(sl_is_ok(secret_from(ret, slice_of(key, sizeof key))));
}

/* Input in pieces of at most `most_in` bytes, output into room of at most `most_out`. */
static struct sl_rc run(const struct decode_conf *conf, const struct envelope_meta *m,
                        struct slice in, size_t most_in, size_t most_out, struct buf *out,
                        struct sl_error *err) {
    struct decode *d;
    struct sl_rc rc = decode_new(conf, &d);
    assert_true(sl_is_ok(rc));
    bool ended = in.len == 0;
    while (sl_is_ok(rc) && !ended) {
        size_t n = 1 + random_below(most_in);
        struct slice piece = slice_sub(in, 0, n);
        in = slice_sub(in, piece.len, in.len);
        ended = piece.len == 0;
        size_t got, room;
        do {
            uint8_t *p = malloc(room = 1 + random_below(most_out));
            rc = decode_feed(d, m, &piece, ended, p, room, &got, err);
            buf_put(out, sl_is_ok(rc) ? slice_of(p, got) : SLICE_EMPTY);
            free(p);
        } while (sl_is_ok(rc) && (got == room || piece.len > 0));
    }
    rc = sl_is_ok(rc) ? decode_end(d, err) : rc;
    decode_free(d);
    return rc;
}

static void all_steps(void **state) {
    struct secret key;
    master_key(&key);
    struct decode_conf conf = {&key, UNPACK_GZIP, TRANSCODE_UTF16};
    struct buf sealed = BUF_INIT(4096), want = BUF_INIT(4096);
    assert_true(sl_is_ok(hex_get(slice_cstr(sealed_hex), &sealed, NULL)));
    for (int i = 0; i < 20; i++) {
        buf_puts(&want, "1|\xc3\xa9\n2|\xf0\x9f\x98\x80\n");
    }
    for (size_t i = 0; i < 2000; i++) {
        struct buf out = BUF_INIT(4096);
        assert_true(sl_is_ok(run(&conf, &meta, buf_slice(&sealed), 1 + random_below(80),
                                 1 + random_below(80), &out, NULL)));
        assert_true(slice_eq(buf_slice(&out), buf_slice(&want)));
        buf_fini(&out);
    }
    for (size_t cut = 1; cut < sealed.len; cut++) {
        struct buf out = BUF_INIT(4096);
        assert_true(sl_failed(run(&conf, &meta, slice_sub(buf_slice(&sealed), 0, sealed.len - cut),
                                  64, 64, &out, NULL)));
        buf_fini(&out);
    }
    buf_fini(&sealed);
    buf_fini(&want);
    secret_fini(&key);
}

static void envelopes_that_do_not_open(void **state) {
    static const struct {
        struct envelope_meta meta;
        const char *says;
    } cases[] = {
        {{.key = ""}, "not encrypted by a client"},
        {{.key = "AAAA"}, "x-amz-key and x-amz-iv are missing"},
        {{.key = "AAAA", .iv = "AAAA"}, "damaged"},
        {{.key = "!", .iv = "AAAA"}, "damaged"},
        {{.key = "k9gRILYgu01+jb+r5r+Q3Epf32rLlTzu/WNqzHmy0NOfO3UEkm+L024xGOkDpM1K", .iv = "AAAA"},
         "damaged"},
        {{.key = "l9gRILYgu01+jb+r5r+Q3Epf32rLlTzu/WNqzHmy0NOfO3UEkm+L024xGOkDpM1L",
          .iv = "yMnKy8zNzs/Q0dLT1NXW1w=="},
         "can't be opened with this MASTER_SYMMETRIC_KEY"},
        {{.key_v2 = "AAAA"}, "later format"},
    };
    struct secret key;
    master_key(&key);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sl_error err = {0};
        struct cbc *c;
        assert_int_equal(envelope_open(&cases[i].meta, secret_view(&key), &c, &err).code,
                         SL_E_CORRUPT);
        assert_non_null(strstr(err.detail, cases[i].says));
    }
    secret_fini(&key);
}

static void metadata_headers(void **state) {
    struct envelope_meta m = {0};
    char lengthy[300];
    memset(lengthy, 'A', sizeof lengthy);
    envelope_note(&m, SLICE_LIT("X-Amz-IV"), SLICE_LIT("abc"));
    envelope_note(&m, SLICE_LIT("x-amz-key"), slice_of(lengthy, sizeof lengthy));
    envelope_note(&m, SLICE_LIT("other"), SLICE_LIT("abc"));
    assert_string_equal(m.iv, "abc");
    assert_int_equal(strlen(m.key), sizeof m.key - 1);
    assert_true(envelope_is_sealed(&m));
}

static void encodings(void **state) {
    static const struct {
        enum transcode_from from;
        const char *in;
        size_t len;
        const char *out; /* NULL: refused */
    } cases[] = {
        {TRANSCODE_UTF8, "a\xff", 2, "a\xff"},
        {TRANSCODE_ISO88591, "a\xff\x80", 3, "a\xc3\xbf\xc2\x80"},
        {TRANSCODE_UTF16, "\xfe\xff\0a", 4, "a"},
        {TRANSCODE_UTF16,
         "\xff\xfe"
         "a\0",
         4, "a"},
        {TRANSCODE_UTF16, "a\0", 2, NULL},
        {TRANSCODE_UTF16, "\xfe\xff", 2, ""},
        {TRANSCODE_UTF16LE,
         "\xff\xfe"
         "a\0",
         4, "a"},
        {TRANSCODE_UTF16LE, "a\0b\0", 4, "ab"},
        {TRANSCODE_UTF16LE, "\xfe\xff\0a", 4, NULL},
        {TRANSCODE_UTF16BE,
         "\xff\xfe"
         "a\0",
         4, NULL},
        {TRANSCODE_UTF16BE, "\0a\xfe\xff", 4, "a\xef\xbb\xbf"},
        {TRANSCODE_UTF16BE, "\xd8\x3d\xde\x00", 4, "\xf0\x9f\x98\x80"},
        {TRANSCODE_UTF16BE, "\xd8\x3d\0a", 4,
         "\xed\xa0\xbd"
         "a"},
        {TRANSCODE_UTF16BE, "\xde\x00\0a", 4,
         "\xed\xb8\x80"
         "a"},
        {TRANSCODE_UTF16BE, "\0a\xd8\x3d", 4, "a\xed\xa0\xbd"},
        {TRANSCODE_UTF16BE, "\0a\xd8\x3d\xd8\x3d\xde\x00", 8, "a\xed\xa0\xbd\xf0\x9f\x98\x80"},
        {TRANSCODE_UTF16BE, "\0a\0", 3, "a\xff"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (size_t most = 1; most < 12; most++) {
            struct decode_conf conf = {.encoding = cases[i].from};
            struct buf out = BUF_INIT(4096);
            struct sl_rc rc =
                run(&conf, &meta, slice_of(cases[i].in, cases[i].len), most, most, &out, NULL);
            assert_int_equal(sl_is_ok(rc), cases[i].out != NULL);
            if (cases[i].out != NULL && !slice_eq_cstr(buf_slice(&out), cases[i].out)) {
                fail_msg("case %zu: %.*s", i, SLICE_FMT(buf_slice(&out)));
            }
            buf_fini(&out);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_steps),
        cmocka_unit_test(envelopes_that_do_not_open),
        cmocka_unit_test(metadata_headers),
        cmocka_unit_test(encodings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
