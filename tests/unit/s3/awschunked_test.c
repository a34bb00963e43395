/* aws-chunked: AWS's published example of signed chunks, trailers, every split of the input, and
 * refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "server/api/s3/awschunked.h"

/* Feeds `text` in steps of `step` bytes; data into out. */
static enum sl_code decode(const struct awschunked_conf *conf, struct slice text, size_t step,
                           struct buf *out, struct awschunked *d) {
    struct sl_rc rc = awschunked_init(d, conf, NULL);
    for (size_t at = 0; sl_is_ok(rc) && at < text.len; at += step) {
        struct slice in = slice_sub(text, at, at + step);
        while (sl_is_ok(rc) && in.len > 0) {
            struct slice data;
            rc = awschunked_feed(d, &in, &data, NULL);
            if (sl_is_ok(rc)) {
                buf_put(out, data);
            }
        }
    }
    if (sl_is_ok(rc)) {
        rc = awschunked_end(d, NULL);
    }
    return rc.code;
}

static void unsigned_forms(void **state) {
    static const struct {
        const char *text;
        const char *data;
        const char *crc; /* trailer, or NULL */
        enum sl_code want;
    } cases[] = {
        {"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n", "hello", "NhCmhg==", 0},
        {"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n", "hello", "NhCmhg==", 0},
        {"5\r\nhello\r\n0\r\nX-Amz-Checksum-CRC32: NhCmhg== \r\n\r\n", "hello", "NhCmhg==", 0},
        {"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", "hello", NULL, 0},
        {"A\r\n0123456789\r\n0\r\n\r\n\r\n", "0123456789", NULL, 0},
        {"0\r\n\r\n", "", NULL, 0},
        {"0\r\n", "", NULL, 0},
        {"5\r\nhello\r\n", "", NULL, SL_E_S3_INCOMPLETE_BODY},
        {"5\r\nhel", "", NULL, SL_E_S3_INCOMPLETE_BODY},
        {"5\r\nhello\r\n0\r\nx-amz-check", "", NULL, SL_E_S3_INCOMPLETE_BODY},
        {"", "", NULL, SL_E_S3_INCOMPLETE_BODY},
        {"5\r\nhello!\r\n0\r\n\r\n", "", NULL, SL_E_S3_INVALID_REQUEST},
        {"5\nhello\n0\n\n", "", NULL, SL_E_S3_INVALID_REQUEST},
        {"\r\n", "", NULL, SL_E_S3_INVALID_REQUEST},
        {"x\r\n", "", NULL, SL_E_S3_INVALID_REQUEST},
        {"-1\r\n", "", NULL, SL_E_S3_INVALID_REQUEST},
        {"ffffffffffffffff\r\n", "", NULL, SL_E_S3_INVALID_REQUEST},
        {"fffffff\r\n", "", NULL, SL_E_S3_INCOMPLETE_BODY}, /* more than was announced */
        {"0\r\n\r\nmore bytes", "", NULL, SL_E_S3_INVALID_REQUEST},
        {"0\r\nno colon\r\n\r\n", "", NULL, SL_E_S3_INVALID_REQUEST},
        {"0\r\na:1\r\nb:1\r\nc:1\r\nd:1\r\ne:1\r\nf:1\r\ng:1\r\nh:1\r\ni:1\r\n\r\n", "", NULL,
         SL_E_S3_INVALID_REQUEST},
    };
    const struct awschunked_conf conf = {.has_trailer = true, .max_bytes = 1000};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct slice text = slice_cstr(cases[i].text);
        size_t last = cases[i].want == SL_CODE_OK ? text.len + 1 : 1;
        for (size_t step = 1; step <= last; step++) {
            struct buf out = BUF_INIT(4096);
            struct awschunked d;
            size_t used = cases[i].want == SL_CODE_OK ? step : text.len + 1;
            assert_int_equal(decode(&conf, text, used, &out, &d), cases[i].want);
            if (cases[i].want == SL_CODE_OK) {
                assert_true(slice_eq_cstr(buf_slice(&out), cases[i].data));
                struct slice crc = awschunked_trailer(&d, SLICE_LIT("x-amz-checksum-crc32"));
                assert_true(cases[i].crc ? slice_eq_cstr(crc, cases[i].crc) : crc.ptr == NULL);
            }
            awschunked_fini(&d);
            buf_fini(&out);
        }
    }
}

/* The example of "Signature Calculations for the Authorization Header: Transferring Payload in
 * Multiple Chunks" in AWS's S3 API reference: 65 KiB of 'a' in chunks of 64 KiB and 1 KiB. */
static const char seed[] = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9";
static const char *const sigs[] = {
    "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
    "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
    "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"};

static void put_example(struct buf *text, char fill) {
    static const size_t sizes[] = {65536, 1024, 0};
    for (size_t i = 0; i < 3; i++) {
        buf_printf(text, "%zx;chunk-signature=%s\r\n", sizes[i], sigs[i]);
        for (size_t j = 0; j < sizes[i]; j++) {
            buf_putc(text, (uint8_t)fill);
        }
        buf_puts(text, "\r\n");
    }
}

