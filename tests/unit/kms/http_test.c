/* The running service: hello, HTTP of KMS, IAM and STS over the socket, and the seam's client. */
#include "lib/base/rdr.h"
#include "lib/crypto/crypto.h"
#include "lib/ipc/seam.h"
#include "tests/unit/kms/kms_rig.h"

#include <sys/un.h>

struct live {
    struct kms_rig rig;
    struct net_server *server;
    pthread_t thread;
    char path[108];
};

static void *run_server(void *user) {
    struct live *l = user;
    sl_ignore(net_run(l->server, NULL));
    return NULL;
}

static int start(void **state) {
    struct live *l = calloc(1, sizeof *l);
    kms_rig_start(&l->rig);
    struct net_conf conf = {.workers = 2, .serve = kms_serve, .user = &l->rig.k};
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    snprintf(l->path, sizeof l->path, "%s/kms.sock", l->rig.keys.dir);
    snprintf(sa.sun_path, sizeof sa.sun_path, "%s", l->path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    assert_int_equal(listen(fd, 16), 0);
    OK(net_server_new(&conf, &l->server, NULL));
    OK(net_listen(l->server, fd, NULL, kms_hello, NULL));
    assert_int_equal(pthread_create(&l->thread, NULL, run_server, l), 0);
    *state = l;
    return 0;
}

static int stop(void **state) {
    struct live *l = *state;
    net_stop(l->server);
    pthread_join(l->thread, NULL);
    net_server_free(l->server);
    kms_rig_stop(&l->rig);
    free(l);
    return 0;
}

static struct seam_hello hello_as(uint8_t edge, uint8_t mode) {
    struct seam_hello h = {.edge = edge, .mode = mode, .peer_ip = "192.0.2.7", .peer_tls = true};
    memset(h.token, edge, sizeof h.token);
    return h;
}

static void hellos(void **state) {
    struct live *l = *state;
    struct sl_error err = {0};
    int fd = -1;
    struct seam_hello h = hello_as(SEAM_S3, SEAM_RPC);
    OK(seam_connect(l->path, &h, &fd, &err));
    OK(seam_ping(fd, &err));
    OK(seam_ping(fd, &err));
    close(fd);
    h.token[31] ^= 1;
    FAILS(seam_connect(l->path, &h, &fd, &err), SL_E_ACCESS_DENIED);
    h = hello_as(SEAM_S3, SEAM_RPC);
    h.edge = SEAM_GATEWAY; /* with the token of another edge */
    sl_error_clear(&err);
    FAILS(seam_connect(l->path, &h, &fd, &err), SL_E_ACCESS_DENIED);
    h = hello_as(9, SEAM_RPC);
    sl_error_clear(&err);
    FAILS(seam_connect(l->path, &h, &fd, &err), SL_E_PARSE);
    sl_error_clear(&err);
    FAILS(seam_connect("/nonexistent/kms.sock", &h, &fd, &err), SL_E_CLOSED);
}

/* A channel whose other end is gone. */
static struct keyholder *dead_channel(void) {
    int pair[2];
    struct keyholder *k = NULL;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    close(pair[1]);
    OK(keyholder_open(pair[0], &k, NULL));
    return k;
}

/* The server's threads give theirs back when they like. */
static void close_idle(struct kms_service *k) {
    pthread_mutex_lock(&k->mu);
    while (k->idle_count > 0) {
        keyholder_close(k->idle[--k->idle_count]);
    }
    pthread_mutex_unlock(&k->mu);
}

static size_t broken_among_idle(struct kms_service *k) {
    size_t broken = 0;
    pthread_mutex_lock(&k->mu);
    for (size_t i = 0; i < k->idle_count; i++) {
        broken += keyholder_is_broken(k->idle[i]);
    }
    pthread_mutex_unlock(&k->mu);
    return broken;
}

/* A channel on which a call broke off does not go to the next request. */
static void broken_channel(void **state) {
    struct live *l = *state;
    struct kms_service *k = &l->rig.k;
    struct auth_env env = {0};
    struct secret key = {0};
    close_idle(k);
    OK(kms_env_begin(k, &env, NULL));
    keyholder_close(env.keys);
    env.keys = dead_channel();
    assert_true(sl_failed(keyholder_derive(env.keys, "denial", &key, NULL)));
    assert_true(keyholder_is_broken(env.keys));
    kms_env_end(k, &env);
    assert_int_equal(broken_among_idle(k), 0);
    OK(kms_env_begin(k, &env, NULL));
    OK(keyholder_derive(env.keys, "denial", &key, NULL));
    assert_false(keyholder_is_broken(env.keys));
    kms_env_end(k, &env);
    secret_fini(&key);
}

/* When no more channels can be made, kms ends, and its supervisor starts one that can. */
static void broken_root(void **state) {
    struct live *l = *state;
    struct kms_service *k = &l->rig.k;
    struct auth_env idle[KMS_CHANNELS_MAX + 1];
    size_t n = 0;
    keyholder_close(k->root);
    k->root = dead_channel();
    k->server = l->server;
    while (n <= KMS_CHANNELS_MAX && sl_is_ok(kms_env_begin(k, &idle[n], NULL))) {
        n++;
    }
    assert_true(n <= KMS_CHANNELS_MAX);
    while (n > 0) {
        kms_env_end(k, &idle[--n]);
    }
    pthread_join(l->thread, NULL); /* of the server, which has stopped */
    assert_int_equal(pthread_create(&l->thread, NULL, run_server, l), 0);
}

/* The client's functions against the real other side. */
static void seam_client(void **state) {
    struct live *l = *state;
    struct sl_error err = {0};
    struct arena *a = &l->rig.a;
    int fd = -1;
    struct seam_hello h = hello_as(SEAM_S3, SEAM_RPC);
    OK(seam_connect(l->path, &h, &fd, &err));
    struct sigv4_header headers[] = {
        {SLICE_LIT("host"), SLICE_LIT("127.0.0.1:4566")},
        {SLICE_LIT("x-amz-content-sha256"), SLICE_LIT("UNSIGNED-PAYLOAD")},
        {SLICE_LIT("x-amz-date"), SLICE_EMPTY},
        {SLICE_LIT("authorization"), SLICE_EMPTY},
    };
    char date[17];
    int64_t now_s = clock_real_ms() / 1000;
    clock_basic(now_s, date);
    headers[2].value = slice_cstr(date);
    struct sigv4_request request = {.method = SLICE_LIT("GET"),
                                    .path = SLICE_LIT("/bucket/key"),
                                    .headers = headers,
                                    .header_count = 3,
                                    .payload_hash = SLICE_LIT("UNSIGNED-PAYLOAD")};
    SL_CLEANUP(buf_fini) struct buf signature = BUF_INIT(4096);
    OK(sigv4_sign(&request, slice_cstr(l->rig.admin_id), &l->rig.admin_secret,
                  SLICE_LIT("us-east-1"), SLICE_LIT("s3"), now_s, a, &signature, &err));
    headers[3].value = buf_slice(&signature);
    request.header_count = 4;
    struct seam_check check = {.action = SLICE_LIT("s3:GetObject"),
                               .resource = SLICE_LIT("arn:aws:s3:::bucket/key"),
                               .resource_account = SLICE_LIT(ACCOUNT)};
    struct seam_authorize q = {.service = SLICE_LIT("s3"),
                               .request_id = SLICE_LIT("rid"),
                               .peer_ip = SLICE_LIT("192.0.2.7"),
                               .request = request,
                               .checks = &check,
                               .check_count = 1};
    struct seam_granted g = {0};
    struct slice canonical = SLICE_EMPTY, to_sign = SLICE_EMPTY;
    OK(seam_authorize(fd, &q, a, &err, &g, &canonical, &to_sign));
    assert_true(slice_eq_cstr(g.arn, "arn:aws:iam::" ACCOUNT ":user/admin"));
    assert_true(slice_eq_cstr(g.region, "us-east-1"));
    assert_int_equal(g.signing_key.len, 32);
    secret_fini(&g.signing_key);
    struct slice arn = SLICE_EMPTY, blob = SLICE_EMPTY, checked = SLICE_EMPTY;
    struct secret plain = {0}, again = {0};
    OK(seam_data_key(fd, g.session, SLICE_EMPTY, NULL, a, &err, &arn, &blob, &plain));
    OK(seam_data_key_open(fd, g.session, arn, blob, NULL, a, &err, &again));
    assert_true(secret_equal(secret_view(&plain), secret_view(&again)));
    OK(seam_key_check(fd, g.session, SLICE_EMPTY, SLICE_LIT("kms:Decrypt"), NULL, a, &err,
                      &checked));
    assert_true(slice_eq(arn, checked));
    secret_fini(&plain);
    secret_fini(&again);
    OK(seam_service_key(fd, NULL, a, &err, &blob, &plain));
    OK(seam_service_key_open(fd, blob, NULL, a, &err, &again));
    assert_true(secret_equal(secret_view(&plain), secret_view(&again)));
    secret_fini(&plain);
    secret_fini(&again);
    q.request.path = SLICE_LIT("/bucket/other");
    FAILS(seam_authorize(fd, &q, a, &err, &g, &canonical, &to_sign), SL_E_SIGNATURE);
    assert_true(slice_starts(canonical, SLICE_LIT("GET\n/bucket/other\n")));
    assert_true(slice_starts(to_sign, SLICE_LIT("AWS4-HMAC-SHA256\n")));
    close(fd);
}

/* ---- HTTP ---- */

struct ask {
    const char *service;
    const char *target; /* x-amz-target or NULL */
    const char *body;
    bool sign;
    bool spoil; /* change the body after signing */
};

static int say(struct live *l, const struct ask *q, char *answer, size_t size) {
    struct sl_error err = {0};
    struct arena *a = &l->rig.a;
    struct seam_hello h = hello_as(SEAM_S3, SEAM_HTTP);
    int fd = -1;
    OK(seam_connect(l->path, &h, &fd, &err));
    char date[17], hash[65];
    uint8_t sha[32];
    int64_t now_s = clock_real_ms() / 1000;
    clock_basic(now_s, date);
    sha256(slice_cstr(q->body), sha);
    for (int i = 0; i < 32; i++) {
        snprintf(hash + 2 * i, 3, "%02x", sha[i]);
    }
    struct sigv4_header headers[3] = {{SLICE_LIT("host"), SLICE_LIT("127.0.0.1:4566")},
                                      {SLICE_LIT("x-amz-date"), slice_cstr(date)},
                                      {SLICE_LIT("x-amz-target"), slice_cstr(q->target)}};
    struct sigv4_request request = {.method = SLICE_LIT("POST"),
                                    .path = SLICE_LIT("/"),
                                    .headers = headers,
                                    .header_count = q->target ? 3 : 2,
                                    .payload_hash = slice_cstr(hash)};
    SL_CLEANUP(buf_fini) struct buf out = BUF_INIT(65536);
    buf_printf(&out, "POST / HTTP/1.1\r\nHost: 127.0.0.1:4566\r\nX-Amz-Date: %s\r\n", date);
    if (q->target != NULL) {
        buf_printf(&out, "X-Amz-Target: %s\r\n", q->target);
    }
    if (q->sign) {
        buf_puts(&out, "Authorization: ");
        OK(sigv4_sign(&request, slice_cstr(l->rig.admin_id), &l->rig.admin_secret,
                      SLICE_LIT("us-east-1"), slice_cstr(q->service), now_s, a, &out, &err));
        buf_puts(&out, "\r\n");
    }
    buf_printf(&out, "Connection: close\r\nContent-Length: %zu\r\n\r\n%s", strlen(q->body),
               q->body);
    if (q->spoil) {
        out.ptr[out.len - 1] ^= 1;
    }
    assert_int_equal(send(fd, out.ptr, out.len, MSG_NOSIGNAL), out.len);
    size_t n = 0;
    for (ssize_t k; n < size - 1 && (k = recv(fd, answer + n, size - 1 - n, 0)) > 0;) {
        n += (size_t)k;
    }
    answer[n] = '\0';
    close(fd);
    return n > 12 ? atoi(answer + 9) : 0;
}

static void http(void **state) {
    static const struct {
        struct ask ask;
        int status;
        const char *texts[3];
    } cases[] = {
        {{"kms", "TrentService.ListKeys", "{}", true, false},
         200,
         {"\"Truncated\":false", "application/x-amz-json-1.1", "x-amzn-requestid"}},
        {{"kms", "TrentService.ListKeys", "", true, false}, 200, {"\"Keys\":["}},
        {{"kms", "TrentService.CreateKey", "{\"Description\":\"d\"}", true, false},
         200,
         {"\"KeyMetadata\":{\"AWSAccountId\":\"" ACCOUNT "\""}},
        {{"kms", "TrentService.DescribeKey", "{}", true, false},
         400,
         {"\"__type\":\"ValidationException\"", "Value null at 'keyId'"}},
        {{"kms", "TrentService.Decrypt", "{\"CiphertextBlob\":\"AAAA\"}", true, false},
         400,
         {"{\"__type\":\"InvalidCiphertextException\"}"}},
        {{"kms", "TrentService.NoSuchThing", "{}", true, false},
         400,
         {"\"__type\":\"UnknownOperationException\""}},
        {{"cloudtrail", /* the rig's service has no folder of records */
          "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.LookupEvents", "{}", true, false},
         500,
         {"\"__type\":\"InternalFailure\""}},
        {{"kms", "TrentService.ListKeys", "{", true, false},
         400,
         {"\"__type\":\"SerializationException\""}},
        {{"kms", "TrentService.ListKeys", "[]", true, false},
         400,
         {"\"__type\":\"SerializationException\""}},
        {{"kms", "TrentService.ListKeys", "{}", false, false},
         400,
         {"\"__type\":\"MissingAuthenticationTokenException\""}},
        {{"kms", "TrentService.ListKeys", "{}", true, true},
         400,
         {"\"__type\":\"InvalidSignatureException\""}},
        {{"s3", "TrentService.ListKeys", "{}", true, false},
         400,
         {"\"__type\":\"InvalidSignatureException\"", "scoped to correct service"}},
        {{"sts", NULL, "Action=GetCallerIdentity&Version=2011-06-15", true, false},
         200,
         {"<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">"
          "<GetCallerIdentityResult>",
          "<Arn>arn:aws:iam::" ACCOUNT ":user/admin</Arn>",
          "</GetCallerIdentityResult><ResponseMetadata><RequestId>"}},
        {{"sts", NULL, "Action=GetCallerIdentity&Version=2011-06-15", false, false},
         403,
         {"<Code>MissingAuthenticationToken</Code>", "<Type>Sender</Type>"}},
        {{"sts", NULL, "Action=GetCallerIdentity&Version=2011-06-15", true, true},
         403,
         {"<Code>SignatureDoesNotMatch</Code>"}},
        {{"sts", NULL, "Action=Nothing&Version=2011-06-15", true, false},
         400,
         {"<Code>InvalidAction</Code>", "Could not find operation Nothing for version 2011-06-15"}},
        {{"iam", NULL, "Action=CreateUser&Version=2010-05-08&UserName=http", true, false},
         200,
         {"<CreateUserResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\">",
          "<UserName>http</UserName>"}},
        {{"iam", NULL, "Action=GetUser&Version=2010-05-08&UserName=absent", true, false},
         404,
         {"<Code>NoSuchEntity</Code>"}},
    };
    struct live *l = *state;
    char answer[65536];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int status = say(l, &cases[i].ask, answer, sizeof answer);
        if (status != cases[i].status) {
            fail_msg("case %zu: %s", i, answer);
        }
        for (size_t t = 0; t < 3 && cases[i].texts[t] != NULL; t++) {
            if (strcasestr(answer, cases[i].texts[t]) == NULL) {
                fail_msg("case %zu: no '%s' in %s", i, cases[i].texts[t], answer);
            }
        }
    }
}

