/* Verification, session tokens and forward sessions, with a clock of the test's own. */
#include "tests/unit/kms/kms_rig.h"

#include "lib/codec/text.h"
#include "server/auth/sealed.h"

struct signer {
    const char *key_id;
    const struct secret *secret;
    struct slice token;
    const char *service;
    const char *region;
    int64_t at_s;
};

/* A signed GET / and what auth_verify makes of it; `touch` may change the request in between. */
static struct sl_rc verify(struct kms_rig *r, const struct signer *s, const char *service,
                           void (*touch)(struct sigv4_request *), struct auth_caller *ret) {
    struct sigv4_header *headers = arena_array(&r->a, 8, sizeof *headers);
    char *date = arena_alloc(&r->a, 17);
    size_t n = 0;
    clock_basic(s->at_s, date);
    headers[n++] = (struct sigv4_header){SLICE_LIT("host"), SLICE_LIT("kms.local")};
    headers[n++] = (struct sigv4_header){SLICE_LIT("x-amz-date"), slice_cstr(date)};
    if (s->token.len > 0) {
        headers[n++] = (struct sigv4_header){SLICE_LIT("x-amz-security-token"), s->token};
    }
    struct sigv4_request q = {
        .method = SLICE_LIT("GET"),
        .path = SLICE_LIT("/"),
        .headers = headers,
        .header_count = n,
        .payload_hash =
            SLICE_LIT("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")};
    struct buf *value = arena_alloc(&r->a, sizeof *value);
    *value = BUF_INIT(16384);
    OK(sigv4_sign(&q, slice_cstr(s->key_id), s->secret, slice_cstr(s->region),
                  slice_cstr(s->service), s->at_s, &r->a, value, NULL));
    headers[n++] = (struct sigv4_header){SLICE_LIT("authorization"), buf_slice(value)};
    q.header_count = n;
    if (touch != NULL) {
        touch(&q);
    }
    sl_error_clear(&r->err);
    struct slice canonical = SLICE_EMPTY, to_sign = SLICE_EMPTY;
    struct sl_rc rc = auth_verify(&r->env, &q, service, SLICE_LIT("127.0.0.1"), true, &r->a,
                                  &r->err, ret, NULL, &canonical, &to_sign);
    buf_fini(value);
    return rc;
}

static struct signer admin(struct kms_rig *r) {
    return (struct signer){.key_id = r->admin_id,
                           .secret = &r->admin_secret,
                           .service = "kms",
                           .region = "us-east-1",
                           .at_s = r->env.real_ms / 1000};
}

static void change_path(struct sigv4_request *q) {
    q->path = SLICE_LIT("/x");
}

static void drop_signature(struct sigv4_request *q) {
    q->header_count--;
}

static void good_and_bad(void **state) {
    struct kms_rig *r = *state;
    struct auth_caller c = {0};
    struct signer s = admin(r);
    OK(verify(r, &s, NULL, NULL, &c));
    assert_true(slice_eq_cstr(c.who.principal.arn, "arn:aws:iam::" ACCOUNT ":user/admin"));
    assert_true(slice_eq_cstr(c.region, "us-east-1"));
    assert_true(slice_eq_cstr(c.service, "kms"));
    FAILS(verify(r, &s, NULL, change_path, &c), SL_E_SIGNATURE);
    OK(verify(r, &s, NULL, drop_signature, &c));
    assert_int_equal(c.who.principal.type, PRINCIPAL_ANONYMOUS);
    s.key_id = "AKIAAAAAAAAAAAAAAAAA";
    FAILS(verify(r, &s, NULL, NULL, &c), SL_E_UNKNOWN_KEY_ID);
    s = admin(r);
    s.token = SLICE_LIT("AAAA"); /* long-term keys have none */
    FAILS(verify(r, &s, NULL, NULL, &c), SL_E_TOKEN_INVALID);
}

