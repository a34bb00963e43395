/* Verifies requests that botocore signed, refuses each with a byte changed, signs and verifies its
 * own, and checks the texts for malformed claims. argv[1]: folder of the golden files. */
#include "lib/sigv4/sigv4.h"

#include "lib/base/limits.h"
#include "lib/codec/json.h"
#include "lib/codec/text.h"
#include "lib/crypto/crypto.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static const char *golden_folder;

struct golden {
    struct sigv4_request req;
    struct sigv4_header headers[LIMIT_HTTP_HEADERS];
    struct slice kind, service, region, access_key, secret, token;
};

static struct slice text_of(const struct json *obj, const char *name) {
    const struct json *v = json_get(obj, name);
    assert_non_null(v);
    assert_int_equal(v->type, JSON_STRING);
    return v->text;
}

static void golden_of(const struct json *item, struct golden *g) {
    *g = (struct golden){.kind = text_of(item, "kind"),
                         .service = text_of(item, "service"),
                         .region = text_of(item, "region"),
                         .access_key = text_of(item, "access_key"),
                         .secret = text_of(item, "secret"),
                         .token = text_of(item, "token")};
    size_t n = 0;
    for (const struct json *h = json_get(item, "headers")->child; h != NULL; h = h->next) {
        assert_int_equal(h->count, 2);
        g->headers[n++] = (struct sigv4_header){h->child->text, h->child->next->text};
    }
    g->req = (struct sigv4_request){.method = text_of(item, "method"),
                                    .path = text_of(item, "path"),
                                    .query = text_of(item, "query"),
                                    .headers = g->headers,
                                    .header_count = n,
                                    .payload_hash = text_of(item, "payload")};
}

static const struct json *load(const char *name, struct arena *a) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", golden_folder, name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    static uint8_t text[1024 * 1024];
    size_t n = fread(text, 1, sizeof text, f);
    fclose(f);
    assert_true(n > 0 && n < sizeof text);
    const struct json *root = NULL;
    struct sl_error err = {0};
    if (sl_failed(json_parse(slice_of(text, n), a, &err, &root))) {
        fail_msg("%s: %s", name, err.detail);
    }
    assert_int_equal(root->type, JSON_ARRAY);
    return root;
}

/* Parses, checks and verifies as a server would. */
static enum sl_code judge(const struct sigv4_request *req, struct slice secret,
                          struct sl_error *err) {
    struct arena a = ARENA_INIT(LIMIT_REQUEST_ARENA_BYTES);
    struct sigv4_claim c;
    struct secret key = {0};
    struct sl_rc rc = sigv4_claim_parse(req, &a, err, &c);
    if (sl_is_ok(rc) && c.kind == SIGV4_NONE) {
        rc = sl_rc_of(SL_E_MISSING_TOKEN);
    }
    if (sl_is_ok(rc)) {
        rc = sigv4_check_signed(req, &c, err);
    }
    if (sl_is_ok(rc)) {
        rc = sigv4_signing_key(secret, c.date, c.region, c.service, &key);
    }
    if (sl_is_ok(rc)) {
        struct slice canonical = SLICE_EMPTY, text = SLICE_EMPTY;
        rc = sigv4_verify(req, &c, &key, &a, err, &canonical, &text);
        bool shown = sl_is_ok(rc) || rc.code == SL_E_SIGNATURE;
        assert_true(!shown || canonical.len > 0);
        assert_true(!shown || slice_starts(text, SLICE_LIT("AWS4-HMAC-SHA256\n")));
    }
    secret_fini(&key);
    arena_fini(&a);
    return rc.code;
}

/* The field with one digit or letter changed, the last of those it has; false when it has none. */
static bool flipped(struct slice s, size_t from_end, struct arena *a, struct slice *ret) {
    uint8_t *p = (uint8_t *)arena_cstr(a, s);
    for (size_t i = s.len; i-- > 0;) {
        uint8_t lower = p[i] | 32;
        bool letter = (lower >= 'a' && lower <= 'z') || (p[i] >= '0' && p[i] <= '9');
        if (letter && from_end-- == 0) {
            p[i] = p[i] == 'a' ? 'b' : p[i] == '0' ? '1' : (uint8_t)(p[i] - 1);
            *ret = slice_of(p, s.len);
            return true;
        }
    }
    return false;
}

