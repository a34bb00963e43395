/* Temporary credentials of STS (docs/decisions/3-forward-sessions.md). The token is the session: a
 * blob that only kms reads, nothing is stored. It carries no right: the role or user behind it is
 * read from the database whenever it is used. */
#include "server/auth/auth_in.h"

#include "lib/base/limits.h"
#include "lib/codec/text.h"
#include "lib/crypto/crypto.h"
#include "server/auth/sealed.h"

static const char token_label[] = "sealift/session-token/2";
static const char refused[] = "The security token included in the request is invalid.";

enum { TOKEN_MAX_BYTES = 16 * 1024, KEY_ID_LEN = 20, ACCOUNT_DIGITS = 8 };

static const char base32[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

size_t auth_sts_packed_bytes(const struct auth_sts *s) {
    size_t n = s->policy.len;
    for (size_t i = 0; i < s->policy_arn_count; i++) {
        n += s->policy_arns[i].len;
    }
    for (size_t i = 0; i < s->tag_count; i++) {
        n += s->tags[i].name.len + s->tags[i].value.len;
    }
    for (size_t i = 0; i < s->transitive_count; i++) {
        n += s->transitive[i].len;
    }
    return n;
}

/* ---- As bytes ---- */

static void put_list(struct buf *out, const struct slice *items, size_t n) {
    buf_u16(out, (uint16_t)n);
    for (size_t i = 0; i < n; i++) {
        buf_vec16(out, items[i]);
    }
}

void auth_sts_put(struct buf *out, const struct auth_sts *s) {
    buf_u8(out, (uint8_t)s->kind);
    buf_vec16(out, s->account);
    buf_vec16(out, s->role_arn);
    buf_vec16(out, s->id);
    buf_vec16(out, s->name);
    buf_vec16(out, s->policy);
    put_list(out, s->policy_arns, s->policy_arn_count);
    buf_u16(out, (uint16_t)s->tag_count);
    for (size_t i = 0; i < s->tag_count; i++) {
        buf_vec16(out, s->tags[i].name);
        buf_vec16(out, s->tags[i].value);
    }
    put_list(out, s->transitive, s->transitive_count);
    buf_vec16(out, s->source_identity);
    buf_u64(out, (uint64_t)s->issued_ms);
    buf_u64(out, (uint64_t)s->expires_s);
}

static struct slice get(struct rdr *r, struct arena *a) {
    struct slice copy = arena_copy(a, rdr_vec16(r));
    r->bad |= copy.ptr == NULL;
    return copy;
}

static const struct slice *get_list(struct rdr *r, size_t max, struct arena *a, size_t *ret_count) {
    size_t n = rdr_u16(r);
    struct slice *items = n <= max ? arena_array(a, n + 1, sizeof *items) : NULL;
    if (items == NULL) {
        r->bad = true;
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        items[i] = get(r, a);
    }
    *ret_count = n;
    return items;
}

void auth_sts_get(struct rdr *r, struct arena *a, struct auth_sts *ret) {
    struct auth_sts s = {.kind = (enum auth_sts_kind)rdr_u8(r)};
    s.account = get(r, a);
    s.role_arn = get(r, a);
    s.id = get(r, a);
    s.name = get(r, a);
    s.policy = get(r, a);
    s.policy_arns = get_list(r, AUTH_POLICY_ARNS_MAX, a, &s.policy_arn_count);
    size_t n = rdr_u16(r);
    struct iam_tag *tags = n <= AUTH_TAGS_MAX ? arena_array(a, n + 1, sizeof *tags) : NULL;
    for (size_t i = 0; tags != NULL && i < n; i++) {
        tags[i].name = get(r, a);
        tags[i].value = get(r, a);
    }
    r->bad |= tags == NULL || s.policy_arns == NULL;
    s.tags = tags;
    s.tag_count = n;
    s.transitive = get_list(r, AUTH_TAGS_MAX, a, &s.transitive_count);
    s.source_identity = get(r, a);
    s.issued_ms = (int64_t)rdr_u64(r);
    s.expires_s = (int64_t)rdr_u64(r);
    *ret = s;
}

/* ---- The caller ---- */

static struct sl_rc session_policies(const struct auth_env *env, const struct auth_sts *s,
                                     struct arena *a, struct sl_error *err,
                                     struct auth_caller *caller) {
    size_t n = 0;
    const struct policy **parsed =
        arena_array(a, s->policy_arn_count + 1, sizeof(const struct policy *));
    struct slice *names = arena_array(a, s->policy_arn_count + 1, sizeof *names);
    ENSURE(parsed != NULL && names != NULL, err, SL_E_NOMEM, "Out of memory.");
    if (s->policy.len > 0) {
        TRY(policy_parse(s->policy, POLICY_SESSION, a, err, &parsed[n++]));
    }
    for (size_t i = 0; i < s->policy_arn_count; i++) {
        struct sl_error why = {0};
        names[n] = s->policy_arns[i];
        struct sl_rc rc =
            identity_session_policy(env->db, s->account, names[n], a, &why, &parsed[n]);
        ENSURE(rc.code != SL_E_IAM_NO_SUCH_ENTITY, err, SL_E_TOKEN_INVALID, "%s", refused);
        if (sl_failed(rc)) {
            return sl_fail(err, rc.code, "%s", why.detail);
        }
        n++;
    }
    caller->session = parsed;
    caller->session_names = names;
    caller->session_count = n;
    return SL_OK;
}

/* A role made anew under the same name is another role. */
static bool same_role(const struct auth_sts *s, struct slice user_id) {
    return s->id.len > 0 && user_id.len > s->id.len && slice_starts(user_id, s->id) &&
           user_id.ptr[s->id.len] == ':';
}

struct sl_rc auth_sts_caller(const struct auth_env *env, const struct auth_sts *s,
                             struct slice access_key_id, struct arena *a, struct sl_error *err,
                             struct auth_caller *ret) {
    struct sl_error why = {0};
    struct auth_caller c = {.sts = s};
    struct sl_rc rc = sl_rc_of(SL_E_IAM_NO_SUCH_ENTITY);
    if (s->kind == AUTH_STS_ROLE) {
        rc = identity_by_role(env->db, s->role_arn, s->name, a, &why, &c.who);
    } else if (s->kind == AUTH_STS_USER) {
        rc = identity_by_user_id(env->db, s->id, a, &why, &c.who);
    }
    bool other = sl_is_ok(rc) && s->kind == AUTH_STS_ROLE && !same_role(s, c.who.principal.user_id);
    ENSURE(rc.code != SL_E_IAM_NO_SUCH_ENTITY && !other, err, SL_E_TOKEN_INVALID, "%s", refused);
    if (sl_failed(rc)) {
        return sl_fail(err, rc.code, "%s", why.detail);
    }
    c.who.access_key_id = access_key_id;
    c.who.principal.token_issued_s = s->issued_ms / 1000;
    TRY(session_policies(env, s, a, err, &c));
    *ret = c;
    return SL_OK;
}

/* ---- Tokens ---- */

struct sl_rc auth_token_open(const struct auth_env *env, struct slice text, struct arena *a,
                             struct sl_error *err, struct auth_sts *ret,
                             struct slice *ret_access_key_id, struct secret *ret_secret) {
    SL_CLEANUP(buf_fini) struct buf blob = BUF_INIT(TOKEN_MAX_BYTES);
    SL_CLEANUP(buf_fini) struct buf plain = {.max = TOKEN_MAX_BYTES, .wipe = true};
    bool ok =
        text.len <= TOKEN_MAX_BYTES && sl_is_ok(base64_get(text, &blob, NULL)) &&
        sl_is_ok(sealed_open(env->token_key, token_label, SLICE_EMPTY, buf_slice(&blob), &plain));
    ENSURE(ok, err, SL_E_TOKEN_INVALID, "%s", refused);
    struct rdr r = rdr_of(buf_slice(&plain));
    struct auth_sts s = {0};
    struct slice key_id = get(&r, a), key = rdr_vec16(&r);
    auth_sts_get(&r, a, &s);
    TRY(rdr_end(&r, err, "session token"));
    TRY(secret_from(ret_secret, key));
    *ret = s;
    *ret_access_key_id = key_id;
    return SL_OK;
}

/* "ASIA", the account in 8 characters, 8 random ones. */
static void session_key_id(struct slice account, char out[KEY_ID_LEN + 1]) {
    uint64_t number = 0;
    uint8_t random[KEY_ID_LEN - 4 - ACCOUNT_DIGITS];
    sl_assert(slice_u64(account, 999999999999ULL, &number));
    crypto_random(random, sizeof random);
    memcpy(out, "ASIA", 4);
    for (size_t i = 0; i < ACCOUNT_DIGITS; i++) {
        out[4 + i] = base32[number >> (5 * (ACCOUNT_DIGITS - 1 - i)) & 31];
    }
    for (size_t i = 0; i < sizeof random; i++) {
        out[4 + ACCOUNT_DIGITS + i] = base32[random[i] & 31];
    }
    out[KEY_ID_LEN] = '\0';
}

bool auth_session_account(struct slice access_key_id, char ret_account[13]) {
    uint64_t number = 0;
    bool fine = access_key_id.len == KEY_ID_LEN && slice_starts(access_key_id, SLICE_LIT("ASIA"));
    for (size_t i = 4; fine && i < KEY_ID_LEN; i++) {
        const char *at = access_key_id.ptr[i] ? strchr(base32, access_key_id.ptr[i]) : NULL;
        fine = at != NULL;
        if (fine && i < 4 + ACCOUNT_DIGITS) {
            number = number << 5 | (uint64_t)(at - base32);
        }
    }
    if (!fine || number > 999999999999ULL) {
        return false;
    }
    for (size_t i = 12; i-- > 0; number /= 10) {
        ret_account[i] = (char)('0' + number % 10);
    }
    ret_account[12] = '\0';
    return true;
}

/* 30 random bytes are 40 characters of base64: the form of AWS's secrets. */
static struct sl_rc session_secret(struct secret *ret) {
    uint8_t random[30];
    SL_CLEANUP(buf_fini) struct buf text = {.max = 64, .wipe = true};
    crypto_random(random, sizeof random);
    base64_put(&text, slice_of(random, sizeof random));
    secret_wipe(random, sizeof random);
    TRY(buf_check(&text, NULL));
    return secret_from(ret, buf_slice(&text));
}

static struct sl_rc token_make(const struct auth_env *env, const struct auth_sts *s,
                               struct slice key_id, const struct secret *secret, struct arena *a,
                               struct sl_error *err, struct slice *ret) {
    SL_CLEANUP(buf_fini) struct buf plain = {.max = TOKEN_MAX_BYTES / 2, .wipe = true};
    SL_CLEANUP(buf_fini) struct buf blob = BUF_INIT(TOKEN_MAX_BYTES);
    SL_CLEANUP(buf_fini) struct buf text = BUF_INIT(TOKEN_MAX_BYTES);
    buf_vec16(&plain, key_id);
    buf_vec16(&plain, secret_view(secret));
    auth_sts_put(&plain, s);
    TRY(buf_check(&plain, err));
    TRY(sealed_make(env->token_key, token_label, SLICE_EMPTY, buf_slice(&plain), &blob, err));
    base64_put(&text, buf_slice(&blob));
    TRY(buf_check(&text, err));
    *ret = arena_copy(a, buf_slice(&text));
    ENSURE(ret->ptr != NULL, err, SL_E_NOMEM, "Out of memory.");
    return SL_OK;
}

/* "R" of arn:aws:iam::A:role/path/R. */
static struct slice role_name(struct slice arn) {
    size_t at = arn.len;
    while (at > 0 && arn.ptr[at - 1] != '/') {
        at--;
    }
    return slice_sub(arn, at, arn.len);
}

struct sl_rc auth_session_make(const struct auth_env *env, const struct auth_sts *what,
                               int64_t duration_s, struct arena *a, struct sl_error *err,
                               struct auth_session *ret) {
    char id[KEY_ID_LEN + 1];
    struct auth_sts s = *what;
    struct auth_session made = {.expires_s = env->now_ms / 1000 + duration_s};
    s.issued_ms = env->now_ms;
    s.expires_s = made.expires_s;
    session_key_id(s.account, id);
    made.access_key_id = arena_copy(a, slice_cstr(id));
    if (s.kind == AUTH_STS_ROLE) {
        struct slice role = role_name(s.role_arn);
        made.arn =
            slice_cstr(arena_printf(a, "arn:aws:sts::%.*s:assumed-role/%.*s/%.*s",
                                    SLICE_FMT(s.account), SLICE_FMT(role), SLICE_FMT(s.name)));
        made.user_id = slice_cstr(arena_printf(a, "%.*s:%.*s", SLICE_FMT(s.id), SLICE_FMT(s.name)));
        ENSURE(made.arn.ptr && made.user_id.ptr, err, SL_E_NOMEM, "Out of memory.");
    }
    ENSURE(made.access_key_id.ptr, err, SL_E_NOMEM, "Out of memory.");
    TRY(session_secret(&made.secret_access_key));
    struct sl_rc rc =
        token_make(env, &s, made.access_key_id, &made.secret_access_key, a, err, &made.token);
    if (sl_failed(rc)) {
        secret_fini(&made.secret_access_key);
        return rc;
    }
    *ret = made;
    return SL_OK;
}
