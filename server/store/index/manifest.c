/* Manifests; see manifest.h. */
#include "server/store/index/manifest.h"

#include "lib/base/limits.h"
#include "lib/base/rdr.h"
#include "lib/crypto/crypto.h"

#include <stdio.h>

enum { VERSION = 1, HEADERS_MAX = LIMIT_HTTP_HEADERS };

static void put_pairs(struct buf *out, const struct context_pair *pairs, size_t count) {
    if (count > UINT16_MAX) {
        out->failed = true;
        return;
    }
    buf_u16(out, (uint16_t)count);
    for (size_t i = 0; i < count; i++) {
        buf_vec16(out, pairs[i].name);
        buf_vec16(out, pairs[i].value);
    }
}

void manifest_encode(const struct manifest *m, struct buf *out) {
    buf_u8(out, VERSION);
    buf_put(out, blob_id_slice(&m->bucket));
    buf_put(out, blob_id_slice(&m->object));
    buf_u8(out, m->sse);
    buf_vec16(out, m->key_arn);
    put_pairs(out, m->context, m->context_count);
    buf_u32(out, (uint32_t)m->part_count);
    for (size_t i = 0; i < m->part_count; i++) {
        const struct manifest_part *p = &m->parts[i];
        buf_u32(out, p->number);
        buf_u64(out, p->file.size);
        buf_put(out, blob_id_slice(&p->file.id));
        buf_put(out, slice_of(p->file.salt, BLOB_SALT_LEN));
    }
    buf_u64(out, m->size);
    buf_vec16(out, m->etag);
    put_pairs(out, m->headers, m->header_count);
    buf_u64(out, (uint64_t)m->created_ms);
    buf_u8(out, m->checksum_kind);
    buf_u8(out, m->checksum_type);
    buf_vec32(out, m->checksums);
}

static void get_id(struct rdr *r, struct blob_id *ret) {
    struct slice s = rdr_bytes(r, BLOB_ID_LEN);
    if (s.len == BLOB_ID_LEN) {
        memcpy(ret->bytes, s.ptr, BLOB_ID_LEN);
    }
}

static const struct context_pair *get_pairs(struct rdr *r, struct arena *a, size_t max,
                                            size_t *ret_count) {
    size_t n = rdr_u16(r);
    if (n > max) {
        r->bad = true;
    }
    struct context_pair *pairs = r->bad ? NULL : arena_array(a, n ? n : 1, sizeof *pairs);
    if (pairs == NULL) {
        r->bad = true;
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        pairs[i].name = rdr_vec16(r);
        pairs[i].value = rdr_vec16(r);
    }
    *ret_count = n;
    return pairs;
}

static const struct manifest_part *get_parts(struct rdr *r, struct arena *a, size_t *ret_count) {
    size_t n = rdr_u32(r);
    if (n > LIMIT_S3_PARTS) {
        r->bad = true;
    }
    struct manifest_part *parts = r->bad ? NULL : arena_array(a, n ? n : 1, sizeof *parts);
    if (parts == NULL) {
        r->bad = true;
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        parts[i].number = rdr_u32(r);
        parts[i].file.size = rdr_u64(r);
        get_id(r, &parts[i].file.id);
        struct slice salt = rdr_bytes(r, BLOB_SALT_LEN);
        if (salt.len == BLOB_SALT_LEN) {
            memcpy(parts[i].file.salt, salt.ptr, BLOB_SALT_LEN);
        }
    }
    *ret_count = n;
    return parts;
}

static bool sizes_agree(const struct manifest *m) {
    uint64_t total = 0;
    for (size_t i = 0; i < m->part_count; i++) {
        if (__builtin_add_overflow(total, m->parts[i].file.size, &total) ||
            (i > 0 && m->parts[i].number <= m->parts[i - 1].number)) {
            return false;
        }
    }
    return total == m->size;
}

struct sl_rc manifest_decode(struct slice bytes, struct arena *a, struct manifest *ret,
                             struct sl_error *err) {
    struct rdr r = rdr_of(bytes);
    struct manifest m = {0};
    uint8_t version = rdr_u8(&r);
    ENSURE(version == VERSION, err, SL_E_CORRUPT, "manifest of unknown version %u", version);
    get_id(&r, &m.bucket);
    get_id(&r, &m.object);
    m.sse = rdr_u8(&r);
    m.key_arn = rdr_vec16(&r);
    m.context = get_pairs(&r, a, LIMIT_KMS_CONTEXT_PAIRS, &m.context_count);
    m.parts = get_parts(&r, a, &m.part_count);
    m.size = rdr_u64(&r);
    m.etag = rdr_vec16(&r);
    m.headers = get_pairs(&r, a, HEADERS_MAX, &m.header_count);
    m.created_ms = (int64_t)rdr_u64(&r);
    m.checksum_kind = rdr_u8(&r);
    m.checksum_type = rdr_u8(&r);
    m.checksums = rdr_vec32(&r);
    ENSURE(sl_is_ok(rdr_end(&r, NULL, "manifest")), err, SL_E_CORRUPT, "manifest is malformed");
    ENSURE((m.sse == MANIFEST_SSE_S3 || m.sse == MANIFEST_SSE_KMS) && sizes_agree(&m), err,
           SL_E_CORRUPT, "manifest contradicts itself");
    *ret = m;
    return SL_OK;
}

