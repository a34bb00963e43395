/* S3 client; see s3client.h. Requests run on a multi handle that is polled in short steps, so that
 * an abort is noticed while nothing arrives; the connection is kept by that handle between
 * requests. */
#include "lib/awsclient/s3client.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/codec/text.h"
#include "lib/codec/xml.h"
#include "lib/sigv4/sigv4.h"

#define EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

enum {
    POLL_MS = 50,
    CONNECT_MS = 10 * 1000,
    BACKOFF_MAX_MS = 3000,
    PAGE_BYTES = 4 * 1024 * 1024, /* a listing of 1000 keys of 1024 bytes, all escaped, fits */
    ERROR_BYTES = 64 * 1024,
    REQUEST_ARENA_BYTES = 256 * 1024,
};

struct s3client {
    struct s3client_conf conf;
    char *endpoint;
    char *region;
    char *ca_file;
    struct slice host; /* in endpoint */
    CURLM *multi;
    CURL *easy;
    struct secret key_id; /* not secret as such, but of the same life */
    struct secret key;
    struct secret token;
    struct s3client_failure failure;
    struct envelope_meta meta;
};

/* One attempt's request and what came back. */
struct exchange {
    struct s3client *client;
    long status;
    char etag[256];
    uint64_t range_start; /* of Content-Range */
    bool ranged;
    struct buf body; /* listings and error answers */
    /* a read: */
    s3client_sink_fn sink;
    void *sink_ctx;
    uint64_t offset; /* bytes given to the sink so far */
    bool resumed;
    struct sl_rc sink_rc;
    struct sl_error *err;
};

static pthread_once_t global_once = PTHREAD_ONCE_INIT;
static CURLcode global_rc;

static void global_init(void) {
    global_rc = curl_global_init(CURL_GLOBAL_DEFAULT);
}

static bool aborted(const struct s3client *c) {
    return c->conf.abort != NULL && atomic_load_explicit(c->conf.abort, memory_order_relaxed);
}

struct sl_rc s3client_new(const struct s3client_conf *conf, struct s3client **ret,
                          struct sl_error *err) {
    pthread_once(&global_once, global_init);
    ENSURE(global_rc == CURLE_OK, err, SL_E_INTERNAL, "libcurl: %s", curl_easy_strerror(global_rc));
    ENSURE(strncmp(conf->endpoint, "https://", 8) == 0, err, SL_E_VALIDATION,
           "The S3 endpoint must be an https URL.");
    struct s3client *c = calloc(1, sizeof *c);
    ENSURE(c != NULL, err, SL_E_NOMEM, "out of memory");
    c->conf = *conf;
    c->endpoint = strdup(conf->endpoint);
    c->region = strdup(conf->region);
    c->ca_file = conf->ca_file ? strdup(conf->ca_file) : NULL;
    c->multi = curl_multi_init();
    c->easy = curl_easy_init();
    if (c->endpoint == NULL || c->region == NULL || (conf->ca_file && c->ca_file == NULL) ||
        c->multi == NULL || c->easy == NULL) {
        s3client_free(c);
        return sl_fail(err, SL_E_NOMEM, "out of memory");
    }
    size_t len = strlen(c->endpoint);
    while (len > 8 && c->endpoint[len - 1] == '/') {
        c->endpoint[--len] = '\0';
    }
    c->host = slice_cstr(c->endpoint + 8);
    if (slice_ends(c->host, SLICE_LIT(":443"))) {
        c->host.len -= 4; /* curl leaves the default port out of Host */
    }
    *ret = c;
    return SL_OK;
}

void s3client_free(struct s3client *c) {
    if (c == NULL) {
        return;
    }
    if (c->easy != NULL) {
        curl_easy_cleanup(c->easy);
    }
    if (c->multi != NULL) {
        curl_multi_cleanup(c->multi);
    }
    secret_fini(&c->key_id);
    secret_fini(&c->key);
    secret_fini(&c->token);
    free(c->endpoint);
    free(c->region);
    free(c->ca_file);
    free(c);
}

