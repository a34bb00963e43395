/* The keyholder's operations. A request's fields come from a process that may be broken or taken
 * over: each is bounded here, a record counts for nothing until its MAC is checked, and no answer
 * carries a key that is not meant for the caller. */
#include "server/keys/service_in.h"

#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/base/rdr.h"
#include "lib/crypto/crypto.h"
#include "server/keys/envelope.h"
#include "server/keys/keyholder.h"
#include "server/keys/messages.h"

#define LABEL_MESSAGE "sealift/message/1"
#define LABEL_SEAL "sealift/seal/1"
#define LABEL_BACKING "sealift/backing/1"

enum {
    SEAL_VERSION = 1,
    CONTEXT_MAX = 2 + LIMIT_KMS_CONTEXT_PAIRS * 4 + LIMIT_KMS_CONTEXT_BYTES,
    SEAL_AAD_MAX = 64 * 1024,
    AUDIT_HEAD_MAX = 4096,
};

void service_free(struct service *s) {
    if (s == NULL) {
        return;
    }
    key_cache_free(s->cache);
    secret_fini(&s->record_mac);
    secret_fini(&s->audit_mac);
    secret_fini(&s->audit_seed);
    domain_fini(&s->domain);
    pthread_mutex_destroy(&s->chain.mu);
    free(s);
}

static struct sl_rc warm_up(struct service *s) {
    uint8_t signature[ED25519_SIGNATURE_LEN];
    uint8_t public_key[ED25519_PUBLIC_LEN];
    TRY(domain_derive(&s->domain, "record-mac", SLICE_EMPTY, &s->record_mac));
    TRY(domain_derive(&s->domain, "audit-mac", SLICE_EMPTY, &s->audit_mac));
    TRY(domain_derive(&s->domain, "audit-sign", SLICE_EMPTY, &s->audit_seed));
    return ed25519_sign(secret_view(&s->audit_seed), SLICE_EMPTY, signature, public_key);
}

struct sl_rc service_new(struct domain *take, struct service **ret, struct sl_error *err) {
    struct service *s = calloc(1, sizeof *s);
    if (s == NULL) {
        domain_fini(take);
        return sl_fail(err, SL_E_NOMEM, "Out of memory.");
    }
    s->domain = *take;
    *take = (struct domain){0};
    sl_assert(pthread_mutex_init(&s->chain.mu, NULL) == 0);
    s->cache = key_cache_new();
    struct sl_rc rc = s->cache == NULL ? sl_rc_of(SL_E_NOMEM) : warm_up(s);
    if (sl_failed(rc)) {
        service_free(s);
        return sl_fail(err, rc.code, "The keyholder's keys could not be derived.");
    }
    *ret = s;
    return SL_OK;
}

/* ---- backing keys and records ---- */

static void end_aead(struct aead **a) {
    aead_free(*a);
}

/* The AEAD that wraps one backing key, and its associated data. */
static struct sl_rc wrapping(struct service *s, struct slice arn, struct slice id, uint8_t spec,
                             struct aead **ret, struct buf *ret_aad) {
    struct secret key SL_CLEANUP(secret_fini) = {0};
    TRY(secret_init(&key, AES256_KEY_LEN));
    TRY(kdf_counter_sha256(secret_view(&s->domain.key), SLICE_LIT(LABEL_BACKING), id, key.ptr,
                           key.len));
    buf_vec16(ret_aad, arn);
    buf_put(ret_aad, id);
    buf_u8(ret_aad, spec);
    TRY(buf_check(ret_aad, NULL));
    return aead_new(secret_view(&key), ret);
}

struct sl_rc service_wrap_backing(struct service *s, struct slice arn, uint8_t spec,
                                  struct slice id, struct slice key32, struct buf *ret_entry) {
    uint8_t nonce[BACKING_NONCE_LEN];
    uint8_t wrapped[BACKING_WRAPPED_LEN];
    crypto_random(nonce, sizeof nonce);
    struct aead *a SL_CLEANUP(end_aead) = NULL;
    struct buf aad SL_CLEANUP(buf_fini) = BUF_INIT(2 * KEY_ARN_MAX);
    TRY(wrapping(s, arn, id, spec, &a, &aad));
    TRY(aead_seal(a, nonce, buf_slice(&aad), key32, wrapped));
    buf_put(ret_entry, id);
    buf_u64(ret_entry, (uint64_t)clock_real_ms());
    buf_put(ret_entry, slice_of(wrapped, sizeof wrapped));
    buf_put(ret_entry, slice_of(nonce, sizeof nonce));
    return buf_check(ret_entry, NULL);
}

