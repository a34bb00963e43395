/* Rewriting; see rewrite.h. */
#include "gateway/session/rewrite.h"

#include "gateway/wire/message.h"
#include "gateway/wire/password.h"
#include "lib/base/limits.h"
#include "lib/codec/text.h"

struct rewrite {
    struct aead *aead;
};

struct sl_rc rewrite_new(const struct secret *session_key, struct rewrite **ret) {
    struct rewrite *w = calloc(1, sizeof *w);
    if (w == NULL) {
        return sl_rc_of(SL_E_NOMEM);
    }
    struct sl_rc rc = aead_new(secret_view(session_key), &w->aead);
    if (sl_failed(rc)) {
        free(w);
        return rc;
    }
    *ret = w;
    return SL_OK;
}

void rewrite_free(struct rewrite *w) {
    if (w != NULL) {
        aead_free(w->aead);
        free(w);
    }
}

/* base64 with - and _, without padding: safe inside a quoted literal and everywhere else. */
static void base64url_put(struct buf *out, struct slice bytes) {
    size_t from = out->len;
    base64_put(out, bytes);
    if (out->failed) {
        return;
    }
    while (out->len > from && out->ptr[out->len - 1] == '=') {
        out->len--;
    }
    for (size_t i = from; i < out->len; i++) {
        if (out->ptr[i] == '+') {
            out->ptr[i] = '-';
        } else if (out->ptr[i] == '/') {
            out->ptr[i] = '_';
        }
    }
}

struct sl_rc rewrite_seal(void *ctx, const char *what, struct slice user, struct slice secret,
                          struct buf *out, struct sl_error *err) {
    struct rewrite *w = ctx;
    if (strcmp(what, "password") == 0) {
        return password_verifier_put(secret, out, err);
    }
    ENSURE(secret.len <= SECRET_MAX_BYTES, err, SL_E_LIMIT, "A secret of %zu bytes is too long.",
           secret.len);
    SL_CLEANUP(buf_fini)
    struct buf sealed = BUF_INIT(GCM_NONCE_LEN + SECRET_MAX_BYTES + GCM_TAG_LEN);
    uint8_t *p = buf_reserve(&sealed, GCM_NONCE_LEN + secret.len + GCM_TAG_LEN);
    ENSURE(p != NULL, err, SL_E_NOMEM, "Out of memory.");
    crypto_random(p, GCM_NONCE_LEN);
    TRY(aead_seal(w->aead, p, slice_cstr(what), secret, p + GCM_NONCE_LEN));
    sealed.len = GCM_NONCE_LEN + secret.len + GCM_TAG_LEN;
    buf_puts(out, "sealed:1:");
    base64url_put(out, buf_slice(&sealed));
    return buf_check(out, err);
}

/* A text being put together, with its characters counted. */
struct joiner {
    struct buf *out;
    struct rewrite_map *map;
    size_t out_chars;
    size_t source_chars;
};

static size_t chars(struct slice s) {
    return message_position(s, s.len) - 1;
}

static void add(struct joiner *j, struct slice source, struct slice text, bool same) {
    struct rewrite_map *m = j->map;
    if (text.len > 0 && m->count < REWRITE_SPANS) {
        m->spans[m->count] = (struct rewrite_span){j->out_chars, j->source_chars, same};
    }
    m->count += text.len > 0;
    buf_put(j->out, text);
    j->out_chars += chars(text);
    j->source_chars += chars(source);
}

/* Source with each statement's span replaced by its new text. */
static struct sl_rc join(struct slice source, const struct dialect_statement *st, size_t count,
                         struct buf *out, struct rewrite_map *map, struct sl_error *err) {
    struct joiner j = {out, map, 0, 0};
    size_t at = 0;
    map->count = 0;
    for (size_t i = 0; i < count; i++) {
        sl_assert(st[i].start >= at && st[i].end >= st[i].start && st[i].end <= source.len);
        struct slice between = slice_sub(source, at, st[i].start);
        add(&j, between, between, true);
        ENSURE(slice_find(st[i].sql, 0) == st[i].sql.len, err, SL_E_INTERNAL,
               "a rewritten statement has a NUL byte");
        add(&j, slice_sub(source, st[i].start, st[i].end), st[i].sql, !st[i].rewritten);
        at = st[i].end;
    }
    struct slice rest = slice_sub(source, at, source.len);
    add(&j, rest, rest, true);
    if (map->count > REWRITE_SPANS) {
        map->count = 0;
    }
    return buf_check(out, err);
}

size_t rewrite_position(const struct rewrite_map *m, size_t position) {
    const struct rewrite_span *in = NULL;
    for (size_t i = 0; i < m->count && position > 0; i++) {
        if (m->spans[i].out_at <= position - 1) {
            in = &m->spans[i];
        }
    }
    if (in == NULL) {
        return 0;
    }
    return in->source_at + (in->same ? position - 1 - in->out_at : 0) + 1;
}

struct sl_rc rewrite_text(struct rewrite *w, struct slice source, struct buf *out,
                          struct rewrite_map *ret_map, bool *ret_changed,
                          struct dialect_error *ret_error) {
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(REWRITE_ARENA_BYTES);
    a.wipe = true; /* passwords and keys in the clear */
    const struct dialect_options opt = {.seal = rewrite_seal, .seal_ctx = w};
    struct dialect_statement *st = NULL;
    size_t count = 0;
    TRY(dialect_rewrite(source, &opt, &a, &st, &count, ret_error));
    bool changed = false;
    for (size_t i = 0; i < count; i++) {
        changed = changed || st[i].rewritten;
    }
    if (changed) {
        TRY(join(source, st, count, out, ret_map, &ret_error->err));
    }
    *ret_changed = changed;
    return SL_OK;
}
