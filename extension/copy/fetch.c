/* The fetching thread: list, get, decompress, drop header rows, cut into runs of whole rows. Bytes
 * are decompressed straight into the run's slot; what stands behind its last whole row moves on to
 * the next slot. */
#include "extension/copy/decode.h"
#include "extension/copy/pipeline_in.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/codec/copy_manifest.h"
#include "lib/codec/json_record.h"

enum {
    PAGE_ARENA_BYTES = 8 * 1024 * 1024,
    MANIFEST_ARENA_BYTES = 512 * 1024 * 1024,
    RENEW_S = 300
};

struct fetch {
    struct pipeline *p;
    struct s3client *s3;
    int64_t expires_s; /* of the credentials; 0: never */
    uint64_t objects;
    /* the file at hand */
    const char *object; /* bucket/key: in `failure` */
    size_t file;        /* its place in conf.watch */
    struct decode *decode;
    bool seen;          /* a byte of it has come */
    uint64_t line;      /* number of the slot's first line */
    uint64_t skip_rows; /* header rows still to drop */
    bool in_tail;       /* what comes belongs to a row that was too large, until that ends */
    struct delimited_tail tail;
    struct run *run; /* slot being filled, or NULL */
    struct pipeline_failure failure;
};

/* `rows` went out, or were dropped as a header. */
static void count_lines(struct fetch *f, struct slice rows) {
    size_t lines = delimited_lines(rows);
    f->line += lines;
    watch_lines(f->p->conf.watch, f->file, lines);
}

static struct sl_rc slot_take(struct fetch *f, struct sl_error *err) {
    f->run = pipeline_slot(f->p);
    ENSURE(f->run != NULL, err, SL_E_CLOSED, "The load was aborted.");
    f->run->len = 0;
    return SL_OK;
}

static struct sl_rc slot_grow(struct run *r, size_t cap, struct sl_error *err) {
    uint8_t *more = realloc(r->ptr == r->home ? NULL : r->ptr, cap);
    ENSURE(more != NULL, err, SL_E_NOMEM, "out of memory for rows");
    if (r->ptr == r->home) {
        memcpy(more, r->home, r->len);
    }
    r->ptr = more;
    r->cap = cap;
    return SL_OK;
}

/* Hands over the first `end` bytes of the slot; the rest starts the next slot, if there is any. */
static struct sl_rc slot_publish(struct fetch *f, size_t end, struct sl_error *err) {
    struct run *r = f->run;
    size_t rest = r->len - end;
    SL_CLEANUP(buf_fini) struct buf carry = BUF_INIT(PIPELINE_RUN_MAX_BYTES);
    buf_put(&carry, slice_of(r->ptr + end, rest));
    TRY(buf_check(&carry, err));
    r->len = end;
    r->line = f->line;
    strcpy(r->object, f->object);
    count_lines(f, slice_of(r->ptr, end));
    f->run = NULL;
    pipeline_publish(f->p);
    if (rest > 0) {
        TRY(slot_take(f, err));
        if (f->run->cap < rest) {
            TRY(slot_grow(f->run, rest + PIPELINE_RUN_BYTES, err));
        }
        memcpy(f->run->ptr, carry.ptr, rest);
        f->run->len = rest;
    }
    return SL_OK;
}

/* The slot holds nothing but a part of a row that is too large; what follows of it is dropped. The
 * converter meets what came and rejects the row, with its line and beginning; a header row just
 * goes. */
static struct sl_rc row_too_large(struct fetch *f, struct sl_error *err) {
    struct slice row = slice_of(f->run->ptr, f->run->len);
    size_t end;
    f->tail = (struct delimited_tail){.conf = &f->p->conf.convert.split};
    f->in_tail = !delimited_tail_end(&f->tail, row, &end);
    sl_assert(f->in_tail);
    if (f->skip_rows == 0) {
        return slot_publish(f, row.len, err);
    }
    f->skip_rows--;
    count_lines(f, row);
    f->run->len = 0;
    return SL_OK;
}

