/* The seam's calls as kms answers them: who may ask what, sessions, data keys as the end principal,
 * COPY's role, certificates. */
#include "lib/ipc/seam_msg.h"
#include "server/net/net.h"
#include "tests/unit/kms/kms_rig.h"

static struct sl_rc call(struct kms_rig *r, uint8_t edge, uint8_t type, const struct buf *request) {
    struct kms_rpc q = {.service = &r->k, .env = r->env, .edge = edge, .arena = &r->a};
    buf_reset(&r->out);
    struct sl_rc rc = kms_rpc_run(&q, type, buf_slice(request), &r->out);
    r->err = q.err;
    return rc;
}

static struct slice session_of(struct kms_rig *r, const struct auth_caller *as, uint8_t edge) {
    struct slice s = SLICE_EMPTY;
    OK(auth_forward_make(&r->env, as, edge, SLICE_LIT("s3"), "rid", &r->a, NULL, &s));
    return s;
}

/* Every request from every edge that it is not for. */
static void edges(void **state) {
    static const uint8_t only[] = {SEAM_DATA_KEY,         SEAM_DATA_KEY_OPEN,
                                   SEAM_KEY_CHECK,        SEAM_SERVICE_KEY,
                                   SEAM_SERVICE_KEY_OPEN, SEAM_CLUSTER_CREDS,
                                   SEAM_CLUSTER_ROLES,    SEAM_CLUSTER_MODIFY,
                                   SEAM_BOOTSTRAP,        SEAM_CA,
                                   SEAM_PRINCIPALS};
    static const uint8_t owner[] = {SEAM_S3,         SEAM_S3,         SEAM_S3,      SEAM_S3,
                                    SEAM_S3,         SEAM_POSTGRES,   SEAM_GATEWAY, SEAM_GATEWAY,
                                    SEAM_SUPERVISOR, SEAM_SUPERVISOR, SEAM_S3};
    struct kms_rig *r = *state;
    struct buf none = BUF_INIT(16);
    for (size_t i = 0; i < sizeof only; i++) {
        for (uint8_t e = SEAM_S3; e <= SEAM_SUPERVISOR; e++) {
            struct sl_rc rc = call(r, e, only[i], &none);
            assert_int_equal(rc.code == SL_E_ACCESS_DENIED && says(r, "not for this edge"),
                             e != owner[i]);
        }
    }
    FAILS(call(r, SEAM_SUPERVISOR, SEAM_AUTHORIZE, &none), SL_E_ACCESS_DENIED);
    FAILS(call(r, SEAM_POSTGRES, SEAM_TLS, &none), SL_E_ACCESS_DENIED);
    FAILS(call(r, SEAM_S3, 0, &none), SL_E_PARSE);
    FAILS(call(r, SEAM_S3, 200, &none), SL_E_PARSE);
    OK(call(r, SEAM_POSTGRES, SEAM_PING, &none));
}

static const struct context_pair pair[] = {
    {SLICE_LIT("aws:s3:arn"), SLICE_LIT("arn:aws:s3:::b/k")}};
static const struct context CONTEXT = {pair, 1};

static struct sl_rc data_key(struct kms_rig *r, struct slice session, const char *key_id,
                             const struct context *context) {
    SL_CLEANUP(buf_fini) struct buf q = BUF_INIT(65536);
    buf_vec16(&q, session);
    buf_vec16(&q, slice_cstr(key_id));
    seam_context_put(&q, context);
    return call(r, SEAM_S3, SEAM_DATA_KEY, &q);
}

static struct sl_rc data_key_open(struct kms_rig *r, struct slice session, struct slice arn,
                                  struct slice blob, const struct context *context) {
    SL_CLEANUP(buf_fini) struct buf q = BUF_INIT(65536);
    buf_vec16(&q, session);
    buf_vec16(&q, arn);
    buf_vec16(&q, blob);
    seam_context_put(&q, context);
    return call(r, SEAM_S3, SEAM_DATA_KEY_OPEN, &q);
}

