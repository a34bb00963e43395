/* The body pipeline; see body.h. */
#include "server/api/s3/call_in.h"

enum { BUFFER_BYTES = 128 * 1024 };

enum form { PLAIN, AWS_UNSIGNED_TRAILER, AWS_SIGNED, AWS_SIGNED_TRAILER };

struct body {
    struct s3_call *c;
    struct body_conf conf;
    enum form form;
    uint64_t expected;
    uint64_t got;
    bool ended;

    struct awschunked frames;
    struct digest *md5;
    struct digest *sha256;
    uint8_t md5_sum[64];
    uint8_t sha256_sum[64];
    bool check_sha256;
    uint8_t declared_sha256[SHA256_LEN];
    bool check_md5;
    uint8_t declared_md5[MD5_LEN];

    struct checksum kept;     /* what the object keeps */
    struct checksum declared; /* what the client sent, when of another kind */
    enum checksum_kind declared_kind;
    bool in_trailer;
    uint8_t declared_sum[CHECKSUM_MAX_LEN];
    uint8_t kept_sum[CHECKSUM_MAX_LEN];

    struct slice pending; /* raw bytes not yet decoded */
    uint8_t *buffer;
};

static struct sl_rc decode_base64(struct slice text, uint8_t *out, size_t len) {
    struct buf b = BUF_INIT(256);
    struct sl_rc rc = base64_get(text, &b, NULL);
    if (sl_is_ok(rc) && b.len == len) {
        memcpy(out, b.ptr, len);
    } else {
        rc = sl_rc_of(SL_E_PARSE);
    }
    buf_fini(&b);
    return rc;
}

