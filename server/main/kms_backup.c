/* Backup and drill of the key store, as the supervisor's edge asks for them (docs/format.md). What
 * a backup carries is a snapshot of the database, DATA/kms/backup.db, sealed as the database itself
 * is; the asker reads the file and removes it. A snapshot that nobody took goes at the next start.
 */
#include "server/main/kms_service.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/base/limits.h"
#include "lib/crypto/crypto.h"
#include "lib/ipc/seam_msg.h"
#include "server/store/keys/backup.h"
#include "server/store/keys/keys.h"

enum { PAGE_ARENA_BYTES = 128 * 1024 * 1024 };

static void snapshot_path(const struct kms_service *k, const char *name, char *out, size_t size) {
    snprintf(out, size, "%s/kms/%s", k->conf->data_dir, name);
}

struct sl_rc kms_backup_sweep(const struct kms_service *k, struct sl_error *err) {
    char path[4096];
    snapshot_path(k, SEAM_BACKUP_FILE, path, sizeof path);
    return kms_db_snapshot_drop(path, err);
}

static bool is_id(struct slice id) {
    bool ok = id.len == SEAM_BACKUP_ID_CHARS;
    for (size_t i = 0; i < id.len; i++) {
        ok &= (id.ptr[i] >= '0' && id.ptr[i] <= '9') || (id.ptr[i] >= 'a' && id.ptr[i] <= 'f');
    }
    return ok;
}

static struct sl_rc record(struct kms_rpc *r, const char *name, struct slice id, struct sl_rc rc) {
    char request_id[37];
    crypto_uuid(request_id);
    struct auth_caller caller = {
        .who.principal = {.type = PRINCIPAL_SERVICE, .service = SLICE_LIT("sealift")}};
    struct kms_event event = {.source = "kms.amazonaws.com", .name = slice_cstr(name)};
    struct api_call c = {.env = &r->env,
                         .caller = &caller,
                         .arena = r->arena,
                         .err = &r->err,
                         .request_id = request_id,
                         .operation = event.name};
    const char *request = arena_printf(r->arena, "{\"backupId\":\"%.*s\"}", SLICE_FMT(id));
    ENSURE(request != NULL, &r->err, SL_E_NOMEM, "Out of memory.");
    c.audit_request = slice_cstr(request);
    return kms_audit(r->service, &event, &c, rc);
}

/* ---- Backup ---- */

static struct sl_rc add_head_file(struct sqlite3 *conn, int dir, uint64_t first,
                                  struct sl_error *err) {
    char name[32];
    uint8_t line[AUDIT_HEAD_LINE_MAX];
    audit_name(name, first, ".head");
    int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    ENSURE(fd >= 0, err, SL_E_IO, "%s: %m", name);
    ssize_t n = read(fd, line, sizeof line);
    close(fd);
    ENSURE(n > 0, err, SL_E_IO, "%s can't be read", name);
    return backup_head_add(conn, slice_of(line, (size_t)n), err);
}