static void signed_example(void **state) {
    struct secret key = {0};
    const struct sigv4_claim claim = {.kind = SIGV4_HEADER,
                                      .date = SLICE_LIT("20130524"),
                                      .region = SLICE_LIT("us-east-1"),
                                      .service = SLICE_LIT("s3"),
                                      .amz_date = SLICE_LIT("20130524T000000Z"),
                                      .signature = slice_cstr(seed)};
    assert_true(sl_is_ok(sigv4_signing_key(SLICE_LIT("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
                                           claim.date, claim.region, claim.service, &key)));
    const struct awschunked_conf conf = {
        .is_signed = true, .signing_key = &key, .claim = &claim, .max_bytes = 66560};
    static const size_t steps[] = {1, 7, 1000, 65536, 100000};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct buf text = BUF_INIT(100000);
        struct buf out = BUF_INIT(100000);
        struct awschunked d;
        put_example(&text, 'a');
        assert_int_equal(decode(&conf, buf_slice(&text), steps[i], &out, &d), SL_CODE_OK);
        assert_int_equal(out.len, 66560);
        awschunked_fini(&d);
        buf_fini(&out);
        buf_fini(&text);
    }
    static const size_t broken[] = {30, 90, 70000, 66700, 66780};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        struct buf text = BUF_INIT(100000);
        struct buf out = BUF_INIT(100000);
        struct awschunked d;
        put_example(&text, 'a');
        size_t at = broken[i] < text.len ? broken[i] : text.len - 10;
        text.ptr[at] = text.ptr[at] == 'b' ? 'c' : 'b';
        assert_int_not_equal(decode(&conf, buf_slice(&text), 5000, &out, &d), SL_CODE_OK);
        awschunked_fini(&d);
        buf_fini(&out);
        buf_fini(&text);
    }
    struct buf text = BUF_INIT(100000);
    struct buf out = BUF_INIT(100000);
    struct awschunked d;
    put_example(&text, 'b'); /* other data under the same signatures */
    assert_int_equal(decode(&conf, buf_slice(&text), 5000, &out, &d), SL_E_SIGNATURE);
    awschunked_fini(&d);
    buf_reset(&out);
    assert_int_equal(decode(&conf, SLICE_LIT("0\r\n\r\n"), 5000, &out, &d),
                     SL_E_S3_INVALID_REQUEST); /* unsigned chunks in a signed body */
    awschunked_fini(&d);
    buf_fini(&out);
    buf_fini(&text);
    secret_fini(&key);
}

/* A signed trailer, signed here by the same library: right, altered, missing. */
static void signed_trailer(void **state) {
    struct secret key = {0};
    const struct sigv4_claim claim = {.kind = SIGV4_HEADER,
                                      .date = SLICE_LIT("20130524"),
                                      .region = SLICE_LIT("us-east-1"),
                                      .service = SLICE_LIT("s3"),
                                      .amz_date = SLICE_LIT("20130524T000000Z"),
                                      .signature = slice_cstr(seed)};
    uint8_t sum[32];
    char empty_hex[65];
    char trailer_hex[65];
    char last[65];
    char sig[65];
    assert_true(sl_is_ok(
        sigv4_signing_key(SLICE_LIT("secret"), claim.date, claim.region, claim.service, &key)));
    sha256(SLICE_EMPTY, sum);
    for (size_t i = 0; i < 32; i++) {
        snprintf(empty_hex + 2 * i, 3, "%02x", sum[i]);
    }
    sha256(SLICE_LIT("x-amz-checksum-crc32:AAAAAA==\n"), sum);
    for (size_t i = 0; i < 32; i++) {
        snprintf(trailer_hex + 2 * i, 3, "%02x", sum[i]);
    }
    sigv4_chunk(&key, &claim, slice_cstr(seed), slice_cstr(empty_hex), last);
    sigv4_trailer(&key, &claim, slice_cstr(last), slice_cstr(trailer_hex), sig);
    const struct awschunked_conf conf = {.is_signed = true,
                                         .has_trailer = true,
                                         .signing_key = &key,
                                         .claim = &claim,
                                         .max_bytes = 10};
    static const struct {
        const char *value;
        bool signature;
        enum sl_code want;
    } cases[] = {{"AAAAAA==", true, SL_CODE_OK},
                 {"AAAAAQ==", true, SL_E_SIGNATURE},
                 {"AAAAAA==", false, SL_E_SIGNATURE}};
    for (size_t i = 0; i < 3; i++) {
        struct buf text = BUF_INIT(4096);
        struct buf out = BUF_INIT(16);
        struct awschunked d;
        buf_printf(&text, "0;chunk-signature=%s\r\nx-amz-checksum-crc32:%s\r\n", last,
                   cases[i].value);
        if (cases[i].signature) {
            buf_printf(&text, "x-amz-trailer-signature:%s\r\n", sig);
        }
        buf_puts(&text, "\r\n");
        assert_int_equal(decode(&conf, buf_slice(&text), 3, &out, &d), cases[i].want);
        awschunked_fini(&d);
        buf_fini(&out);
        buf_fini(&text);
    }
    secret_fini(&key);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unsigned_forms),
        cmocka_unit_test(signed_example),
        cmocka_unit_test(signed_trailer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
