/* Identities as authentication and decisions need them: the principal with its policies, parsed.
 * A stored policy that does not parse makes its identity unusable, since a Deny may be in it. */
#include "server/store/identity/identity.h"

#include <sqlite3.h>

#include "lib/base/clock.h"
#include "server/keys/keyholder.h"
#include "server/store/identity/rows_in.h"

enum { POLICIES_MAX = 256, SEALED_MAX_BYTES = 4096 };

#define OF_OWN_OR_GROUPS                                                                           \
    "(entity_id = ?1 OR entity_id IN (SELECT group_id FROM iam_member WHERE user_id = ?1))"

static struct sl_rc parse_stored(struct slice document, enum policy_kind kind, struct arena *a,
                                 struct sl_error *err, const struct policy **ret) {
    struct sl_error why = {0};
    ENSURE(sl_is_ok(policy_parse(document, kind, a, &why, ret)), err, SL_E_CORRUPT,
           "A stored policy is not valid: %s", why.detail);
    return SL_OK;
}

/* Inline policies of the entity and its groups: documents and their names. */
static struct sl_rc inline_policies(sqlite3 *conn, const struct iam_entity *e, struct arena *a,
                                    struct sl_error *err, struct slice *documents,
                                    struct slice *names, size_t *ret_count) {
    sqlite3_stmt *st;
    size_t n = 0;
    bool row = true, failed = false;
    struct sl_rc rc = SL_OK;
    TRY(rows_open(conn, err, &st, "SELECT document, name FROM iam_inline WHERE " OF_OWN_OR_GROUPS,
                  "t", e->id));
    while (!failed && n < POLICIES_MAX && sl_is_ok(rc = db_step(st, &row, err)) && row) {
        documents[n] = rows_text(st, 0, a, &failed);
        names[n++] = rows_text(st, 1, a, &failed);
    }
    db_done(st);
    TRY(rc);
    ENSURE(!failed, err, SL_E_NOMEM, "Out of memory.");
    *ret_count = n;
    return SL_OK;
}

static struct sl_rc load_boundary(sqlite3 *conn, const struct iam_entity *e, struct arena *a,
                                  struct sl_error *err, struct identity *ret) {
    struct iam_policy p;
    if (e->boundary.len == 0) {
        return SL_OK;
    }
    TRY(iam_policy_get(conn, e->boundary, a, err, &p));
    TRY(parse_stored(p.document, POLICY_BOUNDARY, a, err, &ret->boundary));
    ret->boundary_name = e->boundary;
    return SL_OK;
}

/* Policies, boundary and tags. */
static struct sl_rc load_policies(sqlite3 *conn, const struct iam_entity *e, struct arena *a,
                                  struct sl_error *err, struct identity *ret) {
    sqlite3_stmt *st;
    struct slice *documents = arena_array(a, POLICIES_MAX, sizeof *documents), *arns;
    struct slice *names = arena_array(a, 2 * POLICIES_MAX, sizeof *names);
    struct iam_tag *tags;
    size_t inline_count, attached_count;
    ENSURE(documents != NULL && names != NULL, err, SL_E_NOMEM, "Out of memory.");
    TRY(inline_policies(conn, e, a, err, documents, names, &inline_count));
    TRY(rows_open(conn, err, &st, "SELECT DISTINCT arn FROM iam_attached WHERE " OF_OWN_OR_GROUPS,
                  "t", e->id));
    TRY(rows_texts(st, POLICIES_MAX, a, err, &arns, &attached_count));
    /* One row more than fits could be the one that denies. */
    ENSURE(inline_count < POLICIES_MAX && attached_count < POLICIES_MAX, err, SL_E_LIMIT,
           "Too many policies.");
    const struct policy **parsed =
        arena_array(a, inline_count + attached_count + 1, sizeof(const struct policy *));
    ENSURE(parsed != NULL, err, SL_E_NOMEM, "Out of memory.");
    for (size_t i = 0; i < inline_count; i++) {
        TRY(parse_stored(documents[i], POLICY_IDENTITY, a, err, &parsed[i]));
    }
    for (size_t i = 0; i < attached_count; i++) {
        struct iam_policy p;
        TRY(iam_policy_get(conn, arns[i], a, err, &p));
        TRY(parse_stored(p.document, POLICY_IDENTITY, a, err, &parsed[inline_count + i]));
        names[inline_count + i] = arns[i];
    }
    TRY(load_boundary(conn, e, a, err, ret));
    TRY(iam_tag_list(conn, e->id, a, err, &tags, &ret->tag_count));
    ret->tags = tags;
    ret->policies = parsed;
    ret->policy_names = names;
    ret->policy_count = inline_count + attached_count;
    return SL_OK;
}

