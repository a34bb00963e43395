/* What a request claims about its signature: the Authorization header or the X-Amz-* parameters,
 * checked for form. The texts are those that AWS answers with. */
#include "lib/sigv4/canonical_in.h"

#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/codec/text.h"
#include "lib/crypto/crypto.h"

enum { ELEMENT_MAX = 128, EXPIRES_MAX_S = 604800, EXPIRES_DEFAULT_S = 900 };

static bool is_s3(struct slice service) {
    return slice_eq_cstr(service, "s3");
}

static bool name_chars(struct slice s) {
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.ptr[i], lower = c | 32;
        if (!(lower >= 'a' && lower <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '_') {
            return false;
        }
    }
    return s.len > 0 && s.len <= ELEMENT_MAX;
}

static bool all_digits(struct slice s) {
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9') {
            return false;
        }
    }
    return true;
}

static bool signature_form(struct slice s) {
    for (size_t i = 0; i < s.len; i++) {
        if (!(s.ptr[i] >= '0' && s.ptr[i] <= '9') && !(s.ptr[i] >= 'a' && s.ptr[i] <= 'f')) {
            return false;
        }
    }
    return s.len == 2 * SHA256_LEN;
}

/* Splits key/date/region/service/aws4_request. `s3` when the request looks like one to S3 even
 * where the credential does not tell. */
static struct sl_rc read_credential(struct slice credential, bool s3, struct sl_error *err,
                                    struct sigv4_claim *c) {
    static const char expecting[] =
        "the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/"
        "aws4_request\".";
    struct slice part[5];
    size_t n = 0;
    struct slice rest = credential;
    for (bool more = true; more; n++) {
        size_t end = slice_find(rest, '/');
        more = end < rest.len;
        if (n < 5) {
            part[n] = slice_sub(rest, 0, end);
        }
        rest = slice_sub(rest, end + 1, rest.len);
    }
    if (n != 5 || part[0].len == 0 || part[0].len > ELEMENT_MAX || !name_chars(part[2]) ||
        !name_chars(part[3])) {
        ENSURE(c->kind != SIGV4_QUERY, err, SL_E_QUERY_AUTH,
               "Error parsing the X-Amz-Credential parameter; %s", expecting);
        ENSURE(!s3, err, SL_E_SCOPE, "The authorization header is malformed; %s", expecting);
        return sl_fail(err, SL_E_INCOMPLETE_SIGNATURE,
                       "Credential must have exactly 5 slash-delimited elements, e.g. "
                       "keyid/date/region/service/term, got '%.*s'",
                       SLICE_FMT(slice_sub(credential, 0, 256)));
    }
    s3 = is_s3(part[3]);
    enum sl_code code = c->kind == SIGV4_QUERY ? SL_E_QUERY_AUTH : SL_E_SCOPE;
    const char *where = c->kind == SIGV4_QUERY ? "Error parsing the X-Amz-Credential parameter"
                                               : "The authorization header is malformed";
    if (!slice_eq_cstr(part[4], "aws4_request")) {
        struct slice got = slice_sub(part[4], 0, ELEMENT_MAX);
        ENSURE(!s3, err, code,
               "%s; incorrect terminal \"%.*s\". This endpoint uses \"aws4_request\".", where,
               SLICE_FMT(got));
        return sl_fail(err, SL_E_SIGNATURE,
                       "Credential should be scoped with a valid terminator: 'aws4_request', not "
                       "'%.*s'.",
                       SLICE_FMT(got));
    }
    if (part[1].len != 8 || !all_digits(part[1])) {
        return sl_fail(err, s3 ? code : SL_E_INCOMPLETE_SIGNATURE,
                       "%s; incorrect date format \"%.*s\". This date in the credential must be in "
                       "the format \"yyyyMMdd\".",
                       where, SLICE_FMT(slice_sub(part[1], 0, ELEMENT_MAX)));
    }
    c->access_key_id = part[0];
    c->date = part[1];
    c->region = part[2];
    c->service = part[3];
    return SL_OK;
}