static struct sl_rc keep(struct secret *at, struct slice bytes) {
    secret_fini(at);
    *at = (struct secret){0};
    return bytes.len > 0 ? secret_from(at, bytes) : SL_OK;
}

struct sl_rc s3client_credentials(struct s3client *c, struct slice access_key_id,
                                  struct slice secret_access_key, struct slice session_token,
                                  struct sl_error *err) {
    struct sl_rc rc = keep(&c->key_id, access_key_id);
    rc = sl_is_ok(rc) ? keep(&c->key, secret_access_key) : rc;
    rc = sl_is_ok(rc) ? keep(&c->token, session_token) : rc;
    return sl_is_ok(rc) ? SL_OK : sl_fail(err, rc.code, "The credentials can't be kept.");
}

const struct s3client_failure *s3client_failure(const struct s3client *c) {
    return &c->failure;
}

const struct envelope_meta *s3client_meta(const struct s3client *c) {
    return &c->meta;
}

/* ---- One attempt ---- */

static bool header_is(struct slice line, const char *name, struct slice *ret_value) {
    size_t colon = slice_find(line, ':');
    if (colon == line.len || !slice_ieq(slice_sub(line, 0, colon), slice_cstr(name))) {
        return false;
    }
    *ret_value = slice_trim(slice_sub(line, colon + 1, line.len));
    return true;
}

static void copy_text(char *out, size_t size, struct slice s) {
    snprintf(out, size, "%.*s", SLICE_FMT(s));
}

static bool note_meta(struct envelope_meta *m, struct slice line) {
    struct slice prefix = SLICE_LIT("x-amz-meta-");
    size_t colon = slice_find(line, ':');
    bool meta = colon > prefix.len && slice_ieq(slice_sub(line, 0, prefix.len), prefix);
    if (meta) {
        envelope_note(m, slice_sub(line, prefix.len, colon),
                      slice_trim(slice_sub(line, colon + 1, line.len)));
    }
    return meta;
}

static size_t on_header(char *data, size_t size, size_t n, void *ctx) {
    struct exchange *x = ctx;
    struct slice line = slice_of(data, size * n);
    while (line.len > 0 && (line.ptr[line.len - 1] == '\n' || line.ptr[line.len - 1] == '\r')) {
        line.len--;
    }
    struct s3client_failure *f = &x->client->failure;
    struct slice value;
    if (slice_starts(line, SLICE_LIT("HTTP/"))) {
        size_t blank = slice_find(line, ' ');
        uint64_t status = 0;
        (void)slice_u64(slice_sub(line, blank + 1, blank + 4), 999, &status);
        x->status = (long)status;
        x->ranged = false;
        x->client->meta = (struct envelope_meta){0};
    } else if (note_meta(&x->client->meta, line)) {
        return size * n;
    } else if (header_is(line, "etag", &value)) {
        copy_text(x->etag, sizeof x->etag, value);
    } else if (header_is(line, "x-amz-request-id", &value)) {
        copy_text(f->request_id, sizeof f->request_id, value);
    } else if (header_is(line, "x-amz-id-2", &value)) {
        copy_text(f->host_id, sizeof f->host_id, value);
    } else if (header_is(line, "content-range", &value) &&
               slice_starts(value, SLICE_LIT("bytes "))) {
        struct slice range = slice_sub(value, 6, value.len);
        x->ranged =
            slice_u64(slice_sub(range, 0, slice_find(range, '-')), UINT64_MAX, &x->range_start);
    }
    return size * n;
}

static size_t on_body(char *data, size_t size, size_t n, void *ctx) {
    struct exchange *x = ctx;
    struct slice bytes = slice_of(data, size * n);
    if (x->sink == NULL || (x->status != 200 && x->status != 206)) {
        buf_put(&x->body, bytes);
        return x->body.failed ? 0 : bytes.len;
    }
    /* an answer that does not go on where the last one broke off would corrupt the stream */
    if (x->resumed && (x->status != 206 || !x->ranged || x->range_start != x->offset)) {
        x->sink_rc = sl_fail(x->err, SL_E_COPY_S3, "S3 did not resume an interrupted read.");
        return 0;
    }
    x->resumed = false;
    x->sink_rc = x->sink(x->sink_ctx, bytes, x->err);
    if (sl_failed(x->sink_rc)) {
        return 0;
    }
    x->offset += bytes.len;
    return bytes.len;
}

