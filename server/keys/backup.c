/* See backup.h. The head is bound through the derivation of the key, and with the commitment as
 * associated data of every chunk; place and end of a chunk through its nonce. */
#include "server/keys/backup.h"

#include "lib/base/limits.h"
#include "lib/base/rdr.h"
#include "server/keys/domain.h"

#define MAGIC "SLBACKUP"
#define LABEL "sealift/backup/1"

enum { VERSION = 1, ALG = 1, MAGIC_LEN = 8, NAME_MAX_BYTES = 64 };

struct backup_sealing {
    struct aead *aead;
    uint8_t aad[SHA256_LEN];
};

/* People see these before anything has been proven. */
static bool is_name(struct slice s) {
    bool ok = s.len > 0 && s.len <= NAME_MAX_BYTES;
    for (size_t i = 0; ok && i < s.len; i++) {
        uint8_t c = s.ptr[i];
        ok = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
    }
    return ok;
}

struct sl_rc backup_parse(struct slice bytes, struct backup_header *ret, struct sl_error *err) {
    struct backup_header h = {0};
    struct domain_file domain;
    struct rdr r = rdr_of(bytes);
    ENSURE(slice_eq_cstr(rdr_bytes(&r, MAGIC_LEN), MAGIC), err, SL_E_CORRUPT,
           "not a backup of a key store");
    uint8_t version = rdr_u8(&r), alg = rdr_u8(&r), chunk = rdr_u8(&r);
    ENSURE(r.bad || version == VERSION, err, SL_E_UNSUPPORTED, "version %u is not known", version);
    ENSURE(r.bad || (alg == ALG && chunk == BACKUP_CHUNK_LOG2), err, SL_E_UNSUPPORTED,
           "its algorithm is not known");
    h.made_ms = (int64_t)rdr_u64(&r);
    h.salt = rdr_bytes(&r, BACKUP_SALT_LEN);
    h.instance = rdr_vec16(&r);
    h.account = rdr_vec16(&r);
    h.region = rdr_vec16(&r);
    h.created_s = (int64_t)rdr_u64(&r);
    uint8_t ephemeral = rdr_u8(&r);
    h.domain = rdr_vec16(&r);
    h.head = slice_sub(bytes, 0, bytes.len - r.rest.len);
    h.commitment = rdr_bytes(&r, BACKUP_COMMITMENT_LEN);
    ENSURE(!r.bad, err, SL_E_CORRUPT, "the backup is cut short");
    h.len = bytes.len - r.rest.len;
    ENSURE(h.len <= LIMIT_BACKUP_HEADER_BYTES && ephemeral <= 1 && is_name(h.instance) &&
               is_name(h.account) && is_name(h.region),
           err, SL_E_CORRUPT, "the backup's header is not well-formed");
    h.ephemeral = ephemeral != 0;
    TRY(domain_parse(h.domain, &domain, err));
    ENSURE(domain.kind == ROOT_PASSPHRASE, err, SL_E_CORRUPT, "the backup has no passphrase");
    *ret = h;
    return SL_OK;
}

struct sl_rc backup_put_head(struct buf *out, const struct backup_header *h, struct sl_error *err) {
    buf_puts(out, MAGIC);
    buf_u8(out, VERSION);
    buf_u8(out, ALG);
    buf_u8(out, BACKUP_CHUNK_LOG2);
    buf_u64(out, (uint64_t)h->made_ms);
    buf_put(out, h->salt);
    buf_vec16(out, h->instance);
    buf_vec16(out, h->account);
    buf_vec16(out, h->region);
    buf_u64(out, (uint64_t)h->created_s);
    buf_u8(out, h->ephemeral);
    buf_vec16(out, h->domain);
    return buf_check(out, err);
}

static struct sl_rc derive(const struct secret *store_key, struct slice salt, struct slice head,
                           struct secret *ret) {
    uint8_t info[sizeof LABEL - 1 + SHA256_LEN] = LABEL;
    sha256(head, info + sizeof LABEL - 1);
    TRY(secret_init(ret, AES256_KEY_LEN + BACKUP_COMMITMENT_LEN));
    return hkdf_sha256(secret_view(store_key), salt, slice_of(info, sizeof info), ret->ptr,
                       ret->len);
}

static void bind(struct backup_sealing *s, struct slice head, const uint8_t *commitment) {
    struct buf header SL_CLEANUP(buf_fini) = BUF_INIT(LIMIT_BACKUP_HEADER_BYTES);
    buf_put(&header, head);
    buf_put(&header, slice_of(commitment, BACKUP_COMMITMENT_LEN));
    sha256(buf_slice(&header), s->aad);
}

struct sl_rc backup_sealing_new(const struct secret *store_key, struct slice salt,
                                struct slice head, struct backup_sealing **ret,
                                uint8_t ret_commitment[BACKUP_COMMITMENT_LEN],
                                struct sl_error *err) {
    struct secret keys SL_CLEANUP(secret_fini) = {0};
    ENSURE(head.len + BACKUP_COMMITMENT_LEN <= LIMIT_BACKUP_HEADER_BYTES, err, SL_E_LIMIT,
           "The backup's header is too long.");
    struct sl_rc rc = derive(store_key, salt, head, &keys);
    struct backup_sealing *s = sl_is_ok(rc) ? calloc(1, sizeof *s) : NULL;
    if (s != NULL) {
        const uint8_t *commitment = keys.ptr + AES256_KEY_LEN;
        bind(s, head, commitment);
        rc = aead_new(slice_of(keys.ptr, AES256_KEY_LEN), &s->aead);
        memcpy(ret_commitment, commitment, BACKUP_COMMITMENT_LEN);
    }
    if (s == NULL || sl_failed(rc)) {
        free(s);
        return sl_fail(err, sl_failed(rc) ? rc.code : SL_E_NOMEM, "No key for the backup.");
    }
    *ret = s;
    return SL_OK;
}

void backup_sealing_free(struct backup_sealing *s) {
    if (s != NULL) {
        aead_free(s->aead);
        free(s);
    }
}

static void chunk_nonce(uint64_t index, bool final, uint8_t out[GCM_NONCE_LEN]) {
    memset(out, 0, GCM_NONCE_LEN);
    out[0] = final;
    for (int i = 0; i < 8; i++) {
        out[4 + i] = (uint8_t)(index >> (56 - 8 * i));
    }
}

struct sl_rc backup_chunk_seal(struct backup_sealing *s, uint64_t index, bool final,
                               struct slice plain, uint8_t *out) {
    uint8_t nonce[GCM_NONCE_LEN];
    chunk_nonce(index, final, nonce);
    return aead_seal(s->aead, nonce, slice_of(s->aad, sizeof s->aad), plain, out);
}

struct sl_rc backup_chunk_open(struct backup_sealing *s, uint64_t index, bool final,
                               struct slice cipher, uint8_t *out) {
    uint8_t nonce[GCM_NONCE_LEN];
    if (cipher.len < GCM_TAG_LEN) {
        return sl_rc_of(SL_E_CORRUPT);
    }
    chunk_nonce(index, final, nonce);
    return aead_open(s->aead, nonce, slice_of(s->aad, sizeof s->aad), cipher, out);
}