static struct sl_rc derive(const struct secret *data_key, const char *label, uint8_t out[32]) {
    return hkdf_sha256(secret_view(data_key), SLICE_EMPTY, slice_cstr(label), out, 32);
}

struct sl_rc manifest_mac(const struct secret *data_key, struct slice bytes,
                          uint8_t out[MANIFEST_MAC_LEN]) {
    uint8_t key[32];
    TRY(derive(data_key, "sealift/manifest/1", key));
    hmac_sha256(slice_of(key, sizeof key), bytes, out);
    secret_wipe(key, sizeof key);
    return SL_OK;
}

struct sl_rc manifest_check(const struct secret *data_key, struct slice bytes, struct slice mac,
                            struct sl_error *err) {
    uint8_t right[MANIFEST_MAC_LEN];
    TRY(manifest_mac(data_key, bytes, right));
    ENSURE(secret_equal(slice_of(right, sizeof right), mac), err, SL_E_CORRUPT,
           "the manifest's MAC is wrong");
    return SL_OK;
}

static struct sl_rc side_key(const struct secret *data_key, struct aead **ret) {
    uint8_t key[32];
    TRY(derive(data_key, "sealift/checksum/1", key));
    struct sl_rc rc = aead_new(slice_of(key, sizeof key), ret);
    secret_wipe(key, sizeof key);
    return rc;
}

struct sl_rc manifest_seal(const struct secret *data_key, const struct blob_id *object,
                           struct slice plain, struct buf *out, struct sl_error *err) {
    struct aead *aead = NULL;
    uint8_t nonce[GCM_NONCE_LEN];
    crypto_random(nonce, sizeof nonce);
    buf_put(out, slice_of(nonce, sizeof nonce));
    uint8_t *room = buf_reserve(out, plain.len + GCM_TAG_LEN);
    ENSURE(room != NULL, err, SL_E_LIMIT, "checksums too long");
    struct sl_rc rc = side_key(data_key, &aead);
    if (sl_is_ok(rc)) {
        rc = aead_seal(aead, nonce, blob_id_slice(object), plain, room);
    }
    aead_free(aead);
    if (sl_is_ok(rc)) {
        out->len += plain.len + GCM_TAG_LEN;
    }
    return rc;
}

struct sl_rc manifest_unseal(const struct secret *data_key, const struct blob_id *object,
                             struct slice sealed, struct arena *a, struct slice *ret,
                             struct sl_error *err) {
    ENSURE(sealed.len >= GCM_NONCE_LEN + GCM_TAG_LEN, err, SL_E_CORRUPT, "checksums cut short");
    size_t n = sealed.len - GCM_NONCE_LEN - GCM_TAG_LEN;
    uint8_t *plain = arena_alloc(a, n + 1);
    ENSURE(plain != NULL, err, SL_E_NOMEM, "no memory for checksums");
    struct aead *aead = NULL;
    struct sl_rc rc = side_key(data_key, &aead);
    if (sl_is_ok(rc)) {
        rc = aead_open(aead, sealed.ptr, blob_id_slice(object),
                       slice_sub(sealed, GCM_NONCE_LEN, sealed.len), plain);
    }
    aead_free(aead);
    if (sl_failed(rc)) {
        return sl_fail(err, rc.code, "sealed checksums don't open");
    }
    *ret = slice_of(plain, n);
    return SL_OK;
}

struct sl_rc manifest_opaque_etag(const struct secret *data_key, const uint8_t plain_sha256[32],
                                  char ret[33]) {
    uint8_t key[32];
    uint8_t mac[SHA256_LEN];
    TRY(derive(data_key, "sealift/etag/1", key));
    hmac_sha256(slice_of(key, sizeof key), slice_of(plain_sha256, SHA256_LEN), mac);
    secret_wipe(key, sizeof key);
    for (size_t i = 0; i < 16; i++) {
        snprintf(ret + 2 * i, 3, "%02x", mac[i]);
    }
    return SL_OK;
}