/* ---- Calls ---- */

/* Appends a signed call of GenerateRandom (or what `target` says). */
static void put_call(struct live *l, struct buf *out, uint64_t id, const char *target,
                     const char *body, bool spoil) {
    struct sl_error err = {0};
    char date[17], hash[65];
    uint8_t sha[32];
    int64_t now_s = clock_real_ms() / 1000;
    clock_basic(now_s, date);
    sha256(slice_cstr(body), sha);
    for (int i = 0; i < 32; i++) {
        snprintf(hash + 2 * i, 3, "%02x", sha[i]);
    }
    struct sigv4_header headers[] = {{SLICE_LIT("host"), SLICE_LIT("127.0.0.1:4566")},
                                     {SLICE_LIT("x-amz-date"), slice_cstr(date)},
                                     {SLICE_LIT("x-amz-target"), slice_cstr(target)}};
    struct sigv4_request request = {.method = SLICE_LIT("POST"),
                                    .path = SLICE_LIT("/"),
                                    .headers = headers,
                                    .header_count = 3,
                                    .payload_hash = slice_cstr(hash)};
    SL_CLEANUP(buf_fini) struct buf authorization = BUF_INIT(4096);
    OK(sigv4_sign(&request, slice_cstr(l->rig.admin_id), &l->rig.admin_secret,
                  SLICE_LIT("us-east-1"), SLICE_LIT("kms"), now_s, &l->rig.a, &authorization,
                  &err));
    struct http_header sent[4];
    for (int i = 0; i < 3; i++) {
        sent[i] = (struct http_header){headers[i].name, headers[i].value};
    }
    sent[3] = (struct http_header){SLICE_LIT("authorization"), buf_slice(&authorization)};
    struct net_peer peer = {.ip = "192.0.2.8", .tls = true, .tls_minor = 3, .cipher = "X"};
    struct http h = {.method = request.method,
                     .path = request.path,
                     .headers = sent,
                     .header_count = 4,
                     .peer = &peer};
    OK(http_call_put(out, id, &h, slice_cstr(body), false));
    if (spoil) {
        out->ptr[out->len - 1] ^= 1;
    }
}