static void data_keys(void **state) {
    struct kms_rig *r = *state;
    struct slice session = session_of(r, &r->admin, SEAM_S3);
    OK(data_key(r, session, "", &CONTEXT));
    struct rdr in = rdr_of(arena_copy(&r->a, buf_slice(&r->out)));
    struct slice arn = rdr_vec16(&in), blob = rdr_vec16(&in), plain = rdr_vec16(&in);
    OK(rdr_end(&in, NULL, "answer"));
    assert_int_equal(plain.len, 32);
    OK(data_key_open(r, session, arn, blob, &CONTEXT));
    assert_true(slice_eq(slice_sub(buf_slice(&r->out), 2, SIZE_MAX), plain));
    FAILS(data_key_open(r, session, arn, blob, NULL), SL_E_KMS_INVALID_CIPHERTEXT);
    /* alias/aws/s3 is for anyone of the account, but through S3 only. */
    struct auth_caller nobody = as_user(r, ACCOUNT, "rpc-nobody", NULL);
    OK(data_key_open(r, session_of(r, &nobody, SEAM_S3), arn, blob, &CONTEXT));
    const char *id = new_key(r);
    FAILS(data_key(r, session_of(r, &nobody, SEAM_S3), id, &CONTEXT), SL_E_ACCESS_DENIED);
    assert_true(says(r, "user/rpc-nobody is not authorized to perform: kms:GenerateDataKey"));
    OK(data_key(r, session, id, &CONTEXT));
    OK(RUN(r, &r->admin, "DisableKey", "{\"KeyId\":\"%s\"}", id));
    FAILS(data_key(r, session, id, &CONTEXT), SL_E_KMS_DISABLED);
    FAILS(data_key(r, session, "gone", &CONTEXT), SL_E_KMS_NOT_FOUND);
    /* Sessions of another edge, and none at all. */
    FAILS(data_key(r, session_of(r, &r->admin, SEAM_GATEWAY), "", &CONTEXT), SL_E_TOKEN_INVALID);
    FAILS(data_key(r, SLICE_LIT("nonsense"), "", &CONTEXT), SL_E_TOKEN_INVALID);
    struct auth_caller anonymous = {.region = SLICE_LIT("us-east-1")};
    FAILS(data_key(r, session_of(r, &anonymous, SEAM_S3), "", &CONTEXT), SL_E_ACCESS_DENIED);
}

static void via_service(void **state) {
    struct kms_rig *r = *state;
    struct auth_caller through = as_user(
        r, ACCOUNT, "through",
        "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"kms:*\","
        "\"Resource\":\"*\",\"Condition\":{\"StringEquals\":{\"kms:ViaService\":"
        "\"s3.us-east-1.amazonaws.com\",\"kms:EncryptionContext:aws:s3:arn\":\"arn:aws:s3:::b/k\"}"
        "}}]}");
    const char *id = new_key(r);
    OK(data_key(r, session_of(r, &through, SEAM_S3), id, &CONTEXT));
    FAILS(data_key(r, session_of(r, &through, SEAM_S3), id, NULL), SL_E_ACCESS_DENIED);
    FAILS(RUN(r, &through, "GenerateDataKey",
              "{\"KeyId\":\"%s\",\"KeySpec\":\"AES_256\",\"EncryptionContext\":{\"aws:s3:arn\":"
              "\"arn:aws:s3:::b/k\"}}",
              id),
          SL_E_ACCESS_DENIED);
}

static void principals(void **state) {
    static const struct {
        const char *name;
        uint8_t bad; /* of two, the first being the account */
    } cases[] = {{"arn:aws:iam::" ACCOUNT ":user/admin", 2},
                 {ACCOUNT, 2},
                 {"arn:aws:iam::" ACCOUNT ":user/nobody", 1},
                 {"999999999999", 1},
                 {"", 1}};
    struct kms_rig *r = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        SL_CLEANUP(buf_fini) struct buf q = BUF_INIT(65536);
        struct slice list[] = {SLICE_LIT("arn:aws:iam::" ACCOUNT ":root"),
                               slice_cstr(cases[i].name)};
        seam_list_put(&q, list, 2);
        OK(call(r, SEAM_S3, SEAM_PRINCIPALS, &q));
        assert_true(slice_eq(buf_slice(&r->out), slice_of((uint8_t[]){0, cases[i].bad}, 2)));
    }
}

