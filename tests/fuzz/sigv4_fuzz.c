/* A request's head as "METHOD path?query" and "name: value" lines: claimed, checked, verified. */
#include "lib/base/limits.h"
#include "lib/sigv4/sigv4.h"

static struct slice take(struct slice *from, uint8_t until) {
    size_t end = slice_find(*from, until);
    struct slice s = slice_sub(*from, 0, end);
    *from = slice_sub(*from, end + 1, from->len);
    return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice rest = slice_of(data, size > LIMIT_HTTP_HEAD_BYTES ? LIMIT_HTTP_HEAD_BYTES : size);
    struct slice line = take(&rest, '\n');
    struct sigv4_request req = {.payload_hash = SLICE_LIT("UNSIGNED-PAYLOAD")};
    req.method = take(&line, ' ');
    req.path = take(&line, '?');
    req.query = line;
    struct sigv4_header headers[LIMIT_HTTP_HEADERS];
    while (rest.len > 0 && req.header_count < LIMIT_HTTP_HEADERS) {
        line = take(&rest, '\n');
        struct slice name = take(&line, ':');
        headers[req.header_count++] = (struct sigv4_header){name, slice_trim(line)};
    }
    req.headers = headers;
    struct arena a = ARENA_INIT(LIMIT_REQUEST_ARENA_BYTES);
    struct sl_error err = {0};
    struct sigv4_claim c;
    if (sl_is_ok(sigv4_claim_parse(&req, &a, &err, &c)) && c.kind != SIGV4_NONE) {
        sl_assert(c.signature.len == 64 && c.amz_date.len == 16 && c.date.len == 8);
        sl_ignore(sigv4_check_signed(&req, &c, NULL));
        struct secret key = {0};
        sl_assert(
            sl_is_ok(sigv4_signing_key(SLICE_LIT("secret"), c.date, c.region, c.service, &key)));
        struct slice canonical, text;
        sl_ignore(sigv4_verify(&req, &c, &key, &a, NULL, &canonical, &text));
        char chunk[65];
        sigv4_chunk(&key, &c, c.signature, c.signature, chunk);
        secret_fini(&key);
    }
    arena_fini(&a);
    return 0;
}