static struct sl_rc add_header(struct curl_slist **list, const char *line, struct sl_error *err) {
    struct curl_slist *more = curl_slist_append(*list, line);
    ENSURE(more != NULL, err, SL_E_NOMEM, "out of memory");
    *list = more;
    return SL_OK;
}

static struct sl_rc sign(struct s3client *c, struct slice path, struct slice query, struct arena *a,
                         struct sl_error *err, struct curl_slist **ret) {
    char date[17];
    int64_t now_s = clock_real_ms() / 1000;
    clock_basic(now_s, date);
    struct sigv4_header headers[4] = {
        {SLICE_LIT("host"), c->host},
        {SLICE_LIT("x-amz-content-sha256"), SLICE_LIT(EMPTY_SHA256)},
        {SLICE_LIT("x-amz-date"), slice_cstr(date)},
        {SLICE_LIT("x-amz-security-token"), secret_view(&c->token)},
    };
    struct sigv4_request req = {
        .method = SLICE_LIT("GET"),
        .path = path,
        .query = query,
        .headers = headers,
        .header_count = c->token.len > 0 ? 4 : 3,
        .payload_hash = SLICE_LIT(EMPTY_SHA256),
    };
    SL_CLEANUP(buf_fini) struct buf value = {.max = 16 * 1024, .wipe = true};
    TRY(sigv4_sign(&req, secret_view(&c->key_id), &c->key, slice_cstr(c->region), SLICE_LIT("s3"),
                   now_s, a, &value, err));
    SL_CLEANUP(buf_fini) struct buf line = {.max = SECRET_MAX_BYTES + 64, .wipe = true};
    struct curl_slist *list = NULL;
    for (size_t i = 1; i <= req.header_count; i++) {
        buf_reset(&line);
        if (i < req.header_count) {
            buf_put(&line, headers[i].name);
            buf_puts(&line, ": ");
            buf_put(&line, headers[i].value);
        } else {
            buf_puts(&line, "Authorization: ");
            buf_put(&line, buf_slice(&value));
        }
        buf_putc(&line, '\0');
        struct sl_rc rc =
            line.failed ? sl_rc_of(SL_E_NOMEM) : add_header(&list, (const char *)line.ptr, err);
        if (sl_failed(rc)) {
            curl_slist_free_all(list);
            return sl_fail(err, rc.code, "out of memory");
        }
    }
    *ret = list;
    return SL_OK;
}

static void set_options(struct s3client *c, struct exchange *x, const char *url,
                        struct curl_slist *headers) {
    CURL *e = c->easy;
    curl_easy_reset(e);
    curl_easy_setopt(e, CURLOPT_URL, url);
    curl_easy_setopt(e, CURLOPT_PATH_AS_IS, 1L); /* keys may hold "/../" */
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "https");
    curl_easy_setopt(e, CURLOPT_PROXY, "");
    curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 2L);
    if (c->ca_file != NULL) {
        curl_easy_setopt(e, CURLOPT_CAINFO, c->ca_file);
        curl_easy_setopt(e, CURLOPT_CAPATH, NULL);
    }
    curl_easy_setopt(e, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(e, CURLOPT_USERAGENT, "sealift-copy");
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(e, CURLOPT_BUFFERSIZE, 256L * 1024);
    curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(e, CURLOPT_HEADERDATA, x);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, x);
}