static void service_keys(void **state) {
    struct kms_rig *r = *state;
    SL_CLEANUP(buf_fini) struct buf q = BUF_INIT(65536);
    seam_context_put(&q, &CONTEXT);
    OK(call(r, SEAM_S3, SEAM_SERVICE_KEY, &q));
    struct rdr in = rdr_of(arena_copy(&r->a, buf_slice(&r->out)));
    struct slice blob = rdr_vec16(&in), plain = rdr_vec16(&in);
    buf_reset(&q);
    buf_vec16(&q, blob);
    seam_context_put(&q, &CONTEXT);
    OK(call(r, SEAM_S3, SEAM_SERVICE_KEY_OPEN, &q));
    assert_true(slice_eq(slice_sub(buf_slice(&r->out), 2, SIZE_MAX), plain));
    buf_reset(&q);
    buf_vec16(&q, blob);
    seam_context_put(&q, NULL);
    FAILS(call(r, SEAM_S3, SEAM_SERVICE_KEY_OPEN, &q), SL_E_KMS_INVALID_CIPHERTEXT);
    /* The API reaches the service's key neither by blob nor by ARN. */
    SL_CLEANUP(buf_fini) struct buf b64 = BUF_INIT(65536);
    base64_put(&b64, blob);
    FAILS(RUN(r, &r->admin, "Decrypt",
              "{\"CiphertextBlob\":\"%.*s\",\"EncryptionContext\":{\"aws:s3:arn\":"
              "\"arn:aws:s3:::b/k\"}}",
              SLICE_FMT(buf_slice(&b64))),
          SL_E_ACCESS_DENIED);
    OK(kms_run(r, &r->admin, "ListKeys", "{\"Limit\":1000}"));
    for (const struct json *k = json_get(r->answer, "Keys")->child; k != NULL; k = k->next) {
        struct slice arn = json_get(k, "KeyArn")->text;
        assert_null(memmem(arn.ptr, arn.len, "s3.amazonaws.com", 16));
    }
}

static struct sl_rc credentials(struct kms_rig *r, const char *user, const char *const *roles,
                                struct seam_credentials *ret) {
    SL_CLEANUP(buf_fini) struct buf q = BUF_INIT(65536);
    struct slice list[8];
    size_t n = 0;
    for (; roles[n] != NULL; n++) {
        list[n] = slice_cstr(roles[n]);
    }
    buf_vec16(&q, slice_cstr(user));
    seam_list_put(&q, list, n);
    TRY(call(r, SEAM_POSTGRES, SEAM_CLUSTER_CREDS, &q));
    return seam_credentials_get(buf_slice(&r->out), &r->a, ret, NULL);
}

static struct sl_rc modify(struct kms_rig *r, const struct auth_caller *as, const char *add,
                           const char *drop, const char *by_default) {
    SL_CLEANUP(buf_fini) struct buf q = BUF_INIT(65536);
    struct slice a = slice_cstr(add), d = slice_cstr(drop), session = SLICE_EMPTY;
    OK(auth_forward_make(&r->env, as, SEAM_GATEWAY, SLICE_LIT("redshift"), "rid", &r->a, NULL,
                         &session));
    buf_vec16(&q, session);
    seam_list_put(&q, &a, a.len > 0);
    seam_list_put(&q, &d, d.len > 0);
    buf_vec16(&q, slice_cstr(by_default));
    return call(r, SEAM_GATEWAY, SEAM_CLUSTER_MODIFY, &q);
}

#define ROLE(name) "arn:aws:iam::" ACCOUNT ":role/" name
#define TRUST_REDSHIFT                                                                             \
    "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"Service\":" \
    "\"redshift.amazonaws.com\"},\"Action\":\"sts:AssumeRole\"}]}"
#define TRUST_LOADER                                                                               \
    "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"Service\":" \
    "\"redshift.amazonaws.com\"},\"Action\":\"sts:AssumeRole\",\"Condition\":{\"StringEquals\":{"  \
    "\"sts:ExternalId\":\"arn:aws:redshift:us-east-1:" ACCOUNT ":dbuser:local/awsuser\","          \
    "\"aws:SourceAccount\":\"" ACCOUNT "\"},\"ArnLike\":{\"aws:SourceArn\":"                       \
    "\"arn:aws:redshift:*:" ACCOUNT ":cluster:local\"}}}]}"
#define TRUST_NOBODY                                                                               \
    "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"Service\":" \
    "\"ec2.amazonaws.com\"},\"Action\":\"sts:AssumeRole\"}]}"
#define TRUST_FIRST                                                                                \
    "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":"     \
    "\"" ROLE("First") "\"},\"Action\":\"sts:AssumeRole\"}]}"

