/* Keys, signatures, verification and signing; see sigv4.h. */
#include "lib/sigv4/canonical_in.h"

#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/codec/text.h"
#include "lib/crypto/crypto.h"

#include <stdio.h>

static void to_hex(const uint8_t digest[SHA256_LEN], char ret[2 * SHA256_LEN + 1]) {
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < SHA256_LEN; i++) {
        ret[2 * i] = digits[digest[i] >> 4];
        ret[2 * i + 1] = digits[digest[i] & 15];
    }
    ret[2 * SHA256_LEN] = '\0';
}

static void sign_text(const struct secret *key, struct slice text, char ret[2 * SHA256_LEN + 1]) {
    uint8_t mac[SHA256_LEN];
    hmac_sha256(secret_view(key), text, mac);
    to_hex(mac, ret);
}

struct sl_rc sigv4_signing_key(struct slice secret_access_key, struct slice date,
                               struct slice region, struct slice service, struct secret *ret) {
    ENSURE(secret_access_key.len <= SECRET_MAX_BYTES - 4, NULL, SL_E_LIMIT, "secret too long");
    SL_CLEANUP(secret_fini) struct secret first = {0};
    TRY(secret_init(&first, 4 + secret_access_key.len));
    memcpy(first.ptr, "AWS4", 4);
    if (secret_access_key.len > 0) {
        memcpy(first.ptr + 4, secret_access_key.ptr, secret_access_key.len);
    }
    uint8_t k[2][SHA256_LEN];
    hmac_sha256(secret_view(&first), date, k[0]);
    hmac_sha256(slice_of(k[0], SHA256_LEN), region, k[1]);
    hmac_sha256(slice_of(k[1], SHA256_LEN), service, k[0]);
    hmac_sha256(slice_of(k[0], SHA256_LEN), SLICE_LIT("aws4_request"), k[1]);
    struct sl_rc rc = secret_from(ret, slice_of(k[1], SHA256_LEN));
    secret_wipe(k, sizeof k);
    return rc;
}

static struct sl_rc string_to_sign(const struct sigv4_claim *c, struct slice canonical,
                                   struct arena *a, struct sl_error *err, struct slice *ret) {
    uint8_t digest[SHA256_LEN];
    char hex[2 * SHA256_LEN + 1];
    sha256(canonical, digest);
    to_hex(digest, hex);
    const struct slice runs[] = {SLICE_LIT(SIGV4_ALGORITHM "\n"),
                                 c->amz_date,
                                 SLICE_LIT("\n"),
                                 c->date,
                                 SLICE_LIT("/"),
                                 c->region,
                                 SLICE_LIT("/"),
                                 c->service,
                                 SLICE_LIT("/aws4_request\n"),
                                 slice_of(hex, 2 * SHA256_LEN)};
    struct slice text = arena_join(a, runs, sizeof runs / sizeof *runs);
    ENSURE(text.ptr != NULL, err, SL_E_LIMIT, "the request's head is too large");
    *ret = text;
    return SL_OK;
}

/* S3 does not know the body of a presigned request; a signed header may tell all the same. */
static struct slice payload_of(const struct sigv4_request *req, const struct sigv4_claim *c) {
    if (c->kind != SIGV4_QUERY || !slice_eq_cstr(c->service, "s3")) {
        return req->payload_hash;
    }
    const struct sigv4_header *h = sigv4_find_header(req, "x-amz-content-sha256");
    return h != NULL ? slice_trim(h->value) : SLICE_LIT("UNSIGNED-PAYLOAD");
}

struct sl_rc sigv4_verify(const struct sigv4_request *req, const struct sigv4_claim *c,
                          const struct secret *signing_key, struct arena *a, struct sl_error *err,
                          struct slice *ret_canonical, struct slice *ret_string_to_sign) {
    sl_assert(c->kind != SIGV4_NONE);
    struct sigv4_shape shape = {.service = c->service,
                                .signed_headers = c->signed_headers,
                                .payload_hash = payload_of(req, c),
                                .presigned = c->kind == SIGV4_QUERY};
    struct slice canonical, text;
    TRY(sigv4_canonical(req, &shape, a, err, &canonical));
    TRY(string_to_sign(c, canonical, a, err, &text));
    if (ret_canonical != NULL) {
        *ret_canonical = canonical;
    }
    if (ret_string_to_sign != NULL) {
        *ret_string_to_sign = text;
    }
    char want[2 * SHA256_LEN + 1];
    sign_text(signing_key, text, want);
    bool same = secret_equal(slice_cstr(want), c->signature);
    secret_wipe(want, sizeof want); /* a signature that was not offered stays unknown */
    ENSURE(same, err, SL_E_SIGNATURE, "%s", sl_code_info(SL_E_SIGNATURE)->text);
    return SL_OK;
}

