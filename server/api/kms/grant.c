/* Grants: CreateGrant, ListGrants, ListRetirableGrants, RetireGrant, RevokeGrant, and their tokens.
 */
#include "server/api/kms/grant.h"

#include "lib/base/limits.h"
#include "lib/base/rdr.h"
#include "lib/crypto/crypto.h"
#include "server/api/kms/kms_in.h"
#include "server/auth/sealed.h"
#include "server/store/identity/iam.h"

#include <stdio.h>

/* ---- Tokens: which key and grant, sealed ---- */

static const char token_label[] = "grant-token";

static struct sl_rc token_make(struct api_call *c, struct slice key_arn, struct slice id,
                               struct slice *ret) {
    SL_CLEANUP(buf_fini) struct buf plain = BUF_INIT(4096);
    SL_CLEANUP(buf_fini) struct buf blob = BUF_INIT(4096);
    SL_CLEANUP(buf_fini) struct buf text = BUF_INIT(8192);
    buf_vec16(&plain, key_arn);
    buf_vec16(&plain, id);
    TRY(buf_check(&plain, c->err));
    TRY(sealed_make(c->env->token_key, token_label, SLICE_EMPTY, buf_slice(&plain), &blob, c->err));
    base64_put(&text, buf_slice(&blob));
    TRY(buf_check(&text, c->err));
    *ret = arena_copy(c->arena, buf_slice(&text));
    ENSURE(ret->ptr != NULL, c->err, SL_E_NOMEM, "Out of memory.");
    return SL_OK;
}

static struct sl_rc token_open(struct api_call *c, struct slice token, struct slice *ret_arn,
                               struct slice *ret_id) {
    SL_CLEANUP(buf_fini) struct buf plain = {.max = 8192, .wipe = true};
    SL_CLEANUP(buf_fini) struct buf blob = BUF_INIT(8192);
    bool ours = sl_is_ok(base64_get(token, &blob, NULL)) &&
                sl_is_ok(sealed_open(c->env->token_key, token_label, SLICE_EMPTY, buf_slice(&blob),
                                     &plain));
    ENSURE(ours, c->err, SL_E_KMS_GRANT_TOKEN, "Invalid grant token");
    struct rdr r = rdr_of(buf_slice(&plain));
    *ret_arn = arena_copy(c->arena, rdr_vec16(&r));
    *ret_id = arena_copy(c->arena, rdr_vec16(&r));
    TRY(rdr_end(&r, c->err, "grant token"));
    ENSURE(ret_arn->ptr && ret_id->ptr, c->err, SL_E_NOMEM, "Out of memory.");
    return SL_OK;
}

struct sl_rc kms_grant_tokens(struct api_call *c, const struct kms_model *m) {
    const struct kms_field *f = m->in;
    while (f->name != NULL && strcmp(f->name, "GrantTokens") != 0) {
        f++;
    }
    const struct json *tokens = f->name != NULL ? kms_member(c, "GrantTokens") : NULL;
    struct slice arn, id;
    for (const struct json *e = tokens ? tokens->child : NULL; e != NULL; e = e->next) {
        TRY(token_open(c, e->text, &arn, &id));
    }
    return SL_OK;
}

/* ---- Shared ---- */

static struct slice via_service(const struct api_call *c) {
    return c->caller->via_service.len > 0 ? SLICE_LIT("true") : SLICE_LIT("false");
}

static struct sl_rc check_id(struct api_call *c, struct slice id) {
    ENSURE(id.len == 64 && kms_pattern_fits("^[a-f0-9]+$", id), c->err, SL_E_KMS_GRANT_ID,
           "Invalid grant id");
    return SL_OK;
}

static struct sl_rc find_grant(struct api_call *c, const struct key_row *key, struct slice id,
                               struct grant_row *ret) {
    struct sqlite3 *conn = NULL;
    bool found = false;
    TRY(kms_db_read(c->env->db, &conn, c->err));
    struct sl_rc rc = grant_get(conn, key->id, id, c->arena, &found, ret, c->err);
    kms_db_read_end(c->env->db, conn);
    TRY(rc);
    ENSURE(found, c->err, SL_E_KMS_NOT_FOUND, "Grant ID %.*s not found", SLICE_FMT(id));
    return SL_OK;
}