/* A fresh backing key as a record's entry. */
static struct sl_rc make_backing(struct service *s, struct slice arn, uint8_t spec,
                                 struct buf *ret_entry, uint8_t ret_id[BACKING_ID_LEN]) {
    crypto_random(ret_id, BACKING_ID_LEN);
    struct secret key SL_CLEANUP(secret_fini) = {0};
    TRY(secret_random(&key, AES256_KEY_LEN));
    return service_wrap_backing(s, arn, spec, slice_of(ret_id, BACKING_ID_LEN), secret_view(&key),
                                ret_entry);
}

struct sl_rc service_open_backing(struct service *s, const struct record *r,
                                  const struct backing *b, struct secret *ret,
                                  struct sl_error *err) {
    ENSURE(b->created_ms > 0, err, SL_E_KMS_INVALID_STATE, "%.*s is pending import.",
           SLICE_FMT(r->arn));
    struct secret key SL_CLEANUP(secret_fini) = {0};
    TRY(secret_init(&key, AES256_KEY_LEN));
    if (!key_cache_get(s->cache, b->id, key.ptr)) {
        struct aead *a SL_CLEANUP(end_aead) = NULL;
        struct buf aad SL_CLEANUP(buf_fini) = BUF_INIT(2 * KEY_ARN_MAX);
        TRY(wrapping(s, r->arn, b->id, r->spec, &a, &aad));
        struct sl_rc rc = aead_open(a, b->nonce.ptr, buf_slice(&aad), b->wrapped, key.ptr);
        ENSURE(sl_is_ok(rc), err, rc.code, "A backing key of the record can't be opened.");
        key_cache_put(s->cache, b->id, secret_view(&key));
    }
    *ret = key;
    key = (struct secret){0};
    return SL_OK;
}

struct sl_rc service_record(struct service *s, struct slice bytes, struct record *ret,
                            struct sl_error *err) {
    struct record r;
    TRY(record_parse(bytes, &r, err));
    uint8_t mac[SHA256_LEN];
    hmac_sha256(secret_view(&s->record_mac), r.covered, mac);
    ENSURE(secret_equal(slice_of(mac, sizeof mac), r.mac), err, SL_E_CORRUPT,
           "The key record's MAC does not hold.");
    *ret = r;
    return SL_OK;
}

static struct sl_rc usable(const struct record *r, struct sl_error *err) {
    ENSURE(r->state != KEY_DISABLED, err, SL_E_KMS_DISABLED, "%.*s is disabled.",
           SLICE_FMT(r->arn));
    ENSURE(r->state == KEY_ENABLED, err, SL_E_KMS_INVALID_STATE, "%.*s is %s.", SLICE_FMT(r->arn),
           r->state == KEY_PENDING_DELETION ? "pending deletion" : "pending import");
    return SL_OK;
}

struct sl_rc service_put_record(struct service *s, const struct record *r, struct slice more,
                                struct buf *out) {
    struct buf b SL_CLEANUP(buf_fini) = BUF_INIT(LIMIT_FRAME_BYTES / 2);
    record_put(&b, r, more);
    TRY(buf_check(&b, NULL));
    uint8_t mac[SHA256_LEN];
    hmac_sha256(secret_view(&s->record_mac), buf_slice(&b), mac);
    buf_put(&b, slice_of(mac, sizeof mac));
    TRY(buf_check(&b, NULL));
    buf_vec32(out, buf_slice(&b));
    return SL_OK;
}