static void cluster_roles(void **state) {
    struct kms_rig *r = *state;
    struct seam_credentials c = {0};
    add_entity(r, IAM_ROLE, ACCOUNT, "Redshift-Loader", ALLOW("kms:*", "*"), TRUST_LOADER, NULL,
               NULL);
    add_entity(r, IAM_ROLE, ACCOUNT, "Unloved", NULL, TRUST_NOBODY, NULL, NULL);
    add_entity(r, IAM_ROLE, ACCOUNT, "First", ALLOW("sts:AssumeRole", "*"), TRUST_REDSHIFT, NULL,
               NULL);
    add_entity(r, IAM_ROLE, ACCOUNT, "Second", NULL, TRUST_FIRST, NULL, NULL);
    const char *loader[] = {ROLE("Redshift-Loader"), NULL};
    FAILS(credentials(r, "awsuser", loader, &c), SL_E_COPY_ROLE);
    assert_string_equal(r->err.detail, "The requested role " ROLE(
                                           "Redshift-Loader") " is not associated to cluster");
    struct auth_caller nobody =
        as_user(r, ACCOUNT, "no-passer", ALLOW("redshift:ModifyClusterIamRoles", "*"));
    FAILS(modify(r, &nobody, ROLE("Redshift-Loader"), "", ""), SL_E_ACCESS_DENIED);
    assert_true(says(r, "iam:PassRole"));
    FAILS(modify(r, &r->admin, ROLE("Missing"), "", ""), SL_E_REDSHIFT_INVALID_PARAMETER);
    FAILS(modify(r, &r->admin, "", "", ROLE("Unloved")), SL_E_REDSHIFT_INVALID_PARAMETER);
    OK(modify(r, &r->admin, ROLE("Redshift-Loader"), "", ROLE("Redshift-Loader")));
    OK(modify(r, &r->admin, ROLE("Unloved"), "", ""));
    OK(modify(r, &r->admin, ROLE("First"), "", ""));
    OK(credentials(r, "awsuser", loader, &c));
    assert_true(slice_starts(c.access_key_id, SLICE_LIT("ASIA")));
    assert_int_equal(c.expires_s, r->env.now_ms / 1000 + 3600);
    assert_int_equal(c.secret_access_key.len, 40);
    secret_fini(&c.secret_access_key);
    const char *by_default[] = {"default", NULL};
    OK(credentials(r, "awsuser", by_default, &c));
    secret_fini(&c.secret_access_key);
    /* The trust policy names the database user. */
    FAILS(credentials(r, "mallory", loader, &c), SL_E_COPY_ROLE);
    assert_string_equal(
        r->err.detail,
        "User arn:aws:redshift:us-east-1:" ACCOUNT
        ":dbuser:local/mallory is not authorized to assume IAM Role " ROLE("Redshift-Loader"));
    const char *unloved[] = {ROLE("Unloved"), NULL};
    FAILS(credentials(r, "awsuser", unloved, &c), SL_E_COPY_ROLE);
    const char *chain[] = {ROLE("First"), ROLE("Second"), NULL};
    OK(credentials(r, "awsuser", chain, &c));
    secret_fini(&c.secret_access_key);
    const char *broken[] = {ROLE("Redshift-Loader"), ROLE("Second"), NULL};
    FAILS(credentials(r, "awsuser", broken, &c), SL_E_COPY_ROLE);
    const char *backwards[] = {ROLE("Second"), NULL};
    FAILS(credentials(r, "awsuser", backwards, &c), SL_E_COPY_ROLE);
    const char *none[] = {NULL};
    FAILS(credentials(r, "awsuser", none, &c), SL_E_COPY_ROLE);
    OK(modify(r, &r->admin, "", ROLE("Redshift-Loader"), ""));
    FAILS(credentials(r, "awsuser", loader, &c), SL_E_COPY_ROLE);
    FAILS(credentials(r, "awsuser", by_default, &c), SL_E_COPY_ROLE);
}

