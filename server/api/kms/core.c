/* Finding a key, deciding about it, using it; see kms.h. Reads take one database snapshot and give
 * it back before the keyholder is asked. */
#include "server/api/kms/kms_in.h"

#include "lib/base/limits.h"
#include "server/api/kms/grant.h"
#include "server/store/meta/kept.h"

/* ---- Names of keys ---- */

struct ref {
    struct slice account;
    struct slice region;
    struct slice id;    /* UUID, or */
    struct slice alias; /* "alias/…" */
    bool foreign;
};

bool kms_is_uuid(struct slice s) {
    for (size_t i = 0; i < s.len; i++) {
        uint8_t ch = s.ptr[i];
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? ch != '-' : !((ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'f'))) {
            return false;
        }
    }
    return s.len == 36;
}

struct slice kms_key_part(struct slice key_id) {
    struct slice mark = SLICE_LIT(":key/");
    for (size_t i = 0; i + mark.len <= key_id.len; i++) {
        if (slice_eq(slice_sub(key_id, i, i + mark.len), mark)) {
            return slice_sub(key_id, i + mark.len, key_id.len);
        }
    }
    return key_id;
}

/* The id of a multi-Region key: none of ours has one, so such a key is not found. */
static bool is_mrk(struct slice s) {
    return s.len == 36 && slice_starts(s, SLICE_LIT("mrk-")) &&
           kms_pattern_fits("^[a-f0-9]+$", slice_sub(s, 4, s.len));
}

static bool is_account(struct slice s) {
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9') {
            return false;
        }
    }
    return s.len == 12;
}

static struct sl_rc arn_ref(struct api_call *c, struct slice arn, struct ref *ret) {
    struct slice part[6];
    struct slice rest = arn;
    for (int i = 0; i < 5; i++) {
        size_t at = slice_find(rest, ':');
        part[i] = slice_sub(rest, 0, at);
        rest = slice_sub(rest, at + 1, rest.len);
    }
    part[5] = rest;
    bool key = slice_starts(rest, SLICE_LIT("key/"));
    ENSURE(slice_eq_cstr(part[1], "aws") && slice_eq_cstr(part[2], "kms") && part[3].len > 0 &&
               is_account(part[4]) && (key || slice_starts(rest, SLICE_LIT("alias/"))),
           c->err, SL_E_KMS_INVALID_ARN, "Invalid arn %.*s", SLICE_FMT(arn));
    ENSURE(slice_eq(part[3], c->caller->region), c->err, SL_E_KMS_NOT_FOUND, "Invalid arn %.*s",
           SLICE_FMT(part[3]));
    ret->region = part[3];
    ret->account = part[4];
    if (key) {
        ret->id = slice_sub(rest, 4, rest.len);
    } else {
        ret->alias = rest;
    }
    return SL_OK;
}

static struct sl_rc parse_ref(struct api_call *c, struct slice key_id, const struct kms_want *w,
                              struct ref *ret) {
    struct slice own = c->caller->who.principal.account;
    struct ref r = {.account = own, .region = c->caller->region};
    if (slice_starts(key_id, SLICE_LIT("arn:"))) {
        TRY(arn_ref(c, key_id, &r));
    } else if (slice_starts(key_id, SLICE_LIT("alias/"))) {
        r.alias = key_id;
    } else {
        r.id = key_id;
    }
    ENSURE(r.alias.len > 0 ? w->aliases : kms_is_uuid(r.id) || is_mrk(r.id), c->err,
           SL_E_KMS_NOT_FOUND, "Invalid keyId '%.*s'", SLICE_FMT(r.alias.len > 0 ? key_id : r.id));
    r.foreign = !slice_eq(r.account, own);
    *ret = r;
    return SL_OK;
}

/* ---- Deciding ---- */