static void scopes(void **state) {
    static const struct {
        const char *signed_for, *region, *endpoint;
        enum sl_code code;
    } cases[] = {
        {"kms", "us-east-1", NULL, SL_CODE_OK},
        {"sts", "eu-west-1", NULL, SL_CODE_OK},
        {"iam", "us-east-1", NULL, SL_CODE_OK},
        {"s3", "us-east-1", NULL, SL_E_SIGNATURE},
        {"s3", "us-east-1", "s3", SL_CODE_OK},
        {"kms", "us-east-1", "s3", SL_E_SCOPE},
        {"redshift", "us-east-1", "redshift", SL_CODE_OK},
        {"kms", "us-east-1", "redshift", SL_E_SIGNATURE},
        {"kms", "US_EAST", NULL, SL_E_SIGNATURE},
    };
    struct kms_rig *r = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct signer s = admin(r);
        struct auth_caller c = {0};
        s.service = cases[i].signed_for;
        s.region = cases[i].region;
        struct sl_rc rc = verify(r, &s, cases[i].endpoint, NULL, &c);
        assert_string_equal(sl_code_info(rc.code)->name, sl_code_info(cases[i].code)->name);
    }
}

static void clock_skew(void **state) {
    struct kms_rig *r = *state;
    struct auth_caller c = {0};
    struct signer s = admin(r);
    int64_t now_s = s.at_s;
    static const int64_t fine[] = {-900, -899, 0, 900}, off[] = {-901, 901, -86400};
    for (size_t i = 0; i < 4; i++) {
        s.at_s = now_s + fine[i];
        OK(verify(r, &s, NULL, NULL, &c));
    }
    for (size_t i = 0; i < 3; i++) {
        s.at_s = now_s + off[i];
        FAILS(verify(r, &s, NULL, NULL, &c), SL_E_SKEWED);
        assert_true(says(r, off[i] < 0 ? "Signature expired: " : "Signature not yet current: "));
    }
    s.service = "s3";
    FAILS(verify(r, &s, "s3", NULL, &c), SL_E_SKEWED);
    assert_true(says(r, "The difference between the request time and the current time"));
}

/* A deactivated or deleted key stops at the next request. */
static void revoked(void **state) {
    struct kms_rig *r = *state;
    struct auth_caller c = {0};
    struct sqlite3 *conn = NULL;
    struct iam_entity e = {0};
    char id[33];
    SL_CLEANUP(secret_fini) struct secret key = {0};
    add_entity(r, IAM_USER, ACCOUNT, "leaver", ALLOW("kms:*", "*"), "", id, &key);
    struct signer s = admin(r);
    s.key_id = id;
    s.secret = &key;
    OK(verify(r, &s, NULL, NULL, &c));
    struct slice session = SLICE_EMPTY;
    OK(auth_forward_make(&r->env, &c, 1, SLICE_LIT("s3"), "rid", &r->a, NULL, &session));
    OK(auth_forward_open(&r->env, session, 1, &r->a, NULL, &c));
    OK(kms_db_write(r->k.db, &conn, NULL));
    OK(iam_entity_get(conn, SLICE_LIT(ACCOUNT), IAM_USER, SLICE_LIT("leaver"), &r->a, NULL, &e));
    OK(iam_key_set(conn, e.id, slice_cstr(id), false, NULL));
    OK(kms_db_write_end(r->k.db, conn, true, NULL));
    FAILS(verify(r, &s, NULL, NULL, &c), SL_E_UNKNOWN_KEY_ID);
    FAILS(auth_forward_open(&r->env, session, 1, &r->a, NULL, &c), SL_E_UNKNOWN_KEY_ID);
}

#define TRUST_ALL                                                                                  \
    "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\""   \
    "arn:aws:iam::" ACCOUNT ":root\"},\"Action\":\"sts:AssumeRole\"}]}"

static void make_session(struct kms_rig *r, const char *role_arn, const char *policy,
                         struct auth_session *ret) {
    struct identity_role role = {0};
    OK(identity_role_get(r->k.db, slice_cstr(role_arn), &r->a, NULL, &role));
    struct auth_sts what = {.kind = AUTH_STS_ROLE,
                            .account = role.account,
                            .role_arn = role.arn,
                            .id = role.role_id,
                            .name = SLICE_LIT("work"),
                            .policy = slice_cstr(policy)};
    OK(auth_session_make(&r->env, &what, 3600, &r->a, NULL, ret));
}

static struct signer of_session(struct kms_rig *r, const struct auth_session *m) {
    struct signer s = admin(r);
    s.key_id = arena_cstr(&r->a, m->access_key_id);
    s.secret = &m->secret_access_key;
    s.token = m->token;
    return s;
}