/* Runs the prepared transfer. CURLE_ABORTED_BY_CALLBACK after an abort. */
static CURLcode run(struct s3client *c) {
    unsigned stall_ms = c->conf.stall_timeout_ms ? c->conf.stall_timeout_ms : 60 * 1000;
    if (curl_multi_add_handle(c->multi, c->easy) != CURLM_OK) {
        return CURLE_OUT_OF_MEMORY;
    }
    CURLcode rc = CURLE_OK;
    int running = 1;
    int64_t alive_ms = clock_mono_ms();
    curl_off_t seen = -1;
    while (running > 0) {
        if (aborted(c)) {
            rc = CURLE_ABORTED_BY_CALLBACK;
            break;
        }
        int64_t before_ms = clock_mono_ms();
        if (curl_multi_perform(c->multi, &running) != CURLM_OK) {
            rc = CURLE_FAILED_INIT;
            break;
        }
        int64_t now_ms = clock_mono_ms();
        curl_off_t got = 0;
        curl_easy_getinfo(c->easy, CURLINFO_SIZE_DOWNLOAD_T, &got);
        if (got != seen || now_ms - before_ms > POLL_MS) { /* bytes, or the sink held us up */
            seen = got;
            alive_ms = now_ms;
        }
        if (running > 0 && now_ms - alive_ms > stall_ms) {
            rc = CURLE_OPERATION_TIMEDOUT;
            break;
        }
        if (running > 0) {
            curl_multi_poll(c->multi, NULL, 0, POLL_MS, NULL);
        }
    }
    int left;
    for (CURLMsg *m; (m = curl_multi_info_read(c->multi, &left)) != NULL;) {
        if (m->msg == CURLMSG_DONE && m->easy_handle == c->easy && rc == CURLE_OK) {
            rc = m->data.result;
        }
    }
    curl_multi_remove_handle(c->multi, c->easy);
    return rc;
}

static CURLcode attempt(struct s3client *c, struct exchange *x, struct slice path,
                        struct slice query, struct sl_error *err, struct sl_rc *ret_rc) {
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(REQUEST_ARENA_BYTES);
    char *url = arena_printf(&a, "%s%.*s%s%.*s", c->endpoint, (int)path.len, (const char *)path.ptr,
                             query.len ? "?" : "", (int)query.len,
                             (const char *)(query.len ? query.ptr : path.ptr));
    struct curl_slist *headers = NULL;
    *ret_rc = url != NULL ? sign(c, path, query, &a, err, &headers)
                          : sl_fail(err, SL_E_NOMEM, "out of memory");
    if (sl_failed(*ret_rc)) {
        return CURLE_OK;
    }
    if (x->resumed) {
        char line[300];
        snprintf(line, sizeof line, "Range: bytes=%llu-", (unsigned long long)x->offset);
        *ret_rc = add_header(&headers, line, err);
        if (sl_is_ok(*ret_rc) && x->etag[0] != '\0') {
            snprintf(line, sizeof line, "If-Match: %s", x->etag);
            *ret_rc = add_header(&headers, line, err);
        }
        if (sl_failed(*ret_rc)) {
            curl_slist_free_all(headers);
            return CURLE_OK;
        }
    }
    c->failure = (struct s3client_failure){0};
    x->status = 0;
    buf_reset(&x->body);
    set_options(c, x, url, headers);
    CURLcode rc = run(c);
    curl_slist_free_all(headers);
    return rc;
}

/* ---- Attempts ---- */

static bool passing_curl(CURLcode rc) {
    switch (rc) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_HTTP2:
        return true;
    default:
        return false;
    }
}

static bool passing_status(long status) {
    return status == 429 || status == 500 || status == 502 || status == 503 || status == 504;
}