static bool is_signed(struct slice signed_headers, struct slice name) {
    while (signed_headers.len > 0) {
        size_t end = slice_find(signed_headers, ';');
        if (slice_ieq(slice_sub(signed_headers, 0, end), name)) {
            return true;
        }
        signed_headers = slice_sub(signed_headers, end + 1, signed_headers.len);
    }
    return slice_ieq(name, SLICE_LIT("authorization"));
}

static void refuse(const struct golden *g, const char *what, size_t at) {
    struct sl_error err = {0};
    if (judge(&g->req, g->secret, &err) == SL_CODE_OK) {
        fail_msg("accepted with a changed %s (%zu): %.*s", what, at, SLICE_FMT(g->req.path));
    }
}

static void flip_all(const struct golden *g, struct slice signed_headers, struct arena *a) {
    struct golden f = *g;
    f.req.headers = f.headers;
    struct slice *const fields[] = {&f.req.method, &f.req.path, &f.req.query, &f.secret};
    static const char *const names[] = {"method", "path", "query", "secret"};
    for (size_t i = 0; i < 4; i++) {
        /* normalising drops what stands before "..", so there only S3's paths count */
        bool vague = i == 1 && !slice_eq_cstr(g->service, "s3");
        struct slice keep = *fields[i];
        for (size_t at = 0; at < 40 && !vague && flipped(keep, at, a, fields[i]); at++) {
            refuse(&f, names[i], at);
        }
        *fields[i] = keep;
    }
    if (slice_eq_cstr(g->kind, "header") &&
        flipped(g->req.payload_hash, 0, a, &f.req.payload_hash)) {
        refuse(&f, "payload hash", 0);
        f.req.payload_hash = g->req.payload_hash;
    }
    for (size_t i = 0; i < g->req.header_count; i++) {
        struct slice value;
        if (is_signed(signed_headers, g->headers[i].name) &&
            flipped(g->headers[i].value, 0, a, &value) &&
            !slice_ieq(g->headers[i].name, SLICE_LIT("x-amz-content-sha256"))) {
            f.headers[i].value = value;
            refuse(&f, "header", i);
            f.headers[i].value = g->headers[i].value;
        }
    }
}

static void check_golden(const char *name, size_t least) {
    struct arena a = ARENA_INIT(64 * 1024 * 1024);
    const struct json *root = load(name, &a);
    assert_true(root->count >= least);
    for (const struct json *item = root->child; item != NULL; item = item->next) {
        struct golden g;
        golden_of(item, &g);
        struct sl_error err = {0};
        struct arena mine = ARENA_INIT(LIMIT_REQUEST_ARENA_BYTES);
        struct sigv4_claim c;
        assert_int_equal(sigv4_claim_parse(&g.req, &mine, &err, &c).code, SL_CODE_OK);
        assert_int_equal(c.kind, slice_eq_cstr(g.kind, "query") ? SIGV4_QUERY : SIGV4_HEADER);
        assert_true(slice_eq(c.access_key_id, g.access_key));
        assert_true(slice_eq(c.region, g.region));
        assert_true(slice_eq(c.service, g.service));
        assert_true(slice_eq(c.session_token, g.token));
        assert_int_equal(c.when_s, 1795491436);
        enum sl_code code = judge(&g.req, g.secret, &err);
        if (code != SL_CODE_OK) {
            fail_msg("%s: %.*s?%.*s: %s", name, SLICE_FMT(g.req.path), SLICE_FMT(g.req.query),
                     sl_error_message(&err, code));
        }
        flip_all(&g, c.signed_headers, &mine);
        arena_fini(&mine);
    }
    arena_fini(&a);
}

static void test_golden_header(void **state) {
    check_golden("header.json", 150);
}

static void test_golden_query(void **state) {
    check_golden("query.json", 75);
}

static void test_golden_other(void **state) {
    check_golden("other.json", 50);
}

