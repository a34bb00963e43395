/* Delete vectors; see deletes.h. Three forms, the smallest is written: gaps between deleted rows,
 * runs of deleted rows, or the bitmap. The key is derived from a fresh salt and seals one vector.
 */
#include "lib/columnar/deletes.h"

#include "lib/base/rdr.h"
#include "lib/columnar/deletes_in.h"
#include "lib/columnar/segment_in.h"

enum form { FORM_GAPS = 0, FORM_RUNS = 1, FORM_BITMAP = 2 };
enum { HEADER_LEN = 5 + 1 + 1 + SEGMENT_SALT_LEN + COMMITMENT_LEN };

static size_t words_of(uint32_t rows) {
    return ((size_t)rows + 63) / 64;
}

struct sl_rc deletes_init(struct deletes *d, uint32_t rows) {
    sl_assert(rows <= SEGMENT_ROWS);
    uint64_t *words = calloc(words_of(rows) + 1, sizeof *words);
    ENSURE(words != NULL, NULL, SL_E_NOMEM, "delete vector");
    *d = (struct deletes){.rows = rows, .words = words};
    return SL_OK;
}

void deletes_fini(struct deletes *d) {
    free(d->words);
    *d = (struct deletes){0};
}

struct sl_rc deletes_copy(struct deletes *d, const struct deletes *from) {
    TRY(deletes_init(d, from->rows));
    memcpy(d->words, from->words, words_of(from->rows) * sizeof *d->words);
    d->count = from->count;
    return SL_OK;
}

/* The first row from `from` on whose bit is `deleted`, or rows. */
static uint32_t next_of(const struct deletes *d, uint32_t from, bool deleted) {
    while (from < d->rows) {
        uint64_t word = deleted ? d->words[from >> 6] : ~d->words[from >> 6];
        word >>= from & 63;
        if (word != 0) {
            from += (uint32_t)__builtin_ctzll(word);
            return from < d->rows ? from : d->rows;
        }
        from = (from | 63) + 1;
    }
    return d->rows;
}

uint32_t deletes_next_live(const struct deletes *d, uint32_t from) {
    return next_of(d, from, false);
}

/* Seven bits a byte, low ones first, the last byte below 128. */
static void put_number(struct buf *out, uint32_t v) {
    for (; v >= 128; v >>= 7) {
        buf_u8(out, (uint8_t)(v | 128));
    }
    buf_u8(out, (uint8_t)v);
}

static uint32_t get_number(struct rdr *r) {
    uint32_t v = 0;
    for (unsigned shift = 0; shift < 21; shift += 7) {
        uint8_t b = rdr_u8(r);
        v |= (uint32_t)(b & 127) << shift;
        if (b < 128) {
            r->bad |= b == 0 && shift > 0; /* one way to write a number */
            return v;
        }
    }
    r->bad = true;
    return 0;
}

static void put_gaps(const struct deletes *d, struct buf *out) {
    uint32_t done = 0;
    for (uint32_t i = next_of(d, 0, true); i < d->rows; i = next_of(d, i + 1, true)) {
        put_number(out, i - done);
        done = i + 1;
    }
}

static void put_runs(const struct deletes *d, struct buf *out) {
    uint32_t done = 0;
    for (uint32_t i = next_of(d, 0, true); i < d->rows; i = next_of(d, done, true)) {
        put_number(out, i - done);
        done = next_of(d, i, false);
        put_number(out, done - i);
    }
}

static void put_bitmap(const struct deletes *d, struct buf *out) {
    for (uint32_t i = 0; i < d->rows; i += 8) {
        buf_u8(out, (uint8_t)(d->words[i >> 6] >> (i & 63)));
    }
}