/* Of all closed segments, and of the log as it stands. */
static struct sl_rc add_heads(struct kms_rpc *r, struct sqlite3 *conn) {
    SL_CLEANUP(buf_fini) struct buf head = BUF_INIT(AUDIT_HEAD_LINE_MAX);
    uint64_t *firsts = NULL;
    size_t count = 0;
    int dir = open(r->service->audit_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ENSURE(dir >= 0, &r->err, SL_E_IO, "%s: %m", r->service->audit_dir);
    struct sl_rc rc = audit_list(dir, ".head", &firsts, &count, &r->err);
    for (size_t i = 0; i < count && sl_is_ok(rc); i++) {
        rc = add_head_file(conn, dir, firsts[i], &r->err);
    }
    free(firsts);
    close(dir);
    TRY(rc);
    TRY(audit_head(r->service->audit, &head, &r->err));
    return backup_head_add(conn, buf_slice(&head), &r->err);
}

/* Probes of the next keys; *ret_after is the last one's id, empty when no more follow. */
static struct sl_rc add_probes(struct kms_rpc *r, struct sqlite3 *conn, struct slice after,
                               struct buf *ret_after) {
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(PAGE_ARENA_BYTES);
    struct backup_key *keys = NULL;
    size_t count = 0;
    TRY(backup_keys(conn, after, LIMIT_BACKUP_ROWS, &a, &keys, &count, &r->err));
    for (size_t i = 0; i < count; i++) {
        SL_CLEANUP(buf_fini) struct buf probe = BUF_INIT(LIMIT_FRAME_BYTES);
        TRY(keyholder_probe(r->env.keys, keys[i].record, &probe, &r->err));
        TRY(backup_probe_add(conn, keys[i].id, buf_slice(&probe), &r->err));
    }
    buf_vec16(ret_after, count == LIMIT_BACKUP_ROWS ? keys[count - 1].id : SLICE_EMPTY);
    return SL_OK;
}

static struct sl_rc fill(struct kms_rpc *r, const char *path, struct slice after, struct buf *out) {
    static const char *const schemas[] = {backup_schema, NULL};
    struct kms_db *db = NULL;
    struct sqlite3 *conn = NULL;
    char wal[4096 + 8];
    TRY(kms_db_open(path, schemas, &db, &r->err));
    struct sl_rc rc = kms_db_write(db, &conn, &r->err);
    if (sl_is_ok(rc)) {
        rc = after.len == 0 ? backup_clear(conn, &r->err) : SL_OK;
        rc = sl_is_ok(rc) && after.len == 0 ? add_heads(r, conn) : rc;
        rc = sl_is_ok(rc) ? add_probes(r, conn, after, out) : rc;
        struct sl_rc end = kms_db_write_end(db, conn, sl_is_ok(rc), &r->err);
        rc = sl_failed(rc) ? rc : end;
    }
    kms_db_close(db);
    TRY(rc);
    /* The asker reads one file: nothing may be left beside it. */
    snprintf(wal, sizeof wal, "%s-wal", path);
    ENSURE(access(wal, F_OK) != 0, &r->err, SL_E_IO, "The snapshot could not be completed.");
    return SL_OK;
}

static struct sl_rc backup(struct kms_rpc *r, struct slice id, struct slice after,
                           struct buf *out) {
    struct kms_service *k = r->service;
    char from[4096], to[4096];
    snapshot_path(k, "kms.db", from, sizeof from);
    snapshot_path(k, SEAM_BACKUP_FILE, to, sizeof to);
    if (after.len == 0) {
        TRY(record(r, "BackupKeyStore", id, SL_OK));
        TRY(kms_db_snapshot(from, to, &r->err));
        snprintf(k->backup_id, sizeof k->backup_id, "%.*s", SLICE_FMT(id));
    }
    ENSURE(slice_eq_cstr(id, k->backup_id), &r->err, SL_E_EXISTS, "Another backup has begun.");
    return fill(r, to, after, out);
}

struct sl_rc kms_backup_rpc(struct kms_rpc *r, struct slice payload, struct buf *out) {
    struct rdr in = rdr_of(payload);
    struct slice id = rdr_vec16(&in), after = rdr_vec16(&in);
    TRY(rdr_end(&in, &r->err, "backup"));
    ENSURE(is_id(id), &r->err, SL_E_PARSE, "backup: its id is not valid");
    pthread_mutex_lock(&r->service->backup_mu);
    struct sl_rc rc = backup(r, id, after, out);
    pthread_mutex_unlock(&r->service->backup_mu);
    return rc;
}

/* ---- What a restored store holds ---- */

struct tally {
    struct kms_rpc *rpc;
    struct sqlite3 *conn;
    struct arena *arena;
    struct slice after;
    uint32_t seen, good, materials;
    struct buf next, problem; /* the last row's name when more may follow; the first that failed */
};

static void judge(struct tally *t, struct slice name, struct sl_rc rc, struct sl_error *err) {
    t->seen++;
    t->good += sl_is_ok(rc);
    if (sl_failed(rc) && t->problem.len == 0) {
        buf_printf(&t->problem, "%.*s: %s", SLICE_FMT(name), sl_error_message(err, rc.code));
    }
}

static struct sl_rc prove(struct tally *t, const struct backup_key *key, struct sl_error *err) {
    uint32_t materials = 0;
    TRY(keyholder_prove(t->rpc->env.keys, key->record, key->probe, &materials, err));
    t->materials += materials;
    return SL_OK;
}

static struct sl_rc check_keys(struct tally *t, struct sl_error *err) {
    struct backup_key *keys = NULL;
    size_t count = 0;
    TRY(backup_keys(t->conn, t->after, LIMIT_BACKUP_ROWS, t->arena, &keys, &count, err));
    for (size_t i = 0; i < count; i++) {
        struct sl_error why = {0};
        judge(t, keys[i].arn, prove(t, &keys[i], &why), &why);
    }
    buf_put(&t->next, count == LIMIT_BACKUP_ROWS ? keys[count - 1].id : SLICE_EMPTY);
    return SL_OK;
}

static struct sl_rc check_access_keys(struct tally *t, struct sl_error *err) {
    struct identity_secret *secrets = NULL;
    size_t count = 0;
    TRY(identity_secrets(t->conn, t->after, LIMIT_BACKUP_ROWS, t->arena, &secrets, &count, err));
    for (size_t i = 0; i < count; i++) {
        struct sl_error why = {0};
        judge(t, secrets[i].id, identity_secret_check(t->rpc->env.keys, &secrets[i], &why), &why);
    }
    buf_put(&t->next, count == LIMIT_BACKUP_ROWS ? secrets[count - 1].id : SLICE_EMPTY);
    return SL_OK;
}

static struct sl_rc check_tls(struct tally *t, struct sl_error *err) {
    struct backup_secret *secrets = NULL;
    size_t count = 0;
    TRY(backup_secrets(t->conn, LIMIT_BACKUP_ROWS, t->arena, &secrets, &count, err));
    for (size_t i = 0; i < count; i++) {
        SL_CLEANUP(secret_fini) struct secret key = {0};
        struct sl_error why = {0};
        judge(t, secrets[i].name,
              keyholder_unseal(t->rpc->env.keys, "tls", secrets[i].name, secrets[i].sealed, &key,
                               &why),
              &why);
    }
    return SL_OK;
}

static struct sl_rc check_head(const struct audit_judge *judge_, struct slice line,
                               struct sl_error *err) {
    struct audit_point point;
    uint8_t key[32];
    TRY(audit_head_parse(line, &point, key, err));
    ENSURE(memcmp(key, judge_->public_key, sizeof key) == 0, err, SL_E_CORRUPT,
           "signed by another store's key");
    return SL_OK;
}

static struct sl_rc check_heads(struct tally *t, struct sl_error *err) {
    struct audit_judge signer;
    struct slice *lines = NULL;
    size_t count = 0;
    uint64_t after = 0;
    ENSURE(t->after.len == 0 || slice_u64(t->after, LIMIT_BACKUP_HEADS, &after), err, SL_E_LIMIT,
           "Too many heads.");
    TRY(audit_judge_of(t->rpc->env.keys, &signer, err));
    TRY(backup_heads(t->conn, (int64_t)after, LIMIT_BACKUP_ROWS, t->arena, &lines, &count, err));
    for (size_t i = 0; i < count; i++) {
        struct sl_error why = {0};
        judge(t, SLICE_LIT("audit head"), check_head(&signer, lines[i], &why), &why);
    }
    if (count == LIMIT_BACKUP_ROWS) {
        buf_printf(&t->next, "%llu", (unsigned long long)(after + count));
    }
    return SL_OK;
}

static struct sl_rc check_database(struct tally *t, struct sl_error *err) {
    bool sound = false;
    struct sl_error why = {0};
    TRY(kms_db_sound(t->conn, &sound, err));
    judge(t, SLICE_LIT("database"), sound ? SL_OK : sl_fail(&why, SL_E_CORRUPT, "not well-formed"),
          &why);
    return SL_OK;
}

static struct sl_rc check(struct tally *t, uint8_t kind, struct sl_error *err) {
    static struct sl_rc (*const checks[])(struct tally *, struct sl_error *) = {
        [SEAM_BACKUP_DATABASE] = check_database,
        [SEAM_BACKUP_KEYS] = check_keys,
        [SEAM_BACKUP_ACCESS_KEYS] = check_access_keys,
        [SEAM_BACKUP_TLS] = check_tls,
        [SEAM_BACKUP_HEADS] = check_heads};
    ENSURE(kind < sizeof checks / sizeof *checks, err, SL_E_PARSE, "backup check: what?");
    return checks[kind](t, err);
}

struct sl_rc kms_backup_check_rpc(struct kms_rpc *r, struct slice payload, struct buf *out) {
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(PAGE_ARENA_BYTES);
    struct rdr in = rdr_of(payload);
    uint8_t kind = rdr_u8(&in);
    struct tally t = {.rpc = r,
                      .arena = &a,
                      .after = rdr_vec16(&in),
                      .next = BUF_INIT(SL_ERROR_DETAIL_MAX),
                      .problem = BUF_INIT(2 * SL_ERROR_DETAIL_MAX)};
    TRY(rdr_end(&in, &r->err, "backup check"));
    TRY(kms_db_read(r->env.db, &t.conn, &r->err));
    struct sl_rc rc = check(&t, kind, &r->err);
    kms_db_read_end(r->env.db, t.conn);
    if (sl_is_ok(rc)) {
        buf_vec16(out, buf_slice(&t.next));
        buf_u32(out, t.seen);
        buf_u32(out, t.good);
        buf_u32(out, t.materials);
        buf_vec16(out, buf_slice(&t.problem));
    }
    buf_fini(&t.next);
    buf_fini(&t.problem);
    return rc;
}

struct sl_rc kms_backup_note_rpc(struct kms_rpc *r, struct slice payload, struct buf *out) {
    struct rdr in = rdr_of(payload);
    bool restored = rdr_u8(&in) != 0;
    bool good = rdr_u8(&in) != 0;
    struct slice id = rdr_vec16(&in);
    TRY(rdr_end(&in, &r->err, "backup note"));
    ENSURE(is_id(id), &r->err, SL_E_PARSE, "backup: its id is not valid");
    struct sl_rc rc = good ? SL_OK : sl_fail(&r->err, SL_E_CORRUPT, "The backup does not restore.");
    rc = record(r, restored ? "RestoreKeyStore" : "DrillKeyStore", id, rc);
    return rc.code == SL_E_CORRUPT ? SL_OK : rc;
}