static struct sl_rc end_grant(struct api_call *c, const struct grant_row *g) {
    struct sqlite3 *conn = NULL;
    TRY(kms_db_write(c->env->db, &conn, c->err));
    struct sl_rc rc = grant_delete(conn, g->key_id, g->id, c->err);
    struct sl_rc end = kms_db_write_end(c->env->db, conn, !sl_failed(rc), c->err);
    return sl_failed(rc) ? rc : end;
}

/* ---- CreateGrant ---- */

/* The unique id behind a principal; empty for accounts. Accounts, users, roles and sessions of
 * roles are principals of grants. */
static struct sl_rc principal_id(struct api_call *c, struct sqlite3 *conn, struct slice arn,
                                 struct slice *ret) {
    struct iam_entity e = {0};
    struct sl_rc rc = sl_rc_of(SL_E_IAM_NO_SUCH_ENTITY);
    struct slice account = slice_sub(arn, 13, 25), rest = slice_sub(arn, 26, arn.len);
    struct slice session = SLICE_LIT("assumed-role/");
    *ret = SLICE_EMPTY;
    if (slice_starts(arn, SLICE_LIT("arn:aws:iam::")) && slice_eq_cstr(rest, "root")) {
        if (identity_exists(c->env->db, arn)) {
            return SL_OK;
        }
    } else if (slice_starts(arn, SLICE_LIT("arn:aws:iam::"))) {
        rc = iam_entity_by_arn(conn, arn, c->arena, NULL, &e);
    } else if (slice_starts(arn, SLICE_LIT("arn:aws:sts::")) && slice_starts(rest, session)) {
        rest = slice_sub(rest, session.len, rest.len);
        size_t slash = slice_find(rest, '/');
        if (slash + 1 < rest.len) {
            rc = iam_entity_get(conn, account, IAM_ROLE, slice_sub(rest, 0, slash), c->arena, NULL,
                                &e);
        }
    }
    ENSURE(!sl_failed(rc) && e.kind != IAM_GROUP, c->err, SL_E_KMS_INVALID_ARN,
           "ARN does not refer to a valid principal: %.*s", SLICE_FMT(arn));
    *ret = e.id;
    return SL_OK;
}

static struct sl_rc check_pairs(struct api_call *c, const struct context *pairs) {
    ENSURE(pairs->count <= LIMIT_KMS_GRANT_PAIRS, c->err, SL_E_VALIDATION,
           "A grant constraint can have at most %d encryption context pairs.",
           LIMIT_KMS_GRANT_PAIRS);
    for (size_t i = 0; i < pairs->count; i++) {
        size_t chars = 0;
        for (size_t k = 0; k < pairs->pairs[i].value.len; k++) {
            chars += (pairs->pairs[i].value.ptr[k] & 0xc0) != 0x80;
        }
        ENSURE(chars <= LIMIT_KMS_GRANT_VALUE_CHARS, c->err, SL_E_VALIDATION,
               "An encryption context value of a grant constraint can have at most %d characters.",
               LIMIT_KMS_GRANT_VALUE_CHARS);
    }
    SL_CLEANUP(buf_fini) struct buf scratch = BUF_INIT(64 * 1024);
    return context_canonical(pairs, &scratch, c->err);
}

/* Operations of asymmetric and HMAC keys have no meaning for ours. */
static struct sl_rc read_terms(struct api_call *c, struct grant_terms *ret) {
    static const char *const symmetric[] = {"Decrypt",
                                            "Encrypt",
                                            "GenerateDataKey",
                                            "GenerateDataKeyWithoutPlaintext",
                                            "ReEncryptFrom",
                                            "ReEncryptTo",
                                            "CreateGrant",
                                            "RetireGrant",
                                            "DescribeKey",
                                            "GenerateDataKeyPair",
                                            "GenerateDataKeyPairWithoutPlaintext"};
    const struct json *operations = kms_member(c, "Operations");
    uint32_t possible = 0;
    for (size_t i = 0; i < sizeof symmetric / sizeof *symmetric; i++) {
        possible |= kms_grant_bit(slice_cstr(symmetric[i]));
    }
    ENSURE(operations->count > 0, c->err, SL_E_VALIDATION,
           "1 validation error detected: Value '[]' at 'operations' failed to satisfy constraint: "
           "Member must have length greater than or equal to 1");
    for (const struct json *e = operations->child; e != NULL; e = e->next) {
        uint32_t bit = kms_grant_bit(e->text);
        ENSURE(bit & possible, c->err, SL_E_VALIDATION,
               "Grant operation %.*s is not supported for a key with KeyUsage ENCRYPT_DECRYPT.",
               SLICE_FMT(e->text));
        ret->operations |= bit;
    }
    TRY(grant_terms_of(kms_member(c, "Constraints"), c->arena, c->err, ret));
    TRY(check_pairs(c, &ret->equals));
    return check_pairs(c, &ret->subset);
}

