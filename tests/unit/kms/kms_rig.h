/* A kms service of the test's own: keyholder thread, database and audit log in a folder, account
 * 000000000000 with its admin, and helpers that call operations as any identity. Time is the
 * test's. */
#ifndef TESTS_KMS_RIG_H
#define TESTS_KMS_RIG_H

#include "lib/base/limits.h"
#include "server/api/kms/kms_in.h"
#include "server/main/kms_service.h"
#include "server/store/identity/iam.h"
#include "server/store/keys/keys.h"
#include "tests/unit/keys/rig.h"

#include <dirent.h>
#include <sys/stat.h>

#define ACCOUNT "000000000000"

struct kms_rig {
    struct rig keys;
    struct conf conf;
    struct kms_service k;
    struct auth_env env;
    struct arena a;
    struct sl_error err;
    char admin_id[33];
    struct secret admin_secret;
    struct auth_caller admin;
    struct buf out;
    const struct json *answer;
};

static inline void kms_rig_start(struct kms_rig *r) {
    static const char *const schemas[] = {identity_schema, keys_schema, NULL};
    char path[128];
    memset(r, 0, sizeof *r);
    rig_folder(&r->keys);
    assert_true(rig_start(&r->keys, true));
    r->conf = (struct conf){.data_dir = r->keys.dir,
                            .instance_id = "00112233445566778899aabbccddeeff",
                            .account = ACCOUNT,
                            .region = "us-east-1",
                            .cluster = "local"};
    r->k = (struct kms_service){.conf = &r->conf,
                                .root = rig_channel(&r->keys),
                                .clock_mu = PTHREAD_MUTEX_INITIALIZER,
                                .tls_mu = PTHREAD_MUTEX_INITIALIZER,
                                .root_mu = PTHREAD_MUTEX_INITIALIZER,
                                .mu = PTHREAD_MUTEX_INITIALIZER};
    r->k.http = (struct http_service){.handle = kms_http_handle, .user = &r->k};
    for (int e = SEAM_S3; e <= SEAM_SUPERVISOR; e++) {
        r->k.tokens.have[e] = true;
        memset(r->k.tokens.token[e], e, SEAM_TOKEN_LEN);
    }
    snprintf(path, sizeof path, "%s/kms.db", r->keys.dir);
    OK(kms_db_open(path, schemas, &r->k.db, NULL));
    snprintf(path, sizeof path, "%s/audit", r->keys.dir);
    OK(audit_open(path, rig_channel(&r->keys), false, &r->k.audit, NULL));
    OK(keyholder_derive(r->k.root, "session-token", &r->k.token_key, NULL));
    OK(keyholder_derive(r->k.root, "denial", &r->k.denial_key, NULL));
    OK(secret_random(&r->k.forward_key, 32));
    r->a = ARENA_INIT(64 * 1024 * 1024);
    r->out = (struct buf){.max = 1024 * 1024, .wipe = true};
    OK(kms_env_begin(&r->k, &r->env, NULL));
    OK(identity_bootstrap(r->k.db, r->env.keys, SLICE_LIT(ACCOUNT), r->admin_id, &r->admin_secret,
                          NULL));
    struct secret again = {0};
    OK(identity_by_access_key(r->k.db, r->env.keys, slice_cstr(r->admin_id), &r->a, NULL,
                              &r->admin.who, &again));
    secret_fini(&again);
    r->admin.region = SLICE_LIT("us-east-1");
    r->admin.service = SLICE_LIT("kms");
    r->admin.source_ip = SLICE_LIT("127.0.0.1");
    r->admin.tls = true;
}

static inline void kms_rig_stop(struct kms_rig *r) {
    char path[600];
    kms_env_end(&r->k, &r->env);
    audit_close(r->k.audit);
    kms_db_close(r->k.db);
    while (r->k.idle_count > 0) {
        keyholder_close(r->k.idle[--r->k.idle_count]);
    }
    keyholder_close(r->k.root);
    secret_fini(&r->k.token_key);
    secret_fini(&r->k.forward_key);
    secret_fini(&r->k.denial_key);
    secret_fini(&r->admin_secret);
    buf_fini(&r->out);
    arena_fini(&r->a);
    static const char *const folders[] = {"/audit", ""};
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s%s", r->keys.dir, folders[i]);
        DIR *d = opendir(path);
        for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
            if (strncmp(e->d_name, "kms.", 4) == 0 || i == 0) {
                unlinkat(dirfd(d), e->d_name, 0);
            }
        }
        if (d != NULL) {
            closedir(d);
        }
    }
    snprintf(path, sizeof path, "%s/audit", r->keys.dir);
    rmdir(path);
    rig_stop(&r->keys);
    rig_remove(&r->keys);
}

static inline int kms_group_start(void **state) {
    struct kms_rig *r = calloc(1, sizeof *r);
    kms_rig_start(r);
    *state = r;
    return 0;
}

static inline int kms_group_stop(void **state) {
    kms_rig_stop(*state);
    free(*state);
    return 0;
}

