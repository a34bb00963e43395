/* The load's threads against the scripted server of tests/unit/awsclient: order and completeness of
 * rows, headers, compression, limits, failures, and an end at any moment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "extension/copy/pipeline.h"
#include "lib/base/clock.h"

static const struct copy_column columns[] = {
    {.type = COPY_INT4},
    {.type = COPY_VARCHAR, .max_bytes = 65535},
    {.type = COPY_NUMERIC, .precision = 8, .scale = 2},
};
static const struct copy_column wide_columns[] = {
    {.type = COPY_INT4},
    {.type = COPY_VARCHAR, .max_bytes = 4 << 20},
    {.type = COPY_NUMERIC, .precision = 8, .scale = 2},
};

static struct sl_rc credentials(void *ctx, struct s3client *client, atomic_int *ret_fd,
                                struct sl_error *err, int64_t *ret_expires_s) {
    (void)ret_fd;
    ++*(int *)ctx;
    *ret_expires_s = clock_real_ms() / 1000 + 3600;
    return s3client_credentials(client, SLICE_LIT("AKIDTEST"), SLICE_LIT("test/secret+key"),
                                SLICE_LIT("session/token=="), err);
}

static struct sl_rc no_credentials(void *ctx, struct s3client *client, atomic_int *ret_fd,
                                   struct sl_error *err, int64_t *ret_expires_s) {
    (void)ctx, (void)client, (void)ret_fd, (void)ret_expires_s;
    return sl_fail(err, SL_E_COPY_ROLE, "not authorized to assume");
}

static int credential_calls;

static struct pipeline_conf conf_of(const char *prefix, unsigned converters) {
    return (struct pipeline_conf){
        .s3 = {.endpoint = getenv("SEALIFT_TEST_S3"),
               .region = "eu-test-1",
               .ca_file = getenv("SEALIFT_TEST_CA"),
               .attempts = 2,
               .backoff_ms = 1},
        .bucket = "load",
        .prefix = prefix,
        .credentials = credentials,
        .credentials_ctx = &credential_calls,
        .convert = {.split = {DELIMITED_PLAIN, '|', '"'},
                    .null_as = SLICE_LIT("\\N"),
                    .columns = columns,
                    .column_count = 3,
                    .max_rejects = 10},
        .converters = converters,
        .wake_fd = eventfd(0, EFD_NONBLOCK),
    };
}

struct outcome {
    enum pipeline_took end;
    struct pipeline_failure failure;
    size_t rows;
    size_t out_of_order; /* rows whose first column does not follow the one before */
    size_t bad;
    uint64_t bad_line;
    int bad_code;
    char bad_key[64];
    size_t text_bytes;
    struct pipeline_counts counts;
};

static void wait_fd(int fd) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    assert_int_not_equal(poll(&p, 1, 20000), 0);
    uint64_t n;
    (void)!read(fd, &n, sizeof n);
}

static struct outcome drive(struct pipeline_conf *conf) {
    struct outcome o = {0};
    struct pipeline *p;
    struct sl_error err = {0};
    assert_true(sl_is_ok(pipeline_start(conf, &p, &err)));
    for (bool go = true; go;) {
        struct pipeline_batch *b;
        o.end = pipeline_take(p, &b);
        switch (o.end) {
        case PIPELINE_BATCH:
            for (size_t i = 0; i < b->batch.rows; i++) {
                o.out_of_order += b->batch.columns[0].v.i32[i] != (int32_t)o.rows;
                o.rows++;
            }
            o.text_bytes += b->batch.text.len;
            if (b->batch.bad_count > 0) {
                o.bad_line = b->batch.bad[0].line;
                o.bad_code = b->batch.bad[0].code;
                snprintf(o.bad_key, sizeof o.bad_key, "%.60s", strchr(b->object, '/') + 1);
            }
            o.bad += b->batch.bad_count;
            pipeline_give_back(p, b);
            break;
        case PIPELINE_WAIT:
            wait_fd(conf->wake_fd);
            break;
        default:
            go = false;
        }
    }
    o.failure = *pipeline_failure(p);
    o.counts = pipeline_counts(p);
    pipeline_stop(p);
    close(conf->wake_fd);
    return o;
}

static void test_plain(void **state) {
    (void)state;
    for (unsigned converters = 1; converters <= 3; converters++) {
        credential_calls = 0;
        struct pipeline_conf conf = conf_of("plain/", converters);
        struct outcome o = drive(&conf);
        assert_int_equal(o.end, PIPELINE_END);
        assert_int_equal(o.rows, 40003);
        assert_int_equal(o.out_of_order, 0);
        assert_int_equal(o.counts.files, 3);
        assert_int_equal(credential_calls, 1);
    }
}

