/* S3 client against the scripted server of s3_script.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <time.h>

#include "lib/awsclient/s3client.h"
#include "lib/base/buf.h"
#include "lib/base/clock.h"

static atomic_bool aborting;

static struct s3client *client(const char *ca, const char *secret) {
    struct s3client_conf conf = {.endpoint = getenv("SEALIFT_TEST_S3"),
                                 .region = "eu-test-1",
                                 .ca_file = ca ? ca : getenv("SEALIFT_TEST_CA"),
                                 .abort = &aborting,
                                 .backoff_ms = 1};
    struct s3client *c = NULL;
    struct sl_error err = {0};
    atomic_store(&aborting, false);
    assert_true(sl_is_ok(s3client_new(&conf, &c, &err)));
    assert_true(sl_is_ok(s3client_credentials(c, SLICE_LIT("AKIDTEST"), slice_cstr(secret),
                                              SLICE_LIT("session/token=="), &err)));
    return c;
}
#define SECRET "test/secret+key"

static struct sl_rc into_buf(void *ctx, struct slice bytes, struct sl_error *err) {
    buf_put(ctx, bytes);
    return buf_check(ctx, err);
}

static struct sl_rc get(struct s3client *c, const char *bucket, struct buf *out) {
    struct sl_error err = {0};
    uint64_t n = 0;
    struct sl_rc rc = s3client_get(c, bucket, SLICE_LIT("dir/obj"), into_buf, out, &err, &n);
    if (sl_is_ok(rc)) {
        assert_int_equal(n, out->len);
    }
    return rc;
}

static void assert_blob(const struct buf *b) {
    assert_int_equal(b->len, 700000);
    for (size_t i = 0; i < b->len; i++) {
        if (b->ptr[i] != (uint8_t)((i * 7 + i / 251) % 256)) {
            fail_msg("byte %zu differs", i);
        }
    }
}

static void test_reads(void **state) {
    (void)state;
    static const char *const buckets[] = {"blob", "flaky", "cut"};
    for (size_t i = 0; i < 3; i++) {
        struct s3client *c = client(NULL, SECRET);
        struct buf out = BUF_INIT(1 << 20);
        assert_true(sl_is_ok(get(c, buckets[i], &out)));
        assert_blob(&out);
        buf_fini(&out);
        s3client_free(c);
    }
}

static void test_refusals(void **state) {
    (void)state;
    static const struct {
        const char *bucket;
        const char *secret;
        long status;
        const char *code;
        const char *message;
    } cases[] = {
        {"denied", SECRET, 403, "AccessDenied", "Access Denied & more"},
        {"down", SECRET, 503, "SlowDown", "Please reduce your request rate."},
        {"other", SECRET, 404, "NoSuchKey", "The specified key does not exist."},
        {"blob", "wrong", 403, "SignatureDoesNotMatch",
         "The request signature we calculated does not match"},
        {"changed", SECRET, 412, "PreconditionFailed",
         "At least one of the pre-conditions did not hold"},
        {"nobody", SECRET, 403, "403", "HTTP status 403"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct s3client *c = client(NULL, cases[i].secret);
        struct buf out = BUF_INIT(1 << 20);
        assert_int_equal(get(c, cases[i].bucket, &out).code, SL_E_COPY_S3);
        const struct s3client_failure *f = s3client_failure(c);
        assert_int_equal(f->status, cases[i].status);
        assert_string_equal(f->code, cases[i].code);
        assert_string_equal(f->message, cases[i].message);
        assert_string_equal(f->request_id, i == 5 ? "RID1" : "RID3");
        assert_string_equal(f->host_id, i == 5 ? "HOST2" : "HOST4");
        buf_fini(&out);
        s3client_free(c);
    }
}

static int renewals;

static struct sl_rc renew(void *ctx, struct s3client *c, struct sl_error *err, bool *ret_renewed) {
    renewals++;
    *ret_renewed = *(const bool *)ctx;
    return s3client_credentials(c, SLICE_LIT("AKIDTEST"), SLICE_LIT(SECRET),
                                SLICE_LIT("renewed/token=="), err);
}

static struct sl_rc no_renewal(void *ctx, struct s3client *c, struct sl_error *err,
                               bool *ret_renewed) {
    (void)ctx, (void)c;
    *ret_renewed = false;
    return sl_fail(err, SL_E_COPY_ROLE, "not authorized to assume");
}

/* Credentials that expire in the middle of a read are renewed once, and the read goes on where it
 * was. */
