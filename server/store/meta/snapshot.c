/* A copy of the whole database as of one instant, and whether a database is sound. */
#include "server/store/meta/meta.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <unistd.h>

enum { PATH_BYTES = 4096, BUSY_MS = 10 * 1000 };

struct sl_rc kms_db_snapshot_drop(const char *path, struct sl_error *err) {
    static const char *const beside[] = {"", "-wal", "-shm", "-journal"};
    for (size_t i = 0; i < sizeof beside / sizeof *beside; i++) {
        char name[PATH_BYTES];
        int n = snprintf(name, sizeof name, "%s%s", path, beside[i]);
        ENSURE(n > 0 && (size_t)n < sizeof name, err, SL_E_LIMIT, "%s: path too long", path);
        ENSURE(unlink(name) == 0 || errno == ENOENT, err, SL_E_IO, "%s: %m", name);
    }
    return SL_OK;
}

/* SQLite fills an empty file that is there, so it never stands open by the umask. */
static struct sl_rc make_private(const char *path, struct sl_error *err) {
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    ENSURE(fd >= 0, err, SL_E_IO, "%s: %m", path);
    close(fd);
    return SL_OK;
}

static struct sl_rc vacuum_into(sqlite3 *handle, const char *to, struct sl_error *err) {
    char *sql = sqlite3_mprintf("VACUUM INTO %Q", to);
    ENSURE(sql != NULL, err, SL_E_NOMEM, "no memory for a statement");
    sqlite3_busy_timeout(handle, BUSY_MS);
    int rc = sqlite3_exec(handle, sql, NULL, NULL, NULL);
    sqlite3_free(sql);
    ENSURE(rc == SQLITE_OK, err, rc == SQLITE_FULL ? SL_E_FULL : SL_E_IO, "%s: %s", to,
           sqlite3_errmsg(handle));
    return SL_OK;
}

struct sl_rc kms_db_snapshot(const char *path, const char *to, struct sl_error *err) {
    sqlite3 *handle = NULL;
    TRY(kms_db_snapshot_drop(to, err));
    TRY(make_private(to, err));
    int opened = sqlite3_open_v2(path, &handle, SQLITE_OPEN_READWRITE, NULL);
    struct sl_rc rc = opened == SQLITE_OK ? vacuum_into(handle, to, err)
                                          : sl_fail(err, SL_E_IO, "%s can't be opened", path);
    sqlite3_close_v2(handle);
    if (sl_failed(rc)) {
        sl_ignore(kms_db_snapshot_drop(to, NULL));
    }
    return rc;
}

struct sl_rc kms_db_sound(struct sqlite3 *conn, bool *ret, struct sl_error *err) {
    sqlite3_stmt *st;
    bool row = false;
    TRY(db_prepare(conn, "PRAGMA integrity_check(1)", &st, err));
    struct sl_rc rc = db_step(st, &row, err);
    if (sl_is_ok(rc)) {
        *ret = row && slice_eq_cstr(db_column(st, 0), "ok");
    }
    db_done(st);
    return rc;
}
