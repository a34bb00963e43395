/* aws-chunked bodies. The first byte picks the form and the size of the pieces. */
#include "server/api/s3/awschunked.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct secret key;
    if (key.len == 0 && sl_failed(secret_init(&key, 32))) {
        return 0;
    }
    if (size < 1) {
        return 0;
    }
    const struct sigv4_claim claim = {
        .date = SLICE_LIT("20130524"),
        .region = SLICE_LIT("us-east-1"),
        .service = SLICE_LIT("s3"),
        .amz_date = SLICE_LIT("20130524T000000Z"),
        .signature = SLICE_LIT("4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9")};
    const struct awschunked_conf conf = {.is_signed = data[0] & 1,
                                         .has_trailer = data[0] & 2,
                                         .signing_key = &key,
                                         .claim = &claim,
                                         .max_bytes = 1 << 20};
    size_t step = 1 + (data[0] >> 2);
    struct slice text = slice_of(data + 1, size - 1);
    struct awschunked d;
    uint64_t total = 0;
    struct sl_rc rc = awschunked_init(&d, &conf, NULL);
    for (size_t at = 0; sl_is_ok(rc) && at < text.len; at += step) {
        struct slice in = slice_sub(text, at, at + step);
        while (sl_is_ok(rc) && in.len > 0) {
            struct slice run = SLICE_EMPTY;
            rc = awschunked_feed(&d, &in, &run, NULL);
            sl_assert(sl_failed(rc) || run.len == 0 ||
                      (run.ptr >= data && run.ptr + run.len <= data + size));
            total += sl_is_ok(rc) ? run.len : 0;
        }
    }
    if (sl_is_ok(rc) && sl_is_ok(awschunked_end(&d, NULL))) {
        sl_assert(total <= conf.max_bytes);
        (void)awschunked_trailer(&d, SLICE_LIT("x-amz-checksum-crc32"));
    }
    awschunked_fini(&d);
    return 0;
}