static void session_tokens(void **state) {
    struct kms_rig *r = *state;
    struct auth_caller c = {0};
    struct auth_session m = {0}, other = {0};
    const char *arn = "arn:aws:iam::" ACCOUNT ":role/Worker";
    add_entity(r, IAM_ROLE, ACCOUNT, "Worker", ALLOW("kms:*", "*"), TRUST_ALL, NULL, NULL);
    make_session(r, arn, "", &m);
    make_session(r, arn, "", &other);
    struct signer s = of_session(r, &m);
    OK(verify(r, &s, NULL, NULL, &c));
    assert_int_equal(c.who.principal.type, PRINCIPAL_ROLE_SESSION);
    assert_true(
        slice_eq_cstr(c.who.principal.arn, "arn:aws:sts::" ACCOUNT ":assumed-role/Worker/work"));
    assert_true(slice_eq(c.who.principal.arn, m.arn));
    assert_true(slice_eq(c.who.principal.user_id, m.user_id));
    assert_int_equal(c.who.principal.token_issued_s, r->env.now_ms / 1000);
    s.token = SLICE_EMPTY;
    FAILS(verify(r, &s, NULL, NULL, &c), SL_E_UNKNOWN_KEY_ID);
    s.token = other.token; /* of the same role, but another session's */
    FAILS(verify(r, &s, NULL, NULL, &c), SL_E_TOKEN_INVALID);
    s = of_session(r, &m);
    s.secret = &other.secret_access_key;
    FAILS(verify(r, &s, NULL, NULL, &c), SL_E_SIGNATURE);
    /* Any changed character. */
    for (size_t i = 0; i < m.token.len; i += 17) {
        char *bent = arena_cstr(&r->a, m.token);
        bent[i] = bent[i] == 'A' ? 'B' : 'A';
        s = of_session(r, &m);
        s.token = slice_cstr(bent);
        FAILS(verify(r, &s, NULL, NULL, &c), SL_E_TOKEN_INVALID);
    }
    int64_t now = r->env.now_ms;
    r->env.now_ms = now + 3599 * 1000;
    s = of_session(r, &m);
    OK(verify(r, &s, NULL, NULL, &c));
    r->env.now_ms = now + 3600 * 1000;
    s = of_session(r, &m);
    FAILS(verify(r, &s, NULL, NULL, &c), SL_E_TOKEN_EXPIRED);
    r->env.now_ms = now;
    secret_fini(&m.secret_access_key);
    secret_fini(&other.secret_access_key);
}

static struct sl_rc may(struct kms_rig *r, const struct auth_caller *c, const char *action) {
    sl_error_clear(&r->err);
    return auth_decide(&r->env, c, slice_cstr(action), SLICE_LIT("*"), SLICE_LIT(ACCOUNT), NULL,
                       POLICY_IDENTITY, NULL, 0, &r->a, &r->err);
}

static void session_policies(void **state) {
    struct kms_rig *r = *state;
    struct auth_caller c = {0};
    struct auth_session m = {0};
    add_entity(r, IAM_ROLE, ACCOUNT, "Limited", ALLOW("kms:*", "*"), TRUST_ALL, NULL, NULL);
    make_session(r, "arn:aws:iam::" ACCOUNT ":role/Limited", ALLOW("kms:ListKeys", "*"), &m);
    struct signer s = of_session(r, &m);
    OK(verify(r, &s, NULL, NULL, &c));
    OK(may(r, &c, "kms:ListKeys"));
    FAILS(may(r, &c, "kms:ListAliases"), SL_E_ACCESS_DENIED);
    assert_true(says(r, "session policy"));
    /* It comes along into forward sessions. */
    struct slice session = SLICE_EMPTY;
    OK(auth_forward_make(&r->env, &c, 1, SLICE_LIT("s3"), "rid", &r->a, NULL, &session));
    OK(auth_forward_open(&r->env, session, 1, &r->a, NULL, &c));
    OK(may(r, &c, "kms:ListKeys"));
    FAILS(may(r, &c, "kms:ListAliases"), SL_E_ACCESS_DENIED);
    secret_fini(&m.secret_access_key);
}