static void read_failure(struct s3client *c, const struct exchange *x, CURLcode rc) {
    struct s3client_failure *f = &c->failure;
    f->status = x->status;
    f->curl_code = (int)rc;
    if (rc != CURLE_OK) {
        f->status = 0;
        snprintf(f->message, sizeof f->message, "%s", curl_easy_strerror(rc));
        return;
    }
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(4 * ERROR_BYTES);
    const struct xml *root;
    if (x->body.len > 0 && sl_is_ok(xml_parse(buf_slice(&x->body), &a, NULL, &root)) &&
        slice_eq_cstr(root->name, "Error")) {
        static const struct slice none = SLICE_LIT("");
        const struct xml *e;
        copy_text(f->code, sizeof f->code, (e = xml_get(root, "Code")) ? e->text : none);
        copy_text(f->message, sizeof f->message, (e = xml_get(root, "Message")) ? e->text : none);
        if ((e = xml_get(root, "RequestId")) != NULL) {
            copy_text(f->request_id, sizeof f->request_id, e->text);
        }
        if ((e = xml_get(root, "HostId")) != NULL) {
            copy_text(f->host_id, sizeof f->host_id, e->text);
        }
    }
    if (f->code[0] == '\0') {
        snprintf(f->code, sizeof f->code, "%ld", f->status);
        snprintf(f->message, sizeof f->message, "HTTP status %ld", f->status);
    }
}

static void pause_ms(const struct s3client *c, unsigned ms) {
    int64_t until = clock_mono_ms() + ms;
    for (int64_t left; (left = until - clock_mono_ms()) > 0 && !aborted(c);) {
        struct timespec ts = {.tv_nsec = (left < POLL_MS ? left : POLL_MS) * 1000000L};
        nanosleep(&ts, NULL);
    }
}

/* After an answer that the credentials have expired: *ret says whether there are others now. */
static struct sl_rc renew(struct s3client *c, struct sl_error *err, bool *ret) {
    bool expired = c->failure.status == 400 && strcmp(c->failure.code, "ExpiredToken") == 0;
    *ret = false;
    return expired && c->conf.renew != NULL ? c->conf.renew(c->conf.renew_ctx, c, err, ret) : SL_OK;
}

static struct sl_rc request(struct s3client *c, struct exchange *x, struct slice path,
                            struct slice query, struct sl_error *err) {
    unsigned most = c->conf.attempts ? c->conf.attempts : 5;
    unsigned first_ms = c->conf.backoff_ms ? c->conf.backoff_ms : 100;
    unsigned wait_ms = first_ms;
    bool renewed = false; /* since the last byte that came */
    x->client = c;
    x->err = err;
    x->sink_rc = SL_OK;
    for (unsigned tries = 1;; tries++) {
        uint64_t before = x->offset;
        struct sl_rc rc;
        x->resumed = x->sink != NULL && x->offset > 0;
        CURLcode curl_rc = attempt(c, x, path, query, err, &rc);
        TRY(rc);
        if (sl_failed(x->sink_rc)) {
            return x->sink_rc;
        }
        ENSURE(!aborted(c), err, SL_E_CLOSED, "The read was aborted.");
        if (curl_rc == CURLE_OK && (x->status == 200 || x->status == 206)) {
            return SL_OK;
        }
        read_failure(c, x, curl_rc);
        if (x->offset > before) {
            tries = 0;
            wait_ms = first_ms;
            renewed = false;
        }
        if (!renewed) {
            TRY(renew(c, err, &renewed));
            if (renewed) {
                continue;
            }
        }
        bool passing = curl_rc != CURLE_OK ? passing_curl(curl_rc) : passing_status(x->status);
        if (!passing || tries >= most) {
            return sl_fail(err, SL_E_COPY_S3, "%s", c->failure.message);
        }
        pause_ms(c, wait_ms);
        wait_ms = wait_ms * 2 < BACKOFF_MAX_MS ? wait_ms * 2 : BACKOFF_MAX_MS;
    }
}

/* ---- Operations ---- */

static struct sl_rc put_path(struct buf *out, const char *bucket, struct slice key,
                             struct sl_error *err) {
    buf_putc(out, '/');
    uri_encode(out, slice_cstr(bucket), false);
    if (key.len > 0) {
        buf_putc(out, '/');
        uri_encode(out, key, true);
    }
    return buf_check(out, err);
}

static struct sl_rc bad_listing(struct sl_error *err) {
    return sl_fail(err, SL_E_COPY_S3, "S3's listing can't be read.");
}