void service_put_material_id(struct slice backing_id, struct buf *out) {
    uint8_t input[64] = "sealift/material/1";
    size_t at = sizeof "sealift/material/1" - 1;
    memcpy(input + at, backing_id.ptr, BACKING_ID_LEN);
    uint8_t id[SHA256_LEN];
    sha256(slice_of(input, at + BACKING_ID_LEN), id);
    for (size_t i = 0; i < sizeof id; i++) {
        buf_putc(out, (uint8_t) "0123456789abcdef"[id[i] >> 4]);
        buf_putc(out, (uint8_t) "0123456789abcdef"[id[i] & 15]);
    }
}

static struct sl_rc do_create(struct service *s, struct rdr *q, struct buf *out,
                              struct sl_error *err) {
    struct slice arn = rdr_vec16(q);
    TRY(rdr_end(q, err, "create"));
    ENSURE(arn.len >= 1 && arn.len <= KEY_ARN_MAX, err, SL_E_LIMIT, "A key ARN of %zu bytes.",
           arn.len);
    struct record r = {
        .arn = arn, .state = KEY_ENABLED, .spec = RECORD_SPEC_SYMMETRIC, .counter = 1};
    uint8_t id[BACKING_ID_LEN];
    struct buf entry SL_CLEANUP(buf_fini) = BUF_INIT(BACKING_ENTRY_LEN);
    TRY(make_backing(s, arn, r.spec, &entry, id));
    TRY(service_put_record(s, &r, buf_slice(&entry), out));
    service_put_material_id(slice_of(id, sizeof id), out);
    return SL_OK;
}

static struct sl_rc do_set_state(struct service *s, struct rdr *q, struct buf *out,
                                 struct sl_error *err) {
    struct slice bytes = rdr_vec32(q);
    uint8_t state = rdr_u8(q);
    TRY(rdr_end(q, err, "set_state"));
    ENSURE(state >= KEY_ENABLED && state <= KEY_PENDING_IMPORT, err, SL_E_VALIDATION,
           "A key has no state %u.", state);
    struct record r;
    TRY(service_record(s, bytes, &r, err));
    ENSURE((state != KEY_ENABLED && state != KEY_DISABLED) || record_complete(&r), err,
           SL_E_KMS_INVALID_STATE, "%.*s is pending import.", SLICE_FMT(r.arn));
    for (size_t i = 0; state != KEY_ENABLED && i < r.count; i++) {
        key_cache_drop(s->cache, record_backing(&r, i).id);
    }
    r.state = state;
    r.counter++;
    return service_put_record(s, &r, SLICE_EMPTY, out);
}

static struct sl_rc do_rotate(struct service *s, struct rdr *q, struct buf *out,
                              struct sl_error *err) {
    struct slice bytes = rdr_vec32(q);
    TRY(rdr_end(q, err, "rotate"));
    struct record r;
    TRY(service_record(s, bytes, &r, err));
    TRY(usable(&r, err));
    if (r.spec == RECORD_SPEC_IMPORTED) {
        return service_promote(s, &r, out, err);
    }
    ENSURE(r.count < LIMIT_KMS_BACKING_KEYS, err, SL_E_KMS_LIMIT,
           "The key was rotated %d times already.", LIMIT_KMS_BACKING_KEYS - 1);
    uint8_t id[BACKING_ID_LEN];
    struct buf entry SL_CLEANUP(buf_fini) = BUF_INIT(BACKING_ENTRY_LEN);
    TRY(make_backing(s, r.arn, r.spec, &entry, id));
    r.counter++;
    TRY(service_put_record(s, &r, buf_slice(&entry), out));
    service_put_material_id(slice_of(id, sizeof id), out);
    return SL_OK;
}

/* ---- uses of a key ---- */

/* Answers with the blob, then the material id. */
static struct sl_rc seal_blob(struct service *s, const struct record *r, struct slice context,
                              struct slice plain, struct buf *out, struct sl_error *err) {
    ENSURE(r->count > r->pending, err, SL_E_KMS_INVALID_STATE, "%.*s is pending import.",
           SLICE_FMT(r->arn));
    struct backing b = record_backing(r, (size_t)r->count - r->pending - 1);
    struct secret key SL_CLEANUP(secret_fini) = {0};
    TRY(service_open_backing(s, r, &b, &key, err));
    struct buf blob SL_CLEANUP(buf_fini) = BUF_INIT(LIMIT_KMS_CIPHERTEXT_BYTES);
    blob_put_head(&blob, r->arn, b.id);
    TRY(envelope_seal(secret_view(&key), LABEL_MESSAGE, context, plain, &blob));
    buf_vec32(out, buf_slice(&blob));
    service_put_material_id(b.id, out);
    return SL_OK;
}

