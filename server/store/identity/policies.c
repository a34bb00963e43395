/* Policies of identities: inline ones, managed ones with their versions, and what is attached. */
#include "server/store/identity/rows_in.h"

#include <sqlite3.h>

enum { VERSIONS_MAX = 5, POLICIES_PER_ACCOUNT = 1500 };

struct sl_rc iam_inline_put(sqlite3 *conn, const struct iam_entity *e, struct slice name,
                            struct slice document, struct sl_error *err) {
    return rows_run(conn, err, NULL,
                    "INSERT INTO iam_inline (entity_id, name, document) VALUES (?, ?, ?)"
                    " ON CONFLICT DO UPDATE SET document = excluded.document",
                    "ttt", e->id, name, document);
}

static struct sl_rc no_inline(const struct iam_entity *e, struct slice name, struct sl_error *err) {
    return sl_fail(err, SL_E_IAM_NO_SUCH_ENTITY, "The %s policy with name %.*s cannot be found.",
                   iam_kind_type(e->kind), SLICE_FMT(name));
}

struct sl_rc iam_inline_get(sqlite3 *conn, const struct iam_entity *e, struct slice name,
                            struct arena *a, struct sl_error *err, struct slice *ret_document) {
    sqlite3_stmt *st;
    size_t n = 0;
    struct slice *documents;
    TRY(rows_open(conn, err, &st,
                  "SELECT document FROM iam_inline WHERE entity_id = ? AND name = ?", "tt", e->id,
                  name));
    TRY(rows_texts(st, 1, a, err, &documents, &n));
    if (n == 0) {
        return no_inline(e, name, err);
    }
    *ret_document = documents[0];
    return SL_OK;
}

struct sl_rc iam_inline_delete(sqlite3 *conn, const struct iam_entity *e, struct slice name,
                               struct sl_error *err) {
    int changes = 0;
    TRY(rows_run(conn, err, &changes, "DELETE FROM iam_inline WHERE entity_id = ? AND name = ?",
                 "tt", e->id, name));
    return changes == 1 ? SL_OK : no_inline(e, name, err);
}

struct sl_rc iam_inline_list(sqlite3 *conn, const struct iam_entity *e, struct slice after,
                             size_t limit, struct arena *a, struct sl_error *err,
                             struct slice **ret, size_t *ret_count) {
    sqlite3_stmt *st;
    TRY(rows_open(conn, err, &st,
                  "SELECT name FROM iam_inline WHERE entity_id = ? AND name > ? ORDER BY name"
                  " LIMIT ?",
                  "tti", e->id, after, (int64_t)limit));
    return rows_texts(st, limit, a, err, ret, ret_count);
}

struct sl_rc iam_inline_size(sqlite3 *conn, const struct iam_entity *e, struct slice but_name,
                             struct sl_error *err, int64_t *ret_bytes) {
    return rows_int(conn, err, ret_bytes,
                    "SELECT coalesce(sum(length(CAST(replace(replace(replace(replace(document,"
                    " ' ', ''), char(9), ''), char(10), ''), char(13), '') AS BLOB))), 0)"
                    " FROM iam_inline"
                    " WHERE entity_id = ? AND name <> ?",
                    "tt", e->id, but_name);
}

struct sl_rc iam_policy_count(sqlite3 *conn, struct slice account, struct iam_policy *p,
                              struct sl_error *err) {
    TRY(rows_int(conn, err, &p->attachments,
                 "SELECT count(*) FROM iam_attached t JOIN iam_entity e ON e.id = t.entity_id"
                 " WHERE t.arn = ? AND e.account = ?",
                 "tt", p->arn, account));
    return rows_int(conn, err, &p->boundaries,
                    "SELECT count(*) FROM iam_entity WHERE boundary = ? AND account = ?", "tt",
                    p->arn, account);
}

#define POLICY_COLUMNS                                                                             \
    "p.arn, p.id, p.account, p.name, p.path, p.description, p.created, p.updated, "                \
    "p.default_version, v.document"
#define POLICY_FROM                                                                                \
    " FROM iam_policy p JOIN iam_policy_version v ON v.arn = p.arn AND"                            \
    " v.number = p.default_version "

