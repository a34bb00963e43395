/* Access keys: rows, and making one with its sealed secret. */
#include "server/store/identity/rows_in.h"

#include <sqlite3.h>

#include "lib/codec/text.h"
#include "lib/crypto/crypto.h"
#include "server/keys/keyholder.h"

enum { SECRET_BYTES = 30 }; /* 40 characters of base64 */

static struct sl_rc random_secret(struct secret *ret) {
    uint8_t random[SECRET_BYTES];
    SL_CLEANUP(buf_fini) struct buf text = {.max = 64, .wipe = true};
    crypto_random(random, sizeof random);
    base64_put(&text, slice_of(random, sizeof random));
    secret_wipe(random, sizeof random);
    TRY(buf_check(&text, NULL));
    return secret_from(ret, buf_slice(&text));
}

struct sl_rc iam_key_make(struct keyholder *kh, struct slice given_id, struct slice given_secret,
                          char ret_id[33], struct secret *ret_secret, struct buf *ret_sealed,
                          struct sl_error *err) {
    char id[33] = "";
    struct secret secret = {0};
    if (given_id.len > 0) {
        ENSURE(given_id.len >= 16 && given_id.len <= 32 && given_secret.len > 0 &&
                   given_secret.len <= 128 && slice_find(given_id, 0) == given_id.len,
               err, SL_E_IAM_VALIDATION,
               "An access key id has 16 to 32 characters, a secret at most 128.");
        memcpy(id, given_id.ptr, given_id.len);
        TRY(secret_from(&secret, given_secret));
    } else {
        iam_new_id("AKIA", 16, id);
        TRY(random_secret(&secret));
    }
    struct sl_rc rc =
        keyholder_seal(kh, "iam-secret", slice_cstr(id), secret_view(&secret), ret_sealed, err);
    if (sl_failed(rc)) {
        secret_fini(&secret);
        return rc;
    }
    memcpy(ret_id, id, sizeof id);
    *ret_secret = secret;
    return SL_OK;
}

struct sl_rc iam_key_add(sqlite3 *conn, struct slice user_id, struct slice key_id,
                         struct slice sealed, int64_t now_s, struct sl_error *err) {
    int64_t n;
    TRY(rows_int(conn, err, &n, "SELECT count(*) FROM iam_access_key WHERE user_id = ?", "t",
                 user_id));
    ENSURE(n < IAM_KEYS_PER_USER, err, SL_E_IAM_LIMIT,
           "Cannot exceed quota for AccessKeysPerUser: %d", IAM_KEYS_PER_USER);
    return rows_run(conn, err, NULL,
                    "INSERT INTO iam_access_key (id, user_id, active, sealed, created)"
                    " VALUES (?, ?, 1, ?, ?)",
                    "ttbi", key_id, user_id, sealed, now_s);
}

struct sl_rc iam_key_list(sqlite3 *conn, struct slice user_id, struct arena *a,
                          struct sl_error *err, struct iam_key **ret, size_t *ret_count) {
    sqlite3_stmt *st;
    struct iam_key *items = arena_array(a, IAM_KEYS_PER_USER, sizeof *items);
    size_t n = 0;
    bool row = true, failed = items == NULL;
    TRY(rows_open(conn, err, &st,
                  "SELECT id, active, created FROM iam_access_key WHERE user_id = ? ORDER BY"
                  " created, id",
                  "t", user_id));
    struct sl_rc rc = SL_OK;
    while (!failed && n < IAM_KEYS_PER_USER && sl_is_ok(rc = db_step(st, &row, err)) && row) {
        items[n].id = rows_text(st, 0, a, &failed);
        items[n].active = sqlite3_column_int(st, 1) != 0;
        items[n++].created_s = sqlite3_column_int64(st, 2);
    }
    db_done(st);
    TRY(rc);
    ENSURE(!failed, err, SL_E_NOMEM, "Out of memory.");
    *ret = items;
    *ret_count = n;
    return SL_OK;
}

static struct sl_rc one_key(struct sl_rc rc, int changes, struct slice key_id,
                            struct sl_error *err) {
    TRY(rc);
    ENSURE(changes == 1, err, SL_E_IAM_NO_SUCH_ENTITY,
           "The Access Key with id %.*s cannot be found.", SLICE_FMT(key_id));
    return SL_OK;
}

struct sl_rc iam_key_set(sqlite3 *conn, struct slice user_id, struct slice key_id, bool active,
                         struct sl_error *err) {
    int changes = 0;
    struct sl_rc rc = rows_run(conn, err, &changes,
                               "UPDATE iam_access_key SET active = ? WHERE id = ? AND user_id = ?",
                               "itt", (int64_t)active, key_id, user_id);
    return one_key(rc, changes, key_id, err);
}

struct sl_rc iam_key_user(sqlite3 *conn, struct slice key_id, struct arena *a, struct sl_error *err,
                          struct iam_entity *ret) {
    sqlite3_stmt *st;
    struct slice *ids;
    size_t n;
    TRY(rows_open(conn, err, &st, "SELECT user_id FROM iam_access_key WHERE id = ?", "t", key_id));
    TRY(rows_texts(st, 1, a, err, &ids, &n));
    return n == 1 ? iam_entity_by_id(conn, ids[0], a, err, ret) : one_key(SL_OK, 0, key_id, err);
}

struct sl_rc iam_key_delete(sqlite3 *conn, struct slice user_id, struct slice key_id,
                            struct sl_error *err) {
    int changes = 0;
    struct sl_rc rc =
        rows_run(conn, err, &changes, "DELETE FROM iam_access_key WHERE id = ? AND user_id = ?",
                 "tt", key_id, user_id);
    TRY(one_key(rc, changes, key_id, err));
    return rows_run(conn, err, NULL, "DELETE FROM iam_last_used WHERE id = ?", "t", key_id);
}

struct sl_rc identity_secrets(sqlite3 *conn, struct slice after, size_t max, struct arena *a,
                              struct identity_secret **ret, size_t *ret_count,
                              struct sl_error *err) {
    sqlite3_stmt *st;
    struct identity_secret *items = arena_array(a, max, sizeof *items);
    size_t n = 0;
    bool row = true, failed = items == NULL;
    TRY(rows_open(conn, err, &st, "SELECT id, sealed FROM iam_access_key WHERE id > ? ORDER BY id",
                  "t", after));
    struct sl_rc rc = SL_OK;
    while (!failed && n < max && sl_is_ok(rc = db_step(st, &row, err)) && row) {
        items[n].id = rows_text(st, 0, a, &failed);
        items[n++].sealed = rows_text(st, 1, a, &failed);
    }
    db_done(st);
    TRY(rc);
    ENSURE(!failed, err, SL_E_NOMEM, "Out of memory.");
    *ret = items;
    *ret_count = n;
    return SL_OK;
}

struct sl_rc identity_secret_check(struct keyholder *kh, const struct identity_secret *s,
                                   struct sl_error *err) {
    SL_CLEANUP(secret_fini) struct secret secret = {0};
    return keyholder_unseal(kh, "iam-secret", s->id, s->sealed, &secret, err);
}