static struct sl_rc check_context(struct slice context, struct sl_error *err) {
    ENSURE(context.len <= CONTEXT_MAX, err, SL_E_VALIDATION, "The encryption context is too long.");
    return SL_OK;
}

static struct sl_rc do_encrypt(struct service *s, struct rdr *q, struct buf *out,
                               struct sl_error *err) {
    struct slice bytes = rdr_vec32(q);
    struct slice context = rdr_vec32(q);
    struct slice plain = rdr_vec32(q);
    TRY(rdr_end(q, err, "encrypt"));
    TRY(check_context(context, err));
    ENSURE(plain.len <= LIMIT_KMS_PLAINTEXT_BYTES, err, SL_E_VALIDATION,
           "The plaintext is longer than %d bytes.", LIMIT_KMS_PLAINTEXT_BYTES);
    struct record r;
    TRY(service_record(s, bytes, &r, err));
    TRY(usable(&r, err));
    return seal_blob(s, &r, context, plain, out, err);
}

static struct sl_rc do_data_key(struct service *s, struct rdr *q, struct buf *out,
                                struct sl_error *err) {
    struct slice bytes = rdr_vec32(q);
    struct slice context = rdr_vec32(q);
    uint32_t len = rdr_u32(q);
    bool with_plaintext = rdr_u8(q) != 0;
    TRY(rdr_end(q, err, "data_key"));
    TRY(check_context(context, err));
    ENSURE(len >= 1 && len <= LIMIT_KMS_DATA_KEY_BYTES, err, SL_E_VALIDATION,
           "A data key has 1 to %d bytes.", LIMIT_KMS_DATA_KEY_BYTES);
    struct record r;
    TRY(service_record(s, bytes, &r, err));
    TRY(usable(&r, err));
    struct secret plain SL_CLEANUP(secret_fini) = {0};
    TRY(secret_random(&plain, len));
    TRY(seal_blob(s, &r, context, secret_view(&plain), out, err));
    buf_vec32(out, with_plaintext ? secret_view(&plain) : SLICE_EMPTY);
    return SL_OK;
}

static struct sl_rc do_decrypt(struct service *s, struct rdr *q, struct buf *out,
                               struct sl_error *err) {
    struct slice bytes = rdr_vec32(q);
    struct slice context = rdr_vec32(q);
    struct slice sealed = rdr_vec32(q);
    TRY(rdr_end(q, err, "decrypt"));
    TRY(check_context(context, err));
    struct record r;
    TRY(service_record(s, bytes, &r, err));
    TRY(usable(&r, err));
    struct blob blob;
    struct backing b;
    TRY(blob_parse(sealed, &blob));
    /* From here on, every cause looks the same to the caller. */
    if (!slice_eq(blob.arn, r.arn) || !record_find(&r, blob.backing_id, &b)) {
        return sl_rc_of(SL_E_KMS_INVALID_CIPHERTEXT);
    }
    struct secret key SL_CLEANUP(secret_fini) = {0};
    TRY(service_open_backing(s, &r, &b, &key, err));
    struct secret plain SL_CLEANUP(secret_fini) = {0};
    TRY(secret_init(&plain, blob.plain_len));
    struct sl_rc rc =
        envelope_open(secret_view(&key), LABEL_MESSAGE, context, sealed, blob.head_len, plain.ptr);
    if (sl_failed(rc)) {
        return sl_rc_of(rc.code == SL_E_CORRUPT ? SL_E_KMS_INVALID_CIPHERTEXT : rc.code);
    }
    buf_vec32(out, secret_view(&plain));
    service_put_material_id(b.id, out);
    return SL_OK;
}

typedef struct sl_rc (*op_fn)(struct service *s, struct rdr *q, struct buf *out,
                              struct sl_error *err);

static op_fn use_of(uint8_t op) {
    return op == KEYHOLDER_ENCRYPT    ? do_encrypt
           : op == KEYHOLDER_DECRYPT  ? do_decrypt
           : op == KEYHOLDER_DATA_KEY ? do_data_key
                                      : NULL;
}