/* A client may escape more or less than botocore does, and in either case. */
static void test_other_escapes(void **state) {
    struct arena a = ARENA_INIT(64 * 1024 * 1024);
    const struct json *root = load("header.json", &a);
    for (const struct json *item = root->child; item != NULL; item = item->next) {
        struct golden g;
        golden_of(item, &g);
        struct buf path = BUF_INIT(64 * 1024);
        struct slice p = g.req.path;
        for (size_t i = 0; i < p.len; i++) {
            if (p.ptr[i] == '%') {
                for (size_t j = 0; j < 3; j++) {
                    buf_putc(&path, p.ptr[i + j] | (j > 0 ? 32 : 0));
                }
                i += 2;
            } else if (p.ptr[i] == '/') {
                buf_putc(&path, '/');
            } else {
                buf_printf(&path, "%%%02x", p.ptr[i]);
            }
        }
        g.req.path = buf_slice(&path);
        struct sl_error err = {0};
        assert_int_equal(judge(&g.req, g.secret, &err), SL_CODE_OK);
        buf_fini(&path);
    }
    arena_fini(&a);
}

/* Takes off what botocore signed with, signs anew and verifies. */
static void test_sign_round_trip(void **state) {
    static const char *const files[] = {"header.json", "other.json"};
    for (size_t n = 0; n < 2; n++) {
        struct arena a = ARENA_INIT(64 * 1024 * 1024);
        const struct json *root = load(files[n], &a);
        for (const struct json *item = root->child; item != NULL; item = item->next) {
            struct golden g;
            golden_of(item, &g);
            struct sigv4_header *authorization = NULL;
            for (size_t i = 0; i < g.req.header_count; i++) {
                if (slice_ieq(g.headers[i].name, SLICE_LIT("authorization"))) {
                    authorization = &g.headers[i];
                }
            }
            assert_non_null(authorization);
            *authorization = g.headers[--g.req.header_count];
            struct secret key = {0};
            struct buf value = BUF_INIT(64 * 1024);
            struct sl_error err = {0};
            assert_int_equal(secret_from(&key, g.secret).code, SL_CODE_OK);
            assert_int_equal(sigv4_sign(&g.req, g.access_key, &key, g.region, g.service, 1795491436,
                                        &a, &value, &err)
                                 .code,
                             SL_CODE_OK);
            g.headers[g.req.header_count++] =
                (struct sigv4_header){SLICE_LIT("authorization"), buf_slice(&value)};
            assert_int_equal(judge(&g.req, g.secret, &err), SL_CODE_OK);
            assert_int_equal(judge(&g.req, SLICE_LIT("another"), &err), SL_E_SIGNATURE);
            buf_fini(&value);
            secret_fini(&key);
        }
        arena_fini(&a);
    }
}

static void test_sign_needs_date_and_host(void **state) {
    struct arena a = ARENA_INIT(LIMIT_REQUEST_ARENA_BYTES);
    struct sigv4_header headers[] = {{SLICE_LIT("host"), SLICE_LIT("h")},
                                     {SLICE_LIT("x-amz-date"), SLICE_LIT("20261124T033717Z")}};
    struct sigv4_request req = {.method = SLICE_LIT("GET"), .headers = headers, .header_count = 2};
    struct secret key = {0};
    struct buf out = BUF_INIT(4096);
    assert_int_equal(secret_from(&key, SLICE_LIT("s")).code, SL_CODE_OK);
    for (size_t n = 0; n <= 2; n++) {
        req.header_count = n;
        assert_int_equal(sigv4_sign(&req, SLICE_LIT("AK"), &key, SLICE_LIT("r"), SLICE_LIT("s3"),
                                    1795491436, &a, &out, NULL)
                             .code,
                         SL_E_INTERNAL);
    }
    assert_int_equal(sigv4_sign(&req, SLICE_LIT("AK"), &key, SLICE_LIT("r"), SLICE_LIT("s3"),
                                1795491437, &a, &out, NULL)
                         .code,
                     SL_CODE_OK);
    buf_fini(&out);
    secret_fini(&key);
    arena_fini(&a);
}

#define CRED "AK/20261124/us-east-1/s3/aws4_request"
#define KMS_CRED "AK/20261124/us-east-1/kms/aws4_request"
#define SIG "14adc3c293e47d0aa59d58ce0e8ff502f2f8a12c33d7f9c9578372857486fb76"
#define REST ", SignedHeaders=host;x-amz-date, Signature=" SIG
#define DATE "20261124T033716Z"
#define MALFORMED "The authorization header is malformed; "

