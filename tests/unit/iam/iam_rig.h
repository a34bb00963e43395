/* IAM and STS operations over a real database and keyholder: each case is a script of calls, with
 * what must come back. Callers are loaded afresh for each call, so policies count as they are. */
#ifndef TESTS_IAM_RIG_H
#define TESTS_IAM_RIG_H

#include "tests/unit/keys/rig.h"

#include "lib/base/clock.h"
#include "lib/codec/xml.h"
#include "lib/crypto/crypto.h"
#include "server/api/api.h"
#include "server/store/identity/iam.h"

#define ACCOUNT "012345678999"
#define U "arn:aws:iam::" ACCOUNT ":user/"
#define R "arn:aws:iam::" ACCOUNT ":role/"
#define DENIED(action) "is not authorized to perform: iam:" action

struct world {
    struct rig rig;
    char path[128];
    struct kms_db *db;
    struct secret token_key;
    char admin_key[33];
    char alice_key[33];
    int64_t later_ms; /* added to the time */
    /* Temporary credentials by name. */
    struct session {
        char name[32], id[32], secret[64], token[16384];
    } sessions[16];
    size_t session_count;
    char denial[16384]; /* of the last call, or "" */
    struct arena texts; /* of the test */
};

static struct world w;

/* The caller by name: admin, alice (by her key), nobody, "role:NAME" (a session s1), or "=NAME", by
 * the temporary credentials of that name. */
static struct auth_env env_now(void) {
    return (struct auth_env){.db = w.db,
                             .keys = w.rig.k,
                             .token_key = &w.token_key,
                             .denial_key = &w.token_key,
                             .account = SLICE_LIT(ACCOUNT),
                             .region = SLICE_LIT("us-east-1"),
                             .now_ms = clock_real_ms() + w.later_ms,
                             .real_ms = clock_real_ms()};
}

/* A signed request with the credentials of a session, verified as the service does it. */
static struct sl_rc verify_session(const char *name, struct arena *a, struct auth_caller *ret) {
    const struct session *s = w.sessions;
    while (strcmp(s->name, name) != 0) {
        s++;
        assert_true(s < w.sessions + w.session_count);
    }
    struct auth_env env = env_now();
    struct sigv4_header headers[4] = {{SLICE_LIT("host"), SLICE_LIT("sts.local")},
                                      {SLICE_LIT("x-amz-date"), SLICE_EMPTY},
                                      {SLICE_LIT("x-amz-security-token"), slice_cstr(s->token)}};
    char date[17];
    clock_basic(env.real_ms / 1000, date);
    headers[1].value = slice_cstr(date);
    struct sigv4_request q = {.method = SLICE_LIT("GET"),
                              .path = SLICE_LIT("/"),
                              .headers = headers,
                              .header_count = 3,
                              .payload_hash = SLICE_LIT("UNSIGNED-PAYLOAD")};
    SL_CLEANUP(buf_fini) struct buf signature = BUF_INIT(4096);
    SL_CLEANUP(secret_fini) struct secret secret = {0};
    OK(secret_from(&secret, slice_cstr(s->secret)));
    OK(sigv4_sign(&q, slice_cstr(s->id), &secret, SLICE_LIT("us-east-1"), SLICE_LIT("sts"),
                  env.real_ms / 1000, a, &signature, NULL));
    headers[q.header_count++] =
        (struct sigv4_header){SLICE_LIT("authorization"), buf_slice(&signature)};
    return auth_verify(&env, &q, NULL, SLICE_LIT("127.0.0.1"), true, a, NULL, ret, NULL, NULL,
                       NULL);
}