/* One use's answer, or what is wrong with it, behind its length. */
static void put_use(struct service *s, op_fn use, struct slice request, struct buf *out) {
    struct sl_error why = {0};
    struct rdr q = rdr_of(request);
    size_t at = out->len, from = at + 5;
    buf_u8(out, KEYHOLDER_OK);
    buf_u32(out, 0);
    struct sl_rc rc = use(s, &q, out, &why);
    if (out->failed) {
        return;
    }
    if (sl_failed(rc)) {
        secret_wipe(out->ptr + from, out->len - from);
        out->len = at;
        buf_u8(out, KEYHOLDER_ERROR);
        buf_u32(out, 0);
        buf_u16(out, (uint16_t)rc.code);
        buf_puts(out, why.detail);
    }
    uint32_t len = (uint32_t)(out->len - from);
    for (size_t i = 0; i < 4; i++) {
        out->ptr[at + 1 + i] = (uint8_t)(len >> (24 - 8 * i));
    }
}

/* Each use stands for itself: that one is refused is not the others' matter. */
static struct sl_rc do_uses(struct service *s, struct rdr *q, struct buf *out,
                            struct sl_error *err) {
    size_t count = 0;
    while (q->rest.len > 0) {
        op_fn use = use_of(rdr_u8(q));
        struct slice request = rdr_vec32(q);
        ENSURE(!q->bad && use != NULL && count++ < KEYHOLDER_USES_MAX, err, SL_E_PARSE,
               "uses: malformed");
        put_use(s, use, request, out);
    }
    ENSURE(count > 0, err, SL_E_PARSE, "uses: none");
    return SL_OK;
}

/* ---- kms's own secrets ---- */

static struct sl_rc check_label(struct slice label, struct sl_error *err) {
    ENSURE(label.len >= 1 && label.len <= KEYHOLDER_LABEL_MAX, err, SL_E_LIMIT,
           "A label of %zu bytes.", label.len);
    return SL_OK;
}

static struct sl_rc do_seal(struct service *s, struct rdr *q, struct buf *out,
                            struct sl_error *err) {
    struct slice purpose = rdr_vec16(q);
    struct slice aad = rdr_vec32(q);
    struct slice plain = rdr_vec32(q);
    TRY(rdr_end(q, err, "seal"));
    TRY(check_label(purpose, err));
    ENSURE(plain.len <= SECRET_MAX_BYTES && aad.len <= SEAL_AAD_MAX, err, SL_E_LIMIT,
           "Too long to seal.");
    struct secret key SL_CLEANUP(secret_fini) = {0};
    TRY(domain_derive(&s->domain, "seal/", purpose, &key));
    struct buf sealed SL_CLEANUP(buf_fini) = BUF_INIT(LIMIT_FRAME_BYTES / 2);
    buf_u8(&sealed, SEAL_VERSION);
    TRY(envelope_seal(secret_view(&key), LABEL_SEAL, aad, plain, &sealed));
    buf_put(out, buf_slice(&sealed));
    return SL_OK;
}

static struct sl_rc do_unseal(struct service *s, struct rdr *q, struct buf *out,
                              struct sl_error *err) {
    struct slice purpose = rdr_vec16(q);
    struct slice aad = rdr_vec32(q);
    struct slice sealed = rdr_vec32(q);
    TRY(rdr_end(q, err, "unseal"));
    TRY(check_label(purpose, err));
    ENSURE(aad.len <= SEAL_AAD_MAX && sealed.len >= 1 + ENVELOPE_EXTRA_LEN &&
               sealed.len <= SECRET_MAX_BYTES + 1 + ENVELOPE_EXTRA_LEN &&
               sealed.ptr[0] == SEAL_VERSION,
           err, SL_E_CORRUPT, "Not a sealed secret.");
    struct secret key SL_CLEANUP(secret_fini) = {0};
    struct secret plain SL_CLEANUP(secret_fini) = {0};
    TRY(domain_derive(&s->domain, "seal/", purpose, &key));
    TRY(secret_init(&plain, sealed.len - 1 - ENVELOPE_EXTRA_LEN));
    struct sl_rc rc = envelope_open(secret_view(&key), LABEL_SEAL, aad, sealed, 1, plain.ptr);
    ENSURE(sl_is_ok(rc), err, rc.code, "A sealed secret can't be opened.");
    buf_put(out, secret_view(&plain));
    return SL_OK;
}