static uint64_t take_id(struct slice payload) {
    struct rdr r = rdr_of(payload);
    return rdr_u64(&r);
}

/* Many calls in pieces that don't end where a call does: each is answered, with its own status. */
static void calls(void **state) {
    enum { COUNT = 100 };
    struct live *l = *state;
    struct sl_error err = {0};
    struct seam_hello h = hello_as(SEAM_S3, SEAM_CALLS);
    int fd = -1;
    SL_CLEANUP(buf_fini) struct buf out = BUF_INIT(1 << 20);
    SL_CLEANUP(buf_fini) struct buf in = BUF_INIT(1 << 20);
    char make[256];
    OK(kms_run(&l->rig, &l->rig.admin, "CreateKey", "{}"));
    snprintf(make, sizeof make, "{\"KeyId\":\"%.*s\",\"KeySpec\":\"AES_256\"}",
             SLICE_FMT(json_get(json_get(l->rig.answer, "KeyMetadata"), "KeyId")->text));
    OK(seam_connect(l->path, &h, &fd, &err));
    for (uint64_t i = 0; i < COUNT; i++) {
        put_call(l, &out, i,
                 i % 5 == 1   ? "TrentService.Decrypt"
                 : i % 5 == 2 ? "TrentService.NoSuchThing"
                 : i % 5 == 4 ? "TrentService.CreateKey" /* needs no key: answered all the same */
                              : "TrentService.GenerateDataKey",
                 i % 5 == 1   ? "{\"CiphertextBlob\":\"AAAA\"}"
                 : i % 5 == 4 ? "{}"
                              : make,
                 i % 5 == 3);
    }
    for (size_t at = 0; at < out.len;) {
        size_t n = out.len - at < 9973 ? out.len - at : 9973;
        assert_int_equal(send(fd, out.ptr + at, n, MSG_NOSIGNAL), n);
        at += n;
    }
    for (uint64_t seen = 0; seen < COUNT;) {
        uint8_t *p = buf_reserve(&in, 65536), type;
        ssize_t n = recv(fd, p, 65536, 0);
        struct slice payload, rest;
        size_t len;
        assert_true(n > 0);
        in.len += (size_t)n;
        rest = buf_slice(&in);
        while (sl_is_ok(http_call_frame(rest, 1 << 20, &type, &payload, &len)) && len > 0) {
            static const char *const wants[] = {"\"CiphertextBlob\"", "InvalidCiphertextException",
                                                "UnknownOperationException",
                                                "InvalidSignatureException", "\"KeyMetadata\""};
            uint64_t id = take_id(payload);
            assert_int_equal(type, CALL_ANSWER);
            assert_true(id < COUNT);
            const char *want = wants[id % 5];
            if (memmem(payload.ptr, payload.len, want, strlen(want)) == NULL) {
                fail_msg("call %d: %.*s", (int)id, SLICE_FMT(slice_sub(payload, 8, payload.len)));
            }
            seen++;
            rest = slice_sub(rest, len, rest.len);
        }
        memmove(in.ptr, rest.ptr, rest.len);
        in.len = rest.len;
    }
    close(fd);
}