static void certificates(void **state) {
    struct kms_rig *r = *state;
    struct buf none = BUF_INIT(16);
    OK(call(r, SEAM_SUPERVISOR, SEAM_CA, &none));
    struct slice ca = arena_copy(&r->a, slice_sub(buf_slice(&r->out), 4, SIZE_MAX));
    OK(call(r, SEAM_S3, SEAM_TLS, &none));
    struct slice identity = arena_copy(&r->a, buf_slice(&r->out));
    struct rdr in = rdr_of(identity);
    struct slice chain = rdr_vec32(&in), key = rdr_vec32(&in);
    assert_int_equal(rdr_vec32(&in).len, 0); /* no certificate of the administrator's own */
    assert_int_equal(rdr_vec32(&in).len, 0);
    OK(rdr_end(&in, NULL, "identity"));
    assert_true(slice_ends(chain, ca));
    assert_true(slice_starts(key, SLICE_LIT("-----BEGIN")));
    OK(call(r, SEAM_GATEWAY, SEAM_TLS, &none));
    assert_true(slice_eq(buf_slice(&r->out), identity));
    /* Near its end the certificate is made anew, the CA stays. */
    int64_t now = r->env.real_ms;
    r->env.real_ms += 370LL * 24 * 3600 * 1000;
    OK(call(r, SEAM_S3, SEAM_TLS, &none));
    assert_false(slice_eq(buf_slice(&r->out), identity));
    OK(call(r, SEAM_SUPERVISOR, SEAM_CA, &none));
    assert_true(slice_eq(slice_sub(buf_slice(&r->out), 4, SIZE_MAX), ca));
    r->env.real_ms = now;
    /* Or at once, when the supervisor says so. */
    FAILS(call(r, SEAM_S3, SEAM_TLS_RENEW, &none), SL_E_ACCESS_DENIED);
    OK(call(r, SEAM_S3, SEAM_TLS, &none));
    identity = arena_copy(&r->a, buf_slice(&r->out));
    OK(call(r, SEAM_SUPERVISOR, SEAM_TLS_RENEW, &none));
    assert_int_equal(r->out.len, 0);
    OK(call(r, SEAM_S3, SEAM_TLS, &none));
    assert_false(slice_eq(buf_slice(&r->out), identity));
    OK(call(r, SEAM_SUPERVISOR, SEAM_CA, &none));
    assert_true(slice_eq(slice_sub(buf_slice(&r->out), 4, SIZE_MAX), ca));
    /* A CA near its end is replaced at a start alone, when its new self reaches the clients. */
    r->env.real_ms += 3300LL * 24 * 3600 * 1000;
    OK(call(r, SEAM_S3, SEAM_TLS, &none));
    in = rdr_of(buf_slice(&r->out));
    assert_true(slice_ends(rdr_vec32(&in), ca));
    OK(call(r, SEAM_SUPERVISOR, SEAM_CA, &none));
    assert_false(slice_eq(slice_sub(buf_slice(&r->out), 4, SIZE_MAX), ca));
    r->env.real_ms = now;
    /* One's own: kept as given once it is checked, and dropped when there is none any more. */
    SL_CLEANUP(buf_fini) struct buf own = BUF_INIT(64 * 1024);
    buf_vec32(&own, chain);
    buf_vec32(&own, SLICE_LIT("no key"));
    FAILS(call(r, SEAM_SUPERVISOR, SEAM_TLS_OWN, &own), SL_E_VALIDATION);
    buf_reset(&own);
    buf_vec32(&own, chain);
    buf_vec32(&own, key);
    FAILS(call(r, SEAM_S3, SEAM_TLS_OWN, &own), SL_E_ACCESS_DENIED);
    r->env.real_ms += 400LL * 24 * 3600 * 1000;
    FAILS(call(r, SEAM_SUPERVISOR, SEAM_TLS_OWN, &own), SL_E_VALIDATION); /* expired */
    r->env.real_ms = now - 24 * 3600 * 1000;
    FAILS(call(r, SEAM_SUPERVISOR, SEAM_TLS_OWN, &own), SL_E_VALIDATION); /* not valid yet */
    r->env.real_ms = now;
    OK(call(r, SEAM_SUPERVISOR, SEAM_TLS_OWN, &own));
    OK(call(r, SEAM_S3, SEAM_TLS, &none));
    assert_true(slice_ends(buf_slice(&r->out), buf_slice(&own)));
    buf_reset(&own);
    buf_vec32(&own, SLICE_EMPTY);
    buf_vec32(&own, SLICE_EMPTY);
    OK(call(r, SEAM_SUPERVISOR, SEAM_TLS_OWN, &own));
    OK(call(r, SEAM_S3, SEAM_TLS, &none));
    assert_true(slice_ends(buf_slice(&r->out), buf_slice(&own)));
    /* Another host name needs another CA, which is constrained to its hosts. */
    const char *hosts[] = {"sealift.example"};
    r->conf.hosts = hosts;
    r->conf.host_count = 1;
    OK(call(r, SEAM_SUPERVISOR, SEAM_CA, &none));
    assert_false(slice_eq(slice_sub(buf_slice(&r->out), 4, SIZE_MAX), ca));
    r->conf.host_count = 0;
}