/* What others see of a load: its files, bytes, lines, and the file at hand. */
static void test_watch(void **state) {
    (void)state;
    static struct watch_counters counters;
    struct watch w;
    char object[WATCH_OBJECT_BYTES];
    watch_init(&w, &counters);
    for (int i = 0; i < 2; i++) {
        watch_counters_reset(&counters);
        watch_counters_object(&counters, object);
        assert_string_equal(object, "");
        struct pipeline_conf conf = conf_of(i == 0 ? "gzip/" : "none/", 2);
        conf.compression = UNPACK_GZIP;
        conf.watch = &w;
        struct outcome o = drive(&conf);
        assert_int_equal(o.end, i == 0 ? PIPELINE_END : PIPELINE_FAIL);
        assert_int_equal(atomic_load(&counters.done), o.counts.files);
        assert_int_equal(atomic_load(&counters.fetched), o.counts.bytes);
    }
    assert_int_equal(w.count, 3);
    uint64_t fetched = 0, plain = 0, lines = 0;
    for (size_t i = 0; i < w.count; i++) {
        assert_memory_equal(w.files[i].object, "load/gzip/", 10);
        assert_true(w.files[i].end_us >= w.files[i].start_us && w.files[i].start_us > 0);
        fetched += w.files[i].fetched;
        plain += w.files[i].plain;
        lines += w.files[i].lines;
    }
    assert_int_equal(lines, 120000);
    assert_true(plain > fetched && fetched > 0);
    watch_fini(&w);
}

static void test_watch_object(void **state) {
    (void)state;
    static struct watch_counters counters;
    struct watch w;
    char object[WATCH_OBJECT_BYTES], name[WATCH_OBJECT_BYTES];
    size_t file;
    watch_init(&w, &counters);
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    assert_true(sl_is_ok(watch_begin(&w, name, NULL, &file)));
    watch_counters_object(&counters, object);
    assert_string_equal(object, name);
    assert_true(sl_is_ok(watch_begin(&w, "b/k", NULL, &file)));
    watch_counters_object(&counters, object);
    assert_string_equal(object, "b/k");
    atomic_fetch_add(&counters.version, 1); /* a writer that was ended half-way */
    watch_counters_object(&counters, object);
    assert_string_equal(object, "");
    watch_fini(&w);
}

static void test_gzip(void **state) {
    (void)state;
    for (unsigned converters = 1; converters <= 3; converters++) {
        struct pipeline_conf conf = conf_of("gzip/", converters);
        conf.compression = UNPACK_GZIP;
        struct outcome o = drive(&conf);
        assert_int_equal(o.end, PIPELINE_END);
        assert_int_equal(o.rows, 120000);
        assert_int_equal(o.out_of_order, 0);
        assert_int_equal(o.counts.files, 3);
    }
}

static void test_header(void **state) {
    (void)state;
    struct pipeline_conf conf = conf_of("header/", 2);
    conf.ignoreheader = 2;
    struct outcome o = drive(&conf);
    assert_int_equal(o.end, PIPELINE_END);
    assert_int_equal(o.rows, 10);
    assert_int_equal(o.out_of_order, 0);
    conf = conf_of("header/", 2);
    conf.ignoreheader = 1;
    o = drive(&conf);
    assert_int_equal(o.bad, 2); /* the second line of a and b; c has one line */
    assert_int_equal(o.bad_line, 2);
    assert_string_equal(o.bad_key, "header/b");
}

static void test_csv(void **state) {
    (void)state;
    for (unsigned converters = 1; converters <= 2; converters++) {
        struct pipeline_conf conf = conf_of("csv/", converters);
        conf.convert.split = (struct delimited_conf){DELIMITED_CSV, ',', '"'};
        struct outcome o = drive(&conf);
        assert_int_equal(o.end, PIPELINE_END);
        assert_int_equal(o.rows, 30000);
        assert_int_equal(o.out_of_order, 0);
        assert_int_equal(o.bad, 0);
    }
}

static void test_rejects(void **state) {
    (void)state;
    struct pipeline_conf conf = conf_of("bad/", 2);
    struct outcome o = drive(&conf);
    assert_int_equal(o.end, PIPELINE_END);
    assert_int_equal(o.rows, 20);
    assert_int_equal(o.out_of_order, 0);
    assert_int_equal(o.bad, 1);
    assert_int_equal(o.bad_line, 6);
    assert_int_equal(o.bad_code, 1207);
    assert_string_equal(o.bad_key, "bad/b");
}