static struct sl_rc check_date_in_scope(const struct sigv4_claim *c, struct sl_error *err) {
    if (slice_eq(slice_sub(c->amz_date, 0, 8), c->date)) {
        return SL_OK;
    }
    if (is_s3(c->service)) {
        bool query = c->kind == SIGV4_QUERY;
        return sl_fail(err, query ? SL_E_QUERY_AUTH : SL_E_SCOPE,
                       "%sInvalid credential date \"%.*s\". This date is not the same as "
                       "X-Amz-Date: \"%.*s\".",
                       query ? "" : "The authorization header is malformed; ", SLICE_FMT(c->date),
                       SLICE_FMT(slice_sub(c->amz_date, 0, 8)));
    }
    return sl_fail(err, SL_E_SIGNATURE,
                   "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date "
                   "from HTTP: '%.*s' != '%.*s', from '%.*s'.",
                   SLICE_FMT(c->date), SLICE_FMT(slice_sub(c->amz_date, 0, 8)),
                   SLICE_FMT(c->amz_date));
}

static struct sl_rc check_signed_list(struct slice list, enum sl_code code, struct sl_error *err) {
    ENSURE(!slice_ends(list, SLICE_LIT(";")), err, code, "SignedHeaders is malformed.");
    struct slice name;
    int n = 0;
    while (sigv4_next_signed(&list, &name)) {
        ENSURE(name.len > 0 && ++n <= LIMIT_HTTP_HEADERS, err, code, "SignedHeaders is malformed.");
        for (size_t i = 0; i < name.len; i++) {
            ENSURE(name.ptr[i] > ' ' && name.ptr[i] < 0x7f && name.ptr[i] != ':', err, code,
                   "SignedHeaders is malformed.");
        }
    }
    return SL_OK;
}

/* X-Amz-Date, else Date in either form; leaves c->amz_date empty when there is neither. */
static struct sl_rc read_date(const struct sigv4_request *req, struct arena *a,
                              struct sl_error *err, struct sigv4_claim *c) {
    const struct sigv4_header *h = sigv4_find_header(req, "x-amz-date");
    if (h == NULL) {
        h = sigv4_find_header(req, "date");
    }
    if (h == NULL) {
        return SL_OK;
    }
    struct slice value = slice_trim(h->value);
    if (clock_parse_basic(value, &c->when_s)) {
        c->amz_date = value;
        return SL_OK;
    }
    ENSURE(clock_parse_http(value, &c->when_s) || clock_parse_iso(value, &c->when_s), err,
           SL_E_INCOMPLETE_SIGNATURE,
           "Date must be in ISO-8601 'basic format'. Got '%.*s'. See "
           "http://en.wikipedia.org/wiki/ISO_8601.",
           SLICE_FMT(slice_sub(value, 0, 64)));
    char basic[17];
    clock_basic(c->when_s, basic);
    c->amz_date = arena_copy(a, slice_cstr(basic));
    ENSURE(c->amz_date.ptr != NULL, err, SL_E_LIMIT, "the request's head is too large");
    return SL_OK;
}

struct components {
    struct slice credential, signed_headers, signature;
};

static struct sl_rc read_components(struct slice text, struct sl_error *err,
                                    struct components *ret) {
    const struct {
        struct slice name;
        struct slice *value;
    } known[] = {
        {SLICE_LIT("Credential"), &ret->credential},
        {SLICE_LIT("SignedHeaders"), &ret->signed_headers},
        {SLICE_LIT("Signature"), &ret->signature},
    };
    while (text.len > 0) {
        size_t end = slice_find(text, ',');
        struct slice one = slice_trim(slice_sub(text, 0, end));
        text = slice_sub(text, end + 1, text.len);
        size_t eq = slice_find(one, '=');
        struct slice name = slice_sub(one, 0, eq);
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
            if (slice_eq(name, known[i].name)) {
                ENSURE(known[i].value->len == 0, err, SL_E_INCOMPLETE_SIGNATURE,
                       "Authorization header has more than one '%.*s' parameter.", SLICE_FMT(name));
                *known[i].value = slice_sub(one, eq + 1, one.len);
            }
        }
    }
    return SL_OK;
}