static void first_account(struct buf *q, struct slice account, struct slice id) {
    buf_reset(q);
    buf_u8(q, 0);
    buf_vec16(q, account);
    buf_vec16(q, id);
    buf_vec16(q, SLICE_LIT("0123456789012345678901234567890123456789"));
}

static void accounts(void **state) {
    struct kms_rig *r = *state;
    SL_CLEANUP(buf_fini) struct buf q = BUF_INIT(256);
    first_account(&q, SLICE_LIT(ACCOUNT), SLICE_LIT("AKIAABCDEFGHIJKLMNOP"));
    FAILS(call(r, SEAM_SUPERVISOR, SEAM_BOOTSTRAP, &q), SL_E_EXISTS);
    first_account(&q, SLICE_LIT(ACCOUNT), SLICE_EMPTY);
    FAILS(call(r, SEAM_SUPERVISOR, SEAM_BOOTSTRAP, &q), SL_E_VALIDATION);
    first_account(&q, SLICE_LIT("222222222222"), SLICE_LIT("AKIAABCDEFGHIJKLMNOP"));
    FAILS(call(r, SEAM_SUPERVISOR, SEAM_BOOTSTRAP, &q), SL_E_VALIDATION);
    buf_reset(&q);
    buf_u8(&q, 1);
    buf_vec16(&q, SLICE_LIT("222222222222"));
    buf_vec16(&q, SLICE_EMPTY);
    buf_vec16(&q, SLICE_EMPTY);
    struct seam_credentials c = {0};
    OK(call(r, SEAM_SUPERVISOR, SEAM_BOOTSTRAP, &q));
    OK(seam_credentials_get(buf_slice(&r->out), &r->a, &c, NULL));
    assert_true(slice_starts(c.access_key_id, SLICE_LIT("AKIA")));
    secret_fini(&c.secret_access_key);
    FAILS(call(r, SEAM_SUPERVISOR, SEAM_BOOTSTRAP, &q), SL_E_EXISTS);
    /* A key of the caller's choice: on a throw-away instance only. */
    buf_reset(&q);
    buf_u8(&q, 1);
    buf_vec16(&q, SLICE_LIT("333333333333"));
    buf_vec16(&q, SLICE_LIT("AKIAGIVENGIVENGIVEN3"));
    buf_vec16(&q, SLICE_LIT("a secret of the caller's choice"));
    FAILS(call(r, SEAM_SUPERVISOR, SEAM_BOOTSTRAP, &q), SL_E_VALIDATION);
    r->conf.ephemeral = true;
    OK(call(r, SEAM_SUPERVISOR, SEAM_BOOTSTRAP, &q));
    r->conf.ephemeral = false;
    OK(seam_credentials_get(buf_slice(&r->out), &r->a, &c, NULL));
    assert_true(slice_eq_cstr(c.access_key_id, "AKIAGIVENGIVENGIVEN3"));
    secret_fini(&c.secret_access_key);
}

/* What authorize decides on a session: bucket policies, the caller's keys, no forged global keys.
 */
static struct sl_rc check(struct kms_rig *r, struct slice session, const char *policy,
                          const struct context_pair *keys, size_t key_count) {
    SL_CLEANUP(buf_fini) struct buf q = BUF_INIT(65536);
    struct seam_check c = {.action = SLICE_LIT("s3:GetObject"),
                           .resource = SLICE_LIT("arn:aws:s3:::b/k"),
                           .resource_account = SLICE_LIT(ACCOUNT),
                           .keys = keys,
                           .key_count = key_count};
    struct seam_authorize a = {.service = SLICE_LIT("s3"),
                               .request_id = SLICE_LIT("rid"),
                               .checks = &c,
                               .check_count = 1,
                               .resource_policy = slice_cstr(policy),
                               .session = session};
    seam_authorize_put(&q, &a);
    return call(r, SEAM_S3, SEAM_AUTHORIZE, &q);
}