static const char empty_sha256[] =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/* `between` is a line of its own or empty. Sizes are bounded by the claim's checks. */
static void sign_chunk(const struct secret *key, const struct sigv4_claim *c, const char *kind,
                       struct slice previous, const char *between, struct slice hash,
                       char ret[2 * SHA256_LEN + 1]) {
    char text[1024];
    int n = snprintf(text, sizeof text,
                     SIGV4_ALGORITHM "-%s\n%.*s\n%.*s/%.*s/%.*s/aws4_request\n%.*s\n%s%.*s", kind,
                     SLICE_FMT(c->amz_date), SLICE_FMT(c->date), SLICE_FMT(c->region),
                     SLICE_FMT(c->service), SLICE_FMT(previous), between, SLICE_FMT(hash));
    sl_assert(n > 0 && (size_t)n < sizeof text);
    sign_text(key, slice_of(text, (size_t)n), ret);
}

void sigv4_chunk(const struct secret *signing_key, const struct sigv4_claim *c,
                 struct slice previous, struct slice data_sha256_hex, char ret[65]) {
    char between[sizeof empty_sha256 + 1];
    snprintf(between, sizeof between, "%s\n", empty_sha256);
    sign_chunk(signing_key, c, "PAYLOAD", previous, between, data_sha256_hex, ret);
}

void sigv4_trailer(const struct secret *signing_key, const struct sigv4_claim *c,
                   struct slice previous, struct slice trailer_sha256_hex, char ret[65]) {
    sign_chunk(signing_key, c, "TRAILER", previous, "", trailer_sha256_hex, ret);
}

static int by_lower_name(const void *a, const void *b) {
    return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

/* Names of all headers, lower case, sorted, each once. */
static struct sl_rc signed_list(const struct sigv4_request *req, struct arena *a,
                                struct sl_error *err, struct slice *ret) {
    ENSURE(req->header_count <= LIMIT_HTTP_HEADERS, err, SL_E_LIMIT, "too many headers to sign");
    struct slice names[LIMIT_HTTP_HEADERS];
    for (size_t i = 0; i < req->header_count; i++) {
        char *copy = arena_cstr(a, req->headers[i].name);
        ENSURE(copy != NULL, err, SL_E_LIMIT, "headers too large to sign");
        for (char *p = copy; *p != '\0'; p++) {
            *p = *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p;
        }
        names[i] = slice_cstr(copy);
    }
    qsort(names, req->header_count, sizeof names[0], by_lower_name);
    SL_CLEANUP(buf_fini) struct buf list = BUF_INIT(LIMIT_HTTP_HEAD_BYTES);
    for (size_t i = 0; i < req->header_count; i++) {
        if (i > 0 && slice_eq(names[i], names[i - 1])) {
            continue;
        }
        if (i > 0) {
            buf_putc(&list, ';');
        }
        buf_put(&list, names[i]);
    }
    TRY(buf_check(&list, err));
    *ret = arena_copy(a, buf_slice(&list));
    ENSURE(ret->ptr != NULL, err, SL_E_LIMIT, "headers too large to sign");
    return SL_OK;
}

struct sl_rc sigv4_sign(const struct sigv4_request *req, struct slice access_key_id,
                        const struct secret *secret_key, struct slice region, struct slice service,
                        int64_t now_s, struct arena *a, struct buf *out, struct sl_error *err) {
    char now[17];
    clock_basic(now_s, now);
    const struct sigv4_header *date = sigv4_find_header(req, "x-amz-date");
    ENSURE(date != NULL && slice_eq_cstr(date->value, now) &&
               sigv4_find_header(req, "host") != NULL,
           err, SL_E_INTERNAL, "a request to sign needs host and the time's x-amz-date");
    struct sigv4_claim c = {.kind = SIGV4_HEADER,
                            .date = slice_of(now, 8),
                            .region = region,
                            .service = service,
                            .amz_date = slice_of(now, 16)};
    TRY(signed_list(req, a, err, &c.signed_headers));
    struct sigv4_shape shape = {
        .service = service, .signed_headers = c.signed_headers, .payload_hash = req->payload_hash};
    struct slice canonical, text;
    TRY(sigv4_canonical(req, &shape, a, err, &canonical));
    TRY(string_to_sign(&c, canonical, a, err, &text));
    SL_CLEANUP(secret_fini) struct secret key = {0};
    TRY(sigv4_signing_key(secret_view(secret_key), c.date, region, service, &key));
    char signature[2 * SHA256_LEN + 1];
    sign_text(&key, text, signature);
    buf_puts(out, SIGV4_ALGORITHM " Credential=");
    buf_put(out, access_key_id);
    buf_printf(out, "/%.*s/%.*s/%.*s/aws4_request, SignedHeaders=", SLICE_FMT(c.date),
               SLICE_FMT(region), SLICE_FMT(service));
    buf_put(out, c.signed_headers);
    buf_printf(out, ", Signature=%s", signature);
    return buf_check(out, err);
}