static struct iam_policy policy_of(sqlite3_stmt *st, struct arena *a, bool *failed) {
    return (struct iam_policy){
        .arn = rows_text(st, 0, a, failed),
        .id = rows_text(st, 1, a, failed),
        .account = rows_text(st, 2, a, failed),
        .name = rows_text(st, 3, a, failed),
        .path = rows_text(st, 4, a, failed),
        .description = rows_text(st, 5, a, failed),
        .created_s = sqlite3_column_int64(st, 6),
        .updated_s = sqlite3_column_int64(st, 7),
        .version = sqlite3_column_int(st, 8),
        .document = rows_text(st, 9, a, failed),
    };
}

static struct sl_rc policy_rows(sqlite3_stmt *st, size_t limit, struct arena *a,
                                struct sl_error *err, struct iam_policy **ret, size_t *ret_count) {
    struct iam_policy *items = arena_array(a, limit ? limit : 1, sizeof *items);
    size_t n = 0;
    bool row = true, failed = items == NULL;
    struct sl_rc rc = SL_OK;
    while (!failed && n < limit && sl_is_ok(rc = db_step(st, &row, err)) && row) {
        items[n++] = policy_of(st, a, &failed);
    }
    db_done(st);
    TRY(rc);
    ENSURE(!failed, err, SL_E_NOMEM, "Out of memory.");
    *ret = items;
    *ret_count = n;
    return SL_OK;
}

struct sl_rc iam_policy_get(sqlite3 *conn, struct slice arn, struct arena *a, struct sl_error *err,
                            struct iam_policy *ret) {
    struct iam_policy built_in;
    for (size_t i = 0; iam_builtin(i, &built_in); i++) {
        if (slice_eq(built_in.arn, arn)) {
            *ret = built_in;
            return SL_OK;
        }
    }
    sqlite3_stmt *st;
    struct iam_policy *rows;
    size_t n = 0;
    TRY(rows_open(conn, err, &st, "SELECT " POLICY_COLUMNS POLICY_FROM "WHERE p.arn = ?", "t",
                  arn));
    TRY(policy_rows(st, 1, a, err, &rows, &n));
    ENSURE(n == 1, err, SL_E_IAM_NO_SUCH_ENTITY, "Policy %.*s was not found.", SLICE_FMT(arn));
    *ret = rows[0];
    return SL_OK;
}

struct sl_rc iam_policy_arn(sqlite3 *conn, struct slice id, struct arena *a, struct sl_error *err,
                            struct slice *ret_arn) {
    struct iam_policy built_in;
    for (size_t i = 0; iam_builtin(i, &built_in); i++) {
        if (slice_eq(built_in.id, id)) {
            *ret_arn = built_in.arn;
            return SL_OK;
        }
    }
    sqlite3_stmt *st;
    struct slice *arns;
    size_t n;
    TRY(rows_open(conn, err, &st, "SELECT arn FROM iam_policy WHERE id = ?", "t", id));
    TRY(rows_texts(st, 1, a, err, &arns, &n));
    ENSURE(n == 1, err, SL_E_IAM_VALIDATION, "Invalid Marker.");
    *ret_arn = arns[0];
    return SL_OK;
}

struct sl_rc iam_policy_add(sqlite3 *conn, struct iam_policy *p, struct arena *a,
                            struct sl_error *err) {
    char id[22];
    int64_t n;
    TRY(rows_int(conn, err, &n, "SELECT count(*) FROM iam_policy WHERE account = ?", "t",
                 p->account));
    ENSURE(n < POLICIES_PER_ACCOUNT, err, SL_E_IAM_LIMIT,
           "Cannot exceed quota for PoliciesPerAccount: %d", POLICIES_PER_ACCOUNT);
    iam_new_id("ANPA", 17, id);
    p->id = arena_copy(a, slice_cstr(id));
    p->arn = iam_arn(a, p->account, "policy", p->path, p->name);
    ENSURE(p->id.ptr && p->arn.ptr, err, SL_E_NOMEM, "Out of memory.");
    p->version = 1;
    p->updated_s = p->created_s;
    struct sl_error why = {0};
    struct sl_rc rc =
        rows_run(conn, &why, NULL,
                 "INSERT INTO iam_policy (arn, id, account, name, path, description,"
                 " created, updated, default_version, next_version)"
                 " VALUES (?, ?, ?, ?, ?, ?, ?7, ?7, 1, 2)",
                 "ttttt"
                 "ti",
                 p->arn, p->id, p->account, p->name, p->path, p->description, p->created_s);
    ENSURE(rc.code != SL_E_EXISTS, err, SL_E_IAM_EXISTS,
           "A policy called %.*s already exists. Duplicate names are not allowed.",
           SLICE_FMT(p->name));
    if (sl_failed(rc)) {
        return sl_fail(err, rc.code, "%s", why.detail);
    }
    return rows_run(conn, err, NULL,
                    "INSERT INTO iam_policy_version (arn, number, document, created)"
                    " VALUES (?, 1, ?, ?)",
                    "tti", p->arn, p->document, p->created_s);
}