/* AWS's answer where telling more would tell whether a key exists. */
static struct sl_rc denied_vaguely(struct api_call *c, const char *action, struct slice arn) {
    sl_error_clear(c->err);
    return sl_fail(c->err, SL_E_ACCESS_DENIED,
                   "User: %.*s is not authorized to perform: %s on resource: %.*s because the "
                   "resource does not exist in this Region, no resource-based policies allow "
                   "access, or a resource-based policy explicitly denies access",
                   SLICE_FMT(c->caller->who.principal.arn), action, SLICE_FMT(arn));
}

struct key_facts {
    struct tag_row *tags;
    size_t tag_count;
    struct alias_row *aliases;
    size_t alias_count;
    bool granted; /* there are grants on the key */
};

enum { FACT_KEYS = 16 };

struct keys {
    struct policy_key *items;
    size_t count;
    struct arena *a;
    bool failed;
};

static void add_many(struct keys *k, struct slice name, const struct slice *values, size_t n) {
    k->items[k->count++] = (struct policy_key){name, values, n};
}

static void add(struct keys *k, struct slice name, struct slice value) {
    struct slice *v = arena_alloc(k->a, sizeof *v);
    if (v == NULL || name.ptr == NULL) {
        k->failed = true;
        return;
    }
    *v = value;
    add_many(k, name, v, 1);
}

static void add_context(struct keys *k, const struct context *context) {
    if (context == NULL || context->count == 0) {
        return;
    }
    struct slice *names = arena_array(k->a, context->count, sizeof *names);
    if (names == NULL) {
        k->failed = true;
        return;
    }
    for (size_t i = 0; i < context->count; i++) {
        const struct context_pair *p = &context->pairs[i];
        names[i] = p->name;
        char *name = arena_printf(k->a, "kms:EncryptionContext:%.*s", SLICE_FMT(p->name));
        add(k, slice_cstr(name), p->value);
    }
    add_many(k, SLICE_LIT("kms:EncryptionContextKeys"), names, context->count);
}

static void add_facts(struct keys *k, const struct key_facts *f) {
    for (size_t i = 0; i < f->tag_count; i++) {
        char *name = arena_printf(k->a, "aws:ResourceTag/%.*s", SLICE_FMT(f->tags[i].name));
        add(k, slice_cstr(name), f->tags[i].value);
    }
    struct slice *names = arena_array(k->a, f->alias_count + 1, sizeof *names);
    if (names == NULL) {
        k->failed = true;
        return;
    }
    for (size_t i = 0; i < f->alias_count; i++) {
        names[i] = f->aliases[i].name;
    }
    if (f->alias_count > 0) {
        add_many(k, SLICE_LIT("kms:ResourceAliases"), names, f->alias_count);
    }
}

static struct sl_rc decide(struct api_call *c, const struct kms_want *w, struct kms_target *t,
                           const struct key_facts *f, bool foreign) {
    size_t pairs = w->context ? w->context->count : 0;
    size_t room = FACT_KEYS + pairs + f->tag_count + w->more_count;
    struct keys k = {.items = arena_array(c->arena, room, sizeof *k.items), .a = c->arena};
    ENSURE(k.items != NULL, c->err, SL_E_NOMEM, "Out of memory.");
    add(&k, SLICE_LIT("kms:KeySpec"), SLICE_LIT("SYMMETRIC_DEFAULT"));
    add(&k, SLICE_LIT("kms:KeyUsage"), SLICE_LIT("ENCRYPT_DECRYPT"));
    add(&k, SLICE_LIT("kms:KeyOrigin"), slice_cstr(kms_origin_name(t->row.origin)));
    add(&k, SLICE_LIT("kms:MultiRegion"), SLICE_LIT("false"));
    if (t->alias.len > 0) {
        add(&k, SLICE_LIT("kms:RequestAlias"), t->alias);
    }
    if (w->algorithm) {
        add(&k, SLICE_LIT("kms:EncryptionAlgorithm"), SLICE_LIT("SYMMETRIC_DEFAULT"));
    }
    add_context(&k, w->context);
    add_facts(&k, f);
    for (size_t i = 0; i < w->more_count; i++) {
        k.items[k.count++] = w->more[i];
    }
    ENSURE(!k.failed, c->err, SL_E_NOMEM, "Out of memory.");
    struct auth_caller caller = *c->caller;
    struct policy_grant grant;
    caller.grant = w->grant;
    if (f->granted && w->grant == NULL) {
        bool fits = false;
        TRY(kms_grant_find(c, &t->row, w, &fits, &grant));
        caller.grant = fits ? &grant : NULL;
    }
    struct sl_rc rc =
        auth_decide(c->env, &caller, slice_cstr(w->action), t->row.arn, t->row.account, t->policy,
                    POLICY_KEY, k.items, k.count, c->arena, c->err);
    bool unfit = sl_is_ok(rc) && w->only_grant && w->grant == NULL;
    if (unfit || (rc.code == SL_E_ACCESS_DENIED && foreign)) {
        return denied_vaguely(c, w->action, t->row.arn);
    }
    return rc;
}