static void further_checks(void **state) {
    struct kms_rig *r = *state;
    struct auth_caller user = as_user(r, ACCOUNT, "checked", NULL);
    struct slice session = session_of(r, &user, SEAM_S3);
    const char *open =
        "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\","
        "\"Principal\":\"*\",\"Action\":\"s3:*\",\"Resource\":\"arn:aws:s3:::b/*\"}]}";
    const char *home = "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\","
                       "\"Principal\":\"*\",\"Action\":\"s3:*\",\"Resource\":\"arn:aws:s3:::b/*\","
                       "\"Condition\":{\"IpAddress\":{\"aws:SourceIp\":\"10.0.0.0/8\"}}}]}";
    const char *tagged =
        "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\","
        "\"Principal\":\"*\",\"Action\":\"s3:*\",\"Resource\":\"arn:aws:s3:::b/*\","
        "\"Condition\":{\"ForAnyValue:StringEquals\":{\"s3:RequestObjectTagKeys\":\"two\"}}}]}";
    OK(check(r, session_of(r, &r->admin, SEAM_S3), "", NULL, 0));
    FAILS(check(r, session, "", NULL, 0), SL_E_ACCESS_DENIED);
    OK(check(r, session, open, NULL, 0));
    FAILS(check(r, session, home, NULL, 0), SL_E_ACCESS_DENIED);
    const struct context_pair forged[] = {{SLICE_LIT("aws:SourceIp"), SLICE_LIT("10.1.1.1")}};
    FAILS(check(r, session, home, forged, 1), SL_E_ACCESS_DENIED);
    const struct context_pair many[] = {{SLICE_LIT("s3:RequestObjectTagKeys"), SLICE_LIT("one")},
                                        {SLICE_LIT("s3:RequestObjectTagKeys"), SLICE_LIT("two")}};
    OK(check(r, session, tagged, many, 2));
    FAILS(check(r, session, tagged, many, 1), SL_E_ACCESS_DENIED);
    FAILS(check(r, session, "{", NULL, 0), SL_E_CORRUPT);
    FAILS(check(r, session_of(r, &user, SEAM_GATEWAY), open, NULL, 0), SL_E_TOKEN_INVALID);
    struct auth_caller anonymous = {.region = SLICE_LIT("us-east-1")};
    OK(check(r, session_of(r, &anonymous, SEAM_S3), open, NULL, 0));
    FAILS(check(r, session_of(r, &anonymous, SEAM_S3), "", NULL, 0), SL_E_ACCESS_DENIED);
}

static void recorded(void **state) {
    struct kms_rig *r = *state;
    char path[700], *text = calloc(1, 4 * 1024 * 1024);
    size_t len = 0;
    snprintf(path, sizeof path, "%s/audit", r->keys.dir);
    DIR *d = opendir(path);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        snprintf(path, sizeof path, "%s/audit/%s", r->keys.dir, e->d_name);
        FILE *f = strstr(e->d_name, ".log") ? fopen(path, "r") : NULL;
        if (f != NULL) {
            len += fread(text + len, 1, 4 * 1024 * 1024 - len - 1, f);
            fclose(f);
        }
    }
    closedir(d);
    static const char *const wanted[] = {
        "\"eventName\":\"GenerateDataKey\"",
        "\"invokedBy\":\"s3.amazonaws.com\"",
        "\"encryptionContext\":{\"aws:s3:arn\":\"arn:aws:s3:::b/k\"}",
        "\"errorCode\":\"AccessDenied\"",
        "\"eventName\":\"AssumeRole\"",
        "\"externalId\":\"arn:aws:redshift:us-east-1:" ACCOUNT ":dbuser:local/mallory\"",
        "\"eventName\":\"ModifyClusterIamRoles\"",
        "\"eventSource\":\"s3.amazonaws.com\",\"eventName\":\"GetObject\"",
        "\"errorCode\":\"DisabledException\"",
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        if (strstr(text, wanted[i]) == NULL) {
            fail_msg("not in the log: %s", wanted[i]);
        }
    }
    assert_null(strstr(text, "Plaintext"));
    assert_null(strstr(text, "CiphertextBlob"));
    free(text);
}

static struct sl_rc move_clock(struct kms_rig *r, uint8_t edge, uint8_t how, int64_t ms) {
    SL_CLEANUP(buf_fini) struct buf q = BUF_INIT(16);
    buf_u8(&q, how);
    buf_u64(&q, (uint64_t)ms);
    return call(r, edge, SEAM_CLOCK, &q);
}