static void drop_tail(struct fetch *f) {
    struct run *r = f->run;
    size_t n = r->len;
    f->in_tail = !delimited_tail_end(&f->tail, slice_of(r->ptr, r->len), &n);
    count_lines(f, slice_of(r->ptr, n));
    memmove(r->ptr, r->ptr + n, r->len - n);
    r->len -= n;
}

/* Room for at least one more byte in the slot. */
static struct sl_rc slot_room(struct fetch *f, struct sl_error *err) {
    if (f->run == NULL) {
        TRY(slot_take(f, err));
    }
    if (f->run->len < f->run->cap) {
        return SL_OK;
    }
    if (f->run->len > 0) {
        size_t end = f->skip_rows > 0 ? 0
                                      : delimited_cut(&f->p->conf.convert.split,
                                                      slice_of(f->run->ptr, f->run->len),
                                                      f->p->conf.convert.scan);
        if (end > 0) {
            TRY(slot_publish(f, end, err));
        } else if (f->run->len > LIMIT_COPY_ROW_BYTES + 1) { /* a CR may be of the line end */
            TRY(row_too_large(f, err));
        }
        if (f->run == NULL) {
            TRY(slot_take(f, err));
        }
    }
    if (f->run->len == f->run->cap) {
        size_t cap = f->run->cap * 2;
        TRY(slot_grow(f->run, cap < PIPELINE_RUN_MAX_BYTES ? cap : PIPELINE_RUN_MAX_BYTES, err));
    }
    return SL_OK;
}

static void drop_header(struct fetch *f) {
    struct run *r = f->run;
    size_t at = 0;
    while (f->skip_rows > 0) {
        size_t n = delimited_row_end(&f->p->conf.convert.split, slice_of(r->ptr + at, r->len - at));
        if (n == 0) {
            break;
        }
        at += n;
        f->skip_rows--;
    }
    count_lines(f, slice_of(r->ptr, at));
    memmove(r->ptr, r->ptr + at, r->len - at);
    r->len -= at;
}

static struct sl_rc decode_bytes(struct fetch *f, struct slice *in, bool last, uint8_t *out,
                                 size_t room, size_t *ret_len, struct sl_error *err) {
    static const enum pipeline_failed kinds[] = {[DECODE_DECRYPT] = PIPELINE_DECRYPT,
                                                 [DECODE_UNPACK] = PIPELINE_UNPACK,
                                                 [DECODE_TRANSCODE] = PIPELINE_ENCODING};
    struct sl_rc rc =
        decode_feed(f->decode, s3client_meta(f->s3), in, last, out, room, ret_len, err);
    if (sl_failed(rc)) {
        f->failure.kind = kinds[decode_failed(f->decode)];
    }
    return rc;
}

/* `last`: the file ends behind these bytes. */
static struct sl_rc take_bytes(struct fetch *f, struct slice in, bool last, struct sl_error *err) {
    while (true) {
        TRY(slot_room(f, err));
        struct run *r = f->run;
        size_t n = 0;
        size_t room = r->cap - r->len;
        TRY(decode_bytes(f, &in, last, r->ptr + r->len, room, &n, err));
        r->len += n;
        watch_bytes(f->p->conf.watch, f->file, 0, n);
        if (f->in_tail && r->len > 0) {
            drop_tail(f);
        }
        if (f->skip_rows > 0 && r->len > 0) {
            drop_header(f);
        }
        /* the decoder may hold output back while the slot is full */
        if (in.len == 0 && n < room) {
            return SL_OK;
        }
        ENSURE(!atomic_load_explicit(&f->p->abort, memory_order_relaxed), err, SL_E_CLOSED,
               "The load was aborted.");
    }
}

static struct sl_rc on_bytes(void *ctx, struct slice in, struct sl_error *err) {
    struct fetch *f = ctx;
    f->seen |= in.len > 0;
    watch_bytes(f->p->conf.watch, f->file, in.len, 0);
    return take_bytes(f, in, false, err);
}