struct sl_rc kms_allow(struct api_call *c, const char *action, struct slice resource,
                       const struct policy_key *keys, size_t key_count) {
    return auth_decide(c->env, c->caller, slice_cstr(action), resource,
                       c->caller->who.principal.account, NULL, POLICY_IDENTITY, keys, key_count,
                       c->arena, c->err);
}

/* ---- Finding ---- */

static struct sl_rc read_key(struct api_call *c, struct sqlite3 *conn, const struct ref *r,
                             bool *ret_found, struct kms_target *t, struct key_facts *f) {
    struct slice id = r->id;
    int64_t now = c->env->now_ms;
    *ret_found = false;
    if (r->alias.len > 0) {
        struct alias_row alias;
        bool have = false;
        TRY(keys_alias_get(conn, r->account, r->region, r->alias, now, c->arena, &have, &alias,
                           c->err));
        if (!have) {
            return SL_OK;
        }
        id = alias.key_id;
    }
    TRY(keys_get(conn, r->account, r->region, id, now, c->arena, ret_found, &t->row, c->err));
    if (!*ret_found) {
        return SL_OK;
    }
    TRY(keys_tag_list(conn, id, SLICE_EMPTY, KMS_TAGS_MAX, c->arena, &f->tags, &f->tag_count,
                      c->err));
    TRY(grant_any(conn, id, &f->granted, c->err));
    return keys_alias_list(conn, r->account, r->region, id, SLICE_EMPTY, now, KMS_ALIASES_MAX,
                           c->arena, &f->aliases, &f->alias_count, c->err);
}

/* A key as the database has it, its policy parsed. */
struct known_key {
    struct kms_target target;
    struct key_facts facts;
};

static struct sl_rc load_key(struct api_call *c, const struct ref *r, bool *ret_found,
                             struct known_key *ret) {
    struct sqlite3 *conn = NULL;
    TRY(kms_db_read(c->env->db, &conn, c->err));
    struct sl_rc rc = read_key(c, conn, r, ret_found, &ret->target, &ret->facts);
    kms_db_read_end(c->env->db, conn);
    TRY(rc);
    if (!*ret_found) {
        return SL_OK;
    }
    struct sl_error why = {0};
    const struct key_row *row = &ret->target.row;
    rc = policy_parse(row->policy, POLICY_KEY, c->arena, &why, &ret->target.policy);
    ENSURE(!sl_failed(rc), c->err, SL_E_CORRUPT, "key policy of %.*s: %s", SLICE_FMT(row->arn),
           why.detail);
    return SL_OK;
}

/* A row's meaning changes with time alone when a deletion is scheduled or imported material ends.
 */
static bool timeless(const struct key_row *row) {
    return row->deletion_ms == 0 && row->expires_ms == 0;
}