static struct auth_caller caller_of(const char *name, struct arena *a) {
    struct auth_caller c = {.region = SLICE_LIT("us-east-1"), .tls = true};
    SL_CLEANUP(secret_fini) struct secret secret = {0};
    if (name[0] == '=') {
        OK(verify_session(name + 1, a, &c));
        return c;
    }
    if (strncmp(name, "role:", 5) == 0) {
        struct slice arn = slice_cstr(arena_printf(a, R "%s", name + 5));
        OK(identity_by_role(w.db, arn, SLICE_LIT("s1"), a, NULL, &c.who));
    } else if (strcmp(name, "root") == 0) {
        c.who.principal =
            (struct policy_principal){.type = PRINCIPAL_ROOT,
                                      .account = SLICE_LIT(ACCOUNT),
                                      .arn = SLICE_LIT("arn:aws:iam::" ACCOUNT ":root")};
    } else if (strcmp(name, "nobody") != 0) {
        const char *id = strcmp(name, "admin") == 0 ? w.admin_key : w.alice_key;
        OK(identity_by_access_key(w.db, w.rig.k, slice_cstr(id), a, NULL, &c.who, &secret));
        assert_int_equal(secret.len, 40);
    }
    return c;
}

static struct sl_rc call(const char *who, const char *form, struct arena *a, struct buf *out,
                         struct sl_error *err) {
    struct auth_caller caller = caller_of(who, a);
    struct auth_env env = env_now();
    struct api_call c = {.env = &env, .caller = &caller, .arena = a, .err = err, .out = out};
    OK(params_parse(slice_cstr(form), true, a, NULL, &c.form));
    c.operation = params_get(&c.form, "Action")->value;
    const struct api_operation *tables[] = {api_iam_operations, api_sts_operations};
    for (size_t t = 0; t < 2; t++) {
        for (const struct api_operation *op = tables[t]; op->name != NULL; op++) {
            if (slice_eq_cstr(c.operation, op->name)) {
                struct sl_rc rc = op->run(&c);
                if (sl_is_ok(rc) && c.audit_request.len > 0) {
                    const struct json *j;
                    OK(json_parse(c.audit_request, a, NULL, &j));
                }
                return rc;
            }
        }
    }
    return sl_fail(err, SL_E_INVALID_ACTION, "no such operation");
}

struct step {
    const char *who, *form;
    enum sl_code code;
    const char *expect; /* in the answer, or in the error's text; NULL: an empty answer */
};