struct sl_rc iam_policy_delete(sqlite3 *conn, const struct iam_policy *p, struct sl_error *err) {
    int64_t versions;
    ENSURE(p->attachments == 0 && p->boundaries == 0, err, SL_E_IAM_DELETE_CONFLICT,
           "Cannot delete a policy attached to entities.");
    TRY(rows_int(conn, err, &versions, "SELECT count(*) FROM iam_policy_version WHERE arn = ?", "t",
                 p->arn));
    ENSURE(versions <= 1, err, SL_E_IAM_DELETE_CONFLICT,
           "This policy has more than one version. Before you delete a policy, you must delete the "
           "policy's versions. The default version is deleted with the policy.");
    TRY(rows_run(conn, err, NULL, "DELETE FROM iam_policy_version WHERE arn = ?", "t", p->arn));
    TRY(rows_run(conn, err, NULL, "DELETE FROM iam_policy_tag WHERE owner = ?", "t", p->arn));
    return rows_run(conn, err, NULL, "DELETE FROM iam_policy WHERE arn = ?", "t", p->arn);
}

struct sl_rc iam_policy_list(sqlite3 *conn, struct slice account, struct slice after, size_t limit,
                             struct arena *a, struct sl_error *err, struct iam_policy **ret,
                             size_t *ret_count) {
    sqlite3_stmt *st;
    TRY(rows_open(conn, err, &st,
                  "SELECT " POLICY_COLUMNS POLICY_FROM
                  "WHERE p.account = ? AND p.arn > ? ORDER BY p.arn LIMIT ?",
                  "tti", account, after, (int64_t)limit));
    return policy_rows(st, limit, a, err, ret, ret_count);
}

struct sl_rc iam_version_list(sqlite3 *conn, const struct iam_policy *p, struct arena *a,
                              struct sl_error *err, struct iam_version **ret, size_t *ret_count) {
    struct iam_version *items = arena_array(a, VERSIONS_MAX, sizeof *items);
    ENSURE(items != NULL, err, SL_E_NOMEM, "Out of memory.");
    if (slice_eq_cstr(p->account, "aws")) {
        items[0] = (struct iam_version){p->version, p->updated_s, p->document};
        *ret = items;
        *ret_count = 1;
        return SL_OK;
    }
    sqlite3_stmt *st;
    size_t n = 0;
    bool row = true, failed = false;
    TRY(rows_open(conn, err, &st,
                  "SELECT number, created, document FROM iam_policy_version WHERE arn = ?"
                  " ORDER BY number DESC",
                  "t", p->arn));
    struct sl_rc rc = SL_OK;
    while (!failed && n < VERSIONS_MAX && sl_is_ok(rc = db_step(st, &row, err)) && row) {
        items[n].number = sqlite3_column_int(st, 0);
        items[n].created_s = sqlite3_column_int64(st, 1);
        items[n++].document = rows_text(st, 2, a, &failed);
    }
    db_done(st);
    TRY(rc);
    ENSURE(!failed, err, SL_E_NOMEM, "Out of memory.");
    *ret = items;
    *ret_count = n;
    return SL_OK;
}

