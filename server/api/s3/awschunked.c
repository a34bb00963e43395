/* aws-chunked; see awschunked.h. A state machine over lines and data runs. */
#include "server/api/s3/awschunked.h"

enum state { SIZE_LINE, DATA, DATA_END, TRAILER, DONE };

static struct sl_rc malformed(const char *what, struct sl_error *err) {
    return sl_fail(err, SL_E_S3_INVALID_REQUEST, "The aws-chunked body is malformed: %s", what);
}

struct sl_rc awschunked_init(struct awschunked *d, const struct awschunked_conf *conf,
                             struct sl_error *err) {
    memset(d, 0, sizeof *d);
    d->conf = *conf;
    if (conf->is_signed) {
        ENSURE(conf->claim->signature.len == 64, err, SL_E_SIGNATURE,
               "A signed body needs a signed request");
        memcpy(d->previous, conf->claim->signature.ptr, 64);
        TRY(digest_new(DIGEST_SHA256, &d->digest));
    }
    return SL_OK;
}

void awschunked_fini(struct awschunked *d) {
    digest_free(d->digest);
    d->digest = NULL;
}

static void to_hex(const uint8_t *bytes, size_t n, char *out) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * n] = '\0';
}

/* A whole line without its CRLF, once it is there. */
static struct sl_rc take_line(struct awschunked *d, struct slice *in, bool *ret_whole,
                              struct sl_error *err) {
    *ret_whole = false;
    while (in->len > 0) {
        uint8_t c = in->ptr[0];
        *in = slice_sub(*in, 1, in->len);
        if (c == '\n') {
            if (d->line_len == 0 || d->line[d->line_len - 1] != '\r') {
                return malformed("a line must end with CRLF", err);
            }
            d->line_len--;
            *ret_whole = true;
            return SL_OK;
        }
        if (d->line_len > 0 && d->line[d->line_len - 1] == '\r') {
            return malformed("a stray CR", err);
        }
        if (d->line_len == sizeof d->line) {
            return malformed("a line is too long", err);
        }
        d->line[d->line_len++] = c;
    }
    return SL_OK;
}

static bool parse_hex(struct slice s, uint64_t *ret) {
    if (s.len == 0 || s.len > 15) {
        return false;
    }
    uint64_t v = 0;
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.ptr[i];
        unsigned digit;
        if (c >= '0' && c <= '9') {
            digit = c - '0';
        } else if ((c | 32) >= 'a' && (c | 32) <= 'f') {
            digit = (c | 32) - 'a' + 10u;
        } else {
            return false;
        }
        v = v << 4 | digit;
    }
    *ret = v;
    return true;
}

static struct sl_rc size_line(struct awschunked *d, struct sl_error *err) {
    static const struct slice sig = {(const uint8_t *)"chunk-signature=", 16};
    struct slice line = slice_of(d->line, d->line_len);
    size_t semi = slice_find(line, ';');
    uint64_t size;
    if (!parse_hex(slice_sub(line, 0, semi), &size)) {
        return malformed("no chunk size", err);
    }
    if (size > d->conf.max_bytes - d->total) {
        return sl_fail(err, SL_E_S3_INCOMPLETE_BODY,
                       "The body is longer than x-amz-decoded-content-length");
    }
    if (d->conf.is_signed) {
        struct slice ext = slice_trim(slice_sub(line, semi + 1, line.len));
        if (!slice_starts(ext, sig) || ext.len != sig.len + 64) {
            return malformed("a chunk without a signature", err);
        }
        memcpy(d->signature, ext.ptr + sig.len, 64);
    }
    d->left = size;
    d->total += size;
    d->line_len = 0;
    return SL_OK;
}

static struct sl_rc chunk_signed_right(struct awschunked *d, struct sl_error *err) {
    if (!d->conf.is_signed) {
        return SL_OK;
    }
    uint8_t sum[64];
    char hex[65];
    size_t n = digest_end(d->digest, sum);
    to_hex(sum, n, hex);
    char right[65];
    sigv4_chunk(d->conf.signing_key, d->conf.claim, slice_of(d->previous, 64), slice_of(hex, 64),
                right);
    ENSURE(secret_equal(slice_of(right, 64), slice_of(d->signature, 64)), err, SL_E_SIGNATURE,
           "The chunk signature we calculated does not match the signature you provided.");
    memcpy(d->previous, right, sizeof right);
    return SL_OK;
}