static void test_wide(void **state) {
    (void)state;
    struct pipeline_conf conf = conf_of("wide/", 1);
    conf.convert.columns = wide_columns;
    struct outcome o = drive(&conf);
    assert_int_equal(o.end, PIPELINE_END);
    assert_int_equal(o.rows, 2);
    assert_true(o.text_bytes > 6 << 20);
}

static void test_failures(void **state) {
    (void)state;
    static const struct {
        const char *bucket;
        const char *prefix;
        enum unpack_format compression;
        enum pipeline_failed kind;
        const char *key;
    } cases[] = {
        {"load", "nothing/", UNPACK_NONE, PIPELINE_NO_OBJECTS, ""},
        {"denied", "x", UNPACK_NONE, PIPELINE_S3_LIST, ""},
        {"paged", "many/k 00000", UNPACK_NONE, PIPELINE_S3_GET, "many/k 00000+\xc3\xa9"},
        {"load", "broken/", UNPACK_GZIP, PIPELINE_UNPACK, "broken/a.gz"},
        {"load", "garbage/", UNPACK_GZIP, PIPELINE_UNPACK, "garbage/a.gz"},
        {"load", "huge/", UNPACK_NONE, PIPELINE_ROW_SIZE, "huge/a"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pipeline_conf conf = conf_of(cases[i].prefix, 2);
        conf.bucket = cases[i].bucket;
        conf.compression = cases[i].compression;
        struct outcome o = drive(&conf);
        assert_int_equal(o.end, PIPELINE_FAIL);
        assert_int_equal(o.failure.kind, cases[i].kind);
        if (cases[i].key[0] != '\0') {
            assert_string_equal(strchr(o.failure.object, '/') + 1, cases[i].key);
        }
        if (cases[i].kind == PIPELINE_S3_LIST) {
            assert_string_equal(o.failure.s3.code, "AccessDenied");
        } else if (cases[i].kind == PIPELINE_S3_GET) {
            assert_string_equal(o.failure.s3.code, "NoSuchKey");
        } else if (cases[i].kind == PIPELINE_ROW_SIZE) {
            assert_int_equal(o.rows, 2);
            assert_int_equal(o.bad, 1);
            assert_int_equal(o.bad_line, 3);
            assert_int_equal(o.bad_code, 1216);
        } else if (cases[i].kind == PIPELINE_NO_OBJECTS) {
            assert_string_equal(o.failure.err.detail,
                                "The specified S3 prefix 'nothing/' does not exist");
        }
    }
}

static void test_no_credentials(void **state) {
    (void)state;
    struct pipeline_conf conf = conf_of("plain/", 1);
    conf.credentials = no_credentials;
    struct outcome o = drive(&conf);
    assert_int_equal(o.end, PIPELINE_FAIL);
    assert_int_equal(o.failure.kind, PIPELINE_CREDENTIALS);
    assert_int_equal(o.failure.err.code, SL_E_COPY_ROLE);
    assert_string_equal(o.failure.err.detail, "not authorized to assume");
}

/* Ends the load in all kinds of places: before the first batch, with batches out, with a full ring
 * and a taker that never comes, and while S3 keeps silent. */
static void test_stop(void **state) {
    (void)state;
    for (int round = 0; round < 12; round++) {
        struct pipeline_conf conf = conf_of(round % 4 == 3 ? "" : "stream/", 1 + round % 3);
        conf.bucket = round % 4 == 3 ? "hang" : "load";
        struct pipeline *p;
        struct sl_error err = {0};
        assert_true(sl_is_ok(pipeline_start(&conf, &p, &err)));
        for (int taken = 0; taken < round;) {
            struct pipeline_batch *b;
            enum pipeline_took took = pipeline_take(p, &b);
            if (took != PIPELINE_BATCH) {
                break;
            }
            taken++; /* and never given back */
        }
        struct timespec ts = {.tv_nsec = (round % 4) * 60 * 1000000L};
        nanosleep(&ts, NULL);
        int64_t from = clock_mono_ms();
        pipeline_stop(p);
        assert_in_range(clock_mono_ms() - from, 0, 500);
        close(conf.wake_fd);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),    cmocka_unit_test(test_gzip),
        cmocka_unit_test(test_watch),    cmocka_unit_test(test_watch_object),
        cmocka_unit_test(test_header),   cmocka_unit_test(test_csv),
        cmocka_unit_test(test_rejects),  cmocka_unit_test(test_wide),
        cmocka_unit_test(test_failures), cmocka_unit_test(test_no_credentials),
        cmocka_unit_test(test_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