/* A role that is gone, or made anew under its name, takes its sessions along. */
static void role_made_anew(void **state) {
    struct kms_rig *r = *state;
    struct auth_caller c = {0};
    struct auth_session m = {0};
    struct sqlite3 *conn = NULL;
    struct iam_entity e = {0};
    add_entity(r, IAM_ROLE, ACCOUNT, "Brief", NULL, TRUST_ALL, NULL, NULL);
    make_session(r, "arn:aws:iam::" ACCOUNT ":role/Brief", "", &m);
    struct signer s = of_session(r, &m);
    OK(verify(r, &s, NULL, NULL, &c));
    OK(kms_db_write(r->k.db, &conn, NULL));
    OK(iam_entity_get(conn, SLICE_LIT(ACCOUNT), IAM_ROLE, SLICE_LIT("Brief"), &r->a, NULL, &e));
    OK(iam_entity_delete(conn, &e, NULL));
    OK(kms_db_write_end(r->k.db, conn, true, NULL));
    FAILS(verify(r, &s, NULL, NULL, &c), SL_E_TOKEN_INVALID);
    add_entity(r, IAM_ROLE, ACCOUNT, "Brief", NULL, TRUST_ALL, NULL, NULL);
    FAILS(verify(r, &s, NULL, NULL, &c), SL_E_TOKEN_INVALID);
    secret_fini(&m.secret_access_key);
}

static void forward_sessions(void **state) {
    struct kms_rig *r = *state;
    struct auth_caller c = {0};
    struct slice s = SLICE_EMPTY;
    r->admin.user_agent = SLICE_LIT("aws-cli/2");
    OK(auth_forward_make(&r->env, &r->admin, 1, SLICE_LIT("s3"), "rid", &r->a, NULL, &s));
    OK(auth_forward_open(&r->env, s, 1, &r->a, NULL, &c));
    assert_true(slice_eq_cstr(c.via_service, "s3.us-east-1.amazonaws.com"));
    assert_true(slice_eq(c.who.principal.arn, r->admin.who.principal.arn));
    assert_true(slice_eq_cstr(c.source_ip, "127.0.0.1"));
    assert_true(slice_eq_cstr(c.user_agent, "aws-cli/2"));
    assert_true(c.tls);
    for (uint8_t edge = 2; edge < 5; edge++) {
        FAILS(auth_forward_open(&r->env, s, edge, &r->a, NULL, &c), SL_E_TOKEN_INVALID);
    }
    for (size_t i = 0; i < s.len; i++) {
        uint8_t *bent = arena_alloc(&r->a, s.len);
        memcpy(bent, s.ptr, s.len);
        bent[i] ^= 1;
        FAILS(auth_forward_open(&r->env, slice_of(bent, s.len), 1, &r->a, NULL, &c),
              SL_E_TOKEN_INVALID);
        FAILS(auth_forward_open(&r->env, slice_sub(s, 0, i), 1, &r->a, NULL, &c),
              SL_E_TOKEN_INVALID);
    }
    int64_t now = r->env.real_ms;
    r->env.real_ms = now + 15 * 60 * 1000 - 1;
    OK(auth_forward_open(&r->env, s, 1, &r->a, NULL, &c));
    r->env.real_ms = now + 15 * 60 * 1000;
    FAILS(auth_forward_open(&r->env, s, 1, &r->a, NULL, &c), SL_E_TOKEN_EXPIRED);
    r->env.real_ms = now;
    /* A moved clock does not end a request that is under way. */
    r->env.now_ms += 366LL * 24 * 3600 * 1000;
    OK(auth_forward_open(&r->env, s, 1, &r->a, NULL, &c));
    r->env.now_ms -= 366LL * 24 * 3600 * 1000;
    /* Another run of kms has another key. */
    struct secret other = {0};
    OK(secret_random(&other, 32));
    struct auth_env later = r->env;
    later.forward_key = &other;
    FAILS(auth_forward_open(&later, s, 1, &r->a, NULL, &c), SL_E_TOKEN_INVALID);
    secret_fini(&other);
    /* Not longer than the credentials behind it. */
    const struct auth_sts sts = {.kind = AUTH_STS_USER,
                                 .account = SLICE_LIT(ACCOUNT),
                                 .id = r->admin.who.principal.user_id,
                                 .expires_s = r->env.now_ms / 1000 + 60};
    struct auth_caller brief = r->admin;
    brief.sts = &sts;
    OK(auth_forward_make(&r->env, &brief, 1, SLICE_LIT("s3"), "rid", &r->a, NULL, &s));
    OK(auth_forward_open(&r->env, s, 1, &r->a, NULL, &c));
    r->env.now_ms += 61 * 1000;
    FAILS(auth_forward_open(&r->env, s, 1, &r->a, NULL, &c), SL_E_TOKEN_EXPIRED);
    r->env.now_ms -= 61 * 1000;
}