/* The pairs of both constraints: what kms:EncryptionContext:… compares with. */
static struct sl_rc all_pairs(struct api_call *c, const struct grant_terms *t,
                              struct context *ret) {
    struct context_pair *pairs =
        arena_array(c->arena, t->equals.count + t->subset.count + 1, sizeof *pairs);
    ENSURE(pairs != NULL, c->err, SL_E_NOMEM, "Out of memory.");
    size_t n = 0;
    for (size_t i = 0; i < t->equals.count; i++) {
        pairs[n++] = t->equals.pairs[i];
    }
    for (size_t i = 0; i < t->subset.count; i++) {
        bool twice = false;
        for (size_t k = 0; k < t->equals.count; k++) {
            twice |= slice_eq(t->equals.pairs[k].name, t->subset.pairs[i].name) &&
                     slice_eq(t->equals.pairs[k].value, t->subset.pairs[i].value);
        }
        if (!twice) {
            pairs[n++] = t->subset.pairs[i];
        }
    }
    *ret = (struct context){pairs, n};
    return SL_OK;
}

static struct sl_rc may_grant(struct api_call *c, const struct grant_terms *t,
                              struct kms_target *ret) {
    enum { KEYS = 5 };
    const struct json *operations = kms_member(c, "Operations");
    struct slice grantee = kms_string(c, "GranteePrincipal"), via = via_service(c);
    struct slice retiring = kms_string(c, "RetiringPrincipal");
    struct slice *names = arena_array(c->arena, operations->count, sizeof *names);
    ENSURE(names != NULL, c->err, SL_E_NOMEM, "Out of memory.");
    size_t n = 0, types = 0, count = 0;
    for (const struct json *e = operations->child; e != NULL; e = e->next) {
        names[n++] = e->text;
    }
    struct slice type[2];
    if (t->has_equals) {
        type[types++] = SLICE_LIT("EncryptionContextEquals");
    }
    if (t->has_subset) {
        type[types++] = SLICE_LIT("EncryptionContextSubset");
    }
    struct policy_key more[KEYS];
    more[count++] = (struct policy_key){SLICE_LIT("kms:GrantOperations"), names, n};
    more[count++] = (struct policy_key){SLICE_LIT("kms:GranteePrincipal"), &grantee, 1};
    more[count++] = (struct policy_key){SLICE_LIT("kms:GrantIsForAWSResource"), &via, 1};
    if (retiring.len > 0) {
        more[count++] = (struct policy_key){SLICE_LIT("kms:RetiringPrincipal"), &retiring, 1};
    }
    if (types > 0) {
        more[count++] = (struct policy_key){SLICE_LIT("kms:GrantConstraintType"), type, types};
    }
    struct context pairs = {0};
    TRY(all_pairs(c, t, &pairs));
    struct kms_want want = {.action = "kms:CreateGrant",
                            .foreign = true,
                            .context = &pairs,
                            .new_grant = t,
                            .more = more,
                            .more_count = count};
    return kms_use(c, kms_string(c, "KeyId"), &want, ret);
}

static bool same_grant(const struct grant_row *a, const struct grant_row *b) {
    return slice_eq(a->grantee, b->grantee) && slice_eq(a->grantee_id, b->grantee_id) &&
           slice_eq(a->retiring, b->retiring) && slice_eq(a->retiring_id, b->retiring_id) &&
           slice_eq(a->issuer, b->issuer) && slice_eq(a->constraints, b->constraints) &&
           a->operations == b->operations;
}

/* Finds the same grant of the same name, or inserts; g->id is then that of the grant. The key's
 * state is looked at here, where no other change comes between. */