/* AWS lists everything that is missing, and shows a digest of the header instead of the header. */
static struct sl_rc check_complete(const struct components *p, const struct sigv4_claim *c,
                                   struct slice authorization, struct sl_error *err) {
    if (p->credential.len > 0 && p->signature.len > 0 && p->signed_headers.len > 0 &&
        c->amz_date.len > 0) {
        return SL_OK;
    }
    uint8_t digest[SHA256_LEN];
    sha256(authorization, digest);
    SL_CLEANUP(buf_fini) struct buf shown = BUF_INIT(64);
    base64_put(&shown, slice_of(digest, sizeof digest));
    return sl_fail(
        err, SL_E_INCOMPLETE_SIGNATURE,
        "%s%s%s%s(Hashed with SHA-256 and encoded with Base64) "
        "Authorization=%.*s",
        p->credential.len ? "" : "Authorization header requires 'Credential' parameter. ",
        p->signature.len ? "" : "Authorization header requires 'Signature' parameter. ",
        p->signed_headers.len ? "" : "Authorization header requires 'SignedHeaders' parameter. ",
        c->amz_date.len ? ""
                        : "Authorization header requires existence of either a 'X-Amz-Date' or a "
                          "'Date' header. ",
        SLICE_FMT(buf_slice(&shown)));
}

static struct sl_rc parse_header(const struct sigv4_request *req, struct slice authorization,
                                 struct arena *a, struct sl_error *err, struct sigv4_claim *c) {
    size_t n = slice_find(authorization, ' ');
    ENSURE(slice_eq_cstr(slice_sub(authorization, 0, n), SIGV4_ALGORITHM), err,
           SL_E_S3_INVALID_REQUEST,
           "The authorization mechanism you have provided is not supported. Please use "
           "AWS4-HMAC-SHA256.");
    c->kind = SIGV4_HEADER;
    struct components p = {SLICE_EMPTY, SLICE_EMPTY, SLICE_EMPTY};
    TRY(read_components(slice_sub(authorization, n, authorization.len), err, &p));
    TRY(read_date(req, a, err, c));
    TRY(check_complete(&p, c, authorization, err));
    bool s3 = sigv4_find_header(req, "x-amz-content-sha256") != NULL;
    TRY(read_credential(p.credential, s3, err, c));
    TRY(check_date_in_scope(c, err));
    TRY(check_signed_list(p.signed_headers,
                          is_s3(c->service) ? SL_E_SCOPE : SL_E_INCOMPLETE_SIGNATURE, err));
    c->signed_headers = p.signed_headers;
    c->signature = p.signature;
    const struct sigv4_header *token = sigv4_find_header(req, "x-amz-security-token");
    c->session_token = token != NULL ? slice_trim(token->value) : SLICE_EMPTY;
    return SL_OK;
}

/* Value of a parameter that may stand once; *ret stays empty where it is absent. */
static struct sl_rc once(const struct params *q, const char *name, struct sl_error *err,
                         struct slice *ret) {
    const struct param *found = NULL;
    for (size_t i = 0; i < q->count; i++) {
        if (slice_eq_cstr(q->items[i].name, name)) {
            ENSURE(found == NULL, err, SL_E_QUERY_AUTH, "%s may be given only once.", name);
            found = &q->items[i];
        }
    }
    if (found != NULL) {
        *ret = found->value;
    }
    return SL_OK;
}

static struct sl_rc read_expires(struct slice text, struct sl_error *err, struct sigv4_claim *c) {
    if (text.len == 0 && !is_s3(c->service)) {
        c->expires_s = EXPIRES_DEFAULT_S; /* only S3 insists on the parameter */
        return SL_OK;
    }
    ENSURE(text.len < 2 || text.ptr[0] != '-' || !all_digits(slice_sub(text, 1, text.len)), err,
           SL_E_QUERY_AUTH, "X-Amz-Expires must be non-negative");
    ENSURE(text.len > 0 && all_digits(text), err, SL_E_QUERY_AUTH,
           "X-Amz-Expires should be a number");
    uint64_t v = 0;
    ENSURE(slice_u64(text, EXPIRES_MAX_S, &v), err, SL_E_QUERY_AUTH,
           "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires "
           "must be less than 604800 seconds");
    ENSURE(v > 0, err, SL_E_QUERY_AUTH, "X-Amz-Expires must be greater than 0");
    c->expires_s = (int64_t)v;
    return SL_OK;
}