static void test_renewal(void **state) {
    (void)state;
    bool yes = true, no = false;
    const struct {
        const char *bucket;
        s3client_renew_fn renew;
        bool *others;
        enum sl_code code;
        int renewals;
        size_t len;
    } cases[] = {
        {"expired", renew, &no, SL_E_COPY_S3, 1, 0},
        {"expired", renew, &yes, SL_E_COPY_S3, 1, 0},
        {"expired", NULL, NULL, SL_E_COPY_S3, 0, 0},
        {"expired", no_renewal, NULL, SL_E_COPY_ROLE, 0, 0},
        {"aging", renew, &yes, 0, 1, 700000},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct s3client_conf conf = {.endpoint = getenv("SEALIFT_TEST_S3"),
                                     .region = "eu-test-1",
                                     .ca_file = getenv("SEALIFT_TEST_CA"),
                                     .backoff_ms = 1,
                                     .renew = cases[i].renew,
                                     .renew_ctx = cases[i].others};
        struct s3client *c = NULL;
        struct sl_error err = {0};
        struct buf out = BUF_INIT(1 << 20);
        renewals = 0;
        assert_true(sl_is_ok(s3client_new(&conf, &c, &err)));
        assert_true(sl_is_ok(s3client_credentials(c, SLICE_LIT("AKIDTEST"), SLICE_LIT(SECRET),
                                                  SLICE_LIT("session/token=="), &err)));
        struct sl_rc rc = get(c, cases[i].bucket, &out);
        assert_int_equal(rc.code, cases[i].code);
        assert_int_equal(renewals, cases[i].renewals);
        assert_int_equal(out.len, cases[i].len);
        if (cases[i].code == SL_E_COPY_S3) {
            assert_string_equal(s3client_failure(c)->code, "ExpiredToken");
        } else if (sl_is_ok(rc)) {
            assert_blob(&out);
        }
        buf_fini(&out);
        s3client_free(c);
    }
}

static void test_no_resume(void **state) {
    (void)state;
    struct s3client *c = client(NULL, SECRET);
    struct buf out = BUF_INIT(1 << 20);
    assert_true(sl_failed(get(c, "norange", &out)));
    assert_int_equal(out.len, 200000);
    buf_fini(&out);
    s3client_free(c);
}

static void test_untrusted(void **state) {
    (void)state;
    struct s3client *c = client(getenv("SEALIFT_TEST_OTHER_CA"), SECRET);
    struct buf out = BUF_INIT(1 << 20);
    assert_int_equal(get(c, "blob", &out).code, SL_E_COPY_S3);
    assert_int_equal(s3client_failure(c)->status, 0);
    assert_int_equal(s3client_failure(c)->curl_code, 60);
    assert_int_equal(out.len, 0);
    s3client_free(c);
    struct s3client_conf plain = {.endpoint = "http://127.0.0.1:1", .region = "r"};
    struct sl_error err = {0};
    assert_int_equal(s3client_new(&plain, &c, &err).code, SL_E_VALIDATION);
    buf_fini(&out);
}

static void test_unreachable(void **state) {
    (void)state;
    struct s3client_conf conf = {
        .endpoint = "https://127.0.0.1:1", .region = "r", .attempts = 3, .backoff_ms = 1};
    struct s3client *c;
    struct sl_error err = {0};
    struct buf out = BUF_INIT(16);
    uint64_t n;
    assert_true(sl_is_ok(s3client_new(&conf, &c, &err)));
    assert_true(
        sl_is_ok(s3client_credentials(c, SLICE_LIT("A"), SLICE_LIT("b"), SLICE_EMPTY, &err)));
    assert_int_equal(s3client_get(c, "b", SLICE_LIT("k"), into_buf, &out, &err, &n).code,
                     SL_E_COPY_S3);
    assert_int_equal(s3client_failure(c)->status, 0);
    assert_int_equal(s3client_failure(c)->curl_code, 7);
    s3client_free(c);
}

