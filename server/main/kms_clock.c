/* What only an ephemeral instance allows (docs/decisions/8-clock-and-reset.md): moving the
 * service's clock, which elsewhere is real time, and the reset. How far the clock is ahead is kept
 * in the database, so a restart keeps it. */
#include "server/main/kms_service.h"

#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/crypto/crypto.h"
#include "lib/ipc/seam_msg.h"
#include "server/api/kms/kms.h"
#include "server/store/identity/used.h"
#include "server/store/keys/keys.h"

#include <stdio.h>

static const char kept_name[] = "clock";
enum { KEPT_BYTES = 8, DUE_EVERY_MS = 60 * 60 * 1000 };

struct sl_rc kms_clock_load(struct kms_service *k, struct sl_error *err) {
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(64 * 1024);
    struct sqlite3 *conn = NULL;
    struct slice value = SLICE_EMPTY, sealed = SLICE_EMPTY;
    bool found = false;
    if (!k->conf->ephemeral) {
        return SL_OK;
    }
    TRY(kms_db_read(k->db, &conn, err));
    struct sl_rc rc = keys_kept_get(conn, kept_name, &a, &found, &value, &sealed, err);
    kms_db_read_end(k->db, conn);
    TRY(rc);
    if (found) {
        struct rdr r = rdr_of(value);
        int64_t ahead_ms = (int64_t)rdr_u64(&r);
        TRY(rdr_end(&r, err, "clock"));
        atomic_store(&k->clock_ahead_ms, ahead_ms);
    }
    return SL_OK;
}

int64_t kms_clock_ahead_s(const struct auth_env *env) {
    return (env->now_ms - env->real_ms) / 1000;
}

/* Who does what nobody asked for, and for whose log. */
struct due {
    struct kms_service *service;
    const struct auth_env *env;
};

static struct sl_rc record(const struct due *d, const char *name, const struct key_row *k,
                           struct sl_error *err) {
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(LIMIT_REQUEST_ARENA_BYTES);
    char id[37];
    crypto_uuid(id);
    struct auth_caller caller = {
        .who.principal = {.type = PRINCIPAL_SERVICE, .service = SLICE_LIT("AWS Internal")},
        .region = k->region};
    struct kms_event event = {
        .source = "kms.amazonaws.com", .name = slice_cstr(name), .by_service = true};
    struct api_call c = {.env = d->env,
                         .caller = &caller,
                         .arena = &a,
                         .err = err,
                         .request_id = id,
                         .operation = event.name,
                         .audit_resource = k->arn};
    return kms_audit(d->service, &event, &c, SL_OK);
}

static struct sl_rc rotated(void *user, const struct key_row *k, struct sl_error *err) {
    return record(user, "RotateKey", k, err);
}

/* Recorded first: a deletion that is not, does not happen. */
static struct sl_rc purge(const struct due *d, struct sl_error *err) {
    char after[40] = "";
    bool found = true;
    while (found) {
        SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(LIMIT_REQUEST_ARENA_BYTES);
        struct key_row k = {0};
        struct sqlite3 *conn = NULL;
        TRY(kms_db_read(d->env->db, &conn, err));
        struct sl_rc rc =
            keys_deletion_due(conn, slice_cstr(after), d->env->now_ms, &a, &found, &k, err);
        kms_db_read_end(d->env->db, conn);
        TRY(rc);
        if (found) {
            TRY(record(d, "DeleteKey", &k, err));
            snprintf(after, sizeof after, "%.*s", SLICE_FMT(k.id));
        }
    }
    return keys_purge(d->env->db, d->env->now_ms, err);
}

/* Keys whose time has come are not found any more from that moment, imported material is not used
 * any more; this removes them. And keys get the new material that is due. */
static struct sl_rc due_work(struct kms_service *k, const struct auth_env *env,
                             struct sl_error *err) {
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(LIMIT_REQUEST_ARENA_BYTES);
    struct due d = {k, env};
    TRY(purge(&d, err));
    TRY(kms_expire(env, &a, err));
    return kms_rotate(env, rotated, &d, err);
}

void kms_clock_tick(struct kms_service *k, const struct auth_env *env) {
    struct sl_error err = {0};
    long long due_ms = atomic_load(&k->next_due_ms);
    if (env->now_ms < due_ms ||
        !atomic_compare_exchange_strong(&k->next_due_ms, &due_ms, env->now_ms + DUE_EVERY_MS)) {
        return;
    }
    struct sl_rc rc = due_work(k, env, &err);
    if (sl_failed(rc)) {
        sl_log(SL_WARN, "due.failed", "error=%s",
               SL_Q(slice_cstr(sl_error_message(&err, rc.code))));
    }
}