static struct sl_rc do_derive(struct service *s, struct rdr *q, struct buf *out,
                              struct sl_error *err) {
    struct slice label = rdr_vec16(q);
    TRY(rdr_end(q, err, "derive"));
    TRY(check_label(label, err));
    struct secret key SL_CLEANUP(secret_fini) = {0};
    TRY(domain_derive(&s->domain, "derive/", label, &key));
    buf_put(out, secret_view(&key));
    return SL_OK;
}

/* ---- the audit chain ---- */

/* Memory for an audit record is borrowed, so the input is gathered in a buffer of its own. */
static struct sl_rc chain_mac(struct service *s, uint64_t segment, uint64_t seq,
                              const uint8_t previous[SHA256_LEN], struct slice record,
                              uint8_t out[SHA256_LEN]) {
    struct buf b SL_CLEANUP(buf_fini) = BUF_INIT(LIMIT_FRAME_BYTES + 64);
    buf_u64(&b, segment);
    buf_u64(&b, seq);
    buf_put(&b, slice_of(previous, SHA256_LEN));
    buf_put(&b, record);
    TRY(buf_check(&b, NULL));
    hmac_sha256(secret_view(&s->audit_mac), buf_slice(&b), out);
    return SL_OK;
}

static struct sl_rc do_audit_begin(struct service *s, struct rdr *q, struct buf *out,
                                   struct sl_error *err) {
    uint64_t segment = rdr_u64(q);
    uint64_t next_seq = rdr_u64(q);
    struct slice previous = rdr_bytes(q, SHA256_LEN);
    TRY(rdr_end(q, err, "audit_begin"));
    pthread_mutex_lock(&s->chain.mu);
    s->chain.begun = true;
    s->chain.segment = segment;
    s->chain.next_seq = next_seq;
    memcpy(s->chain.previous, previous.ptr, SHA256_LEN);
    pthread_mutex_unlock(&s->chain.mu);
    return SL_OK;
}

/* The chain moves on by all records of a message, or not at all. Under chain.mu. */
static struct sl_rc chain_many(struct service *s, uint64_t segment, struct rdr *q, struct buf *out,
                               struct sl_error *err) {
    uint64_t seq = s->chain.next_seq;
    uint8_t mac[SHA256_LEN];
    ENSURE(s->chain.begun && segment == s->chain.segment, err, SL_E_INTERNAL,
           "The audit segment was not begun.");
    memcpy(mac, s->chain.previous, sizeof mac);
    buf_u64(out, seq);
    while (q->rest.len > 0) {
        struct slice record = rdr_vec32(q);
        ENSURE(!q->bad, err, SL_E_PARSE, "audit_mac: cut short");
        ENSURE(seq < UINT64_MAX, err, SL_E_INTERNAL, "The audit log is at its end.");
        TRY(chain_mac(s, segment, seq++, mac, record, mac));
        buf_put(out, slice_of(mac, sizeof mac));
    }
    TRY(buf_check(out, err));
    s->chain.next_seq = seq;
    memcpy(s->chain.previous, mac, sizeof mac);
    return SL_OK;
}

static struct sl_rc do_audit_mac(struct service *s, struct rdr *q, struct buf *out,
                                 struct sl_error *err) {
    uint64_t segment = rdr_u64(q);
    ENSURE(!q->bad && q->rest.len > 0, err, SL_E_PARSE, "audit_mac: cut short");
    pthread_mutex_lock(&s->chain.mu);
    struct sl_rc rc = chain_many(s, segment, q, out, err);
    pthread_mutex_unlock(&s->chain.mu);
    return rc;
}

