/* See database_key.h. */
#include "extension/keys/database_key.h"

#include "miscadmin.h"
#include "storage/fd.h"

#include "extension/keys/cluster_key.h"
#include "extension/keys/key_file.h"
#include "extension/keys/raise.h"
#include "lib/base/folder.h"
#include "lib/crypto/crypto.h"

static struct database_key own;
static bool have_own;

void database_key_folder(Oid database, char *out, size_t size) {
    snprintf(out, size, "%s/%u", keys_folder, database);
}

static struct sl_rc load(const char *path, struct database_key *ret, struct sl_error *err) {
    SL_CLEANUP(buf_fini) struct buf record = BUF_INIT(WRAP_RECORD_LEN);
    struct wrap_name name;
    TRY(key_file_read(path, &record, err));
    TRY(wrap_name(buf_slice(&record), &name, err));
    memcpy(ret->id, name.own, KEY_ID_LEN);
    cluster_keys_hold();
    struct sl_rc rc = cluster_key_unwrap(buf_slice(&record), &name, &ret->key, err);
    cluster_keys_release();
    return rc;
}

/* Whoever comes second finds the first one's. */
static struct sl_rc make(const char *folder, const char *path, struct sl_error *err) {
    char temporary[KEY_PATH_MAX];
    uint8_t record[WRAP_RECORD_LEN];
    SL_CLEANUP(secret_fini) struct secret key = {0};
    struct wrap_name name = {.kind = WRAP_DATABASE};
    TRY(folder_make(folder, 0700, err));
    crypto_random(name.own, sizeof name.own);
    memcpy(name.run, keys_run(), sizeof name.run);
    TRY(secret_random(&key, WAREHOUSE_KEY_LEN));
    keys_temporary(folder, temporary, sizeof temporary);
    struct sl_error own_err = {0};
    cluster_keys_hold(); /* until a rotation would find the file */
    struct sl_rc rc = cluster_key_wrap(&name, secret_view(&key), record, &own_err);
    rc = sl_is_ok(rc) ? key_file_write(path, temporary, slice_of(record, sizeof record),
                                       KEY_FILE_NEW, &own_err)
                      : rc;
    cluster_keys_release();
    return sl_is_ok(rc) || rc.code == SL_E_EXISTS ? SL_OK
                                                  : sl_fail(err, rc.code, "%s", own_err.detail);
}

/* A rotation may replace the file, and take the older cluster key away, between our two looks. */
static struct sl_rc load_now(const char *path, struct database_key *ret, struct sl_error *err) {
    struct sl_rc rc = load(path, ret, err);
    for (int i = 0; i < 3 && rc.code == SL_E_NOT_FOUND && access(path, F_OK) == 0; i++) {
        sl_error_clear(err);
        rc = load(path, ret, err);
    }
    return rc;
}

static struct sl_rc have_key(bool can_make, struct sl_error *err) {
    char folder[KEY_PATH_MAX], path[KEY_PATH_MAX + 8];
    if (have_own) {
        return SL_OK;
    }
    database_key_folder(MyDatabaseId, folder, sizeof folder);
    snprintf(path, sizeof path, "%s/key", folder);
    struct sl_rc rc = load_now(path, &own, err);
    if (rc.code == SL_E_NOT_FOUND && can_make && access(path, F_OK) != 0) {
        sl_error_clear(err);
        rc = make(folder, path, err);
        rc = sl_is_ok(rc) ? load_now(path, &own, err) : rc;
    }
    have_own = sl_is_ok(rc);
    return rc.code == SL_E_NOT_FOUND ? sl_rc_of(SL_E_CORRUPT) : rc;
}

const struct database_key *database_key(bool can_make) {
    struct sl_error err = {0};
    struct sl_rc rc = have_key(can_make, &err);
    if (sl_failed(rc)) {
        keys_raise(ERROR, rc, &err, "the database's key");
    }
    return &own;
}

const struct database_key *database_key_find(void) {
    struct sl_error err = {0};
    struct sl_rc rc = have_key(false, &err);
    if (sl_failed(rc) && rc.code != SL_E_CORRUPT) {
        keys_raise(ERROR, rc, &err, "the database's key");
    }
    return sl_is_ok(rc) ? &own : NULL;
}

/* ---- A database made from another ---- */

struct copy {
    const char *from, *to; /* folders */
    struct database_key from_key, to_key;
};

static struct sl_rc copy_one(const char *file, void *arg, struct sl_error *err) {
    const struct copy *c = arg;
    char path[2 * KEY_PATH_MAX], temporary[KEY_PATH_MAX];
    uint8_t record[WRAP_RECORD_LEN];
    SL_CLEANUP(buf_fini) struct buf was = BUF_INIT(WRAP_RECORD_LEN);
    SL_CLEANUP(secret_fini) struct secret key = {0};
    struct wrap_name name;
    if (strlen(file) != 2 * KEY_ID_LEN) {
        return SL_OK;
    }
    snprintf(path, sizeof path, "%s/%s", c->from, file);
    TRY(key_file_read(path, &was, err));
    TRY(wrap_name(buf_slice(&was), &name, err));
    name.kind = WRAP_TABLE;
    memcpy(name.parent, c->from_key.id, KEY_ID_LEN);
    TRY(wrap_open(buf_slice(&was), &name, secret_view(&c->from_key.key), &key, err));
    memcpy(name.run, keys_run(), KEY_ID_LEN);
    memcpy(name.parent, c->to_key.id, KEY_ID_LEN);
    TRY(wrap_make(&name, secret_view(&c->to_key.key), secret_view(&key), record, err));
    keys_temporary(c->to, temporary, sizeof temporary);
    snprintf(path, sizeof path, "%s/%s", c->to, file);
    return key_file_write(path, temporary, slice_of(record, sizeof record), KEY_FILE_NEW, err);
}

struct sl_rc database_key_copy(Oid from, Oid to, struct sl_error *err) {
    char from_folder[KEY_PATH_MAX], to_folder[KEY_PATH_MAX], path[KEY_PATH_MAX + 8];
    struct copy c = {.from = from_folder, .to = to_folder};
    database_key_folder(from, from_folder, sizeof from_folder);
    database_key_folder(to, to_folder, sizeof to_folder);
    snprintf(path, sizeof path, "%s/key", from_folder);
    struct sl_rc rc = load_now(path, &c.from_key, err);
    if (rc.code == SL_E_NOT_FOUND && access(path, F_OK) != 0) {
        sl_error_clear(err);
        return SL_OK;
    }
    TRY(rc);
    snprintf(path, sizeof path, "%s/key", to_folder);
    rc = make(to_folder, path, err);
    rc = sl_is_ok(rc) ? load_now(path, &c.to_key, err) : rc;
    rc = sl_is_ok(rc) ? key_file_each(from_folder, copy_one, &c, err) : rc;
    secret_fini(&c.from_key.key);
    secret_fini(&c.to_key.key);
    return rc;
}