static struct sl_rc keep(struct kms_rpc *r, int64_t ahead_ms) {
    SL_CLEANUP(buf_fini) struct buf value = BUF_INIT(KEPT_BYTES);
    struct sqlite3 *conn = NULL;
    buf_u64(&value, (uint64_t)ahead_ms);
    TRY(buf_check(&value, &r->err));
    TRY(kms_db_write(r->env.db, &conn, &r->err));
    struct sl_rc rc = keys_kept_set(conn, kept_name, buf_slice(&value), SLICE_EMPTY, &r->err);
    struct sl_rc end = kms_db_write_end(r->env.db, conn, !sl_failed(rc), &r->err);
    return sl_failed(rc) ? rc : end;
}

static struct sl_rc move(struct kms_rpc *r, uint8_t how, int64_t ms) {
    struct kms_service *k = r->service;
    int64_t ahead_ms = atomic_load(&k->clock_ahead_ms);
    ENSURE(ms >= 0 && ms <= LIMIT_CLOCK_MS, &r->err, SL_E_VALIDATION,
           "The clock can't be moved that far.");
    if (how == SEAM_CLOCK_ADVANCE) {
        ahead_ms += ms;
    } else {
        ahead_ms = how == SEAM_CLOCK_SET ? ms - r->env.real_ms : 0;
    }
    int64_t now_ms = r->env.real_ms + ahead_ms;
    ENSURE(now_ms <= LIMIT_CLOCK_MS, &r->err, SL_E_VALIDATION,
           "The clock can't be moved that far.");
    TRY(keep(r, ahead_ms));
    r->env.now_ms = now_ms;
    atomic_store(&k->clock_ahead_ms, ahead_ms);
    atomic_store(&k->next_due_ms, now_ms + DUE_EVERY_MS);
    sl_log(SL_INFO, "clock.moved", "ahead_ms=%lld", (long long)ahead_ms);
    return due_work(k, &r->env, &r->err);
}

struct sl_rc kms_clock_rpc(struct kms_rpc *r, struct slice payload, struct buf *out) {
    struct rdr in = rdr_of(payload);
    uint8_t how = rdr_u8(&in);
    int64_t ms = (int64_t)rdr_u64(&in);
    TRY(rdr_end(&in, &r->err, "clock"));
    ENSURE(r->service->conf->ephemeral, &r->err, SL_E_VALIDATION,
           "The clock may be moved on an ephemeral instance only.");
    ENSURE(how <= SEAM_CLOCK_RESET, &r->err, SL_E_PARSE, "clock: unknown request %u", how);
    struct sl_rc rc = SL_OK;
    if (how != SEAM_CLOCK_SHOW) {
        pthread_mutex_lock(&r->service->clock_mu);
        rc = move(r, how, ms);
        pthread_mutex_unlock(&r->service->clock_mu);
    }
    TRY(rc);
    buf_u64(out, (uint64_t)r->env.now_ms);
    buf_u64(out, (uint64_t)r->env.real_ms);
    return SL_OK;
}

/* ---- Reset ---- */

static struct sl_rc clear(struct kms_rpc *r) {
    static const struct db_keep *const keep[] = {identity_kept, keys_kept, NULL};
    struct sqlite3 *conn = NULL;
    TRY(kms_db_write(r->env.db, &conn, &r->err));
    struct sl_rc rc = kms_db_clear(conn, keep, &r->err);
    rc = sl_failed(rc) ? rc : identity_reset(conn, &r->err);
    struct sl_rc end = kms_db_write_end(r->env.db, conn, !sl_failed(rc), &r->err);
    return sl_failed(rc) ? rc : end;
}

struct sl_rc kms_reset_rpc(struct kms_rpc *r, struct slice payload, struct buf *out) {
    struct kms_service *k = r->service;
    ENSURE(payload.len == 0, &r->err, SL_E_PARSE, "reset: payload not expected");
    ENSURE(k->conf->ephemeral, &r->err, SL_E_VALIDATION,
           "Only an ephemeral instance may be emptied.");
    pthread_mutex_lock(&k->clock_mu);
    struct sl_rc rc = clear(r);
    if (!sl_failed(rc)) {
        used_clear(k->used);
        atomic_store(&k->clock_ahead_ms, 0);
        atomic_store(&k->next_due_ms, 0);
    }
    pthread_mutex_unlock(&k->clock_mu);
    TRY(rc);
    sl_log(SL_INFO, "reset", "time=%lld", (long long)r->env.real_ms);
    return SL_OK;
}