static struct sl_rc store_grant(struct api_call *c, struct sqlite3 *conn, struct kms_target *t,
                                struct grant_row *g) {
    struct grant_row *named = NULL;
    size_t n = 0;
    int64_t count = 0;
    bool found = false;
    TRY(keys_get(conn, t->row.account, t->row.region, t->row.id, c->env->now_ms, c->arena, &found,
                 &t->row, c->err));
    ENSURE(found, c->err, SL_E_KMS_NOT_FOUND, "Key '%.*s' does not exist", SLICE_FMT(t->row.arn));
    TRY(kms_need_enabled(c, t));
    TRY(principal_id(c, conn, g->grantee, &g->grantee_id));
    if (g->retiring.len > 0) {
        TRY(principal_id(c, conn, g->retiring, &g->retiring_id));
    }
    TRY(grant_named(conn, g->key_id, g->name, c->arena, &named, &n, c->err));
    for (size_t i = 0; i < n; i++) {
        if (same_grant(&named[i], g)) {
            g->id = named[i].id;
            return kms_dry(c, kms_flag(c, "DryRun"));
        }
    }
    TRY(grant_count(conn, g->key_id, &count, c->err));
    ENSURE(count < LIMIT_KMS_GRANTS, c->err, SL_E_KMS_LIMIT, "The key has %d grants already.",
           LIMIT_KMS_GRANTS);
    TRY(kms_dry(c, kms_flag(c, "DryRun")));
    return grant_insert(conn, g, c->err);
}

static struct sl_rc new_grant(struct api_call *c, const struct grant_terms *t,
                              const struct key_row *key, struct grant_row *ret) {
    char id[65];
    crypto_random_hex(id, 64);
    *ret = (struct grant_row){
        .key_id = key->id,
        .id = arena_copy(c->arena, slice_cstr(id)),
        .name = kms_string(c, "Name"),
        .grantee = kms_string(c, "GranteePrincipal"),
        .retiring = kms_string(c, "RetiringPrincipal"),
        .issuer = c->caller->who.principal.account,
        .operations = t->operations,
        .created_ms = c->env->now_ms,
    };
    ENSURE(ret->id.ptr != NULL, c->err, SL_E_NOMEM, "Out of memory.");
    return grant_terms_text(t, c->arena, c->err, &ret->constraints);
}

struct sl_rc kms_op_create_grant(struct api_call *c) {
    struct grant_terms terms = {0};
    struct kms_target t = {0};
    struct grant_row g;
    TRY(read_terms(c, &terms));
    TRY(may_grant(c, &terms, &t));
    TRY(new_grant(c, &terms, &t.row, &g));
    struct sqlite3 *conn = NULL;
    TRY(kms_db_write(c->env->db, &conn, c->err));
    struct sl_rc rc = store_grant(c, conn, &t, &g);
    struct sl_rc end = kms_db_write_end(c->env->db, conn, !sl_failed(rc), c->err);
    TRY(sl_failed(rc) ? rc : end);
    struct slice token;
    TRY(token_make(c, t.row.arn, g.id, &token));
    struct jsonw w = jsonw_of(c->out);
    jsonw_object_begin(&w);
    jsonw_name(&w, "GrantId");
    jsonw_string(&w, g.id);
    c->audit_response =
        slice_cstr(arena_printf(c->arena, "{\"GrantId\":\"%.*s\"}", SLICE_FMT(g.id)));
    jsonw_name(&w, "GrantToken");
    jsonw_string(&w, token);
    jsonw_object_end(&w);
    return SL_OK;
}

/* ---- Lists ---- */

static void put_string(struct jsonw *w, const char *name, struct slice v) {
    if (v.len > 0) {
        jsonw_name(w, name);
        jsonw_string(w, v);
    }
}

static void put_grant(struct jsonw *w, const struct grant_row *g, struct slice key_arn) {
    jsonw_object_begin(w);
    put_string(w, "KeyId", key_arn);
    put_string(w, "GrantId", g->id);
    put_string(w, "Name", g->name);
    jsonw_name(w, "CreationDate");
    jsonw_epoch_ms(w, g->created_ms);
    put_string(w, "GranteePrincipal", g->grantee);
    put_string(w, "RetiringPrincipal", g->retiring);
    char issuer[64];
    snprintf(issuer, sizeof issuer, "arn:aws:iam::%.*s:root", SLICE_FMT(g->issuer));
    jsonw_name(w, "IssuingAccount");
    jsonw_cstr(w, issuer);
    jsonw_name(w, "Operations");
    jsonw_array_begin(w);
    for (unsigned i = 0; kms_grant_operations[i] != NULL; i++) {
        if (g->operations & 1u << i) {
            jsonw_cstr(w, kms_grant_operations[i]);
        }
    }
    jsonw_array_end(w);
    if (g->constraints.len > 0) {
        jsonw_name(w, "Constraints");
        jsonw_raw(w, g->constraints);
    }
    jsonw_object_end(w);
}