static struct sl_rc load_user(sqlite3 *conn, const struct iam_entity *e, struct arena *a,
                              struct sl_error *err, struct identity *ret) {
    struct identity who = {.principal = {.type = PRINCIPAL_USER,
                                         .account = e->account,
                                         .arn = e->arn,
                                         .user_id = e->id,
                                         .user_name = e->name}};
    TRY(load_policies(conn, e, a, err, &who));
    *ret = who;
    return SL_OK;
}

static struct sl_rc load_key(sqlite3 *conn, struct slice access_key_id, struct arena *a,
                             struct sl_error *err, struct identity *ret, struct slice *ret_sealed) {
    sqlite3_stmt *st;
    bool row = false, active = false, failed = false;
    struct slice user_id = SLICE_EMPTY, sealed = SLICE_EMPTY;
    TRY(rows_open(conn, err, &st, "SELECT user_id, active, sealed FROM iam_access_key WHERE id = ?",
                  "t", access_key_id));
    struct sl_rc rc = db_step(st, &row, err);
    if (sl_is_ok(rc) && row) {
        user_id = rows_text(st, 0, a, &failed);
        active = sqlite3_column_int(st, 1) == 1;
        sealed = rows_text(st, 2, a, &failed);
    }
    db_done(st);
    TRY(rc);
    ENSURE(!failed, err, SL_E_NOMEM, "Out of memory.");
    ENSURE(row && active, err, SL_E_UNKNOWN_KEY_ID, "%s", "");
    struct iam_entity e;
    TRY(iam_entity_by_id(conn, user_id, a, err, &e));
    struct identity who = {0};
    TRY(load_user(conn, &e, a, err, &who));
    who.access_key_id = arena_copy(a, access_key_id);
    ENSURE(who.access_key_id.ptr != NULL, err, SL_E_NOMEM, "Out of memory.");
    *ret = who;
    *ret_sealed = sealed;
    return SL_OK;
}

struct sl_rc identity_by_access_key(struct kms_db *db, struct keyholder *kh,
                                    struct slice access_key_id, struct arena *a,
                                    struct sl_error *err, struct identity *ret,
                                    struct secret *ret_secret_access_key) {
    sqlite3 *conn = NULL;
    struct identity who;
    struct slice sealed;
    TRY(kms_db_read(db, &conn, err));
    struct sl_rc rc = load_key(conn, access_key_id, a, err, &who, &sealed);
    kms_db_read_end(db, conn);
    TRY(rc);
    TRY(keyholder_unseal(kh, "iam-secret", access_key_id, sealed, ret_secret_access_key, err));
    *ret = who;
    return SL_OK;
}

static struct sl_rc load_role(sqlite3 *conn, struct slice role_arn, struct slice session_name,
                              struct arena *a, struct sl_error *err, struct identity *ret) {
    struct iam_entity e;
    TRY(iam_entity_by_arn(conn, role_arn, a, err, &e));
    ENSURE(e.kind == IAM_ROLE, err, SL_E_IAM_NO_SUCH_ENTITY, "%.*s is no role.",
           SLICE_FMT(role_arn));
    const char *arn =
        arena_printf(a, "arn:aws:sts::%.*s:assumed-role/%.*s/%.*s", SLICE_FMT(e.account),
                     SLICE_FMT(e.name), SLICE_FMT(session_name));
    const char *user_id = arena_printf(a, "%.*s:%.*s", SLICE_FMT(e.id), SLICE_FMT(session_name));
    ENSURE(arn && user_id, err, SL_E_NOMEM, "Out of memory.");
    struct identity who = {
        .principal = {.type = PRINCIPAL_ROLE_SESSION,
                      .account = e.account,
                      .arn = slice_cstr(arn),
                      .role_arn = e.arn,
                      .user_id = slice_cstr(user_id)},
    };
    TRY(load_policies(conn, &e, a, err, &who));
    *ret = who;
    return SL_OK;
}

struct sl_rc identity_by_role(struct kms_db *db, struct slice role_arn, struct slice session_name,
                              struct arena *a, struct sl_error *err, struct identity *ret) {
    sqlite3 *conn = NULL;
    TRY(kms_db_read(db, &conn, err));
    struct sl_rc rc = load_role(conn, role_arn, session_name, a, err, ret);
    kms_db_read_end(db, conn);
    return rc;
}

static struct sl_rc load_user_id(sqlite3 *conn, struct slice user_id, struct arena *a,
                                 struct sl_error *err, struct identity *ret) {
    struct iam_entity e;
    TRY(iam_entity_by_id(conn, user_id, a, err, &e));
    ENSURE(e.kind == IAM_USER, err, SL_E_IAM_NO_SUCH_ENTITY, "%.*s is no user.",
           SLICE_FMT(user_id));
    return load_user(conn, &e, a, err, ret);
}