static void test_header_claims(void **state) {
    static const struct {
        const char *authorization, *date;
        enum sl_code code;
        const char *text; /* begin of the detail */
    } cases[] = {
        {"AWS4-HMAC-SHA256 Credential=" CRED REST, DATE, SL_CODE_OK, ""},
        {"AWS4-HMAC-SHA256 Credential=" CRED ",SignedHeaders=host,Signature=" SIG, DATE, SL_CODE_OK,
         ""},
        {"AWS4-HMAC-SHA256  Signature=" SIG " , SignedHeaders=host ,Credential=" CRED ",", DATE,
         SL_CODE_OK, ""},
        {"AWS4-HMAC-SHA256 Credential=" CRED REST, "Tue, 24 Nov 2026 03:37:16 GMT", SL_CODE_OK, ""},
        {"AWS4-HMAC-SHA256", NULL, SL_E_INCOMPLETE_SIGNATURE,
         "Authorization header requires 'Credential' parameter. Authorization header requires "
         "'Signature' parameter. Authorization header requires 'SignedHeaders' parameter. "
         "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. "
         "(Hashed with SHA-256 and encoded with Base64) "
         "Authorization=YI2YWea8FSxnksZL2ETHbs5elHm9HQufxTLK0W0ffV0="},
        {"AWS4-HMAC-SHA256 Credential=" CRED REST, NULL, SL_E_INCOMPLETE_SIGNATURE,
         "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. "},
        {"AWS4-HMAC-SHA256 Credential=" CRED ", Signature=" SIG, DATE, SL_E_INCOMPLETE_SIGNATURE,
         "Authorization header requires 'SignedHeaders' parameter. (Hashed"},
        {"AWS4-HMAC-SHA256 Credential=" CRED REST ", Signature=" SIG, DATE,
         SL_E_INCOMPLETE_SIGNATURE,
         "Authorization header has more than one 'Signature' parameter."},
        {"AWS4-HMAC-SHA256 Credential=" CRED REST, "2026-11-24", SL_E_INCOMPLETE_SIGNATURE,
         "Date must be in ISO-8601 'basic format'. Got '2026-11-24'."},
        {"AWS4-HMAC-SHA256 Credential=AK/20261124/s3/aws4_request" REST, DATE,
         SL_E_INCOMPLETE_SIGNATURE,
         "Credential must have exactly 5 slash-delimited elements, e.g. "
         "keyid/date/region/service/term, got 'AK/20261124/s3/aws4_request'"},
        {"AWS4-HMAC-SHA256 Credential=A/K/20261124/us-east-1/s3/aws4_request" REST, DATE,
         SL_E_INCOMPLETE_SIGNATURE, "Credential must have exactly 5"},
        {"AWS4-HMAC-SHA256 Credential=/20261124/us-east-1/s3/aws4_request" REST, DATE,
         SL_E_INCOMPLETE_SIGNATURE, "Credential must have exactly 5"},
        {"AWS4-HMAC-SHA256 Credential=AK/20261124/us east/s3/aws4_request" REST, DATE,
         SL_E_INCOMPLETE_SIGNATURE, "Credential must have exactly 5"},
        {"AWS4-HMAC-SHA256 Credential=AK/20261124/us-east-1/s3/aws3_request" REST, DATE, SL_E_SCOPE,
         MALFORMED "incorrect terminal \"aws3_request\". This endpoint uses \"aws4_request\"."},
        {"AWS4-HMAC-SHA256 Credential=AK/20261124/us-east-1/kms/aws3_request" REST, DATE,
         SL_E_SIGNATURE,
         "Credential should be scoped with a valid terminator: 'aws4_request', not"},
        {"AWS4-HMAC-SHA256 Credential=AK/2026-11-24/us-east-1/s3/aws4_request" REST, DATE,
         SL_E_SCOPE, MALFORMED "incorrect date format \"2026-11-24\"."},
        {"AWS4-HMAC-SHA256 Credential=AK/20261123/us-east-1/s3/aws4_request" REST, DATE, SL_E_SCOPE,
         MALFORMED "Invalid credential date \"20261123\"."},
        {"AWS4-HMAC-SHA256 Credential=AK/20261123/us-east-1/kms/aws4_request" REST, DATE,
         SL_E_SIGNATURE,
         "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from "
         "HTTP: '20261123' != '20261124', from '20261124T033716Z'."},
        {"AWS4-HMAC-SHA256 Credential=" CRED ", SignedHeaders=host;;b, Signature=" SIG, DATE,
         SL_E_SCOPE, "SignedHeaders is malformed."},
        {"AWS4-HMAC-SHA256 Credential=" KMS_CRED ", SignedHeaders=host;, Signature=" SIG, DATE,
         SL_E_INCOMPLETE_SIGNATURE, "SignedHeaders is malformed."},
        {"AWS4-HMAC-SHA256 Credential=" CRED ", SignedHeaders=host, Signature=00", DATE,
         SL_E_SIGNATURE, "The request signature we calculated does not match"},
        {"AWS AK:c2lnbmF0dXJl", DATE, SL_E_S3_INVALID_REQUEST,
         "The authorization mechanism you have provided is not supported."},
        {"Bearer x", DATE, SL_E_S3_INVALID_REQUEST, "The authorization mechanism"},
        {"", DATE, SL_E_S3_INVALID_REQUEST, "The authorization mechanism"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sigv4_header headers[] = {
            {SLICE_LIT("Host"), SLICE_LIT("h")},
            {SLICE_LIT("Authorization"), slice_cstr(cases[i].authorization)},
            {cases[i].date && cases[i].date[3] == ',' ? SLICE_LIT("Date") : SLICE_LIT("X-Amz-Date"),
             slice_cstr(cases[i].date)}};
        struct sigv4_request req = {
            .method = SLICE_LIT("GET"), .headers = headers, .header_count = cases[i].date ? 3 : 2};
        struct arena a = ARENA_INIT(LIMIT_REQUEST_ARENA_BYTES);
        struct sl_error err = {0};
        struct sigv4_claim c = {0};
        enum sl_code code = sigv4_claim_parse(&req, &a, &err, &c).code;
        if (code != cases[i].code ||
            !slice_starts(slice_cstr(err.detail), slice_cstr(cases[i].text))) {
            fail_msg("case %zu: %s: %s", i, sl_code_info(code)->name, err.detail);
        }
        if (code == SL_CODE_OK) {
            assert_true(slice_eq_cstr(c.amz_date, DATE));
            assert_int_equal(c.when_s, 1795491436);
        }
        arena_fini(&a);
    }
}

#define Q_ALG "X-Amz-Algorithm=AWS4-HMAC-SHA256"
#define Q_CRED "&X-Amz-Credential=AK%2F20261124%2Fus-east-1%2Fs3%2Faws4_request"
#define Q_KMS "&X-Amz-Credential=AK%2F20261124%2Fus-east-1%2Fkms%2Faws4_request"
#define Q_REST "&X-Amz-Date=" DATE "&X-Amz-SignedHeaders=host&X-Amz-Signature=" SIG

static void test_query_claims(void **state) {
    static const struct {
        const char *query;
        enum sl_code code;
        int expires;
        const char *text;
    } cases[] = {
        {Q_ALG Q_CRED Q_REST "&X-Amz-Expires=60", SL_CODE_OK, 60, ""},
        {Q_ALG Q_CRED Q_REST "&X-Amz-Expires=604800", SL_CODE_OK, 604800, ""},
        {Q_ALG Q_KMS Q_REST, SL_CODE_OK, 900, ""},
        {"", SL_CODE_OK, 0, ""},
        {"X-Amz-Signature=" SIG, SL_CODE_OK, 0, ""},
        {Q_ALG Q_CRED Q_REST, SL_E_QUERY_AUTH, 0, "Query-string authentication version 4 requires"},
        {Q_ALG, SL_E_QUERY_AUTH, 0, "Query-string authentication version 4 requires"},
        {"X-Amz-Algorithm=AWS4-ECDSA-P256-SHA256" Q_CRED Q_REST "&X-Amz-Expires=60",
         SL_E_QUERY_AUTH, 0, "X-Amz-Algorithm only supports"},
        {Q_ALG Q_CRED Q_REST "&X-Amz-Expires=604801", SL_E_QUERY_AUTH, 0,
         "X-Amz-Expires must be less than a week"},
        {Q_ALG Q_CRED Q_REST "&X-Amz-Expires=99999999999999999999999", SL_E_QUERY_AUTH, 0,
         "X-Amz-Expires must be less than a week"},
        {Q_ALG Q_CRED Q_REST "&X-Amz-Expires=-1", SL_E_QUERY_AUTH, 0,
         "X-Amz-Expires must be non-negative"},
        {Q_ALG Q_CRED Q_REST "&X-Amz-Expires=0", SL_E_QUERY_AUTH, 0, "X-Amz-Expires must be"},
        {Q_ALG Q_CRED Q_REST "&X-Amz-Expires=ten", SL_E_QUERY_AUTH, 0,
         "X-Amz-Expires should be a number"},
        {Q_ALG Q_CRED Q_REST "&X-Amz-Expires=60&X-Amz-Expires=60", SL_E_QUERY_AUTH, 0,
         "X-Amz-Expires may be given only once."},
        {Q_ALG Q_CRED Q_REST "&X-Amz-Expires=60&" Q_ALG, SL_E_QUERY_AUTH, 0,
         "X-Amz-Algorithm may be given only once."},
        {Q_ALG "&X-Amz-Credential=AK%2Fx" Q_REST "&X-Amz-Expires=60", SL_E_QUERY_AUTH, 0,
         "Error parsing the X-Amz-Credential parameter; the Credential is mal-formed; expecting "
         "\"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\"."},
        {Q_ALG Q_CRED "&X-Amz-Date=2026-11-24&X-Amz-SignedHeaders=host&X-Amz-Signature=" SIG
                      "&X-Amz-Expires=1",
         SL_E_QUERY_AUTH, 0, "X-Amz-Date must be in the ISO8601 Long Format"},
        {Q_ALG Q_CRED "&X-Amz-Date=20261125T000000Z&X-Amz-SignedHeaders=host&X-Amz-Signature=" SIG
                      "&X-Amz-Expires=1",
         SL_E_QUERY_AUTH, 0, "Invalid credential date \"20261124\"."},
        {Q_ALG Q_CRED "&X-Amz-Date=" DATE "&X-Amz-SignedHeaders=host&X-Amz-Signature=zz&X-Amz-"
                      "Expires=1",
         SL_E_SIGNATURE, 0, "The request signature we calculated"},
        {"a=%", SL_E_PARSE, 0, "bad percent-encoding"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sigv4_header host = {SLICE_LIT("Host"), SLICE_LIT("h")};
        struct sigv4_request req = {.method = SLICE_LIT("GET"),
                                    .query = slice_cstr(cases[i].query),
                                    .headers = &host,
                                    .header_count = 1};
        struct arena a = ARENA_INIT(LIMIT_REQUEST_ARENA_BYTES);
        struct sl_error err = {0};
        struct sigv4_claim c = {0};
        enum sl_code code = sigv4_claim_parse(&req, &a, &err, &c).code;
        if (code != cases[i].code || c.expires_s != cases[i].expires ||
            !slice_starts(slice_cstr(err.detail), slice_cstr(cases[i].text))) {
            fail_msg("case %zu: %s: %s", i, sl_code_info(code)->name, err.detail);
        }
        arena_fini(&a);
    }
}

static void test_two_mechanisms(void **state) {
    static const struct slice good = {(const uint8_t *)"AWS4-HMAC-SHA256 Credential=" CRED REST,
                                      sizeof "AWS4-HMAC-SHA256 Credential=" CRED REST - 1};
    struct sigv4_header headers[] = {{SLICE_LIT("host"), SLICE_LIT("h")},
                                     {SLICE_LIT("x-amz-date"), SLICE_LIT(DATE)},
                                     {SLICE_LIT("authorization"), good},
                                     {SLICE_LIT("Authorization"), good}};
    struct sigv4_request req = {.method = SLICE_LIT("GET"), .headers = headers, .header_count = 3};
    struct arena a = ARENA_INIT(LIMIT_REQUEST_ARENA_BYTES);
    struct sigv4_claim c;
    assert_int_equal(sigv4_claim_parse(&req, &a, NULL, &c).code, SL_CODE_OK);
    req.query = SLICE_LIT(Q_ALG);
    assert_int_equal(sigv4_claim_parse(&req, &a, NULL, &c).code, SL_E_S3_INVALID_ARGUMENT);
    req.query = SLICE_EMPTY;
    req.header_count = 4;
    assert_int_equal(sigv4_claim_parse(&req, &a, NULL, &c).code, SL_E_INCOMPLETE_SIGNATURE);
    arena_fini(&a);
}

static void test_check_signed(void **state) {
    static const struct {
        const char *signed_headers, *present, *missing;
    } cases[] = {
        {"host;x-amz-acl", "x-amz-acl", NULL},
        {"host", "amz-sdk-request", NULL},
        {"host", "content-type", NULL},
        {"host", "X-Amz-Acl", " X-Amz-Acl"},
        {"host;x-amz-aclx", "x-amz-acl", " x-amz-acl"},
        {"x-amz-acl", "x-amz-acl", " host"},
        {"hosts;x-amz-acl", "x-amz-acl", " host"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sigv4_header headers[] = {{SLICE_LIT("Host"), SLICE_LIT("h")},
                                         {slice_cstr(cases[i].present), SLICE_LIT("v")}};
        struct sigv4_request req = {.headers = headers, .header_count = 2};
        struct sigv4_claim c = {.kind = SIGV4_HEADER,
                                .signed_headers = slice_cstr(cases[i].signed_headers)};
        struct sl_error err = {0};
        enum sl_code code = sigv4_check_signed(&req, &c, &err).code;
        assert_int_equal(code, cases[i].missing ? SL_E_ACCESS_DENIED : SL_CODE_OK);
        if (cases[i].missing != NULL) {
            assert_true(slice_ends(slice_cstr(err.detail), slice_cstr(cases[i].missing)));
        }
    }
}

/* The examples of AWS's documentation for chunked uploads, without and with a trailer. */
static void test_chunks(void **state) {
    struct sigv4_claim c = {.kind = SIGV4_HEADER,
                            .date = SLICE_LIT("20130524"),
                            .region = SLICE_LIT("us-east-1"),
                            .service = SLICE_LIT("s3"),
                            .amz_date = SLICE_LIT("20130524T000000Z")};
    struct secret key = {0};
    assert_int_equal(sigv4_signing_key(SLICE_LIT("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
                                       c.date, c.region, c.service, &key)
                         .code,
                     SL_CODE_OK);
    static uint8_t data[65536];
    memset(data, 'a', sizeof data);
    static const size_t sizes[3] = {65536, 1024, 0};
    static const struct {
        const char *seed, *chunks[3], *trailer;
    } cases[] = {
        {"4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
         {"ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
          "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
          "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"},
         NULL},
        {"106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
         {"b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
          "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
          "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992"},
         "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435"},
    };
    for (size_t i = 0; i < 2; i++) {
        char previous[65], next[65];
        struct buf hex = BUF_INIT(64);
        uint8_t digest[SHA256_LEN];
        memcpy(previous, cases[i].seed, sizeof previous);
        for (size_t n = 0; n < 3; n++) {
            buf_reset(&hex);
            sha256(slice_of(data, sizes[n]), digest);
            hex_put(&hex, slice_of(digest, sizeof digest));
            sigv4_chunk(&key, &c, slice_cstr(previous), buf_slice(&hex), next);
            assert_string_equal(next, cases[i].chunks[n]);
            memcpy(previous, next, sizeof previous);
        }
        if (cases[i].trailer != NULL) {
            buf_reset(&hex);
            sha256(SLICE_LIT("x-amz-checksum-crc32c:sOO8/Q==\n"), digest);
            hex_put(&hex, slice_of(digest, sizeof digest));
            sigv4_trailer(&key, &c, slice_cstr(previous), buf_slice(&hex), next);
            assert_string_equal(next, cases[i].trailer);
        }
        buf_fini(&hex);
    }
    secret_fini(&key);
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: %s GOLDEN-FOLDER\n", argv[0]);
        return 2;
    }
    golden_folder = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_header),   cmocka_unit_test(test_golden_query),
        cmocka_unit_test(test_golden_other),    cmocka_unit_test(test_other_escapes),
        cmocka_unit_test(test_sign_round_trip), cmocka_unit_test(test_sign_needs_date_and_host),
        cmocka_unit_test(test_header_claims),   cmocka_unit_test(test_query_claims),
        cmocka_unit_test(test_two_mechanisms),  cmocka_unit_test(test_check_signed),
        cmocka_unit_test(test_chunks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