static struct sl_rc find_key(struct api_call *c, const struct ref *r, bool *ret_found,
                             struct known_key *ret) {
    const struct slice runs[] = {SLICE_LIT("key/"), r->account,
                                 SLICE_LIT("/"),    r->region,
                                 SLICE_LIT("/"),    r->alias.len > 0 ? r->alias : r->id};
    struct slice name = arena_join(c->arena, runs, sizeof runs / sizeof *runs);
    ENSURE(name.ptr != NULL, c->err, SL_E_NOMEM, "Out of memory.");
    const struct known_key *known = kept_find(c->env->db, name, c->env->holds);
    if (known != NULL) {
        *ret = *known;
        *ret_found = true;
        return SL_OK;
    }
    struct kept *k = kept_begin(c->env->db, name, c->env->holds);
    struct known_key *made = k != NULL ? arena_alloc(kept_arena(k), sizeof *made) : NULL;
    if (made == NULL) {
        kept_drop(k);
        return load_key(c, r, ret_found, ret);
    }
    struct api_call into = *c;
    into.arena = kept_arena(k);
    struct sl_rc rc = load_key(&into, r, ret_found, made);
    if (sl_failed(rc) || !*ret_found) {
        kept_drop(k);
        return rc;
    }
    *ret = *made;
    if (timeless(&made->target.row)) {
        kept_put(c->env->db, k, made, NULL, c->env->holds);
        return SL_OK;
    }
    kept_hold(k, c->env->holds);
    return SL_OK;
}

/* The answer about a key that isn't there depends on whether the caller could have used it. */
static struct sl_rc missing(struct api_call *c, const struct ref *r, const struct kms_want *w) {
    const char *arn = arena_printf(c->arena, "arn:aws:kms:%.*s:%.*s:%s%.*s", SLICE_FMT(r->region),
                                   SLICE_FMT(r->account), r->alias.len > 0 ? "" : "key/",
                                   SLICE_FMT(r->alias.len > 0 ? r->alias : r->id));
    ENSURE(arn != NULL, c->err, SL_E_NOMEM, "Out of memory.");
    if (r->foreign) {
        return denied_vaguely(c, w->action, slice_cstr(arn));
    }
    if (r->alias.len > 0) {
        return sl_fail(c->err, SL_E_KMS_NOT_FOUND, "Alias %s is not found.", arn);
    }
    struct sl_rc rc = kms_allow(c, w->action, slice_cstr(arn), NULL, 0);
    if (rc.code == SL_E_ACCESS_DENIED) {
        return denied_vaguely(c, w->action, slice_cstr(arn));
    }
    TRY(rc);
    return sl_fail(c->err, SL_E_KMS_NOT_FOUND, "Key '%s' does not exist", arn);
}

struct sl_rc kms_use(struct api_call *c, struct slice key_id, const struct kms_want *w,
                     struct kms_target *ret) {
    struct ref r = {0};
    struct known_key k = {0};
    struct kms_target *t = &k.target;
    bool found = false;
    TRY(parse_ref(c, key_id, w, &r));
    TRY(find_key(c, &r, &found, &k));
    if (!found && w->make_managed && !r.foreign && kms_is_managed(r.alias)) {
        if (c->caller->via_service.len == 0) {
            TRY(kms_allow(c, w->action, SLICE_LIT("*"), NULL, 0)); /* not by just anyone */
        }
        TRY(kms_managed_make(c, r.alias, &t->row));
        TRY(find_key(c, &r, &found, &k));
    }
    if (!found) {
        return missing(c, &r, w);
    }
    t->alias = r.alias;
    c->audit_resource = t->row.arn;
    if (r.foreign && !w->foreign) {
        return denied_vaguely(c, w->action, t->row.arn);
    }
    TRY(decide(c, w, t, &k.facts, r.foreign));
    *ret = *t;
    return SL_OK;
}

struct sl_rc kms_own_id(struct api_call *c, struct slice key_id, const char *action,
                        struct slice *ret_id) {
    struct kms_want want = {.action = action};
    struct ref r = {0};
    struct known_key k = {0};
    bool found = false;
    TRY(parse_ref(c, key_id, &want, &r));
    if (!r.foreign) {
        TRY(find_key(c, &r, &found, &k));
    }
    if (!found) {
        return missing(c, &r, &want);
    }
    *ret_id = k.target.row.id;
    return SL_OK;
}