static struct sl_rc trailer_line(struct awschunked *d, struct sl_error *err) {
    struct slice line = slice_of(d->line, d->line_len);
    size_t colon = slice_find(line, ':');
    struct slice name = slice_trim(slice_sub(line, 0, colon));
    struct slice value = slice_trim(slice_sub(line, colon + 1, line.len));
    if (!d->conf.has_trailer || colon == line.len || name.len == 0) {
        return malformed("an unexpected trailer", err);
    }
    if (slice_ieq(name, SLICE_LIT("x-amz-trailer-signature"))) {
        if (value.len != 64 || d->trailer_signature[0] != '\0') {
            return malformed("the trailer's signature", err);
        }
        memcpy(d->trailer_signature, value.ptr, 64);
        d->line_len = 0;
        return SL_OK;
    }
    if (d->trailer_count == AWSCHUNKED_TRAILERS_MAX ||
        name.len + value.len > sizeof d->trailer_text - d->trailer_len) {
        return malformed("too many trailers", err);
    }
    uint8_t *text = d->trailer_text + d->trailer_len;
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.ptr[i];
        text[i] = c >= 'A' && c <= 'Z' ? (uint8_t)(c | 32) : c;
    }
    memcpy(text + name.len, value.ptr, value.len);
    d->trailers[d->trailer_count++] =
        (struct awschunked_trailer){slice_of(text, name.len), slice_of(text + name.len, value.len)};
    d->trailer_len += name.len + value.len;
    d->line_len = 0;
    return SL_OK;
}

static struct sl_rc one_line(struct awschunked *d, struct sl_error *err) {
    switch (d->state) {
    case SIZE_LINE:
        TRY(size_line(d, err));
        if (d->left > 0) {
            d->state = DATA;
            return SL_OK;
        }
        d->state = TRAILER;
        return chunk_signed_right(d, err);
    case DATA_END:
        if (d->line_len != 0) {
            return malformed("a chunk is longer than its size", err);
        }
        d->state = SIZE_LINE;
        return SL_OK;
    default:
        if (d->line_len == 0) {
            d->state = DONE;
            return SL_OK;
        }
        return trailer_line(d, err);
    }
}

struct sl_rc awschunked_feed(struct awschunked *d, struct slice *in, struct slice *ret_data,
                             struct sl_error *err) {
    *ret_data = SLICE_EMPTY;
    while (in->len > 0) {
        if (d->state == DONE) {
            /* One empty line more than needed is what some clients send. */
            uint8_t want = d->after_len == 0 ? '\r' : '\n';
            if (d->after_len == 2 || in->ptr[0] != want) {
                return malformed("bytes after the last chunk", err);
            }
            d->after_len++;
            *in = slice_sub(*in, 1, in->len);
            continue;
        }
        if (d->state == DATA) {
            size_t n = in->len < d->left ? in->len : (size_t)d->left;
            *ret_data = slice_sub(*in, 0, n);
            *in = slice_sub(*in, n, in->len);
            d->left -= n;
            if (d->conf.is_signed) {
                digest_more(d->digest, *ret_data);
            }
            if (d->left == 0) {
                d->state = DATA_END;
                TRY(chunk_signed_right(d, err));
            }
            return SL_OK;
        }
        bool whole;
        TRY(take_line(d, in, &whole, err));
        if (whole) {
            TRY(one_line(d, err));
        }
    }
    return SL_OK;
}

static struct sl_rc trailer_signed_right(struct awschunked *d, struct sl_error *err) {
    struct buf text = BUF_INIT(AWSCHUNKED_TRAILER_BYTES + 4 * AWSCHUNKED_TRAILERS_MAX);
    for (size_t i = 0; i < d->trailer_count; i++) {
        buf_put(&text, d->trailers[i].name);
        buf_putc(&text, ':');
        buf_put(&text, d->trailers[i].value);
        buf_putc(&text, '\n');
    }
    uint8_t sum[SHA256_LEN];
    char hex[65];
    sha256(buf_slice(&text), sum);
    buf_fini(&text);
    to_hex(sum, sizeof sum, hex);
    char right[65];
    sigv4_trailer(d->conf.signing_key, d->conf.claim, slice_of(d->previous, 64), slice_of(hex, 64),
                  right);
    ENSURE(secret_equal(slice_of(right, 64), slice_of(d->trailer_signature, 64)), err,
           SL_E_SIGNATURE,
           "The trailer signature we calculated does not match the signature you provided.");
    return SL_OK;
}

struct sl_rc awschunked_end(struct awschunked *d, struct sl_error *err) {
    ENSURE((d->state == TRAILER && d->line_len == 0) || d->state == DONE, err,
           SL_E_S3_INCOMPLETE_BODY, "The request body terminated unexpectedly");
    d->state = DONE;
    if (d->conf.is_signed && d->conf.has_trailer) {
        return trailer_signed_right(d, err);
    }
    return SL_OK;
}

struct slice awschunked_trailer(const struct awschunked *d, struct slice name) {
    for (size_t i = 0; i < d->trailer_count; i++) {
        if (slice_ieq(d->trailers[i].name, name)) {
            return d->trailers[i].value;
        }
    }
    return SLICE_EMPTY;
}