static struct sl_rc credentials(struct fetch *f, struct sl_error *err) {
    if (f->expires_s != 0 && f->expires_s - clock_real_ms() / 1000 > RENEW_S) {
        return SL_OK;
    }
    int64_t expires_s = INT64_MAX;
    struct sl_rc rc = f->p->conf.credentials(f->p->conf.credentials_ctx, f->s3,
                                             &f->p->credentials_fd, err, &expires_s);
    pthread_mutex_lock(&f->p->mu);
    int fd = atomic_load(&f->p->credentials_fd);
    if (fd >= 0) {
        atomic_store(&f->p->credentials_fd, -1);
        close(fd);
    }
    pthread_mutex_unlock(&f->p->mu);
    if (sl_failed(rc)) {
        f->failure.kind = PIPELINE_CREDENTIALS;
        return rc;
    }
    f->expires_s = expires_s > 0 ? expires_s : INT64_MAX;
    return SL_OK;
}

/* A role's session may end earlier than was said, and does in the middle of a long file. */
static struct sl_rc renew(void *ctx, struct s3client *client, struct sl_error *err,
                          bool *ret_renewed) {
    struct fetch *f = ctx;
    (void)client;
    *ret_renewed = f->expires_s != INT64_MAX; /* keys that were given have no others */
    f->expires_s = *ret_renewed ? 0 : f->expires_s;
    return credentials(f, err);
}

static void note_s3(struct fetch *f, enum pipeline_failed kind) {
    if (f->failure.kind == PIPELINE_FINE) {
        f->failure.kind = kind;
        f->failure.s3 = *s3client_failure(f->s3);
    }
}

static void name_object(struct fetch *f, const char *bucket, struct slice key) {
    snprintf(f->failure.object, sizeof f->failure.object, "%s/%.*s", bucket, SLICE_FMT(key));
}

/* What the decoder holds back until it knows that nothing follows. */
static struct sl_rc end_bytes(struct fetch *f, struct sl_error *err) {
    TRY(take_bytes(f, SLICE_EMPTY, true, err));
    struct sl_rc rc = decode_end(f->decode, err);
    if (sl_failed(rc)) {
        f->failure.kind = PIPELINE_UNPACK;
    }
    return rc;
}

static struct sl_rc fetch_file(struct fetch *f, const char *bucket, struct slice key,
                               struct sl_error *err) {
    name_object(f, bucket, key);
    f->line = 1;
    f->seen = false;
    f->in_tail = false;
    f->skip_rows = f->p->conf.ignoreheader;
    TRY(watch_begin(f->p->conf.watch, f->failure.object, err, &f->file));
    TRY(credentials(f, err));
    TRY(decode_new(&f->p->conf.decode, &f->decode));
    uint64_t bytes = 0;
    struct sl_rc rc = s3client_get(f->s3, bucket, key, on_bytes, f, err, &bytes);
    if (rc.code == SL_E_COPY_S3) {
        note_s3(f, PIPELINE_S3_GET);
    }
    rc = sl_is_ok(rc) && f->seen ? end_bytes(f, err) : rc;
    decode_free(f->decode);
    f->decode = NULL;
    TRY(rc);
    /* a header row without a line end is all there was */
    if (f->run != NULL && f->run->len > 0 && f->skip_rows == 0) {
        /* a last row without a line end is a line, too */
        watch_lines(f->p->conf.watch, f->file, f->run->ptr[f->run->len - 1] != '\n');
        TRY(slot_publish(f, f->run->len, err));
    }
    watch_lines(f->p->conf.watch, f->file, f->in_tail);
    f->run = NULL;
    watch_end(f->p->conf.watch, f->file);
    pthread_mutex_lock(&f->p->mu);
    f->p->counts.files++;
    f->p->counts.bytes += bytes;
    pthread_mutex_unlock(&f->p->mu);
    return SL_OK;
}