static struct sl_rc read_form(struct body *b) {
    struct s3_call *c = b->c;
    struct slice hash = c->payload_hash;
    if (slice_eq_cstr(hash, "STREAMING-UNSIGNED-PAYLOAD-TRAILER")) {
        b->form = AWS_UNSIGNED_TRAILER;
    } else if (slice_eq_cstr(hash, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD")) {
        b->form = AWS_SIGNED;
    } else if (slice_eq_cstr(hash, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER")) {
        b->form = AWS_SIGNED_TRAILER;
    } else if (hash.len == 64) {
        struct buf raw = BUF_INIT(64);
        struct sl_rc rc = hex_get(hash, &raw, NULL);
        if (sl_is_ok(rc) && raw.len == SHA256_LEN) {
            memcpy(b->declared_sha256, raw.ptr, SHA256_LEN);
            b->check_sha256 = true;
        }
        buf_fini(&raw);
    }
    if (b->form == PLAIN && !b->check_sha256 && hash.len > 0 &&
        !slice_eq_cstr(hash, "UNSIGNED-PAYLOAD")) {
        return s3_invalid(c, "x-amz-content-sha256", hash,
                          "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, "
                          "STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, "
                          "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.");
    }
    return SL_OK;
}

static struct sl_rc read_length(struct body *b) {
    struct s3_call *c = b->c;
    if (b->form != PLAIN) {
        struct slice decoded = s3_header(c, "x-amz-decoded-content-length");
        ENSURE(decoded.ptr != NULL, c->err, SL_E_S3_MISSING_LENGTH,
               "You must provide the x-amz-decoded-content-length HTTP header.");
        if (!slice_u64(decoded, UINT64_MAX >> 2, &b->expected)) {
            return s3_invalid(c, "x-amz-decoded-content-length", decoded,
                              "The decoded content length is not a number");
        }
    } else if (c->h->has_length) {
        b->expected = c->h->length;
    } else if (c->h->chunked) {
        return sl_rc_of(SL_E_S3_MISSING_LENGTH);
    }
    if (b->expected > b->conf.max_bytes) {
        return sl_rc_of(b->conf.too_large);
    }
    return SL_OK;
}

static struct sl_rc read_md5(struct body *b) {
    struct slice md5 = s3_header(b->c, "content-md5");
    if (md5.ptr == NULL) {
        return SL_OK;
    }
    if (sl_failed(decode_base64(md5, b->declared_md5, MD5_LEN))) {
        return sl_rc_of(SL_E_S3_INVALID_DIGEST);
    }
    b->check_md5 = true;
    return SL_OK;
}

static struct sl_rc read_trailer(struct body *b) {
    struct s3_call *c = b->c;
    struct slice trailer = s3_header(c, "x-amz-trailer");
    bool has_trailer = b->form == AWS_UNSIGNED_TRAILER || b->form == AWS_SIGNED_TRAILER;
    if (trailer.ptr == NULL) {
        return SL_OK;
    }
    ENSURE(has_trailer, c->err, SL_E_S3_INVALID_REQUEST,
           "x-amz-trailer needs a body with trailers.");
    enum checksum_kind kind;
    ENSURE(checksum_by_header(slice_trim(trailer), &kind), c->err, SL_E_S3_INVALID_REQUEST,
           "The value specified in the x-amz-trailer header is not supported");
    ENSURE(b->declared_kind == CHECKSUM_NONE, c->err, SL_E_S3_INVALID_REQUEST,
           "Expecting a single x-amz-checksum- header");
    b->declared_kind = kind;
    b->in_trailer = true;
    return SL_OK;
}

/* What the SDK says that it computed must be there. */
static struct sl_rc check_algorithm(struct body *b) {
    struct s3_call *c = b->c;
    struct slice said = s3_header(c, "x-amz-sdk-checksum-algorithm");
    ENSURE(!b->conf.needs_digest || b->check_md5 || b->declared_kind != CHECKSUM_NONE, c->err,
           SL_E_S3_INVALID_REQUEST,
           "Missing required header for this request: Content-MD5 OR x-amz-checksum-*");
    if (said.ptr == NULL || b->conf.no_checksum) {
        return SL_OK;
    }
    enum checksum_kind kind;
    ENSURE(checksum_by_name(said, &kind), c->err, SL_E_S3_INVALID_REQUEST,
           "Value for x-amz-sdk-checksum-algorithm header is invalid.");
    ENSURE(kind == b->declared_kind, c->err, SL_E_S3_INVALID_REQUEST,
           "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or "
           "x-amz-trailer headers were found.");
    return SL_OK;
}

/* At most one x-amz-checksum-* header, or one announced as a trailer. */
static struct sl_rc read_checksum(struct body *b) {
    struct s3_call *c = b->c;
    for (unsigned k = b->conf.no_checksum ? CHECKSUM_KINDS : 1; k < CHECKSUM_KINDS; k++) {
        struct slice text = s3_header(c, checksum_header((enum checksum_kind)k));
        if (text.ptr == NULL) {
            continue;
        }
        ENSURE(b->declared_kind == CHECKSUM_NONE, c->err, SL_E_S3_INVALID_REQUEST,
               "Expecting a single x-amz-checksum- header. Multiple checksum Types are not "
               "allowed.");
        b->declared_kind = (enum checksum_kind)k;
        ENSURE(sl_is_ok(decode_base64(text, b->declared_sum, checksum_len(b->declared_kind))),
               c->err, SL_E_S3_INVALID_REQUEST, "Value for %s header is invalid.",
               checksum_header(b->declared_kind));
    }
    TRY(read_trailer(b));
    return check_algorithm(b);
}

static struct sl_rc start_sums(struct body *b) {
    if (b->conf.want_md5 || b->check_md5) {
        TRY(digest_new(DIGEST_MD5, &b->md5));
    }
    if (b->conf.want_sha256 || b->check_sha256) {
        TRY(digest_new(DIGEST_SHA256, &b->sha256));
    }
    enum checksum_kind keep = CHECKSUM_NONE;
    if (b->conf.want_checksum) {
        keep = b->conf.checksum_kind;
        if (keep == CHECKSUM_NONE) {
            keep = b->declared_kind != CHECKSUM_NONE ? b->declared_kind : CHECKSUM_CRC64NVME;
        }
    }
    TRY(checksum_init(&b->kept, keep));
    return checksum_init(&b->declared, b->declared_kind == keep ? CHECKSUM_NONE : b->declared_kind);
}

static struct sl_rc open_parts(struct body *b) {
    TRY(read_form(b));
    TRY(read_length(b));
    TRY(read_md5(b));
    TRY(read_checksum(b));
    TRY(start_sums(b));
    if (b->form != PLAIN) {
        struct awschunked_conf conf = {
            .is_signed = b->form != AWS_UNSIGNED_TRAILER,
            .has_trailer = b->form != AWS_SIGNED,
            .signing_key = &b->c->who.signing_key,
            .claim = &b->c->claim,
            .max_bytes = b->expected,
        };
        ENSURE(!conf.is_signed || !b->c->who.anonymous, b->c->err, SL_E_ACCESS_DENIED,
               "A signed body needs a signed request");
        TRY(awschunked_init(&b->frames, &conf, b->c->err));
    }
    return SL_OK;
}

struct sl_rc body_open(struct s3_call *c, const struct body_conf *conf, struct body **ret) {
    struct body *b = calloc(1, sizeof *b);
    uint8_t *buffer = malloc(BUFFER_BYTES);
    if (b == NULL || buffer == NULL) {
        free(b);
        free(buffer);
        return sl_rc_of(SL_E_NOMEM);
    }
    b->buffer = buffer;
    b->c = c;
    b->conf = *conf;
    struct sl_rc rc = open_parts(b);
    if (sl_failed(rc)) {
        body_free(b);
        return rc;
    }
    *ret = b;
    return SL_OK;
}

void body_free(struct body *b) {
    if (b == NULL) {
        return;
    }
    if (b->form != PLAIN) {
        awschunked_fini(&b->frames);
    }
    digest_free(b->md5);
    digest_free(b->sha256);
    checksum_fini(&b->kept);
    checksum_fini(&b->declared);
    secret_wipe(b->buffer, BUFFER_BYTES);
    free(b->buffer);
    free(b);
}

static struct sl_rc check_declared(struct body *b, struct sl_error *err) {
    if (b->declared_kind == CHECKSUM_NONE) {
        return SL_OK;
    }
    if (b->in_trailer) {
        struct slice text =
            awschunked_trailer(&b->frames, slice_cstr(checksum_header(b->declared_kind)));
        ENSURE(text.len > 0 &&
                   sl_is_ok(decode_base64(text, b->declared_sum, checksum_len(b->declared_kind))),
               err, SL_E_S3_INVALID_REQUEST, "Value for %s trailing header is invalid.",
               checksum_header(b->declared_kind));
    }
    uint8_t other[CHECKSUM_MAX_LEN];
    const uint8_t *computed = b->kept_sum;
    if (b->declared.kind != CHECKSUM_NONE) {
        checksum_end(&b->declared, other);
        computed = other;
    }
    ENSURE(memcmp(computed, b->declared_sum, checksum_len(b->declared_kind)) == 0, err,
           SL_E_S3_BAD_DIGEST, "The %s you specified did not match the calculated checksum.",
           checksum_name(b->declared_kind));
    return SL_OK;
}

static struct sl_rc finish(struct body *b, struct sl_error *err) {
    if (b->got != b->expected) {
        return sl_rc_of(SL_E_S3_INCOMPLETE_BODY);
    }
    if (b->form != PLAIN) {
        TRY(awschunked_end(&b->frames, err));
    }
    if (b->md5 != NULL) {
        digest_end(b->md5, b->md5_sum);
    }
    if (b->sha256 != NULL) {
        digest_end(b->sha256, b->sha256_sum);
    }
    checksum_end(&b->kept, b->kept_sum);
    if (b->check_sha256 && memcmp(b->sha256_sum, b->declared_sha256, SHA256_LEN) != 0) {
        return sl_rc_of(SL_E_PAYLOAD_HASH);
    }
    if (b->check_md5 && memcmp(b->md5_sum, b->declared_md5, MD5_LEN) != 0) {
        return sl_rc_of(SL_E_S3_BAD_DIGEST);
    }
    TRY(check_declared(b, err));
    b->ended = true;
    return SL_OK;
}

/* The next run of decoded bytes; empty at the end of the HTTP body. */
static struct sl_rc next_run(struct body *b, struct slice *ret, struct sl_error *err) {
    for (;;) {
        if (b->pending.len == 0) {
            size_t n = 0;
            struct sl_rc rc = http_body_read(b->c->h, b->buffer, BUFFER_BYTES, &n);
            if (rc.code == SL_E_CLOSED) {
                return sl_rc_of(SL_E_S3_INCOMPLETE_BODY);
            }
            TRY(rc);
            if (n == 0) {
                *ret = SLICE_EMPTY;
                return SL_OK;
            }
            b->pending = slice_of(b->buffer, n);
        }
        if (b->form == PLAIN) {
            *ret = b->pending;
            b->pending = SLICE_EMPTY;
            return SL_OK;
        }
        TRY(awschunked_feed(&b->frames, &b->pending, ret, err));
        if (ret->len > 0) {
            return SL_OK;
        }
    }
}

struct sl_rc body_next(void *body, struct slice *ret, struct sl_error *err) {
    struct body *b = body;
    *ret = SLICE_EMPTY;
    if (b->ended) {
        return SL_OK;
    }
    struct slice run;
    TRY(next_run(b, &run, err));
    if (run.len == 0) {
        return finish(b, err);
    }
    if (run.len > b->expected - b->got) {
        return sl_rc_of(SL_E_S3_INCOMPLETE_BODY);
    }
    b->got += run.len;
    if (b->md5 != NULL) {
        digest_more(b->md5, run);
    }
    if (b->sha256 != NULL) {
        digest_more(b->sha256, run);
    }
    checksum_more(&b->kept, run);
    checksum_more(&b->declared, run);
    *ret = run;
    return SL_OK;
}

uint64_t body_size(const struct body *b) {
    return b->got;
}
const uint8_t *body_md5(const struct body *b) {
    return b->md5_sum;
}
const uint8_t *body_sha256(const struct body *b) {
    return b->sha256_sum;
}
enum checksum_kind body_checksum(const struct body *b, struct slice *ret_value) {
    *ret_value = slice_of(b->kept_sum, checksum_len(b->kept.kind));
    return b->kept.kind;
}
