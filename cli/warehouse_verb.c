/* `sealift warehouse`: check (warehouse_check.c), and what a standby needs: a way in for its
 * replication, and its promotion. Both through a session of PostgreSQL's superuser, which the
 * supervisor opens. docs/standby.md. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/admin.h"
#include "cli/verb.h"
#include "cli/verbs.h"
#include "cli/warehouse_check.h"
#include "gateway/backend/lookup.h"
#include "gateway/backend/question.h"
#include "gateway/wire/password.h"
#include "lib/base/arena.h"
#include "lib/base/clock.h"
#include "lib/codec/json.h"
#include "lib/crypto/crypto.h"

enum { CONNECT_MS = 30 * 1000, PROMOTE_S = 60, PASSWORD_HEX = 48, FILE_BYTES_MAX = 64 * 1024 };

static const char usage[] =
    "usage: sealift warehouse check [--database DB] [TABLE] [--data DIR]\n"
    "       sealift warehouse standby [--data DIR]\n"
    "       sealift warehouse promote [--data DIR]\n"
    "\n"
    "  check    reads all tables, and looks for what belongs to nobody; see check --help\n"
    "  standby  gives the role that standbys log in as a new password, and prints a connection\n"
    "           string for pg_basebackup and primary_conninfo\n"
    "  promote  makes a standby a warehouse of its own, which takes writes\n";

static struct sl_rc run(const struct instance *in, struct slice statement, question_row_fn row,
                        void *ctx, struct sl_error *err) {
    int64_t deadline = clock_mono_ms() + CONNECT_MS + PROMOTE_S * 1000;
    struct net_conn *c;
    TRY(admin_superuser(in, SLICE_LIT(LOOKUP_DATABASE), deadline, &c, err));
    struct sl_rc rc = question_ask(c, statement, deadline, SL_E_SQL_NOT_READY, row, ctx, err);
    net_conn_free(c);
    return rc;
}

/* ---- standby ---- */

static struct sl_rc give_password(const struct instance *in, const char *password,
                                  struct sl_error *err) {
    SL_CLEANUP(buf_fini) struct buf verifier = BUF_INIT(1024);
    SL_CLEANUP(buf_fini) struct buf sql = BUF_INIT(2048);
    TRY(password_verifier_put(slice_cstr(password), &verifier, err));
    buf_printf(&sql, "ALTER ROLE %s PASSWORD '%.*s'", STARTUP_STANDBY_ROLE,
               SLICE_FMT(buf_slice(&verifier)));
    TRY(buf_check(&sql, err));
    return run(in, buf_slice(&sql), NULL, NULL, err);
}

static struct sl_rc standby(const struct instance *in, struct sl_error *err) {
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(FILE_BYTES_MAX * 4);
    SL_CLEANUP(buf_fini) struct buf data = BUF_INIT(FILE_BYTES_MAX);
    char path[INSTANCE_PATH_MAX], password[PASSWORD_HEX + 1];
    const struct json *conf;
    instance_path(in, "run/conf.json", path, sizeof path);
    TRY(file_load(path, &data, err));
    TRY(json_parse(buf_slice(&data), &a, err, &conf));
    const struct json *port = json_get(conf, "sqlPort");
    ENSURE(port != NULL, err, SL_E_PARSE, "%s lacks the port", path);
    crypto_random_hex(password, PASSWORD_HEX);
    TRY(give_password(in, password, err));
    instance_path(in, "tls/ca.pem", path, sizeof path);
    printf("host=localhost port=%d user=%s password=%s sslmode=verify-full sslrootcert='%s'\n",
           (int)port->integer, STARTUP_STANDBY_ROLE, password, path);
    secret_wipe(password, sizeof password);
    return SL_OK;
}

/* ---- promote ---- */

static struct sl_rc take_answer(void *ctx, const struct slice *fields, size_t count,
                                struct sl_error *err) {
    ENSURE(count == 1, err, SL_E_SQL_PROTOCOL, "an answer of %zu columns", count);
    *(bool *)ctx = slice_eq_cstr(fields[0], "t");
    return SL_OK;
}

static struct sl_rc promote(const struct instance *in, struct sl_error *err) {
    char sql[64];
    bool standby = false, done = false;
    TRY(run(in, SLICE_LIT("SELECT pg_is_in_recovery()"), take_answer, &standby, err));
    ENSURE(standby, err, SL_E_VALIDATION, "the warehouse is no standby");
    snprintf(sql, sizeof sql, "SELECT pg_promote(true, %d)", PROMOTE_S);
    TRY(run(in, slice_cstr(sql), take_answer, &done, err));
    ENSURE(done, err, SL_E_TIMEOUT, "the warehouse was not promoted within %d s", PROMOTE_S);
    printf("The warehouse takes writes.\n");
    return SL_OK;
}

int verb_warehouse(int argc, char **argv) {
    static struct instance in;
    struct sl_error err = {0};
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "check") == 0) {
        return warehouse_check(argc - 1, argv + 1);
    }
    struct sl_rc rc;
    if (strcmp(what, "--help") == 0) {
        fputs(usage, stdout);
        return 0;
    }
    if (strcmp(what, "standby") != 0 && strcmp(what, "promote") != 0) {
        rc = sl_fail(&err, SL_E_VALIDATION, "%s", usage);
        return verb_report(&err, rc);
    }
    rc = verb_open(argc - 1, argv + 1, usage, NULL, &in, &err);
    if (sl_is_ok(rc)) {
        rc = strcmp(what, "standby") == 0 ? standby(&in, &err) : promote(&in, &err);
    }
    return sl_is_ok(rc) ? 0 : verb_report(&err, rc);
}