static struct sl_rc fetch_page(struct fetch *f, struct slice token, struct arena *a,
                               struct sl_error *err, struct slice *ret_token) {
    struct s3client_object *objects = NULL;
    size_t count = 0;
    struct sl_rc rc = s3client_list(f->s3, f->p->conf.bucket, f->p->conf.prefix, token, a, err,
                                    &objects, &count, ret_token);
    if (rc.code == SL_E_COPY_S3) {
        note_s3(f, PIPELINE_S3_LIST);
    }
    TRY(rc);
    f->objects += count;
    ENSURE(f->objects <= LIMIT_COPY_OBJECTS, err, SL_E_LIMIT, "More than %d objects to load.",
           (int)LIMIT_COPY_OBJECTS);
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        bytes += objects[i].size;
    }
    watch_found(f->p->conf.watch, count, bytes);
    for (size_t i = 0; i < count; i++) {
        TRY(fetch_file(f, f->p->conf.bucket, objects[i].key, err));
    }
    return SL_OK;
}

/* No more of a prefix is told than an error has room for. */
static struct sl_rc no_objects(struct fetch *f, struct sl_error *err) {
    f->failure.kind = PIPELINE_NO_OBJECTS;
    return sl_fail(err, SL_E_NOT_FOUND, "The specified S3 prefix '%.400s' does not exist",
                   f->p->conf.prefix);
}

static struct sl_rc fetch_pages(struct fetch *f, struct sl_error *err) {
    SL_CLEANUP(arena_fini) struct arena even = ARENA_INIT(PAGE_ARENA_BYTES);
    SL_CLEANUP(arena_fini) struct arena odd = ARENA_INIT(PAGE_ARENA_BYTES);
    struct slice token = SLICE_EMPTY;
    for (unsigned page = 0; page == 0 || token.len > 0; page++) {
        /* the token of one page asks for the next, so two pages' memory takes turns */
        struct arena *a = page % 2 == 0 ? &even : &odd;
        arena_reset(a);
        TRY(credentials(f, err));
        struct slice next;
        TRY(fetch_page(f, token, a, err, &next));
        token = next;
    }
    return f->objects == 0 ? no_objects(f, err) : SL_OK;
}

static struct sl_rc on_text(void *ctx, struct slice in, struct sl_error *err) {
    struct buf *text = ctx;
    buf_put(text, in);
    return buf_check(text, err);
}

/* A manifest or a JSONPaths file as a whole. */
static struct sl_rc fetch_text(struct fetch *f, const char *bucket, struct slice key,
                               struct buf *text, struct sl_error *err) {
    uint64_t bytes;
    name_object(f, bucket, key);
    struct sl_rc rc = s3client_get(f->s3, bucket, key, on_text, text, err, &bytes);
    if (rc.code == SL_E_COPY_S3) {
        note_s3(f, PIPELINE_S3_GET);
    }
    return rc;
}

/* An object that need not be there. */
static bool is_absent(const struct fetch *f) {
    return f->failure.kind == PIPELINE_S3_GET && f->failure.s3.status == 404 && !f->seen;
}

static struct sl_rc fetch_entries(struct fetch *f, const struct copy_manifest_entry *entries,
                                  size_t count, struct sl_error *err) {
    watch_found(f->p->conf.watch, count, 0);
    for (size_t i = 0; i < count; i++) {
        struct sl_rc rc = fetch_file(f, entries[i].bucket, entries[i].key, err);
        if (sl_failed(rc) && !entries[i].mandatory && is_absent(f)) {
            f->failure.kind = PIPELINE_FINE;
            sl_error_clear(err);
            continue;
        }
        TRY(rc);
        f->objects++;
    }
    if (f->objects == 0) {
        f->failure.kind = PIPELINE_NO_OBJECTS;
        return sl_fail(err, SL_E_NOT_FOUND, "None of the manifest's %zu files exists", count);
    }
    return SL_OK;
}