static struct sl_rc read_listing(struct slice body, struct arena *a, struct sl_error *err,
                                 struct s3client_object **ret, size_t *ret_count,
                                 struct slice *ret_token) {
    SL_CLEANUP(arena_fini) struct arena tree = ARENA_INIT(16 * PAGE_BYTES);
    const struct xml *root;
    if (sl_failed(xml_parse(body, &tree, NULL, &root)) ||
        !slice_eq_cstr(root->name, "ListBucketResult")) {
        return bad_listing(err);
    }
    size_t count = 0;
    for (const struct xml *x = root->child; x != NULL; x = x->next) {
        count += slice_eq_cstr(x->name, "Contents");
    }
    struct s3client_object *objects = arena_array(a, count ? count : 1, sizeof *objects);
    ENSURE(objects != NULL, err, SL_E_NOMEM, "out of memory");
    size_t n = 0;
    for (const struct xml *x = root->child; x != NULL; x = x->next) {
        if (!slice_eq_cstr(x->name, "Contents")) {
            continue;
        }
        const struct xml *key = xml_get(x, "Key");
        const struct xml *size = xml_get(x, "Size");
        const struct xml *etag = xml_get(x, "ETag");
        struct s3client_object *o = &objects[n++];
        if (key == NULL || size == NULL || !slice_u64(size->text, UINT64_MAX, &o->size) ||
            sl_failed(uri_decode(key->text, true, a, NULL, &o->key)) || o->key.len == 0 ||
            o->key.len > LIMIT_S3_KEY_BYTES) {
            return bad_listing(err);
        }
        o->etag = etag ? arena_copy(a, etag->text) : SLICE_EMPTY;
    }
    const struct xml *truncated = xml_get(root, "IsTruncated");
    const struct xml *next = xml_get(root, "NextContinuationToken");
    struct slice token = SLICE_EMPTY;
    if (truncated != NULL && slice_eq_cstr(truncated->text, "true")) {
        if (next == NULL || next->text.len == 0) {
            return bad_listing(err);
        }
        token = arena_copy(a, next->text);
        ENSURE(token.ptr != NULL, err, SL_E_NOMEM, "out of memory");
    }
    *ret = objects;
    *ret_count = n;
    *ret_token = token;
    return SL_OK;
}

struct sl_rc s3client_list(struct s3client *c, const char *bucket, const char *prefix,
                           struct slice token, struct arena *a, struct sl_error *err,
                           struct s3client_object **ret, size_t *ret_count,
                           struct slice *ret_token) {
    SL_CLEANUP(buf_fini) struct buf path = BUF_INIT(4096);
    SL_CLEANUP(buf_fini) struct buf query = BUF_INIT(64 * 1024);
    TRY(put_path(&path, bucket, SLICE_EMPTY, err));
    if (token.len > 0) {
        buf_puts(&query, "continuation-token=");
        uri_encode(&query, token, false);
        buf_putc(&query, '&');
    }
    buf_puts(&query, "encoding-type=url&list-type=2&max-keys=1000&prefix=");
    uri_encode(&query, slice_cstr(prefix), false);
    TRY(buf_check(&query, err));
    SL_CLEANUP(buf_fini) struct buf body = BUF_INIT(PAGE_BYTES);
    struct exchange x = {.body = body};
    struct sl_rc rc = request(c, &x, buf_slice(&path), buf_slice(&query), err);
    body = x.body;
    TRY(rc);
    return read_listing(buf_slice(&body), a, err, ret, ret_count, ret_token);
}

struct sl_rc s3client_get(struct s3client *c, const char *bucket, struct slice key,
                          s3client_sink_fn sink, void *sink_ctx, struct sl_error *err,
                          uint64_t *ret_bytes) {
    SL_CLEANUP(buf_fini) struct buf path = BUF_INIT(8192);
    TRY(put_path(&path, bucket, key, err));
    struct exchange x = {.sink = sink, .sink_ctx = sink_ctx, .body = BUF_INIT(ERROR_BYTES)};
    struct sl_rc rc = request(c, &x, buf_slice(&path), SLICE_EMPTY, err);
    buf_fini(&x.body);
    TRY(rc);
    *ret_bytes = x.offset;
    return SL_OK;
}
