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
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "extension/copy/pipeline_in.h"
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

static struct pipeline_conf conf_of(const char *prefix, unsigned workers) {
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
        .workers = workers,
    };
}

struct outcome {
    enum pipeline_took end;
    struct pipeline_failure failure;
    size_t rows;
    size_t segments;
    size_t last_rows;    /* of the last segment, */
    size_t shorter;      /* segments shorter than the one after them */
    size_t torn;         /* rows of values that did not come together */
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

/* A table of the three columns, one of NULLs and one of a constant. */
static struct secret key;
static int32_t sevens[SEGMENT_ROWS];
static uint8_t nulls[SEGMENT_ROWS];
static const struct pipeline_column table_columns[] = {
    {.field = -1, .form = {.kind = VECTOR_INT64, .nulls = nulls}},
    {.field = 1, .form = {.kind = VECTOR_BYTES}},
    {.field = 0, .form = {.kind = VECTOR_INT32}},
    {.field = -1, .form = {.kind = VECTOR_INT32, .v.i32 = sevens}},
    {.field = 2, .form = {.kind = VECTOR_INT64, .decimal = true, .scale = 2}},
};
static const struct pipeline_table table = {.storage_id = "storage",
                                            .key = &key,
                                            .columns = table_columns,
                                            .column_count = 5,
                                            .segment_bytes = 16 << 20,
                                            .keys = (const uint32_t[]){2},
                                            .key_count = 1};

static int make_table(void **state) {
    (void)state;
    memset(nulls, 1, sizeof nulls);
    for (int i = 0; i < SEGMENT_ROWS; i++) {
        sevens[i] = 7;
    }
    return sl_is_ok(secret_random(&key, 32)) ? 0 : 1;
}

/* Opens a segment: its rows are in the table's form and follow those before. */
static void look_at(const struct pipeline_segment *seg, struct outcome *o) {
    struct segment *s;
    struct segment_work *w;
    struct sl_error err = {0};
    struct vector v[5];
    struct vector_memory memory[5] = {0};
    assert_true(sl_is_ok(segment_work_new(&w)));
    assert_true(sl_is_ok(segment_open_whole(&key, &seg->ref, buf_slice(&seg->bytes), &s, &err)));
    for (uint32_t i = 0; i < 5; i++) {
        assert_true(sl_is_ok(segment_decode(w, s, i, segment_chunk_of(s, i, buf_slice(&seg->bytes)),
                                            &memory[i], &v[i], &err)));
    }
    for (uint32_t row = 0; row < seg->ref.rows; row++) {
        o->out_of_order += v[2].v.i32[row] != (int32_t)o->rows;
        o->rows++;
        o->text_bytes += vector_bytes(&v[1], row).len;
        assert_true(vector_is_null(&v[0], row));
        assert_int_equal(v[3].v.i32[row], 7);
        assert_true(v[4].decimal && v[4].scale == 2);
        o->torn += v[4].v.i64[row] != v[2].v.i32[row] % 7 * 100 + 25;
    }
    for (int i = 0; i < 5; i++) {
        vector_memory_fini(&memory[i]);
    }
    segment_free(s);
    segment_work_free(w);
    o->segments++;
    o->shorter += o->last_rows > 0 && o->last_rows < seg->ref.rows;
    o->last_rows = seg->ref.rows;
}

static void look_at_bad(const struct pipeline_batch *b, struct outcome *o) {
    if (b->bad.count > 0) {
        o->bad_line = b->bad.rows[0].line;
        o->bad_code = b->bad.rows[0].code;
        snprintf(o->bad_key, sizeof o->bad_key, "%.60s", strchr(b->object, '/') + 1);
    }
    o->bad += b->bad.count;
}

/* With a descriptor of its own, which whoever stops the load closes. */
static struct pipeline *start(struct pipeline_conf *conf) {
    struct pipeline *p;
    struct sl_error err = {0};
    conf->wake_fd = eventfd(0, EFD_NONBLOCK);
    assert_true(conf->wake_fd >= 0);
    assert_true(sl_is_ok(pipeline_start(conf, &p, &err)));
    return p;
}

static struct outcome take_all(struct pipeline *p, const struct pipeline_conf *conf) {
    struct outcome o = {0};
    for (bool go = true; go;) {
        struct pipeline_taken taken;
        o.end = pipeline_take(p, &taken);
        struct pipeline_batch *b = taken.batch;
        switch (o.end) {
        case PIPELINE_BATCH:
            for (size_t i = 0; i < b->batch.rows; i++) {
                o.out_of_order += b->batch.columns[0].v.i32[i] != (int32_t)o.rows;
                o.rows++;
            }
            o.text_bytes += b->batch.text.len;
            look_at_bad(b, &o);
            pipeline_give_back(p, &taken);
            break;
        case PIPELINE_SEGMENT:
            look_at(taken.segment, &o);
            pipeline_give_back(p, &taken);
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

static struct outcome drive(struct pipeline_conf *conf) {
    struct pipeline *p = start(conf);
    return take_all(p, conf);
}

/* A load that ends well, its rows in order. */
static struct outcome drive_rows(struct pipeline_conf *conf, size_t rows) {
    struct outcome o = drive(conf);
    assert_int_equal(o.end, PIPELINE_END);
    assert_int_equal(o.rows, rows);
    assert_int_equal(o.out_of_order, 0);
    return o;
}

static void test_plain(void **state) {
    (void)state;
    for (unsigned workers = 1; workers <= 3; workers++) {
        credential_calls = 0;
        struct pipeline_conf conf = conf_of("plain/", workers);
        struct outcome o = drive_rows(&conf, 40003);
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
        conf.decode.compression = UNPACK_GZIP;
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
    for (unsigned workers = 1; workers <= 3; workers++) {
        struct pipeline_conf conf = conf_of("gzip/", workers);
        conf.decode.compression = UNPACK_GZIP;
        struct outcome o = drive_rows(&conf, 120000);
        assert_int_equal(o.counts.files, 3);
    }
}

/* The same rows in segments, which take in the rows of all files. */
static void test_segments(void **state) {
    (void)state;
    for (unsigned workers = 1; workers <= 4; workers++) {
        struct pipeline_conf conf = conf_of("plain/", workers);
        conf.table = &table;
        struct outcome o = drive_rows(&conf, 40003);
        assert_int_equal(o.segments, 1);
        conf = conf_of("gzip/", workers);
        conf.decode.compression = UNPACK_GZIP;
        conf.table = &table;
        conf.convert.max_rejects = 1;
        o = drive_rows(&conf, 120000);
        assert_int_equal(o.segments, 1);
    }
}

/* A load of more than a segment's rows; on two lanes the order is another, nothing is lost. */
static void test_many_segments(void **state) {
    (void)state;
    for (unsigned workers = 1; workers <= 4; workers++) {
        struct pipeline_table lanes = table;
        struct pipeline_conf conf = conf_of("long/", workers);
        conf.table = &lanes;
        struct outcome o = drive_rows(&conf, 500000);
        assert_in_range(o.segments, 4, 5);
        lanes.key_count = 0;
        conf = conf_of("long/", workers);
        conf.table = &lanes;
        o = drive(&conf);
        assert_int_equal(o.end, PIPELINE_END);
        assert_int_equal(o.rows, 500000);
        assert_in_range(o.segments, 4, 5);
    }
}

/* Rows that come the other way round lie in the order of the SORTKEY, each as it was; without one
 * as they came. */
static void test_sorted(void **state) {
    (void)state;
    for (unsigned workers = 1; workers <= 2; workers++) {
        struct pipeline_conf conf = conf_of("down/", workers);
        conf.table = &table;
        struct outcome o = drive_rows(&conf, 100000);
        assert_int_equal(o.torn, 0);
        struct pipeline_table unsorted = table;
        unsorted.key_count = 0;
        conf = conf_of("down/", workers);
        conf.table = &unsorted;
        o = drive(&conf);
        assert_int_equal(o.rows, 100000);
        assert_int_equal(o.out_of_order, 100000);
    }
}

/* Segments end by their bytes, of values or of texts. */
static void test_small_segments(void **state) {
    (void)state;
    struct pipeline_table small = table;
    small.segment_bytes = 256 * 1024;
    struct pipeline_conf conf = conf_of("plain/", 2);
    conf.table = &small;
    struct outcome o = drive(&conf);
    assert_int_equal(o.rows, 40003);
    assert_int_equal(o.out_of_order, 0);
    assert_in_range(o.segments, 3, 5); /* of 19 bytes a row */
    conf = conf_of("wide/", 2);
    conf.convert.columns = wide_columns;
    conf.table = &small;
    o = drive(&conf);
    assert_int_equal(o.rows, 2);
    assert_int_equal(o.segments, 2);
}

static bool is_fetched(struct pipeline *p) {
    pthread_mutex_lock(&p->mu);
    bool fetched = p->fetched;
    pthread_mutex_unlock(&p->mu);
    return fetched;
}

/* What is left when nothing more is fetched is split, and comes in order all the same: the taker
 * begins when the ring holds the end of the file, with segments so small that a lane had to wait.
 */
static void test_split(void **state) {
    (void)state;
    for (unsigned workers = 1; workers <= 4; workers++) {
        struct pipeline_table small = table;
        small.segment_bytes = 256 * 1024;
        struct pipeline_conf conf = conf_of("held/", workers);
        conf.table = &small;
        struct pipeline *p = start(&conf);
        while (!is_fetched(p)) {
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        }
        struct outcome o = take_all(p, &conf);
        assert_int_equal(o.end, PIPELINE_END);
        assert_int_equal(o.rows, 300000);
        assert_int_equal(o.out_of_order, 0);
        assert_int_equal(o.shorter, workers > 1 ? 1 : 0);
    }
}

static void test_segments_and_rejects(void **state) {
    (void)state;
    struct pipeline_conf conf = conf_of("bad/", 2);
    conf.table = &table;
    struct outcome o = drive(&conf);
    assert_int_equal(o.end, PIPELINE_END);
    assert_int_equal(o.rows, 20);
    assert_int_equal(o.segments, 1);
    assert_int_equal(o.bad, 1);
    assert_int_equal(o.bad_line, 6);
    assert_string_equal(o.bad_key, "bad/b");
    conf = conf_of("broken/", 2);
    conf.decode.compression = UNPACK_GZIP;
    conf.table = &table;
    o = drive(&conf);
    assert_int_equal(o.end, PIPELINE_FAIL);
    assert_int_equal(o.failure.kind, PIPELINE_UNPACK);
    conf = conf_of("wide/", 2);
    conf.convert.columns = wide_columns;
    conf.table = &table;
    o = drive(&conf);
    assert_int_equal(o.end, PIPELINE_END);
    assert_int_equal(o.rows, 2);
    assert_true(o.text_bytes >= 6 << 20);
}

static void test_header(void **state) {
    (void)state;
    struct pipeline_conf conf = conf_of("header/", 2);
    conf.ignoreheader = 2;
    struct outcome o = drive_rows(&conf, 10);
    conf = conf_of("header/", 2);
    conf.ignoreheader = 1;
    o = drive(&conf);
    assert_int_equal(o.bad, 2); /* the second line of a and b; c has one line */
    assert_int_equal(o.bad_line, 2);
    assert_string_equal(o.bad_key, "header/b");
}

static void test_csv(void **state) {
    (void)state;
    for (unsigned workers = 1; workers <= 2; workers++) {
        struct pipeline_conf conf = conf_of("csv/", workers);
        conf.convert.split = (struct delimited_conf){DELIMITED_CSV, ',', '"'};
        struct outcome o = drive_rows(&conf, 30000);
        assert_int_equal(o.bad, 0);
    }
}

static void test_rejects(void **state) {
    (void)state;
    struct pipeline_conf conf = conf_of("bad/", 2);
    struct outcome o = drive_rows(&conf, 20);
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

/* A row that no slot holds is a reject as others are, and the next one follows; of a header nothing
 * comes. */
static void test_huge(void **state) {
    (void)state;
    struct pipeline_conf conf = conf_of("huge/", 2);
    struct outcome o = drive(&conf);
    assert_int_equal(o.end, PIPELINE_END);
    assert_int_equal(o.rows, 4);
    assert_int_equal(o.bad, 2);
    assert_int_equal(o.bad_line, 6); /* the last one */
    assert_int_equal(o.bad_code, 1216);
    conf.ignoreheader = 3;
    o = drive(&conf);
    assert_int_equal(o.end, PIPELINE_END);
    assert_int_equal(o.rows, 2);
    assert_int_equal(o.bad, 1);
    assert_int_equal(o.bad_line, 6);
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
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pipeline_conf conf = conf_of(cases[i].prefix, 2);
        conf.bucket = cases[i].bucket;
        conf.decode.compression = cases[i].compression;
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

/* ---- An end at any moment ---- */

/* Credentials that never come: the other end of a socket that nobody writes to. */
static struct sl_rc silent_credentials(void *ctx, struct s3client *client, atomic_int *ret_fd,
                                       struct sl_error *err, int64_t *ret_expires_s) {
    (void)ctx, (void)client, (void)ret_expires_s;
    int ends[2];
    char byte;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    if (pipeline_credentials_wait(ret_fd, ends[0])) { /* and closed by the pipeline */
        assert_int_equal(read(ends[0], &byte, 1), 0);
    } else {
        close(ends[0]);
    }
    close(ends[1]);
    return sl_fail(err, SL_E_CLOSED, "ended");
}

/* Where a load stands when it is ended. None of them passes by itself within 20 s. */
enum stand {
    STAND_CREDENTIALS, /* none come */
    STAND_LISTING,     /* S3 keeps silent in its listing */
    STAND_READING,     /* and in an object */
    STAND_PAUSE,       /* before the next attempt */
    STAND_FULL,        /* nobody takes the batches, and the ring is full */
    STAND_HELD,        /* nobody gives segments back: all are sealed, all batches full */
    STAND_SEALING,     /* the first segment was taken, others are in the making */
    STANDS
};
static struct pipeline_conf stand_conf(enum stand s, struct pipeline_table *small,
                                       struct watch *w) {
    static const char *const prefixes[STANDS] = {[STAND_READING] = "stall/",
                                                 [STAND_FULL] = "stream/",
                                                 [STAND_HELD] = "stream/",
                                                 [STAND_SEALING] = "stream/"};
    struct pipeline_conf conf = conf_of(prefixes[s] != NULL ? prefixes[s] : "", 2);
    conf.watch = w;
    conf.credentials = s == STAND_CREDENTIALS ? silent_credentials : credentials;
    conf.bucket = s == STAND_LISTING ? "hang" : s == STAND_PAUSE ? "down" : "load";
    conf.s3.backoff_ms = 20 * 1000;
    if (s == STAND_HELD || s == STAND_SEALING) {
        *small = table;
        small->segment_bytes = s == STAND_HELD ? 256 * 1024 : 1024 * 1024;
        conf.table = small;
    }
    return conf;
}

/* Waits until the load stands there, where that can be seen. */
static void stand_reach(enum stand s, struct pipeline *p, const struct pipeline_conf *conf,
                        const struct watch_counters *c) {
    static const uint64_t lines[STANDS] = {[STAND_FULL] = 320000, [STAND_HELD] = 320000};
    static const unsigned takes[STANDS] = {[STAND_HELD] = 2, [STAND_SEALING] = 1};
    for (unsigned taken = 0; taken < takes[s];) {
        struct pipeline_taken t;
        enum pipeline_took took = pipeline_take(p, &t);
        assert_true(took == PIPELINE_SEGMENT || took == PIPELINE_WAIT);
        taken += took == PIPELINE_SEGMENT;
        if (took == PIPELINE_WAIT) {
            wait_fd(conf->wake_fd);
        }
    }
    while (atomic_load(&c->lines) < lines[s] ||
           (s == STAND_READING && atomic_load(&c->fetched) < 1000)) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

static int by_value(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* A few ms is what an end takes, 50 where S3 keeps silent; the limits are for a machine that has
 * other things to do. */
static void test_stop(void **state) {
    (void)state;
    enum { ROUNDS = 5, MEDIAN_MS = 1000, MOST_MS = 5000 };
    static struct watch_counters counters;
    for (int s = 0; s < STANDS; s++) {
        int64_t ms[ROUNDS];
        for (int round = 0; round < ROUNDS; round++) {
            struct watch w;
            struct pipeline_table small;
            watch_counters_reset(&counters);
            watch_init(&w, &counters);
            struct pipeline_conf conf = stand_conf((enum stand)s, &small, &w);
            struct pipeline *p = start(&conf);
            stand_reach((enum stand)s, p, &conf, &counters);
            /* before it stands, shortly after, and later */
            nanosleep(&(struct timespec){.tv_nsec = round * 20 * 1000000L}, NULL);
            int64_t from = clock_mono_ms();
            pipeline_stop(p);
            ms[round] = clock_mono_ms() - from;
            close(conf.wake_fd);
            watch_fini(&w);
        }
        qsort(ms, ROUNDS, sizeof ms[0], by_value);
        print_message("an end at stand %d: %d ms, at most %d\n", s, (int)ms[ROUNDS / 2],
                      (int)ms[ROUNDS - 1]);
        assert_in_range(ms[ROUNDS / 2], 0, MEDIAN_MS);
        assert_in_range(ms[ROUNDS - 1], 0, MOST_MS);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),          cmocka_unit_test(test_gzip),
        cmocka_unit_test(test_watch),          cmocka_unit_test(test_watch_object),
        cmocka_unit_test(test_header),         cmocka_unit_test(test_csv),
        cmocka_unit_test(test_rejects),        cmocka_unit_test(test_wide),
        cmocka_unit_test(test_huge),           cmocka_unit_test(test_failures),
        cmocka_unit_test(test_no_credentials), cmocka_unit_test(test_stop),
        cmocka_unit_test(test_segments),       cmocka_unit_test(test_many_segments),
        cmocka_unit_test(test_sorted),         cmocka_unit_test(test_segments_and_rejects),
        cmocka_unit_test(test_small_segments), cmocka_unit_test(test_split),
    };
    return cmocka_run_group_tests(tests, make_table, NULL);
}