/* UNLOAD encrypts the manifests that it writes beside encrypted files; others are as they are. */
static struct sl_rc open_manifest(struct fetch *f, struct buf *text, struct sl_error *err) {
    const struct secret *key = f->p->conf.decode.master_key;
    if (key == NULL || !envelope_is_sealed(s3client_meta(f->s3))) {
        return SL_OK;
    }
    struct decode_conf conf = {.master_key = key};
    struct slice rest = buf_slice(text);
    SL_CLEANUP(buf_fini) struct buf plain = BUF_INIT(LIMIT_COPY_MANIFEST_BYTES);
    uint8_t *out = buf_reserve(&plain, rest.len + AES_BLOCK_LEN);
    ENSURE(out != NULL, err, SL_E_NOMEM, "out of memory for a manifest");
    TRY(decode_new(&conf, &f->decode));
    size_t n = 0;
    struct sl_rc rc = decode_bytes(f, &rest, true, out, rest.len + AES_BLOCK_LEN, &n, err);
    decode_free(f->decode);
    f->decode = NULL;
    TRY(rc);
    buf_reset(text);
    buf_put(text, slice_of(out, n));
    return buf_check(text, err);
}

static struct sl_rc fetch_manifest(struct fetch *f, struct sl_error *err) {
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(MANIFEST_ARENA_BYTES);
    SL_CLEANUP(buf_fini) struct buf text = BUF_INIT(LIMIT_COPY_MANIFEST_BYTES);
    struct copy_manifest_entry *entries;
    size_t count;
    TRY(fetch_text(f, f->p->conf.bucket, slice_cstr(f->p->conf.prefix), &text, err));
    TRY(open_manifest(f, &text, err));
    struct sl_rc rc = copy_manifest_parse(buf_slice(&text), &a, &entries, &count, err);
    if (sl_failed(rc)) {
        f->failure.kind = PIPELINE_MANIFEST;
        return rc;
    }
    return fetch_entries(f, entries, count, err);
}

/* Before the first run is published, so that the workers see the paths. */
static struct sl_rc fetch_jsonpaths(struct fetch *f, struct sl_error *err) {
    const struct pipeline_conf *conf = &f->p->conf;
    SL_CLEANUP(buf_fini) struct buf text = BUF_INIT(LIMIT_COPY_JSONPATHS_BYTES);
    TRY(fetch_text(f, conf->jsonpaths_bucket, slice_cstr(conf->jsonpaths_key), &text, err));
    struct sl_rc rc = json_shape_set_paths(conf->json, buf_slice(&text), err);
    if (sl_failed(rc)) {
        f->failure.kind = PIPELINE_MANIFEST;
    }
    return rc;
}

static struct sl_rc fetch_objects(struct fetch *f, struct sl_error *err) {
    struct s3client_conf conf = f->p->conf.s3;
    conf.renew = renew;
    conf.renew_ctx = f;
    TRY(s3client_new(&conf, &f->s3, err));
    TRY(credentials(f, err));
    if (f->p->conf.jsonpaths_bucket != NULL) {
        TRY(fetch_jsonpaths(f, err));
    }
    if (strlen(f->p->conf.prefix) > LIMIT_S3_KEY_BYTES) {
        return no_objects(f, err); /* it is of no key, and no request has room for any length */
    }
    return f->p->conf.manifest ? fetch_manifest(f, err) : fetch_pages(f, err);
}

void fetch_all(struct pipeline *p) {
    struct fetch f = {.p = p};
    struct sl_error err = {0};
    f.object = f.failure.object;
    struct sl_rc rc = fetch_objects(&f, &err);
    s3client_free(f.s3);
    if (sl_failed(rc)) {
        f.failure.kind = f.failure.kind == PIPELINE_FINE ? PIPELINE_INTERNAL : f.failure.kind;
        f.failure.err = err;
        f.failure.err.code = rc.code;
        pthread_mutex_lock(&p->mu);
        if (p->failure.kind == PIPELINE_FINE) {
            p->failure = f.failure;
        }
        pthread_mutex_unlock(&p->mu);
    }
}