/* Not for other edges, and what can't be a call ends the connection. */
static void calls_refused(void **state) {
    static const uint8_t bad[][6] = {{0, 0, 0, 0, 0, 0},
                                     {0, 0, 0, 2, 'X', 0},
                                     {0, 0, 0, 2, 'C', 0},
                                     {0, 1, 0, 0, 'C', 0},
                                     {0xff, 0xff, 0xff, 0xff, 'C', 0}};
    struct live *l = *state;
    struct sl_error err = {0};
    char b;
    for (size_t i = 0; i <= sizeof bad / sizeof *bad; i++) {
        bool edge = i == sizeof bad / sizeof *bad;
        struct seam_hello h = hello_as(edge ? SEAM_GATEWAY : SEAM_S3, SEAM_CALLS);
        SL_CLEANUP(buf_fini) struct buf out = BUF_INIT(65536);
        int fd = -1;
        OK(seam_connect(l->path, &h, &fd, &err));
        if (edge) {
            put_call(l, &out, 1, "TrentService.ListKeys", "{}", false);
        } else {
            buf_put(&out, slice_of(bad[i], sizeof bad[i]));
        }
        assert_int_equal(send(fd, out.ptr, out.len, MSG_NOSIGNAL), out.len);
        assert_true(recv(fd, &b, 1, 0) <= 0);
        close(fd);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls),
        cmocka_unit_test(calls_refused),
        cmocka_unit_test(hellos),
        cmocka_unit_test(seam_client),
        cmocka_unit_test(http),
        cmocka_unit_test(broken_channel),
        cmocka_unit_test_setup_teardown(broken_root, start, stop),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