struct sl_rc kms_arn(struct api_call *c, struct slice key_id, struct slice *ret_arn) {
    struct ref r = {0};
    struct kms_target t = {0};
    struct key_facts f = {0};
    struct sqlite3 *conn = NULL;
    bool found = false;
    TRY(parse_ref(c, key_id, &(struct kms_want){.aliases = true}, &r));
    TRY(kms_db_read(c->env->db, &conn, c->err));
    struct sl_rc rc = read_key(c, conn, &r, &found, &t, &f);
    kms_db_read_end(c->env->db, conn);
    TRY(rc);
    *ret_arn = found ? t.row.arn : SLICE_EMPTY;
    return SL_OK;
}

struct sl_rc kms_need_not_pending(struct api_call *c, const struct kms_target *t) {
    ENSURE(t->row.state != KEY_PENDING_DELETION, c->err, SL_E_KMS_INVALID_STATE,
           "%.*s is pending deletion.", SLICE_FMT(t->row.arn));
    return SL_OK;
}

struct sl_rc kms_need_material(struct api_call *c, const struct kms_target *t) {
    ENSURE(t->row.state != KEY_PENDING_IMPORT, c->err, SL_E_KMS_INVALID_STATE,
           "%.*s is pending import.", SLICE_FMT(t->row.arn));
    return SL_OK;
}

struct sl_rc kms_need_enabled(struct api_call *c, const struct kms_target *t) {
    ENSURE(t->row.state != KEY_DISABLED, c->err, SL_E_KMS_DISABLED, "%.*s is disabled.",
           SLICE_FMT(t->row.arn));
    TRY(kms_need_material(c, t));
    return kms_need_not_pending(c, t);
}

/* ---- Using ---- */

struct sl_rc kms_dry(struct api_call *c, bool dry_run) {
    ENSURE(!dry_run, c->err, SL_E_KMS_DRY_RUN,
           "The request would have succeeded, but the DryRun option is set.");
    return SL_OK;
}

struct sl_rc kms_used(struct api_call *c, struct sl_rc rc, const char *material_id) {
    if (rc.code == SL_E_KMS_INVALID_CIPHERTEXT && c->err != NULL) {
        c->err->detail[0] = '\0'; /* no cause is told */
    }
    TRY(rc);
    /* Which version of the key it was. */
    const struct slice runs[] = {SLICE_LIT("{\"keyMaterialId\":\""), slice_cstr(material_id),
                                 SLICE_LIT("\"}")};
    c->audit_more = arena_join(c->arena, runs, sizeof runs / sizeof *runs);
    return SL_OK;
}

struct sl_rc kms_may_seal(struct api_call *c, struct slice key_id, const char *action,
                          const struct context *context, bool dry_run, struct kms_target *ret) {
    struct kms_want w = {.action = action,
                         .aliases = true,
                         .foreign = true,
                         .make_managed = c->caller->via_service.len > 0,
                         .algorithm = true,
                         .context = context};
    TRY(kms_use(c, key_id, &w, ret));
    TRY(kms_need_enabled(c, ret));
    return kms_dry(c, dry_run);
}

struct sl_rc kms_data_key(struct api_call *c, struct slice key_id, const char *action,
                          const struct context *context, size_t n, bool dry_run,
                          struct kms_made *ret, struct secret *ret_plaintext,
                          struct buf *ret_blob) {
    TRY(kms_may_seal(c, key_id, action, context, dry_run, &ret->key));
    struct sl_rc rc = keyholder_data_key(c->env->keys, ret->key.row.record, context, n,
                                         ret_plaintext, ret_blob, ret->material_id, c->err);
    return kms_used(c, rc, ret->material_id);
}