static void put_body(const struct deletes *d, struct buf *out) {
    static void (*const writers[])(const struct deletes *, struct buf *) = {put_gaps, put_runs,
                                                                            put_bitmap};
    size_t least = SIZE_MAX;
    enum form best = FORM_BITMAP;
    for (enum form f = FORM_GAPS; f <= FORM_BITMAP; f++) {
        buf_reset(out);
        writers[f](d, out);
        if (out->len < least) {
            least = out->len;
            best = f;
        }
    }
    buf_reset(out);
    buf_u8(out, (uint8_t)best);
    buf_u32(out, d->count);
    writers[best](d, out);
}

static void set_run(struct deletes *d, uint32_t from, uint32_t len) {
    for (uint32_t i = from; i < from + len; i++) {
        deletes_set(d, i);
    }
}

static bool get_rows(struct rdr *r, enum form form, struct deletes *d) {
    uint32_t at = 0;
    while (r->rest.len > 0) {
        uint32_t gap = get_number(r);
        uint32_t len = form == FORM_RUNS ? get_number(r) : 1;
        if (r->bad || len == 0 || gap > d->rows - at || len > d->rows - at - gap) {
            return false;
        }
        set_run(d, at + gap, len);
        at += gap + len;
    }
    return true;
}

static bool get_bitmap(struct rdr *r, struct deletes *d) {
    if (r->rest.len != ((size_t)d->rows + 7) / 8) {
        return false;
    }
    for (uint32_t i = 0; i < d->rows; i += 8) {
        uint8_t bits = rdr_u8(r);
        if (d->rows - i < 8 && bits >> (d->rows - i) != 0) {
            return false;
        }
        d->words[i >> 6] |= (uint64_t)bits << (i & 63);
        d->count += (uint32_t)__builtin_popcount(bits);
    }
    return true;
}

struct sl_rc deletes_read(struct slice body, struct deletes *d, struct sl_error *err) {
    struct rdr r = rdr_of(body);
    uint8_t form = rdr_u8(&r);
    uint32_t count = rdr_u32(&r);
    ENSURE(!r.bad && form <= FORM_BITMAP, err, SL_E_CORRUPT, "delete vector: form %u is not known",
           form);
    bool fine = form == FORM_BITMAP ? get_bitmap(&r, d) : get_rows(&r, form, d);
    ENSURE(fine && d->count == count, err, SL_E_CORRUPT, "delete vector: not rows of the segment");
    return SL_OK;
}

/* storage id | segment id | rows | header. */
static void aad_of(const struct segment_ref *ref, struct slice header, struct buf *aad) {
    buf_put(aad, slice_of(ref->storage_id, STORAGE_ID_LEN));
    buf_put(aad, slice_of(ref->segment_id, SEGMENT_ID_LEN));
    buf_u32(aad, ref->rows);
    buf_put(aad, header);
}

static const uint8_t nonce[GCM_NONCE_LEN]; /* one message a key */

static struct sl_rc seal_body(const struct secret *table_key, const struct segment_ref *ref,
                              struct slice body, struct buf *out, struct sl_error *err) {
    uint8_t salt[SEGMENT_SALT_LEN];
    uint8_t commitment[COMMITMENT_LEN];
    SL_CLEANUP(secret_fini) struct secret key = {0};
    SL_CLEANUP(buf_fini) struct buf aad = BUF_INIT(1024);
    struct aead *a = NULL;
    size_t begin = out->len;
    crypto_random(salt, sizeof salt);
    TRY(commit_key(secret_view(table_key), slice_of(salt, sizeof salt),
                   SLICE_LIT("sealift/deletes/1"), &key, commitment));
    buf_puts(out, "SLDEL");
    buf_u8(out, 1); /* version */
    buf_u8(out, 1); /* AES-256-GCM */
    buf_put(out, slice_of(salt, sizeof salt));
    buf_put(out, slice_of(commitment, sizeof commitment));
    uint8_t *p = buf_reserve(out, body.len + GCM_TAG_LEN);
    ENSURE(p != NULL, err, SL_E_LIMIT, "delete vector: no room");
    aad_of(ref, slice_of(out->ptr + begin, HEADER_LEN), &aad);
    TRY(buf_check(&aad, err));
    TRY(aead_new(secret_view(&key), &a));
    struct sl_rc rc = aead_seal(a, nonce, buf_slice(&aad), body, p);
    aead_free(a);
    TRY(rc);
    out->len += body.len + GCM_TAG_LEN;
    return SL_OK;
}