static struct sl_rc do_audit_sign(struct service *s, struct rdr *q, struct buf *out,
                                  struct sl_error *err) {
    struct slice head = rdr_vec32(q);
    TRY(rdr_end(q, err, "audit_sign"));
    ENSURE(head.len <= AUDIT_HEAD_MAX, err, SL_E_LIMIT, "An audit head of %zu bytes.", head.len);
    uint8_t signature[ED25519_SIGNATURE_LEN];
    uint8_t public_key[ED25519_PUBLIC_LEN];
    TRY(ed25519_sign(secret_view(&s->audit_seed), head, signature, public_key));
    buf_put(out, slice_of(signature, sizeof signature));
    buf_put(out, slice_of(public_key, sizeof public_key));
    return SL_OK;
}

/* Answers how many of the records hold before the first that does not, never what a MAC should have
 * been: verification must not help to forge. */
static struct sl_rc do_audit_check(struct service *s, struct rdr *q, struct buf *out,
                                   struct sl_error *err) {
    uint64_t segment = rdr_u64(q);
    uint64_t seq = rdr_u64(q);
    struct slice first = rdr_bytes(q, SHA256_LEN);
    ENSURE(!q->bad, err, SL_E_PARSE, "audit_check: cut short");
    uint8_t previous[SHA256_LEN];
    memcpy(previous, first.ptr, sizeof previous);
    uint32_t good = 0;
    bool holds = true;
    while (!q->bad && q->rest.len > 0 && holds) {
        struct slice record = rdr_vec32(q);
        struct slice mac = rdr_bytes(q, SHA256_LEN);
        uint8_t want[SHA256_LEN];
        TRY(chain_mac(s, segment, seq++, previous, record, want));
        holds = secret_equal(slice_of(want, sizeof want), mac);
        if (holds) {
            memcpy(previous, want, sizeof want);
            good++;
        }
    }
    ENSURE(!q->bad, err, SL_E_PARSE, "audit_check: cut short");
    buf_u32(out, good);
    return SL_OK;
}

struct sl_rc service_wrap_domain(struct service *s, struct slice passphrase, struct buf *out,
                                 struct sl_error *err) {
    static const struct root_place place = {.kind = ROOT_PASSPHRASE};
    struct secret word SL_CLEANUP(secret_fini) = {0};
    struct domain again SL_CLEANUP(domain_fini) = {0};
    TRY(secret_from(&word, passphrase));
    TRY(domain_wrap(&place, false, &word, &s->domain, out, err));
    /* What is kept for the worst day must open. */
    TRY(domain_unwrap(buf_slice(out), NULL, &word, &again, err));
    ENSURE(secret_equal(secret_view(&again.key), secret_view(&s->domain.key)), err, SL_E_INTERNAL,
           "the backup's passphrase does not give the same key back");
    return SL_OK;
}

static const op_fn ops[] = {
    [KEYHOLDER_CREATE] = do_create,
    [KEYHOLDER_SET_STATE] = do_set_state,
    [KEYHOLDER_ROTATE] = do_rotate,
    [KEYHOLDER_SEAL] = do_seal,
    [KEYHOLDER_UNSEAL] = do_unseal,
    [KEYHOLDER_DERIVE] = do_derive,
    [KEYHOLDER_AUDIT_BEGIN] = do_audit_begin,
    [KEYHOLDER_AUDIT_MAC] = do_audit_mac,
    [KEYHOLDER_AUDIT_SIGN] = do_audit_sign,
    [KEYHOLDER_AUDIT_CHECK] = do_audit_check,
    [KEYHOLDER_CREATE_EMPTY] = service_create_empty,
    [KEYHOLDER_IMPORT_BEGIN] = service_import_begin,
    [KEYHOLDER_IMPORT] = service_import,
    [KEYHOLDER_FORGET] = service_forget,
    [KEYHOLDER_PROBE] = service_probe,
    [KEYHOLDER_PROVE] = service_prove,
    [KEYHOLDER_USES] = do_uses,
};

struct sl_rc service_handle(struct service *s, uint8_t op, struct slice request, struct buf *out,
                            struct sl_error *err) {
    ENSURE(op < sizeof ops / sizeof ops[0] && ops[op] != NULL, err, SL_E_UNSUPPORTED,
           "The keyholder has no operation %u.", op);
    struct rdr q = rdr_of(request);
    TRY(ops[op](s, &q, out, err));
    return buf_check(out, err);
}