struct sl_rc iam_version_default(sqlite3 *conn, const struct iam_policy *p, int32_t number,
                                 int64_t now_s, struct sl_error *err) {
    int changes = 0;
    TRY(rows_run(conn, err, &changes,
                 "UPDATE iam_policy SET default_version = ?1, updated = ?2 WHERE arn = ?3 AND"
                 " EXISTS (SELECT 1 FROM iam_policy_version WHERE arn = ?3 AND number = ?1)",
                 "iit", (int64_t)number, now_s, p->arn));
    ENSURE(changes == 1, err, SL_E_IAM_NO_SUCH_ENTITY,
           "Policy %.*s version v%d does not exist or is not attachable.", SLICE_FMT(p->arn),
           (int)number);
    return SL_OK;
}

struct sl_rc iam_version_add(sqlite3 *conn, const struct iam_policy *p, struct slice document,
                             bool make_default, int64_t now_s, struct sl_error *err,
                             int32_t *ret_number) {
    int64_t versions, number;
    TRY(rows_int(conn, err, &versions, "SELECT count(*) FROM iam_policy_version WHERE arn = ?", "t",
                 p->arn));
    ENSURE(versions < VERSIONS_MAX, err, SL_E_IAM_LIMIT,
           "A managed policy can have up to %d versions. Before you create a new version, you must "
           "delete an existing version.",
           VERSIONS_MAX);
    TRY(rows_int(conn, err, &number, "SELECT next_version FROM iam_policy WHERE arn = ?", "t",
                 p->arn));
    TRY(rows_run(conn, err, NULL,
                 "UPDATE iam_policy SET next_version = next_version + 1, updated = ? WHERE arn = ?",
                 "it", now_s, p->arn));
    TRY(rows_run(conn, err, NULL,
                 "INSERT INTO iam_policy_version (arn, number, document, created)"
                 " VALUES (?, ?, ?, ?)",
                 "titi", p->arn, number, document, now_s));
    if (make_default) {
        TRY(iam_version_default(conn, p, (int32_t)number, now_s, err));
    }
    *ret_number = (int32_t)number;
    return SL_OK;
}

struct sl_rc iam_version_delete(sqlite3 *conn, const struct iam_policy *p, int32_t number,
                                struct sl_error *err) {
    int changes = 0;
    ENSURE(number != p->version, err, SL_E_IAM_DELETE_CONFLICT,
           "Cannot delete the default version of a policy.");
    TRY(rows_run(conn, err, &changes, "DELETE FROM iam_policy_version WHERE arn = ? AND number = ?",
                 "ti", p->arn, (int64_t)number));
    ENSURE(changes == 1, err, SL_E_IAM_NO_SUCH_ENTITY,
           "Policy %.*s version v%d does not exist or is not attachable.", SLICE_FMT(p->arn),
           (int)number);
    return SL_OK;
}

struct sl_rc iam_attach(sqlite3 *conn, const struct iam_entity *e, struct slice arn,
                        struct sl_error *err) {
    return rows_run(conn, err, NULL,
                    "INSERT OR IGNORE INTO iam_attached (entity_id, arn) VALUES (?, ?)", "tt",
                    e->id, arn);
}

struct sl_rc iam_detach(sqlite3 *conn, const struct iam_entity *e, struct slice arn,
                        struct sl_error *err) {
    int changes = 0;
    TRY(rows_run(conn, err, &changes, "DELETE FROM iam_attached WHERE entity_id = ? AND arn = ?",
                 "tt", e->id, arn));
    ENSURE(changes == 1, err, SL_E_IAM_NO_SUCH_ENTITY, "Policy %.*s was not found.",
           SLICE_FMT(arn));
    return SL_OK;
}

struct sl_rc iam_attached_list(sqlite3 *conn, const struct iam_entity *e, struct slice after,
                               size_t limit, struct arena *a, struct sl_error *err,
                               struct slice **ret_arns, size_t *ret_count) {
    sqlite3_stmt *st;
    TRY(rows_open(conn, err, &st,
                  "SELECT arn FROM iam_attached WHERE entity_id = ? AND arn > ? ORDER BY arn"
                  " LIMIT ?",
                  "tti", e->id, after, (int64_t)limit));
    return rows_texts(st, limit, a, err, ret_arns, ret_count);
}