struct sl_rc deletes_seal(const struct secret *table_key, const struct segment_ref *ref,
                          const struct deletes *d, struct buf *out, struct sl_error *err) {
    SL_CLEANUP(buf_fini) struct buf body = BUF_INIT(8 * SEGMENT_ROWS);
    size_t begin = out->len;
    ENSURE(d->rows == ref->rows, err, SL_E_INTERNAL, "delete vector: %u rows, not %u", d->rows,
           ref->rows);
    ENSURE(!out->failed, err, SL_E_LIMIT, "delete vector: no room");
    put_body(d, &body);
    TRY(buf_check(&body, err));
    struct sl_rc rc = seal_body(table_key, ref, buf_slice(&body), out, err);
    if (sl_failed(rc)) {
        out->len = begin;
        out->failed = false;
    }
    return rc;
}

static struct sl_rc open_body(const struct secret *table_key, const struct segment_ref *ref,
                              struct slice sealed, uint8_t *body, struct sl_error *err) {
    uint8_t expected[COMMITMENT_LEN];
    SL_CLEANUP(secret_fini) struct secret key = {0};
    SL_CLEANUP(buf_fini) struct buf aad = BUF_INIT(1024);
    struct aead *a = NULL;
    struct slice header = slice_sub(sealed, 0, HEADER_LEN);
    struct slice salt = slice_sub(header, 7, 7 + SEGMENT_SALT_LEN);
    TRY(commit_key(secret_view(table_key), salt, SLICE_LIT("sealift/deletes/1"), &key, expected));
    ENSURE(secret_equal(slice_of(expected, sizeof expected),
                        slice_sub(header, 7 + SEGMENT_SALT_LEN, HEADER_LEN)),
           err, SL_E_CORRUPT, "delete vector: it was not sealed under this table's key");
    aad_of(ref, header, &aad);
    TRY(buf_check(&aad, err));
    TRY(aead_new(secret_view(&key), &a));
    struct sl_rc rc =
        aead_open(a, nonce, buf_slice(&aad), slice_sub(sealed, HEADER_LEN, sealed.len), body);
    aead_free(a);
    ENSURE(rc.code != SL_E_CORRUPT, err, SL_E_CORRUPT, "delete vector: its seal is broken");
    return rc;
}

struct sl_rc deletes_open(const struct secret *table_key, const struct segment_ref *ref,
                          struct slice sealed, struct deletes *ret, struct sl_error *err) {
    ENSURE(sealed.len >= HEADER_LEN + GCM_TAG_LEN &&
               sealed.len <= HEADER_LEN + 8 * SEGMENT_ROWS + GCM_TAG_LEN &&
               ref->rows <= SEGMENT_ROWS,
           err, SL_E_CORRUPT, "delete vector: %zu bytes", sealed.len);
    ENSURE(memcmp(sealed.ptr, "SLDEL\1\1", 7) == 0, err, SL_E_CORRUPT,
           "delete vector: no known header");
    size_t len = sealed.len - HEADER_LEN - GCM_TAG_LEN;
    uint8_t *body = malloc(len + 1);
    ENSURE(body != NULL, err, SL_E_NOMEM, "delete vector");
    struct deletes d = {0};
    struct sl_rc rc = open_body(table_key, ref, sealed, body, err);
    if (sl_is_ok(rc)) {
        rc = deletes_init(&d, ref->rows);
    }
    if (sl_is_ok(rc)) {
        rc = deletes_read(slice_of(body, len), &d, err);
    }
    free(body);
    if (sl_failed(rc)) {
        deletes_fini(&d);
        return rc;
    }
    *ret = d;
    return SL_OK;
}