struct sl_rc kms_blob_key(struct api_call *c, struct slice key_id, struct slice blob,
                          const struct kms_want *w, struct kms_target *ret) {
    static const char refused[] =
        "The ciphertext refers to a customer master key that does not exist, does not exist in "
        "this region, or you are not allowed to access.";
    struct slice arn = SLICE_EMPTY;
    if (key_id.len > 0) {
        TRY(kms_use(c, key_id, w, ret));
        TRY(kms_need_enabled(c, ret));
        ENSURE(sl_is_ok(keyholder_blob_key_arn(blob, &arn)), c->err, SL_E_KMS_INVALID_CIPHERTEXT,
               "%s", "");
        ENSURE(slice_eq(arn, ret->row.arn), c->err, SL_E_KMS_INCORRECT_KEY, "%s",
               sl_code_info(SL_E_KMS_INCORRECT_KEY)->text);
        return SL_OK;
    }
    ENSURE(sl_is_ok(keyholder_blob_key_arn(blob, &arn)), c->err, SL_E_KMS_INVALID_CIPHERTEXT, "%s",
           "");
    struct sl_rc rc = kms_use(c, arn, w, ret);
    if (rc.code == SL_E_KMS_NOT_FOUND || rc.code == SL_E_KMS_INVALID_ARN ||
        (rc.code == SL_E_ACCESS_DENIED && c->audit_resource.len == 0)) {
        sl_error_clear(c->err);
        return sl_fail(c->err, SL_E_ACCESS_DENIED, "%s", refused);
    }
    TRY(rc);
    return kms_need_enabled(c, ret);
}

struct sl_rc kms_unwrap(struct api_call *c, const struct kms_target *t, struct slice blob,
                        const struct context *context, struct secret *ret_plaintext,
                        char ret_material[65]) {
    struct sl_rc rc = keyholder_decrypt(c->env->keys, t->row.record, context, blob, ret_plaintext,
                                        ret_material, c->err);
    if (rc.code == SL_E_KMS_INVALID_CIPHERTEXT && c->err != NULL) {
        c->err->detail[0] = '\0'; /* no cause is told */
    }
    return rc;
}

struct sl_rc kms_may_open(struct api_call *c, struct slice key_id, struct slice blob,
                          const struct context *context, bool dry_run, struct kms_target *ret) {
    struct kms_want w = {.action = "kms:Decrypt",
                         .aliases = true,
                         .foreign = true,
                         .algorithm = true,
                         .context = context};
    TRY(kms_blob_key(c, key_id, blob, &w, ret));
    return kms_dry(c, dry_run);
}

struct sl_rc kms_decrypt(struct api_call *c, struct slice key_id, struct slice blob,
                         const struct context *context, bool dry_run, struct kms_made *ret,
                         struct secret *ret_plaintext) {
    TRY(kms_may_open(c, key_id, blob, context, dry_run, &ret->key));
    struct sl_rc rc = kms_unwrap(c, &ret->key, blob, context, ret_plaintext, ret->material_id);
    return kms_used(c, rc, ret->material_id);
}

struct slice kms_audit_use(struct api_call *c, struct slice key_id, const struct context *context) {
    SL_CLEANUP(buf_fini) struct buf out = BUF_INIT(64 * 1024);
    struct jsonw w = jsonw_of(&out);
    jsonw_object_begin(&w);
    if (key_id.len > 0) {
        jsonw_name(&w, "keyId");
        jsonw_string(&w, key_id);
    }
    if (context != NULL && context->count > 0) {
        jsonw_name(&w, "encryptionContext");
        jsonw_object_begin(&w);
        for (size_t i = 0; i < context->count; i++) {
            jsonw_name_slice(&w, context->pairs[i].name);
            jsonw_string(&w, context->pairs[i].value);
        }
        jsonw_object_end(&w);
    }
    jsonw_object_end(&w);
    return out.failed ? SLICE_EMPTY : arena_copy(c->arena, buf_slice(&out));
}
