/* See grant.h. */
#include "server/api/kms/grant.h"

#include "lib/base/limits.h"
#include "server/api/kms/kms_in.h"

#include <stdlib.h>

uint32_t kms_grant_bit(struct slice operation) {
    if (slice_starts(operation, SLICE_LIT("kms:"))) {
        operation = slice_sub(operation, 4, operation.len);
    }
    for (unsigned i = 0; kms_grant_operations[i] != NULL; i++) {
        if (slice_eq_cstr(operation, kms_grant_operations[i])) {
            return 1u << i;
        }
    }
    return 0;
}

/* ---- Constraints ---- */

static int by_name(const void *a, const void *b) {
    const struct context_pair *x = a, *y = b;
    return slice_cmp(x->name, y->name);
}

/* Pairs in the order of their names. */
static struct sl_rc pairs_of(const struct json *map, struct arena *a, struct sl_error *err,
                             struct context *ret) {
    struct context_pair *pairs = arena_array(a, map->count + 1, sizeof *pairs);
    ENSURE(pairs != NULL, err, SL_E_NOMEM, "Out of memory.");
    size_t n = 0;
    for (const struct json *m = map->child; m != NULL; m = m->next) {
        pairs[n++] = (struct context_pair){m->name, m->text};
    }
    qsort(pairs, n, sizeof *pairs, by_name);
    *ret = (struct context){pairs, n};
    return SL_OK;
}

struct sl_rc grant_terms_of(const struct json *constraints, struct arena *a, struct sl_error *err,
                            struct grant_terms *ret) {
    const struct json *equals = json_get(constraints, "EncryptionContextEquals");
    const struct json *subset = json_get(constraints, "EncryptionContextSubset");
    ret->has_equals = equals != NULL && equals->type == JSON_OBJECT;
    ret->has_subset = subset != NULL && subset->type == JSON_OBJECT;
    if (ret->has_equals) {
        TRY(pairs_of(equals, a, err, &ret->equals));
    }
    return ret->has_subset ? pairs_of(subset, a, err, &ret->subset) : SL_OK;
}

static void put_pairs(struct jsonw *w, const char *name, const struct context *c) {
    jsonw_name(w, name);
    jsonw_object_begin(w);
    for (size_t i = 0; i < c->count; i++) {
        jsonw_name_slice(w, c->pairs[i].name);
        jsonw_string(w, c->pairs[i].value);
    }
    jsonw_object_end(w);
}

struct sl_rc grant_terms_text(const struct grant_terms *t, struct arena *a, struct sl_error *err,
                              struct slice *ret) {
    SL_CLEANUP(buf_fini) struct buf out = BUF_INIT(1024 * 1024);
    if (!t->has_equals && !t->has_subset) {
        *ret = SLICE_EMPTY;
        return SL_OK;
    }
    struct jsonw w = jsonw_of(&out);
    jsonw_object_begin(&w);
    if (t->has_subset) {
        put_pairs(&w, "EncryptionContextSubset", &t->subset);
    }
    if (t->has_equals) {
        put_pairs(&w, "EncryptionContextEquals", &t->equals);
    }
    jsonw_object_end(&w);
    TRY(buf_check(&out, err));
    *ret = arena_copy(a, buf_slice(&out));
    ENSURE(ret->ptr != NULL, err, SL_E_NOMEM, "Out of memory.");
    return SL_OK;
}

static bool has_pair(const struct context *c, const struct context_pair *p) {
    for (size_t i = 0; i < c->count; i++) {
        if (slice_eq(c->pairs[i].name, p->name)) {
            return slice_eq(c->pairs[i].value, p->value);
        }
    }
    return false;
}

/* Is every pair of `some` in `all`? */
static bool contains(const struct context *all, const struct context *some) {
    for (size_t i = 0; i < some->count; i++) {
        if (!has_pair(all, &some->pairs[i])) {
            return false;
        }
    }
    return true;
}

static bool same(const struct context *a, const struct context *b) {
    return a->count == b->count && contains(a, b);
}

bool grant_terms_hold(const struct grant_terms *t, const struct context *context) {
    static const struct context none = {NULL, 0};
    const struct context *given = context ? context : &none;
    return (!t->has_equals || same(given, &t->equals)) &&
           (!t->has_subset || contains(given, &t->subset));
}

bool grant_terms_within(const struct grant_terms *parent, const struct grant_terms *child) {
    if (child->operations & ~parent->operations) {
        return false;
    }
    if (parent->has_equals && !(child->has_equals && same(&child->equals, &parent->equals))) {
        return false;
    }
    return !parent->has_subset ||
           (child->has_equals && contains(&child->equals, &parent->subset)) ||
           (child->has_subset && contains(&child->subset, &parent->subset));
}

/* ---- Principals ---- */

static struct slice account_arn(struct arena *a, struct slice account) {
    return slice_cstr(arena_printf(a, "arn:aws:iam::%.*s:root", SLICE_FMT(account)));
}