/* The rig's own time stands still; the service's counts for requests that begin later. */
static void clock_moves(void **state) {
    struct kms_rig *r = *state;
    struct auth_env env = {0};
    const int64_t day_ms = 24 * 3600 * 1000;
    FAILS(move_clock(r, SEAM_SUPERVISOR, SEAM_CLOCK_ADVANCE, day_ms), SL_E_VALIDATION);
    FAILS(move_clock(r, SEAM_SUPERVISOR, SEAM_CLOCK_SHOW, 0), SL_E_VALIDATION);
    r->conf.ephemeral = true;
    FAILS(move_clock(r, SEAM_S3, SEAM_CLOCK_ADVANCE, day_ms), SL_E_ACCESS_DENIED);
    FAILS(move_clock(r, SEAM_SUPERVISOR, SEAM_CLOCK_ADVANCE, -1), SL_E_VALIDATION);
    FAILS(move_clock(r, SEAM_SUPERVISOR, SEAM_CLOCK_ADVANCE, LIMIT_CLOCK_MS), SL_E_VALIDATION);
    FAILS(move_clock(r, SEAM_SUPERVISOR, SEAM_CLOCK_SET, LIMIT_CLOCK_MS + 1), SL_E_VALIDATION);
    FAILS(move_clock(r, SEAM_SUPERVISOR, 4, 0), SL_E_PARSE);
    OK(move_clock(r, SEAM_SUPERVISOR, SEAM_CLOCK_ADVANCE, day_ms));
    OK(move_clock(r, SEAM_SUPERVISOR, SEAM_CLOCK_ADVANCE, day_ms));
    OK(kms_env_begin(&r->k, &env, NULL));
    assert_int_equal(env.now_ms - env.real_ms, 2 * day_ms);
    kms_env_end(&r->k, &env);
    /* Another start of kms. */
    atomic_store(&r->k.clock_ahead_ms, 0);
    OK(kms_clock_load(&r->k, NULL));
    assert_int_equal(atomic_load(&r->k.clock_ahead_ms), 2 * day_ms);
    OK(move_clock(r, SEAM_SUPERVISOR, SEAM_CLOCK_RESET, 0));
    assert_int_equal(atomic_load(&r->k.clock_ahead_ms), 0);
    r->conf.ephemeral = false;
}

/* All but the admins goes, so this runs last. */
static void emptied(void **state) {
    struct kms_rig *r = *state;
    struct buf none = BUF_INIT(16);
    struct buf stray = BUF_INIT(16);
    buf_u8(&stray, 1);
    OK(kms_run(r, &r->admin, "CreateKey", "{}"));
    FAILS(call(r, SEAM_GATEWAY, SEAM_RESET, &none), SL_E_VALIDATION);
    r->conf.ephemeral = true;
    FAILS(call(r, SEAM_S3, SEAM_RESET, &none), SL_E_ACCESS_DENIED);
    FAILS(call(r, SEAM_SUPERVISOR, SEAM_RESET, &none), SL_E_ACCESS_DENIED);
    FAILS(call(r, SEAM_GATEWAY, SEAM_RESET, &stray), SL_E_PARSE);
    OK(kms_run(r, &r->admin, "ListKeys", "{}"));
    assert_true(json_get(r->answer, "Keys")->count > 0);
    OK(move_clock(r, SEAM_SUPERVISOR, SEAM_CLOCK_ADVANCE, 1000));
    for (int i = 0; i < 2; i++) { /* again does no harm */
        OK(call(r, SEAM_GATEWAY, SEAM_RESET, &none));
        OK(kms_run(r, &r->admin, "ListKeys", "{}"));
        assert_int_equal(json_get(r->answer, "Keys")->count, 0);
        assert_int_equal(atomic_load(&r->k.clock_ahead_ms), 0);
        OK(kms_clock_load(&r->k, NULL));
        assert_int_equal(atomic_load(&r->k.clock_ahead_ms), 0);
        struct identity who = {0};
        SL_CLEANUP(secret_fini) struct secret secret = {0};
        OK(identity_by_access_key(r->k.db, r->env.keys, slice_cstr(r->admin_id), &r->a, NULL, &who,
                                  &secret));
    }
    buf_fini(&stray);
    r->conf.ephemeral = false;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(edges),         cmocka_unit_test(data_keys),
        cmocka_unit_test(via_service),   cmocka_unit_test(service_keys),
        cmocka_unit_test(cluster_roles), cmocka_unit_test(certificates),
        cmocka_unit_test(accounts),      cmocka_unit_test(further_checks),
        cmocka_unit_test(principals),    cmocka_unit_test(recorded),
        cmocka_unit_test(clock_moves),   cmocka_unit_test(emptied),
    };
    return cmocka_run_group_tests(tests, kms_group_start, kms_group_stop);
}