static void global_keys(void **state) {
    struct kms_rig *r = *state;
    static const struct {
        const char *condition;
        bool allowed;
    } cases[] = {
        {"{\"IpAddress\":{\"aws:SourceIp\":\"127.0.0.0/8\"}}", true},
        {"{\"IpAddress\":{\"aws:SourceIp\":\"10.0.0.0/8\"}}", false},
        {"{\"Bool\":{\"aws:SecureTransport\":\"true\"}}", true},
        {"{\"Bool\":{\"aws:SecureTransport\":\"false\"}}", false},
        {"{\"StringEquals\":{\"aws:RequestedRegion\":\"us-east-1\"}}", true},
        {"{\"StringEquals\":{\"aws:RequestedRegion\":\"eu-west-1\"}}", false},
        {"{\"DateGreaterThan\":{\"aws:CurrentTime\":\"2000-01-01T00:00:00Z\"}}", true},
        {"{\"DateLessThan\":{\"aws:CurrentTime\":\"2000-01-01T00:00:00Z\"}}", false},
        {"{\"NumericGreaterThan\":{\"aws:EpochTime\":\"946684800\"}}", true},
        {"{\"Bool\":{\"aws:ViaAWSService\":\"false\"}}", true},
        {"{\"Null\":{\"kms:ViaService\":\"true\"}}", true},
        {"{\"StringEquals\":{\"kms:CallerAccount\":\"" ACCOUNT "\"}}", true},
        {"{\"StringEquals\":{\"aws:username\":\"g1\"}}", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *policy = arena_printf(&r->a,
                                    "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":"
                                    "\"Allow\",\"Action\":\"kms:ListKeys\",\"Resource\":\"*\","
                                    "\"Condition\":%s}]}",
                                    cases[i].condition);
        char *name = arena_printf(&r->a, "global%zu", i);
        struct auth_caller c = as_user(r, ACCOUNT, name, policy);
        assert_int_equal(sl_is_ok(may(r, &c, "kms:ListKeys")), cases[i].allowed);
    }
}

static void sealed_blobs(void **state) {
    struct kms_rig *r = *state;
    SL_CLEANUP(buf_fini) struct buf blob = BUF_INIT(256), plain = BUF_INIT(256);
    OK(sealed_make(&r->k.forward_key, "a", SLICE_LIT("x"), SLICE_EMPTY, &blob, NULL));
    assert_int_equal(blob.len, SEALED_OVERHEAD);
    OK(sealed_open(&r->k.forward_key, "a", SLICE_LIT("x"), buf_slice(&blob), &plain));
    assert_int_equal(plain.len, 0);
    FAILS(sealed_open(&r->k.forward_key, "b", SLICE_LIT("x"), buf_slice(&blob), &plain),
          SL_E_CORRUPT);
    FAILS(sealed_open(&r->k.forward_key, "a", SLICE_LIT("y"), buf_slice(&blob), &plain),
          SL_E_CORRUPT);
    FAILS(sealed_open(&r->k.token_key, "a", SLICE_LIT("x"), buf_slice(&blob), &plain),
          SL_E_CORRUPT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_and_bad),   cmocka_unit_test(scopes),
        cmocka_unit_test(clock_skew),     cmocka_unit_test(revoked),
        cmocka_unit_test(session_tokens), cmocka_unit_test(session_policies),
        cmocka_unit_test(role_made_anew), cmocka_unit_test(forward_sessions),
        cmocka_unit_test(global_keys),    cmocka_unit_test(sealed_blobs),
    };
    return cmocka_run_group_tests(tests, kms_group_start, kms_group_stop);
}