static struct sl_rc full(void *ctx, struct slice bytes, struct sl_error *err) {
    (void)bytes;
    ++*(int *)ctx;
    return sl_fail(err, SL_E_FULL, "no room");
}

static void test_sink_failure(void **state) {
    (void)state;
    struct s3client *c = client(NULL, SECRET);
    struct sl_error err = {0};
    uint64_t n;
    int calls = 0;
    assert_int_equal(s3client_get(c, "blob", SLICE_LIT("k"), full, &calls, &err, &n).code,
                     SL_E_FULL);
    assert_int_equal(calls, 1);
    assert_string_equal(err.detail, "no room");
    s3client_free(c);
}

static void *abort_soon(void *arg) {
    (void)arg;
    struct timespec ts = {.tv_nsec = 200 * 1000000};
    nanosleep(&ts, NULL);
    atomic_store(&aborting, true);
    return NULL;
}

static void test_abort(void **state) {
    (void)state;
    struct s3client *c = client(NULL, SECRET);
    struct buf out = BUF_INIT(1 << 20);
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, abort_soon, NULL), 0);
    int64_t from = clock_mono_ms();
    assert_int_equal(get(c, "hang", &out).code, SL_E_CLOSED);
    assert_in_range(clock_mono_ms() - from, 150, 1000);
    assert_int_equal(out.len, 1000);
    pthread_join(t, NULL);
    buf_fini(&out);
    s3client_free(c);
}

static void test_stall(void **state) {
    (void)state;
    struct s3client_conf conf = {.endpoint = getenv("SEALIFT_TEST_S3"),
                                 .region = "eu-test-1",
                                 .ca_file = getenv("SEALIFT_TEST_CA"),
                                 .attempts = 1,
                                 .stall_timeout_ms = 300};
    struct s3client *c;
    struct sl_error err = {0};
    struct buf out = BUF_INIT(1 << 20);
    assert_true(sl_is_ok(s3client_new(&conf, &c, &err)));
    assert_true(sl_is_ok(s3client_credentials(c, SLICE_LIT("AKIDTEST"), SLICE_LIT(SECRET),
                                              SLICE_LIT("session/token=="), &err)));
    /* the first attempt makes progress, the second one (a resumed read) gets a wrong answer */
    assert_true(sl_failed(get(c, "hang", &out)));
    buf_fini(&out);
    s3client_free(c);
}

static void test_listing(void **state) {
    (void)state;
    struct s3client *c = client(NULL, SECRET);
    struct arena a = ARENA_INIT(16 << 20);
    struct sl_error err = {0};
    struct slice token = SLICE_EMPTY;
    size_t seen = 0;
    do {
        struct s3client_object *objects;
        size_t n;
        assert_true(
            sl_is_ok(s3client_list(c, "paged", "many/", token, &a, &err, &objects, &n, &token)));
        for (size_t i = 0; i < n; i++) {
            char want[64];
            snprintf(want, sizeof want, "many/k %05zu+\xc3\xa9", seen++);
            assert_true(slice_eq_cstr(objects[i].key, want));
            assert_int_equal(objects[i].size, 1);
            assert_true(slice_eq_cstr(objects[i].etag, "\"e1\""));
        }
    } while (token.len > 0);
    assert_int_equal(seen, 2500);
    struct s3client_object *objects;
    size_t n;
    assert_true(
        sl_is_ok(s3client_list(c, "paged", "none", SLICE_EMPTY, &a, &err, &objects, &n, &token)));
    assert_int_equal(n, 0);
    assert_int_equal(
        s3client_list(c, "denied", "x", SLICE_EMPTY, &a, &err, &objects, &n, &token).code,
        SL_E_COPY_S3);
    assert_string_equal(s3client_failure(c)->code, "AccessDenied");
    arena_fini(&a);
    s3client_free(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads),        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_no_resume),    cmocka_unit_test(test_renewal),
        cmocka_unit_test(test_untrusted),    cmocka_unit_test(test_unreachable),
        cmocka_unit_test(test_sink_failure), cmocka_unit_test(test_abort),
        cmocka_unit_test(test_stall),        cmocka_unit_test(test_listing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