static void run_steps(const struct step *steps, size_t count) {
    int wrong = 0;
    for (size_t i = 0; i < count; i++) {
        SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(8 * 1024 * 1024);
        SL_CLEANUP(buf_fini) struct buf out = BUF_INIT(1024 * 1024);
        struct sl_error err = {0};
        struct sl_rc rc = call(steps[i].who, steps[i].form, &a, &out, &err);
        buf_putc(&out, 0);
        const char *got = sl_is_ok(rc) ? (const char *)out.ptr : err.detail;
        snprintf(w.denial, sizeof w.denial, "%s", sl_is_ok(rc) || !err.denial ? "" : err.denial);
        if (rc.code != steps[i].code ||
            (steps[i].expect ? strstr(got, steps[i].expect) == NULL : out.len != 1)) {
            print_error("%s: %s\n  %s, wanted %s\n  %s\n", steps[i].who, steps[i].form,
                        rc.code ? sl_code_info(rc.code)->name : "OK",
                        steps[i].code ? sl_code_info(steps[i].code)->name : "OK", got);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}
#define RUN(steps) run_steps(steps, sizeof(steps) / sizeof *(steps))

/* The text of an element of an answer. */
static inline void take(const char *who, const char *form, const char *element, char *ret,
                        size_t size) {
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(8 * 1024 * 1024);
    SL_CLEANUP(buf_fini) struct buf out = BUF_INIT(1024 * 1024);
    char open[64];
    OK(call(who, form, &a, &out, NULL));
    buf_putc(&out, 0);
    snprintf(open, sizeof open, "<%s>", element);
    const char *at = strstr((const char *)out.ptr, open);
    assert_non_null(at);
    at += strlen(open);
    snprintf(ret, size, "%.*s", (int)strcspn(at, "<"), at);
}

/* A policy written with ' for ", encoded for a form. */
static inline const char *enc(const char *json) {
    char *text = arena_cstr(&w.texts, slice_cstr(json));
    SL_CLEANUP(buf_fini) struct buf out = BUF_INIT(256 * 1024);
    for (char *at = text; *at != 0; at++) {
        *at = *at == '\'' ? '"' : *at;
    }
    uri_encode(&out, slice_cstr(text), false);
    return arena_cstr(&w.texts, buf_slice(&out));
}
/* One call; the form by printf. */
#define CALL(who, code, expect, ...)                                                               \
    run_steps(&(struct step){who, arena_printf(&w.texts, __VA_ARGS__), code, expect}, 1)

/* A call of STS whose credentials are kept under a name. */
static inline void keep_session(const char *name, const char *who, const char *form) {
    struct session *s = &w.sessions[w.session_count++];
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(8 * 1024 * 1024);
    SL_CLEANUP(buf_fini) struct buf out = BUF_INIT(1024 * 1024);
    const struct xml *root;
    struct sl_error err = {0};
    assert_true(w.session_count <= sizeof w.sessions / sizeof *w.sessions);
    buf_puts(&out, "<a>");
    struct sl_rc rc = call(who, form, &a, &out, &err);
    if (sl_failed(rc)) {
        fail_msg("%s: %s: %s", who, form, err.detail);
    }
    buf_puts(&out, "</a>");
    OK(xml_parse(buf_slice(&out), &a, NULL, &root));
    const struct xml *c = xml_get(root, "Credentials");
    snprintf(s->name, sizeof s->name, "%s", name);
    snprintf(s->id, sizeof s->id, "%.*s", SLICE_FMT(xml_get(c, "AccessKeyId")->text));
    snprintf(s->secret, sizeof s->secret, "%.*s", SLICE_FMT(xml_get(c, "SecretAccessKey")->text));
    struct slice token = xml_get(c, "SessionToken")->text;
    assert_true(token.len < sizeof s->token);
    memcpy(s->token, token.ptr, token.len);
    s->token[token.len] = 0;
}
#define SESSION(name, who, ...) keep_session(name, who, arena_printf(&w.texts, __VA_ARGS__))

#define ALLOW(action, resource)                                                                    \
    "%7B%22Statement%22:%7B%22Effect%22:%22Allow%22,%22Action%22:%22" action                       \
    "%22,%22Resource%22:%22" resource "%22%7D%7D"
#define TRUST(who)                                                                                 \
    "%7B%22Statement%22:%7B%22Effect%22:%22Allow%22,%22Principal%22:" who                          \
    ",%22Action%22:%22sts:AssumeRole%22%7D%7D"
#define BY_AWS(arn) "%7B%22AWS%22:%22" arn "%22%7D"
#define BY_SERVICE "%7B%22Service%22:%22redshift.amazonaws.com%22%7D"

static inline int start(void **state) {
    const char *schemas[] = {identity_schema, NULL};
    struct secret secret = {0};
    w.texts = ARENA_INIT(16 * 1024 * 1024);
    rig_folder(&w.rig);
    assert_true(rig_start(&w.rig, true));
    snprintf(w.path, sizeof w.path, "%s/kms.db", w.rig.dir);
    OK(kms_db_open(w.path, schemas, &w.db, NULL));
    OK(secret_random(&w.token_key, 32));
    OK(identity_bootstrap(w.db, w.rig.k, SLICE_LIT(ACCOUNT), w.admin_key, &secret, NULL));
    assert_int_equal(secret.len, 40);
    secret_fini(&secret);
    static const struct step steps[] = {{"admin", "Action=CreateUser&UserName=alice", 0, "alice"}};
    RUN(steps);
    take("admin", "Action=CreateAccessKey&UserName=alice", "AccessKeyId", w.alice_key,
         sizeof w.alice_key);
    return 0;
}

static int stop(void **state) {
    kms_db_close(w.db);
    secret_fini(&w.token_key);
    arena_fini(&w.texts);
    rig_stop(&w.rig);
    for (size_t i = 0; i < 3; i++) {
        char name[160];
        snprintf(name, sizeof name, "%s%s", w.path, (const char *[]){"", "-wal", "-shm"}[i]);
        unlink(name);
    }
    rig_remove(&w.rig);
    return 0;
}

#endif