static struct sl_rc parse_query(const struct sigv4_request *req, const struct params *q,
                                struct sl_error *err, struct sigv4_claim *c) {
    c->kind = SIGV4_QUERY;
    struct slice algorithm = SLICE_EMPTY, credential = SLICE_EMPTY, expires = SLICE_EMPTY;
    TRY(once(q, "X-Amz-Algorithm", err, &algorithm));
    TRY(once(q, "X-Amz-Credential", err, &credential));
    TRY(once(q, "X-Amz-Date", err, &c->amz_date));
    TRY(once(q, "X-Amz-Expires", err, &expires));
    TRY(once(q, "X-Amz-SignedHeaders", err, &c->signed_headers));
    TRY(once(q, "X-Amz-Signature", err, &c->signature));
    TRY(once(q, "X-Amz-Security-Token", err, &c->session_token));
    ENSURE(slice_eq_cstr(algorithm, SIGV4_ALGORITHM), err, SL_E_QUERY_AUTH,
           "X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\"");
    static const char required[] =
        "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, "
        "X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.";
    ENSURE(credential.len > 0 && c->amz_date.len > 0 && c->signed_headers.len > 0 &&
               c->signature.len > 0,
           err, SL_E_QUERY_AUTH, "%s", required);
    TRY(read_credential(credential, true, err, c));
    ENSURE(expires.len > 0 || !is_s3(c->service), err, SL_E_QUERY_AUTH, "%s", required);
    ENSURE(clock_parse_basic(c->amz_date, &c->when_s), err, SL_E_QUERY_AUTH,
           "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"");
    TRY(check_date_in_scope(c, err));
    TRY(read_expires(expires, err, c));
    TRY(check_signed_list(c->signed_headers, SL_E_QUERY_AUTH, err));
    if (c->session_token.len == 0) {
        const struct sigv4_header *token = sigv4_find_header(req, "x-amz-security-token");
        c->session_token = token != NULL ? slice_trim(token->value) : SLICE_EMPTY;
    }
    return SL_OK;
}

struct sl_rc sigv4_claim_parse(const struct sigv4_request *req, struct arena *a,
                               struct sl_error *err, struct sigv4_claim *ret) {
    const struct sigv4_header *authorization = NULL;
    for (size_t i = 0; i < req->header_count; i++) {
        if (slice_ieq(req->headers[i].name, SLICE_LIT("authorization"))) {
            ENSURE(authorization == NULL, err, SL_E_INCOMPLETE_SIGNATURE,
                   "Authorization header may be given only once.");
            authorization = &req->headers[i];
        }
    }
    struct params q;
    TRY(params_parse(req->query, false, a, err, &q));
    bool presigned = params_get(&q, "X-Amz-Algorithm") != NULL;
    ENSURE(!presigned || authorization == NULL, err, SL_E_S3_INVALID_ARGUMENT,
           "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature "
           "query string parameter or the Authorization header should be specified");
    struct sigv4_claim c = {.kind = SIGV4_NONE};
    if (presigned) {
        TRY(parse_query(req, &q, err, &c));
    } else if (authorization != NULL) {
        TRY(parse_header(req, slice_trim(authorization->value), a, err, &c));
    }
    /* what can't be a signature does not match */
    ENSURE(c.kind == SIGV4_NONE || signature_form(c.signature), err, SL_E_SIGNATURE, "%s",
           sl_code_info(SL_E_SIGNATURE)->text);
    *ret = c;
    return SL_OK;
}

static bool is_signed(const struct sigv4_claim *c, struct slice name) {
    struct slice list = c->signed_headers, one;
    while (sigv4_next_signed(&list, &one)) {
        if (slice_ieq(one, name)) {
            return true;
        }
    }
    return false;
}

struct sl_rc sigv4_check_signed(const struct sigv4_request *req, const struct sigv4_claim *c,
                                struct sl_error *err) {
    static const struct slice prefix = {(const uint8_t *)"x-amz-", 6};
    SL_CLEANUP(buf_fini) struct buf missing = BUF_INIT(512);
    bool refused = !is_signed(c, SLICE_LIT("host"));
    if (refused) {
        buf_puts(&missing, " host");
    }
    for (size_t i = 0; i < req->header_count; i++) {
        struct slice name = req->headers[i].name;
        if (slice_ieq(slice_sub(name, 0, prefix.len), prefix) && !is_signed(c, name)) {
            refused = true;
            buf_putc(&missing, ' ');
            buf_put(&missing, name);
        }
    }
    ENSURE(!refused, err, SL_E_ACCESS_DENIED,
           "There were headers present in the request which were not signed:%.*s",
           SLICE_FMT(buf_slice(&missing)));
    return SL_OK;
}