struct sl_rc identity_by_user_id(struct kms_db *db, struct slice user_id, struct arena *a,
                                 struct sl_error *err, struct identity *ret) {
    sqlite3 *conn = NULL;
    TRY(kms_db_read(db, &conn, err));
    struct sl_rc rc = load_user_id(conn, user_id, a, err, ret);
    kms_db_read_end(db, conn);
    return rc;
}

static struct sl_rc key_account(sqlite3 *conn, struct slice access_key_id, struct arena *a,
                                struct sl_error *err, struct slice *ret_account) {
    sqlite3_stmt *st;
    struct slice *accounts;
    size_t n;
    TRY(rows_open(conn, err, &st,
                  "SELECT e.account FROM iam_access_key k JOIN iam_entity e ON e.id = k.user_id"
                  " WHERE k.id = ?",
                  "t", access_key_id));
    TRY(rows_texts(st, 1, a, err, &accounts, &n));
    ENSURE(n == 1, err, SL_E_IAM_NO_SUCH_ENTITY, "The Access Key with id %.*s cannot be found.",
           SLICE_FMT(access_key_id));
    *ret_account = accounts[0];
    return SL_OK;
}

struct sl_rc identity_key_account(struct kms_db *db, struct slice access_key_id, struct arena *a,
                                  struct sl_error *err, struct slice *ret_account) {
    sqlite3 *conn = NULL;
    TRY(kms_db_read(db, &conn, err));
    struct sl_rc rc = key_account(conn, access_key_id, a, err, ret_account);
    kms_db_read_end(db, conn);
    return rc;
}

struct sl_rc identity_session_policy(struct kms_db *db, struct slice account, struct slice arn,
                                     struct arena *a, struct sl_error *err,
                                     const struct policy **ret) {
    sqlite3 *conn = NULL;
    struct iam_policy p;
    TRY(kms_db_read(db, &conn, err));
    struct sl_rc rc = iam_policy_get(conn, arn, a, err, &p);
    kms_db_read_end(db, conn);
    TRY(rc);
    ENSURE(slice_eq_cstr(p.account, "aws") || slice_eq(p.account, account), err,
           SL_E_IAM_NO_SUCH_ENTITY, "Policy %.*s was not found.", SLICE_FMT(arn));
    return parse_stored(p.document, POLICY_SESSION, a, err, ret);
}

static struct sl_rc load_role_entity(sqlite3 *conn, struct slice role_arn, struct arena *a,
                                     struct sl_error *err, struct iam_entity *e,
                                     struct identity_role *ret) {
    struct iam_tag *tags;
    TRY(iam_entity_by_arn(conn, role_arn, a, err, e));
    ENSURE(e->kind == IAM_ROLE, err, SL_E_IAM_NO_SUCH_ENTITY, "%.*s is no role.",
           SLICE_FMT(role_arn));
    TRY(iam_tag_list(conn, e->id, a, err, &tags, &ret->tag_count));
    ret->tags = tags;
    return SL_OK;
}

struct sl_rc identity_role_get(struct kms_db *db, struct slice role_arn, struct arena *a,
                               struct sl_error *err, struct identity_role *ret) {
    sqlite3 *conn = NULL;
    struct iam_entity e;
    struct identity_role role = {0};
    TRY(kms_db_read(db, &conn, err));
    struct sl_rc rc = load_role_entity(conn, role_arn, a, err, &e, &role);
    kms_db_read_end(db, conn);
    TRY(rc);
    role.arn = e.arn;
    role.role_id = e.id;
    role.account = e.account;
    role.max_session_s = e.max_session_s;
    TRY(parse_stored(e.trust, POLICY_TRUST, a, err, &role.trust));
    *ret = role;
    return SL_OK;
}

static struct sl_rc exists(sqlite3 *conn, struct slice arn, struct arena *a, bool *ret) {
    int64_t n = 0;
    struct iam_entity e;
    struct sl_rc rc;
    struct slice rest = slice_sub(arn, 26, arn.len), session = SLICE_LIT("assumed-role/");
    if (arn.len == 12 ||
        (slice_starts(arn, SLICE_LIT("arn:aws:iam::")) && slice_eq_cstr(rest, "root"))) {
        struct slice account = arn.len == 12 ? arn : slice_sub(arn, 13, 25);
        TRY(rows_int(conn, NULL, &n, "SELECT count(*) FROM iam_account WHERE id = ?", "t",
                     account));
        *ret = n > 0;
        return SL_OK;
    }
    if (slice_starts(arn, SLICE_LIT("arn:aws:sts::")) && slice_starts(rest, session)) {
        rest = slice_sub(rest, session.len, rest.len);
        rc = iam_entity_get(conn, slice_sub(arn, 13, 25), IAM_ROLE,
                            slice_sub(rest, 0, slice_find(rest, '/')), a, NULL, &e);
    } else if (slice_starts(arn, SLICE_LIT("arn:aws:iam::"))) {
        rc = iam_entity_by_arn(conn, arn, a, NULL, &e);
    } else {
        rc = iam_entity_by_id(conn, arn, a, NULL, &e);
    }
    *ret = sl_is_ok(rc) && e.kind != IAM_GROUP;
    return SL_OK;
}