bool grant_names(const struct policy_principal *who, struct slice arn, struct slice unique_id,
                 struct policy_grant *ret) {
    bool user = who->type == PRINCIPAL_USER, session = who->type == PRINCIPAL_ROLE_SESSION;
    if (arn.len == 0 || (!user && !session && who->type != PRINCIPAL_ROOT)) {
        return false;
    }
    bool own = slice_eq(arn, who->arn);
    if (own && who->type == PRINCIPAL_ROOT) {
        ret->grantee = POLICY_GRANT_DIRECT;
        return true;
    }
    if (slice_starts(arn, SLICE_LIT("arn:aws:iam::")) &&
        slice_eq(slice_sub(arn, 13, 25), who->account) &&
        slice_eq_cstr(slice_sub(arn, 25, arn.len), ":root")) {
        ret->grantee = POLICY_GRANT_ACCOUNT;
        return true;
    }
    struct slice id = slice_sub(who->user_id, 0, slice_find(who->user_id, ':'));
    bool role = session && slice_eq(arn, who->role_arn);
    if ((!own && !role) || !slice_eq(unique_id, id)) {
        return false;
    }
    ret->grantee = own ? POLICY_GRANT_DIRECT : POLICY_GRANT_ROLE;
    return true;
}

/* ---- Which grant fits ---- */

struct search {
    struct api_call *c;
    const struct kms_want *w;
    const struct key_row *key;
    uint32_t bit;
};

static struct sl_rc fits(const struct search *s, const struct grant_row *g, struct arena *a,
                         bool *ret, struct policy_grant *ret_grant) {
    struct grant_terms t = {.operations = g->operations};
    const struct json *constraints = NULL;
    *ret = false;
    if (!(g->operations & s->bit) ||
        !grant_names(&s->c->caller->who.principal, g->grantee, g->grantee_id, ret_grant)) {
        return SL_OK;
    }
    if (g->constraints.len > 0) {
        TRY(json_parse(g->constraints, a, s->c->err, &constraints));
        TRY(grant_terms_of(constraints, a, s->c->err, &t));
    }
    if (s->w->new_grant != NULL) {
        *ret = grant_terms_within(&t, s->w->new_grant);
    } else {
        /* DescribeKey has no encryption context that a constraint could speak of. */
        *ret = s->bit == kms_grant_bit(SLICE_LIT("DescribeKey")) ||
               grant_terms_hold(&t, s->w->context);
    }
    return SL_OK;
}

/* Among the grants of one grantee, in pages, so that many of them need little memory. */
static struct sl_rc search_grantee(const struct search *s, struct sqlite3 *conn,
                                   struct slice grantee, bool *ret_found,
                                   struct policy_grant *ret) {
    enum { PAGE = 64 };
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(8 * 1024 * 1024);
    char after_text[65] = "";
    size_t n = PAGE;
    while (n == PAGE && !*ret_found) {
        struct grant_row *rows = NULL;
        arena_reset(&a);
        TRY(grant_list(conn, s->key->id, grantee, slice_cstr(after_text), PAGE, &a, &rows, &n,
                       s->c->err));
        for (size_t i = 0; i < n && !*ret_found; i++) {
            TRY(fits(s, &rows[i], &a, ret_found, ret));
            if (*ret_found) {
                ret->id = arena_copy(s->c->arena, rows[i].id);
            }
        }
        if (n == PAGE) {
            ENSURE(rows[n - 1].id.len < sizeof after_text, s->c->err, SL_E_CORRUPT,
                   "a grant's id is too long");
            memcpy(after_text, rows[n - 1].id.ptr, rows[n - 1].id.len);
            after_text[rows[n - 1].id.len] = '\0';
        }
    }
    return SL_OK;
}

struct sl_rc kms_grant_find(struct api_call *c, const struct key_row *key, const struct kms_want *w,
                            bool *ret_found, struct policy_grant *ret) {
    struct search s = {c, w, key, kms_grant_bit(slice_cstr(w->action))};
    const struct policy_principal *who = &c->caller->who.principal;
    *ret_found = false;
    if (s.bit == 0 || who->account.len == 0) {
        return SL_OK;
    }
    const struct slice grantees[] = {who->arn, who->role_arn, account_arn(c->arena, who->account)};
    ENSURE(grantees[2].ptr != NULL, c->err, SL_E_NOMEM, "Out of memory.");
    struct sqlite3 *conn = NULL;
    TRY(kms_db_read(c->env->db, &conn, c->err));
    struct sl_rc rc = SL_OK;
    for (size_t i = 0; i < 3 && !sl_failed(rc) && !*ret_found; i++) {
        if (grantees[i].len > 0) {
            rc = search_grantee(&s, conn, grantees[i], ret_found, ret);
        }
    }
    kms_db_read_end(c->env->db, conn);
    return rc;
}