/* key_arn: of all, or empty: each row has its own. */
static void put_grants(struct api_call *c, const struct grant_row *rows, size_t n, size_t limit,
                       struct slice key_arn) {
    struct jsonw w = jsonw_of(c->out);
    jsonw_object_begin(&w);
    jsonw_name(&w, "Grants");
    jsonw_array_begin(&w);
    for (size_t i = 0; i < n && i < limit; i++) {
        put_grant(&w, &rows[i], key_arn.len > 0 ? key_arn : rows[i].key_id);
    }
    jsonw_array_end(&w);
    if (n > limit) {
        put_string(&w, "NextMarker", rows[limit - 1].id);
    }
    jsonw_name(&w, "Truncated");
    jsonw_bool(&w, n > limit);
    jsonw_object_end(&w);
}

static struct sl_rc page_of(struct api_call *c, struct slice *ret_after, size_t *ret_limit) {
    size_t limit = (size_t)kms_int(c, "Limit", 50);
    *ret_limit = limit > 100 ? 100 : limit;
    *ret_after = kms_string(c, "Marker");
    ENSURE(ret_after->len == 0 ||
               (ret_after->len == 64 && kms_pattern_fits("^[a-f0-9]+$", *ret_after)),
           c->err, SL_E_KMS_MARKER, "Invalid marker");
    return SL_OK;
}

struct sl_rc kms_op_list_grants(struct api_call *c) {
    struct slice id = kms_string(c, "GrantId"), after, via = via_service(c);
    struct policy_key more = {SLICE_LIT("kms:GrantIsForAWSResource"), &via, 1};
    struct kms_want want = {
        .action = "kms:ListGrants", .foreign = true, .more = &more, .more_count = 1};
    struct kms_target t = {0};
    size_t limit = 0, n = 0;
    TRY(page_of(c, &after, &limit));
    TRY(id.len > 0 ? check_id(c, id) : SL_OK);
    TRY(kms_use(c, kms_string(c, "KeyId"), &want, &t));
    struct slice grantee = kms_string(c, "GranteePrincipal");
    struct grant_row *rows = NULL, one;
    struct sqlite3 *conn = NULL;
    TRY(kms_db_read(c->env->db, &conn, c->err));
    struct sl_rc rc;
    if (id.len > 0) {
        bool found = false;
        rc = grant_get(conn, t.row.id, id, c->arena, &found, &one, c->err);
        rows = &one;
        n = found && (grantee.len == 0 || slice_eq(grantee, one.grantee)) ? 1 : 0;
    } else {
        rc = grant_list(conn, t.row.id, grantee, after, limit + 1, c->arena, &rows, &n, c->err);
    }
    kms_db_read_end(c->env->db, conn);
    TRY(rc);
    put_grants(c, rows, n, limit, t.row.arn);
    return SL_OK;
}

/* The principal must be of the caller's account. Grants on keys of other accounts are listed too.
 */
struct sl_rc kms_op_list_retirable(struct api_call *c) {
    struct slice retiring = kms_string(c, "RetiringPrincipal"), after;
    size_t limit = 0, n = 0;
    TRY(page_of(c, &after, &limit));
    TRY(kms_allow(c, "kms:ListRetirableGrants", SLICE_LIT("*"), NULL, 0));
    bool form = slice_starts(retiring, SLICE_LIT("arn:aws:iam::")) ||
                slice_starts(retiring, SLICE_LIT("arn:aws:sts::"));
    ENSURE(form, c->err, SL_E_KMS_INVALID_ARN, "ARN does not refer to a valid principal: %.*s",
           SLICE_FMT(retiring));
    ENSURE(slice_eq(slice_sub(retiring, 13, 25), c->caller->who.principal.account), c->err,
           SL_E_ACCESS_DENIED,
           "User: %.*s is not authorized to perform: kms:ListRetirableGrants for a principal of "
           "another account",
           SLICE_FMT(c->caller->who.principal.arn));
    struct grant_row *rows = NULL;
    struct sqlite3 *conn = NULL;
    TRY(kms_db_read(c->env->db, &conn, c->err));
    struct sl_rc rc = grant_list_retirable(conn, c->caller->region, retiring, after, c->env->now_ms,
                                           limit + 1, c->arena, &rows, &n, c->err);
    kms_db_read_end(c->env->db, conn);
    TRY(rc);
    put_grants(c, rows, n, limit, SLICE_EMPTY);
    return SL_OK;
}