bool identity_exists(struct kms_db *db, struct slice principal_arn) {
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(256 * 1024);
    sqlite3 *conn = NULL;
    bool found = false;
    if (sl_failed(kms_db_read(db, &conn, NULL))) {
        return false;
    }
    sl_ignore(exists(conn, principal_arn, &a, &found));
    kms_db_read_end(db, conn);
    return found;
}

#define ADMIN_POLICY "arn:aws:iam::aws:policy/AdministratorAccess"

/* The account, `admin` and its key, in the caller's transaction. */
static struct sl_rc bootstrap_rows(sqlite3 *conn, struct slice account, struct slice key_id,
                                   struct slice sealed, struct arena *a, struct sl_error *err) {
    int64_t now_s = clock_real_ms() / 1000;
    struct iam_entity admin = {.kind = IAM_USER,
                               .account = account,
                               .name = SLICE_LIT("admin"),
                               .path = SLICE_LIT("/"),
                               .created_s = now_s};
    TRY(iam_account_add(conn, account, now_s, err));
    TRY(iam_entity_add(conn, &admin, a, err));
    TRY(iam_attach(conn, &admin, SLICE_LIT(ADMIN_POLICY), err));
    return iam_key_add(conn, admin.id, key_id, sealed, now_s, err);
}

static struct sl_rc bootstrap(struct kms_db *db, struct keyholder *kh, struct slice account,
                              struct slice given_id, struct slice given_secret, char ret_id[33],
                              struct secret *ret_secret, struct sl_error *err) {
    uint64_t number;
    ENSURE(account.len == 12 && slice_u64(account, 999999999999ULL, &number), err,
           SL_E_IAM_VALIDATION, "An account is 12 digits.");
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(256 * 1024);
    SL_CLEANUP(buf_fini) struct buf sealed = BUF_INIT(SEALED_MAX_BYTES);
    SL_CLEANUP(secret_fini) struct secret secret = {0};
    char id[33];
    TRY(iam_key_make(kh, given_id, given_secret, id, &secret, &sealed, err));
    sqlite3 *conn = NULL;
    TRY(kms_db_write(db, &conn, err));
    struct sl_rc rc = bootstrap_rows(conn, account, slice_cstr(id), buf_slice(&sealed), &a, err);
    struct sl_rc end = kms_db_write_end(db, conn, sl_is_ok(rc), err);
    TRY(rc);
    TRY(end);
    if (ret_secret != NULL) {
        memcpy(ret_id, id, sizeof id);
        *ret_secret = secret;
        secret = (struct secret){0};
    }
    return SL_OK;
}

struct sl_rc identity_bootstrap(struct kms_db *db, struct keyholder *kh, struct slice account,
                                char ret_access_key_id[33], struct secret *ret_secret_access_key,
                                struct sl_error *err) {
    return bootstrap(db, kh, account, SLICE_EMPTY, SLICE_EMPTY, ret_access_key_id,
                     ret_secret_access_key, err);
}

struct sl_rc identity_bootstrap_given(struct kms_db *db, struct keyholder *kh, struct slice account,
                                      struct slice access_key_id, struct slice secret_access_key,
                                      struct sl_error *err) {
    ENSURE(access_key_id.len > 0, err, SL_E_IAM_VALIDATION, "An access key id is needed.");
    return bootstrap(db, kh, account, access_key_id, secret_access_key, NULL, NULL, err);
}

#define ADMINS "(SELECT id FROM iam_entity WHERE name = 'admin' AND kind = 1)"
_Static_assert(IAM_USER == 1, "the kind in the statements above and below");

const struct db_keep identity_kept[] = {
    {"iam_account", "1"},
    {"iam_entity", "id IN " ADMINS},
    {"iam_access_key", "user_id IN " ADMINS " AND created = (SELECT min(created) FROM "
                       "iam_access_key k WHERE k.user_id = iam_access_key.user_id)"},
    {NULL, NULL}};

struct sl_rc identity_reset(sqlite3 *conn, struct sl_error *err) {
    static const char *const statements[] = {
        "UPDATE iam_entity SET path = '/', boundary = ''",
        "UPDATE iam_access_key SET active = 1",
        "INSERT INTO iam_attached (entity_id, arn) SELECT id, '" ADMIN_POLICY "' FROM iam_entity",
    };
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) {
        sqlite3_stmt *st;
        bool row;
        TRY(db_prepare(conn, statements[i], &st, err));
        struct sl_rc rc = db_step(st, &row, err);
        db_done(st);
        TRY(rc);
    }
    return SL_OK;
}