/* As OK, with the error's text where it fails. */
#define OK_SAYING(r, call)                                                                         \
    do {                                                                                           \
        struct sl_rc said_ = (call);                                                               \
        if (sl_failed(said_)) {                                                                    \
            fail_msg("%s", (r)->err.detail);                                                       \
        }                                                                                          \
    } while (0)

/* Runs an operation; the answer, parsed, in r->answer. */
static inline struct sl_rc kms_run(struct kms_rig *r, const struct auth_caller *as,
                                   const char *operation, const char *body) {
    const struct api_operation *op = api_kms_operations;
    while (op->name != NULL && strcmp(op->name, operation) != 0) {
        op++;
    }
    assert_non_null(op->name);
    sl_error_clear(&r->err);
    buf_reset(&r->out);
    r->answer = NULL;
    struct api_call c = {.env = &r->env,
                         .caller = as,
                         .arena = &r->a,
                         .err = &r->err,
                         .request_id = "11111111-1111-4111-8111-111111111111",
                         .operation = slice_cstr(operation),
                         .out = &r->out};
    OK(json_parse(slice_cstr(body), &r->a, NULL, &c.body));
    struct sl_rc rc = op->run(&c);
    if (c.use != NULL) {
        keyholder_uses(r->env.keys, &c.use, 1);
        rc = c.finish(&c);
    }
    struct kms_event event = {"kms.amazonaws.com", c.operation, op->read_only, op->key_use};
    rc = kms_audit(&r->k, &event, &c, rc);
    for (size_t i = 0; sl_is_ok(rc) && kms_models[i] != NULL; i++) {
        if (strcmp(kms_models[i]->name, operation) == 0) {
            OK_SAYING(r, kms_answer_check(&c, kms_models[i]));
        }
    }
    if (sl_is_ok(rc) && r->out.len > 0) {
        OK(json_parse(buf_slice(&r->out), &r->a, NULL, &r->answer));
    }
    return rc;
}

/* As kms_run with a body of printf. */
#define RUN(r, as, op, ...) kms_run((r), (as), (op), arena_printf(&(r)->a, __VA_ARGS__))
/* A member of the answer as C text. */
static inline const char *got(struct kms_rig *r, const char *name) {
    const struct json *v = json_get(r->answer, name);
    if (v == NULL) {
        v = json_get(json_get(r->answer, "KeyMetadata"), name);
    }
    return v ? arena_cstr(&r->a, v->text) : "";
}

static inline const char *new_key(struct kms_rig *r) {
    OK(kms_run(r, &r->admin, "CreateKey", "{}"));
    return got(r, "KeyId");
}

/* A user (or a role, where trust is given) with one inline policy. */
static inline void add_entity(struct kms_rig *r, enum iam_kind kind, const char *account,
                              const char *name, const char *policy, const char *trust,
                              char ret_key_id[33], struct secret *ret_secret) {
    struct sqlite3 *conn = NULL;
    struct iam_entity e = {.kind = kind,
                           .account = slice_cstr(account),
                           .name = slice_cstr(name),
                           .path = SLICE_LIT("/"),
                           .trust = slice_cstr(trust),
                           .max_session_s = 3600,
                           .created_s = 1};
    SL_CLEANUP(buf_fini) struct buf sealed = BUF_INIT(4096);
    if (ret_key_id != NULL) {
        OK(iam_key_make(r->env.keys, SLICE_EMPTY, SLICE_EMPTY, ret_key_id, ret_secret, &sealed,
                        NULL));
    }
    OK(kms_db_write(r->k.db, &conn, NULL));
    OK(iam_entity_add(conn, &e, &r->a, NULL));
    if (policy != NULL) {
        OK(iam_inline_put(conn, &e, SLICE_LIT("p"), slice_cstr(policy), NULL));
    }
    if (ret_key_id != NULL) {
        OK(iam_key_add(conn, e.id, slice_cstr(ret_key_id), buf_slice(&sealed), 1, NULL));
    }
    OK(kms_db_write_end(r->k.db, conn, true, NULL));
}

/* A user with a policy, as caller. */
static inline struct auth_caller as_user(struct kms_rig *r, const char *account, const char *name,
                                         const char *policy) {
    char id[33];
    struct secret secret = {0};
    struct auth_caller caller = r->admin;
    add_entity(r, IAM_USER, account, name, policy, "", id, &secret);
    secret_fini(&secret);
    OK(identity_by_access_key(r->k.db, r->env.keys, slice_cstr(id), &r->a, NULL, &caller.who,
                              &secret));
    secret_fini(&secret);
    return caller;
}

static inline void add_account(struct kms_rig *r, const char *account) {
    char id[33];
    struct secret secret = {0};
    OK(identity_bootstrap(r->k.db, r->env.keys, slice_cstr(account), id, &secret, NULL));
    secret_fini(&secret);
}

#define ALLOW(action, resource)                                                                    \
    "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"" action        \
    "\",\"Resource\":\"" resource "\"}]}"

static inline bool says(const struct kms_rig *r, const char *text) {
    if (strstr(r->err.detail, text) == NULL) {
        print_message("said: %s\n", r->err.detail);
        return false;
    }
    return true;
}

#endif