/* ---- The end of a grant ---- */

struct sl_rc kms_op_revoke_grant(struct api_call *c) {
    struct slice via = via_service(c);
    struct policy_key more = {SLICE_LIT("kms:GrantIsForAWSResource"), &via, 1};
    struct kms_want want = {
        .action = "kms:RevokeGrant", .foreign = true, .more = &more, .more_count = 1};
    struct kms_target t = {0};
    struct grant_row g;
    TRY(check_id(c, kms_string(c, "GrantId")));
    TRY(kms_use(c, kms_string(c, "KeyId"), &want, &t));
    TRY(find_grant(c, &t.row, kms_string(c, "GrantId"), &g));
    TRY(kms_dry(c, kms_flag(c, "DryRun")));
    return end_grant(c, &g);
}

/* Who may retire: the retiring principal, the grantee of a grant for RetireGrant, the account that
 * made the grant. An account means its root user, and those to whom identity policies give it. No
 * policy alone allows it. */
static bool may_retire(const struct policy_principal *who, const struct grant_row *g,
                       struct slice issuer, struct policy_grant *ret) {
    bool grantee = g->operations & kms_grant_bit(SLICE_LIT("RetireGrant"));
    ret->id = g->id;
    return grant_names(who, g->retiring, g->retiring_id, ret) ||
           (grantee && grant_names(who, g->grantee, g->grantee_id, ret)) ||
           grant_names(who, issuer, SLICE_EMPTY, ret);
}

static struct sl_rc which_grant(struct api_call *c, struct slice *ret_key, struct slice *ret_id) {
    struct slice token = kms_string(c, "GrantToken");
    *ret_key = kms_string(c, "KeyId");
    *ret_id = kms_string(c, "GrantId");
    if (token.len > 0) {
        ENSURE(ret_key->len == 0 && ret_id->len == 0, c->err, SL_E_VALIDATION,
               "Please specify either a grant token or a key ID and a grant ID.");
        return token_open(c, token, ret_key, ret_id);
    }
    ENSURE(ret_key->len > 0 && ret_id->len > 0, c->err, SL_E_VALIDATION,
           "Please specify either a grant token or a key ID and a grant ID.");
    return check_id(c, *ret_id);
}

struct sl_rc kms_op_retire_grant(struct api_call *c) {
    struct slice key, id;
    struct kms_target t = {0};
    struct grant_row g = {0};
    struct policy_grant by = {0};
    bool found = false;
    TRY(which_grant(c, &key, &id));
    struct sqlite3 *conn = NULL;
    TRY(kms_db_read(c->env->db, &conn, c->err));
    struct sl_rc rc = grant_get(conn, kms_key_part(key), id, c->arena, &found, &g, c->err);
    kms_db_read_end(c->env->db, conn);
    TRY(rc);
    struct slice issuer = slice_cstr(
        arena_printf(c->arena, "arn:aws:iam::%.*s:root", SLICE_FMT(found ? g.issuer : id)));
    ENSURE(issuer.ptr != NULL, c->err, SL_E_NOMEM, "Out of memory.");
    bool named = found && may_retire(&c->caller->who.principal, &g, issuer, &by);
    struct kms_want want = {.action = "kms:RetireGrant",
                            .foreign = true,
                            .only_grant = found,
                            .grant = named ? &by : NULL};
    TRY(kms_use(c, key, &want, &t));
    ENSURE(found, c->err, SL_E_KMS_NOT_FOUND, "Grant ID %.*s not found", SLICE_FMT(id));
    TRY(kms_dry(c, kms_flag(c, "DryRun")));
    return end_grant(c, &g);
}
