/* Users, roles and groups, who is in which group, and tags. */
#include "server/store/identity/rows_in.h"

#include <sqlite3.h>

#include "lib/crypto/crypto.h"

static const char *const kind_types[] = {
    [IAM_USER] = "user", [IAM_ROLE] = "role", [IAM_GROUP] = "group"};
static const char *const kind_titles[] = {
    [IAM_USER] = "User", [IAM_ROLE] = "Role", [IAM_GROUP] = "Group"};
static const char *const kind_prefixes[] = {
    [IAM_USER] = "AIDA", [IAM_ROLE] = "AROA", [IAM_GROUP] = "AGPA"};

const char *iam_kind_type(enum iam_kind kind) {
    return kind_types[kind];
}

void iam_new_id(const char *prefix, size_t n, char *out) {
    static const char base32[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    uint8_t random[32];
    sl_assert(n <= sizeof random);
    crypto_random(random, n);
    size_t at = strlen(prefix);
    memcpy(out, prefix, at);
    for (size_t i = 0; i < n; i++) {
        out[at + i] = base32[random[i] & 31];
    }
    out[at + n] = 0;
}

struct slice iam_arn(struct arena *a, struct slice account, const char *type, struct slice path,
                     struct slice name) {
    return slice_cstr(arena_printf(a, "arn:aws:iam::%.*s:%s%.*s%.*s", SLICE_FMT(account), type,
                                   SLICE_FMT(path), SLICE_FMT(name)));
}

struct sl_rc iam_account_add(sqlite3 *conn, struct slice account, int64_t now_s,
                             struct sl_error *err) {
    int64_t there;
    TRY(rows_int(conn, err, &there, "SELECT count(*) FROM iam_account WHERE id = ?", "t", account));
    ENSURE(there == 0, err, SL_E_EXISTS, "Account %.*s exists already.", SLICE_FMT(account));
    return rows_run(conn, err, NULL, "INSERT INTO iam_account (id, created) VALUES (?, ?)", "ti",
                    account, now_s);
}

static struct sl_rc check_quota(sqlite3 *conn, const struct iam_entity *e, struct sl_error *err) {
    static const struct {
        const char *name;
        int max;
    } quotas[] = {[IAM_USER] = {"UsersPerAccount", 5000},
                  [IAM_ROLE] = {"RolesPerAccount", 1000},
                  [IAM_GROUP] = {"GroupsPerAccount", 300}};
    int64_t n;
    TRY(rows_int(conn, err, &n, "SELECT count(*) FROM iam_entity WHERE account = ? AND kind = ?",
                 "ti", e->account, (int64_t)e->kind));
    ENSURE(n < quotas[e->kind].max, err, SL_E_IAM_LIMIT, "Cannot exceed quota for %s: %d",
           quotas[e->kind].name, quotas[e->kind].max);
    return SL_OK;
}

struct sl_rc iam_entity_add(sqlite3 *conn, struct iam_entity *e, struct arena *a,
                            struct sl_error *err) {
    char id[22];
    TRY(check_quota(conn, e, err));
    iam_new_id(kind_prefixes[e->kind], 17, id);
    e->id = arena_copy(a, slice_cstr(id));
    e->arn = iam_arn(a, e->account, kind_types[e->kind], e->path, e->name);
    ENSURE(e->id.ptr && e->arn.ptr, err, SL_E_NOMEM, "Out of memory.");
    struct sl_error why = {0};
    struct sl_rc rc =
        rows_run(conn, &why, NULL,
                 "INSERT INTO iam_entity (id, kind, account, name, path, created, boundary,"
                 " description, trust, max_session) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                 "titttittti", e->id, (int64_t)e->kind, e->account, e->name, e->path, e->created_s,
                 e->boundary, e->description, e->trust, (int64_t)e->max_session_s);
    ENSURE(rc.code != SL_E_EXISTS, err, SL_E_IAM_EXISTS, "%s with name %.*s already exists.",
           kind_titles[e->kind], SLICE_FMT(e->name));
    return sl_is_ok(rc) ? rc : sl_fail(err, rc.code, "%s", why.detail);
}

#define ENTITY_COLUMNS                                                                             \
    "e.id, e.kind, e.account, e.name, e.path, e.created, e.boundary, e.description, e.trust, "     \
    "e.max_session"

static struct iam_entity entity_of(sqlite3_stmt *st, struct arena *a, bool *failed) {
    struct iam_entity e = {
        .id = rows_text(st, 0, a, failed),
        .kind = (enum iam_kind)sqlite3_column_int(st, 1),
        .account = rows_text(st, 2, a, failed),
        .name = rows_text(st, 3, a, failed),
        .path = rows_text(st, 4, a, failed),
        .created_s = sqlite3_column_int64(st, 5),
        .boundary = rows_text(st, 6, a, failed),
        .description = rows_text(st, 7, a, failed),
        .trust = rows_text(st, 8, a, failed),
        .max_session_s = sqlite3_column_int(st, 9),
    };
    e.arn = iam_arn(a, e.account, kind_types[e.kind], e.path, e.name);
    *failed |= e.arn.ptr == NULL;
    return e;
}

/* The one row of a statement. */
static struct sl_rc entity_one(sqlite3_stmt *st, struct arena *a, struct sl_error *err,
                               struct iam_entity *ret, bool *ret_found) {
    bool failed = false;
    struct sl_rc rc = db_step(st, ret_found, err);
    if (sl_is_ok(rc) && *ret_found) {
        struct iam_entity e = entity_of(st, a, &failed);
        if (!failed) {
            *ret = e;
        }
    }
    db_done(st);
    TRY(rc);
    ENSURE(!failed, err, SL_E_NOMEM, "Out of memory.");
    return SL_OK;
}

struct sl_rc iam_entity_get(sqlite3 *conn, struct slice account, enum iam_kind kind,
                            struct slice name, struct arena *a, struct sl_error *err,
                            struct iam_entity *ret) {
    sqlite3_stmt *st;
    bool found = false;
    TRY(rows_open(conn, err, &st,
                  "SELECT " ENTITY_COLUMNS " FROM iam_entity e WHERE e.account = ?1 AND e.kind = ?2"
                  " AND e.name = ?3 AND e.name = ?3 COLLATE BINARY",
                  "tit", account, (int64_t)kind, name));
    TRY(entity_one(st, a, err, ret, &found));
    ENSURE(found, err, SL_E_IAM_NO_SUCH_ENTITY, "The %s with name %.*s cannot be found.",
           kind_types[kind], SLICE_FMT(name));
    return SL_OK;
}

struct sl_rc iam_entity_by_id(sqlite3 *conn, struct slice id, struct arena *a, struct sl_error *err,
                              struct iam_entity *ret) {
    sqlite3_stmt *st;
    bool found = false;
    TRY(rows_open(conn, err, &st, "SELECT " ENTITY_COLUMNS " FROM iam_entity e WHERE e.id = ?", "t",
                  id));
    TRY(entity_one(st, a, err, ret, &found));
    ENSURE(found, err, SL_E_IAM_NO_SUCH_ENTITY, "The entity with id %.*s cannot be found.",
           SLICE_FMT(id));
    return SL_OK;
}

struct sl_rc iam_entity_by_arn(sqlite3 *conn, struct slice arn, struct arena *a,
                               struct sl_error *err, struct iam_entity *ret) {
    struct slice resource = slice_sub(arn, 26, arn.len);
    size_t slash = slice_find(resource, '/');
    size_t last = resource.len;
    while (last > 0 && resource.ptr[last - 1] != '/') {
        last--;
    }
    for (int kind = IAM_USER; kind <= IAM_GROUP && last > 0; kind++) {
        if (!slice_eq_cstr(slice_sub(resource, 0, slash), kind_types[kind])) {
            continue;
        }
        struct iam_entity e;
        struct sl_rc rc = iam_entity_get(conn, slice_sub(arn, 13, 25), (enum iam_kind)kind,
                                         slice_sub(resource, last, resource.len), a, NULL, &e);
        if (rc.code != SL_E_IAM_NO_SUCH_ENTITY) {
            TRY(rc);
            if (slice_eq(e.arn, arn)) {
                *ret = e;
                return SL_OK;
            }
        }
    }
    return sl_fail(err, SL_E_IAM_NO_SUCH_ENTITY, "%.*s cannot be found.", SLICE_FMT(arn));
}

struct sl_rc iam_entity_save(sqlite3 *conn, const struct iam_entity *e, struct sl_error *err) {
    struct sl_error why = {0};
    struct sl_rc rc = rows_run(conn, &why, NULL,
                               "UPDATE iam_entity SET name = ?, path = ?, boundary = ?,"
                               " description = ?, trust = ?, max_session = ? WHERE id = ?",
                               "tttttit", e->name, e->path, e->boundary, e->description, e->trust,
                               (int64_t)e->max_session_s, e->id);
    ENSURE(rc.code != SL_E_EXISTS, err, SL_E_IAM_EXISTS, "%s with name %.*s already exists.",
           kind_titles[e->kind], SLICE_FMT(e->name));
    return sl_is_ok(rc) ? rc : sl_fail(err, rc.code, "%s", why.detail);
}

static struct sl_rc must_be_none(int64_t n, const char *what, struct sl_error *err) {
    ENSURE(n == 0, err, SL_E_IAM_DELETE_CONFLICT, "Cannot delete entity, must %s first.", what);
    return SL_OK;
}

struct sl_rc iam_entity_delete(sqlite3 *conn, const struct iam_entity *e, struct sl_error *err) {
    int64_t keys, attached, inlined, members;
    TRY(rows_int(conn, err, &keys, "SELECT count(*) FROM iam_access_key WHERE user_id = ?", "t",
                 e->id));
    TRY(must_be_none(keys, "delete access keys", err));
    TRY(rows_int(conn, err, &attached, "SELECT count(*) FROM iam_attached WHERE entity_id = ?", "t",
                 e->id));
    TRY(must_be_none(attached, "detach all policies", err));
    TRY(rows_int(conn, err, &inlined, "SELECT count(*) FROM iam_inline WHERE entity_id = ?", "t",
                 e->id));
    TRY(must_be_none(inlined, "delete policies", err));
    TRY(rows_int(conn, err, &members,
                 "SELECT count(*) FROM iam_member WHERE user_id = ?1 OR group_id = ?1", "t",
                 e->id));
    TRY(must_be_none(members, "remove users from group", err));
    TRY(rows_run(conn, err, NULL, "DELETE FROM iam_tag WHERE owner = ?", "t", e->id));
    TRY(rows_run(conn, err, NULL, "DELETE FROM iam_last_used WHERE id = ?", "t", e->id));
    return rows_run(conn, err, NULL, "DELETE FROM iam_entity WHERE id = ?", "t", e->id);
}

/* All rows of a statement, which is ended. */
static struct sl_rc entity_rows(sqlite3_stmt *st, size_t limit, struct arena *a,
                                struct sl_error *err, struct iam_entity **ret, size_t *ret_count) {
    struct iam_entity *items = arena_array(a, limit ? limit : 1, sizeof *items);
    size_t n = 0;
    bool row = true, failed = items == NULL;
    struct sl_rc rc = SL_OK;
    while (!failed && n < limit && sl_is_ok(rc = db_step(st, &row, err)) && row) {
        items[n++] = entity_of(st, a, &failed);
    }
    db_done(st);
    TRY(rc);
    ENSURE(!failed, err, SL_E_NOMEM, "Out of memory.");
    *ret = items;
    *ret_count = n;
    return SL_OK;
}

struct sl_rc iam_entity_list(sqlite3 *conn, struct slice account, enum iam_kind kind,
                             struct slice path_prefix, struct slice after, size_t limit,
                             struct arena *a, struct sl_error *err, struct iam_entity **ret,
                             size_t *ret_count) {
    sqlite3_stmt *st;
    TRY(rows_open(
        conn, err, &st,
        "SELECT " ENTITY_COLUMNS " FROM iam_entity e WHERE e.account = ?1 AND e.kind = ?2"
        " AND e.name > ?3 AND substr(e.path, 1, length(?4)) = ?4 ORDER BY e.name LIMIT ?5",
        "titti", account, (int64_t)kind, after, path_prefix, (int64_t)limit));
    return entity_rows(st, limit, a, err, ret, ret_count);
}

struct sl_rc iam_policy_entities(sqlite3 *conn, const struct iam_uses *of, struct slice after,
                                 size_t limit, struct arena *a, struct sl_error *err,
                                 struct iam_entity **ret, size_t *ret_count) {
    sqlite3_stmt *st;
    TRY(rows_open(conn, err, &st,
                  "SELECT " ENTITY_COLUMNS " FROM iam_entity e WHERE e.account = ?1"
                  " AND ((?2 AND e.id IN (SELECT entity_id FROM iam_attached WHERE arn = ?4))"
                  "  OR (?3 AND e.boundary = ?4))"
                  " AND (?5 = 0 OR e.kind = ?5) AND substr(e.path, 1, length(?6)) = ?6"
                  " AND e.id > ?7 ORDER BY e.id LIMIT ?8",
                  "tiititti", of->account, (int64_t)of->attached, (int64_t)of->bounds, of->arn,
                  (int64_t)of->kind, of->path_prefix, after, (int64_t)limit));
    return entity_rows(st, limit, a, err, ret, ret_count);
}

struct sl_rc iam_member_add(sqlite3 *conn, struct slice group_id, struct slice user_id,
                            struct sl_error *err) {
    return rows_run(conn, err, NULL,
                    "INSERT OR IGNORE INTO iam_member (group_id, user_id) VALUES (?, ?)", "tt",
                    group_id, user_id);
}

struct sl_rc iam_member_delete(sqlite3 *conn, struct slice group_id, struct slice user_id,
                               struct sl_error *err) {
    return rows_run(conn, err, NULL, "DELETE FROM iam_member WHERE group_id = ? AND user_id = ?",
                    "tt", group_id, user_id);
}

struct sl_rc iam_member_list(sqlite3 *conn, const struct iam_entity *of, struct slice after,
                             size_t limit, struct arena *a, struct sl_error *err,
                             struct iam_entity **ret, size_t *ret_count) {
    static const char users[] =
        "SELECT " ENTITY_COLUMNS " FROM iam_member m JOIN iam_entity e ON e.id = m.user_id"
        " WHERE m.group_id = ? AND e.name > ? ORDER BY e.name LIMIT ?";
    static const char groups[] =
        "SELECT " ENTITY_COLUMNS " FROM iam_member m JOIN iam_entity e ON e.id = m.group_id"
        " WHERE m.user_id = ? AND e.name > ? ORDER BY e.name LIMIT ?";
    sqlite3_stmt *st;
    TRY(rows_open(conn, err, &st, of->kind == IAM_GROUP ? users : groups, "tti", of->id, after,
                  (int64_t)limit));
    return entity_rows(st, limit, a, err, ret, ret_count);
}

/* A statement on the tags of an entity, or of a policy. */
#define OF(owner, head, tail)                                                                      \
    (slice_starts(owner, SLICE_LIT("arn:")) ? head "iam_policy_tag" tail : head "iam_tag" tail)

struct sl_rc iam_tag_put(sqlite3 *conn, struct slice owner, struct iam_tag tag,
                         struct sl_error *err) {
    return rows_run(conn, err, NULL,
                    OF(owner, "INSERT INTO ",
                       " (owner, name, value) VALUES (?, ?, ?)"
                       " ON CONFLICT DO UPDATE SET name = excluded.name, value = excluded.value"),
                    "ttt", owner, tag.name, tag.value);
}

struct sl_rc iam_tag_delete(sqlite3 *conn, struct slice owner, struct slice name,
                            struct sl_error *err) {
    return rows_run(conn, err, NULL, OF(owner, "DELETE FROM ", " WHERE owner = ? AND name = ?"),
                    "tt", owner, name);
}

struct sl_rc iam_tag_list(sqlite3 *conn, struct slice owner, struct arena *a, struct sl_error *err,
                          struct iam_tag **ret, size_t *ret_count) {
    enum { TAGS_MAX = 64 };
    sqlite3_stmt *st;
    struct iam_tag *items = arena_array(a, TAGS_MAX, sizeof *items);
    size_t n = 0;
    bool row = true, failed = items == NULL;
    TRY(rows_open(conn, err, &st,
                  OF(owner, "SELECT name, value FROM ", " WHERE owner = ? ORDER BY name"), "t",
                  owner));
    struct sl_rc rc = SL_OK;
    while (!failed && n < TAGS_MAX && sl_is_ok(rc = db_step(st, &row, err)) && row) {
        items[n].name = rows_text(st, 0, a, &failed);
        items[n++].value = rows_text(st, 1, a, &failed);
    }
    db_done(st);
    TRY(rc);
    ENSURE(!failed, err, SL_E_NOMEM, "Out of memory.");
    *ret = items;
    *ret_count = n;
    return SL_OK;
}
