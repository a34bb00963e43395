/* The steps of decode.h. Each takes from the one before it through a buffer, so that none has to
 * care how much room the next one has. */
#include "extension/copy/decode.h"

#include <stdlib.h>

enum { BUFFER_BYTES = 64 * 1024, STEPS = 3 };

/* What a step has taken over and not used. */
struct inlet {
    struct slice rest;
    uint8_t *buffer; /* what the step before it writes to; the first reads the object's bytes */
};

struct decode {
    struct decode_conf conf;
    struct cbc *cbc; /* made with the first bytes */
    struct unpack *unpack;
    struct transcode transcode;
    enum decode_step steps[STEPS];
    struct inlet inlets[STEPS];
    unsigned step_count;
    bool seen;   /* a byte has come */
    bool opened; /* the end of the encrypted stream has come out */
    enum decode_step failed;
};

static void add_step(struct decode *d, enum decode_step step) {
    d->steps[d->step_count++] = step;
}

struct sl_rc decode_new(const struct decode_conf *conf, struct decode **ret) {
    struct decode *d = calloc(1, sizeof *d);
    ENSURE(d != NULL, NULL, SL_E_NOMEM, "decode");
    d->conf = *conf;
    if (conf->master_key != NULL) {
        add_step(d, DECODE_DECRYPT);
    }
    if (conf->compression != UNPACK_NONE) {
        add_step(d, DECODE_UNPACK);
    }
    /* the cipher writes whole blocks, whatever room there is: it is never the last step */
    if (conf->encoding != TRANSCODE_UTF8 || conf->compression == UNPACK_NONE) {
        add_step(d, DECODE_TRANSCODE);
    }
    transcode_start(&d->transcode, conf->encoding);
    struct sl_rc rc =
        conf->compression != UNPACK_NONE ? unpack_new(conf->compression, &d->unpack) : SL_OK;
    for (unsigned i = 1; i < d->step_count && sl_is_ok(rc); i++) {
        d->inlets[i].buffer = malloc(BUFFER_BYTES + AES_BLOCK_LEN);
        rc = d->inlets[i].buffer != NULL ? SL_OK : sl_rc_of(SL_E_NOMEM);
    }
    if (sl_failed(rc)) {
        decode_free(d);
        return rc;
    }
    *ret = d;
    return SL_OK;
}

void decode_free(struct decode *d) {
    if (d != NULL) {
        cbc_free(d->cbc);
        unpack_free(d->unpack);
        for (unsigned i = 1; i < d->step_count; i++) {
            free(d->inlets[i].buffer);
        }
        free(d);
    }
}

enum decode_step decode_failed(const struct decode *d) {
    return d->failed;
}

/* Into a buffer of BUFFER_BYTES and a block. */
static struct sl_rc decrypt(struct decode *d, const struct envelope_meta *meta, struct slice *in,
                            bool last, uint8_t *out, size_t *ret_len, struct sl_error *err) {
    struct slice some = slice_sub(*in, 0, BUFFER_BYTES);
    struct sl_rc rc = SL_OK;
    *ret_len = 0;
    if (d->cbc == NULL) {
        TRY(envelope_open(meta, secret_view(d->conf.master_key), &d->cbc, err));
    }
    if (some.len > 0) {
        rc = cbc_more(d->cbc, some, out, ret_len);
    } else if (last && !d->opened) {
        d->opened = true;
        rc = cbc_end(d->cbc, out, ret_len);
    }
    ENSURE(sl_is_ok(rc), err, SL_E_CORRUPT, "The encrypted object is cut or damaged.");
    *in = slice_sub(*in, some.len, in->len);
    return SL_OK;
}

static struct sl_rc plain(struct slice *in, uint8_t *out, size_t cap, size_t *ret_len) {
    size_t n = in->len < cap ? in->len : cap;
    if (n > 0) {
        memcpy(out, in->ptr, n);
    }
    *in = slice_sub(*in, n, in->len);
    *ret_len = n;
    return SL_OK;
}

static struct sl_rc run_step(struct decode *d, unsigned i, const struct envelope_meta *meta,
                             bool last, uint8_t *out, size_t cap, size_t *ret_len,
                             struct sl_error *err) {
    struct slice *in = &d->inlets[i].rest;
    d->failed = d->steps[i];
    switch (d->steps[i]) {
    case DECODE_DECRYPT:
        return decrypt(d, meta, in, last, out, ret_len, err);
    case DECODE_UNPACK:
        return unpack_feed(d->unpack, in, out, cap, ret_len, err);
    default:
        return d->conf.encoding == TRANSCODE_UTF8
                   ? plain(in, out, cap, ret_len)
                   : transcode_feed(&d->transcode, in, last, out, cap, ret_len, err);
    }
}

/* Fills `out` from step i as far as there is input. Recursion ends at the first of three steps. */
static struct sl_rc pull(struct decode *d, unsigned i, const struct envelope_meta *meta, bool last,
                         uint8_t *out, size_t cap, size_t *ret_len, struct sl_error *err) {
    size_t total = 0;
    struct inlet *in = &d->inlets[i];
    bool block = d->steps[i] == DECODE_DECRYPT;
    while (total < cap) {
        size_t n = 0;
        if (in->rest.len == 0 && i > 0) {
            TRY(pull(d, i - 1, meta, last, in->buffer, BUFFER_BYTES, &n, err));
            in->rest = slice_of(in->buffer, n);
        }
        bool dry = in->rest.len == 0;
        TRY(run_step(d, i, meta, last && (dry || i == 0), out + total, cap - total, &n, err));
        total += n;
        /* a cipher's buffer takes one run of it */
        if ((dry && n == 0) || (block && total > 0)) {
            break;
        }
    }
    *ret_len = total;
    return SL_OK;
}

struct sl_rc decode_feed(struct decode *d, const struct envelope_meta *meta, struct slice *in,
                         bool last, uint8_t *out, size_t cap, size_t *ret_len,
                         struct sl_error *err) {
    d->seen |= in->len > 0;
    *ret_len = 0;
    if (!d->seen) {
        return SL_OK;
    }
    d->inlets[0].rest = *in;
    struct sl_rc rc = pull(d, d->step_count - 1, meta, last, out, cap, ret_len, err);
    *in = d->inlets[0].rest;
    return rc;
}

struct sl_rc decode_end(struct decode *d, struct sl_error *err) {
    d->failed = DECODE_UNPACK;
    return d->seen && d->unpack != NULL ? unpack_end(d->unpack, err) : SL_OK;
}
