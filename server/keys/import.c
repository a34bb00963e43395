/* Key material that customers bring. The RSA pair under which it travels is made here; its private
 * half leaves the process only inside the import token, sealed under a key that no other operation
 * uses, so that nobody can have it opened. A material's backing id is a MAC of the key's ARN and
 * the material: that is how the same material is known again without being kept. */
#include "lib/base/limits.h"
#include "lib/crypto/keywrap.h"
#include "lib/crypto/rsa.h"
#include "server/keys/envelope.h"
#include "server/keys/keyholder.h"
#include "server/keys/messages.h"
#include "server/keys/service_in.h"

#define LABEL_TOKEN "sealift/import-token/1"

enum { TOKEN_VERSION = 1, TOKEN_MAX = LIMIT_KMS_CIPHERTEXT_BYTES, ABSENT_LEN = 8 + 48 + 12 };

struct sl_rc service_create_empty(struct service *s, struct rdr *q, struct buf *out,
                                  struct sl_error *err) {
    struct slice arn = rdr_vec16(q);
    TRY(rdr_end(q, err, "create_empty"));
    ENSURE(arn.len >= 1 && arn.len <= KEY_ARN_MAX, err, SL_E_LIMIT, "A key ARN of %zu bytes.",
           arn.len);
    struct record r = {
        .arn = arn, .state = KEY_PENDING_IMPORT, .spec = RECORD_SPEC_IMPORTED, .counter = 1};
    return service_put_record(s, &r, SLICE_EMPTY, out);
}

static struct sl_rc imported_record(struct service *s, struct slice bytes, struct record *ret,
                                    struct sl_error *err) {
    TRY(service_record(s, bytes, ret, err));
    ENSURE(ret->spec == RECORD_SPEC_IMPORTED, err, SL_E_KMS_UNSUPPORTED,
           "%.*s origin is AWS_KMS which is not valid for this operation.", SLICE_FMT(ret->arn));
    return SL_OK;
}

/* ---- the import token ---- */

struct token {
    uint8_t algorithm; /* enum keyholder_wrapping */
    uint64_t valid_to_ms;
    struct slice arn;
    struct slice private_der;
};

static struct sl_rc token_key(struct service *s, struct secret *ret) {
    return domain_derive(&s->domain, "import-token", SLICE_EMPTY, ret);
}

static struct sl_rc token_seal(struct service *s, const struct token *t, struct buf *ret) {
    struct buf plain SL_CLEANUP(buf_fini) = {.max = TOKEN_MAX, .wipe = true};
    struct secret key SL_CLEANUP(secret_fini) = {0};
    buf_u8(&plain, t->algorithm);
    buf_u64(&plain, t->valid_to_ms);
    buf_vec16(&plain, t->arn);
    buf_vec16(&plain, t->private_der);
    TRY(buf_check(&plain, NULL));
    TRY(token_key(s, &key));
    buf_u8(ret, TOKEN_VERSION);
    return envelope_seal(secret_view(&key), LABEL_TOKEN, SLICE_EMPTY, buf_slice(&plain), ret);
}

/* The slices of *ret stand in *hold. */
static struct sl_rc token_open(struct service *s, struct slice sealed, struct secret *hold,
                               struct token *ret) {
    struct secret key SL_CLEANUP(secret_fini) = {0};
    bool ok = sealed.len >= 1 + ENVELOPE_EXTRA_LEN && sealed.len <= TOKEN_MAX &&
              sealed.ptr[0] == TOKEN_VERSION;
    ENSURE(ok, NULL, SL_E_KMS_IMPORT_TOKEN, "no token");
    TRY(token_key(s, &key));
    TRY(secret_init(hold, sealed.len - 1 - ENVELOPE_EXTRA_LEN));
    struct sl_rc rc =
        envelope_open(secret_view(&key), LABEL_TOKEN, SLICE_EMPTY, sealed, 1, hold->ptr);
    if (rc.code == SL_E_CORRUPT) {
        return sl_rc_of(SL_E_KMS_IMPORT_TOKEN);
    }
    TRY(rc);
    struct rdr q = rdr_of(secret_view(hold));
    ret->algorithm = rdr_u8(&q);
    ret->valid_to_ms = rdr_u64(&q);
    ret->arn = rdr_vec16(&q);
    ret->private_der = rdr_vec16(&q);
    return rdr_end(&q, NULL, "token");
}

struct sl_rc service_import_begin(struct service *s, struct rdr *q, struct buf *out,
                                  struct sl_error *err) {
    struct slice bytes = rdr_vec32(q);
    struct token t = {.algorithm = rdr_u8(q)};
    unsigned bits = rdr_u16(q);
    t.valid_to_ms = rdr_u64(q);
    TRY(rdr_end(q, err, "import_begin"));
    ENSURE(t.algorithm >= KEYHOLDER_OAEP_SHA1 && t.algorithm <= KEYHOLDER_AES_SHA256 &&
               (bits == 2048 || bits == 3072 || bits == 4096),
           err, SL_E_VALIDATION, "No such wrapping.");
    struct record r;
    TRY(imported_record(s, bytes, &r, err));
    struct secret private_der SL_CLEANUP(secret_fini) = {0};
    struct buf public_der SL_CLEANUP(buf_fini) = BUF_INIT(4096);
    struct buf token SL_CLEANUP(buf_fini) = BUF_INIT(TOKEN_MAX);
    TRY(rsa_make(bits, &private_der, &public_der));
    t.arn = r.arn;
    t.private_der = secret_view(&private_der);
    TRY(token_seal(s, &t, &token));
    buf_vec32(out, buf_slice(&public_der));
    buf_vec32(out, buf_slice(&token));
    return SL_OK;
}

/* ---- opening what came ---- */

/* RSA_AES: an AES key under RSA, then the material under that key. */
static struct sl_rc unwrap(const struct token *t, struct slice wrapped, struct secret *ret) {
    bool aes = t->algorithm == KEYHOLDER_AES_SHA1 || t->algorithm == KEYHOLDER_AES_SHA256;
    bool sha256 = t->algorithm == KEYHOLDER_OAEP_SHA256 || t->algorithm == KEYHOLDER_AES_SHA256;
    struct secret first SL_CLEANUP(secret_fini) = {0};
    size_t used = 0;
    TRY(rsa_oaep_open(t->private_der, sha256 ? DIGEST_SHA256 : DIGEST_SHA1, wrapped, &first,
                      &used));
    if (aes) {
        return keywrap_open(secret_view(&first), slice_sub(wrapped, used, wrapped.len), ret);
    }
    ENSURE(used == wrapped.len, NULL, SL_E_CORRUPT, "longer than the modulus");
    *ret = first;
    first = (struct secret){0};
    return SL_OK;
}

static struct sl_rc backing_id(struct service *s, struct slice arn, struct slice material,
                               uint8_t ret[BACKING_ID_LEN]) {
    struct secret key SL_CLEANUP(secret_fini) = {0};
    struct buf input SL_CLEANUP(buf_fini) = {.max = KEY_ARN_MAX + 64, .wipe = true};
    uint8_t mac[SHA256_LEN];
    TRY(domain_derive(&s->domain, "import-id", SLICE_EMPTY, &key));
    buf_vec16(&input, arn);
    buf_put(&input, material);
    TRY(buf_check(&input, NULL));
    hmac_sha256(secret_view(&key), buf_slice(&input), mac);
    memcpy(ret, mac, BACKING_ID_LEN);
    return SL_OK;
}

/* Opens token and material for the key of `r`. */
static struct sl_rc receive(struct service *s, const struct record *r, struct slice sealed,
                            struct slice wrapped, uint64_t now_ms, struct secret *ret,
                            struct sl_error *err) {
    struct secret hold SL_CLEANUP(secret_fini) = {0};
    struct token t = {0};
    struct sl_rc rc = token_open(s, sealed, &hold, &t);
    ENSURE(sl_is_ok(rc) && slice_eq(t.arn, r->arn), err,
           sl_is_ok(rc) ? SL_E_KMS_IMPORT_TOKEN : rc.code, "%s",
           sl_code_info(SL_E_KMS_IMPORT_TOKEN)->text);
    ENSURE(now_ms < t.valid_to_ms, err, SL_E_KMS_IMPORT_EXPIRED, "%s",
           sl_code_info(SL_E_KMS_IMPORT_EXPIRED)->text);
    struct secret material SL_CLEANUP(secret_fini) = {0};
    rc = unwrap(&t, wrapped, &material);
    if (rc.code == SL_E_CORRUPT) { /* no cause is told */
        return sl_rc_of(SL_E_KMS_INVALID_CIPHERTEXT);
    }
    TRY(rc);
    ENSURE(material.len == AES256_KEY_LEN, err, SL_E_KMS_MATERIAL,
           "The key material of a symmetric key has %d bytes.", AES256_KEY_LEN);
    *ret = material;
    material = (struct secret){0};
    return SL_OK;
}

/* ---- changing the record ---- */

/* Index of the entry with this id, or r->count. */
static size_t index_of(const struct record *r, struct slice id) {
    size_t i = 0;
    while (i < r->count && !slice_eq(record_backing(r, i).id, id)) {
        i++;
    }
    return i;
}

static bool has_material_id(struct slice id, struct slice wanted) {
    struct buf hex SL_CLEANUP(buf_fini) = BUF_INIT(KEY_MATERIAL_ID_CHARS + 1);
    service_put_material_id(id, &hex);
    return slice_eq(buf_slice(&hex), wanted);
}

/* Entry `at` replaced by `entry` (empty: taken out; at r->count: added). `hold` keeps the bytes. */
static struct sl_rc replace(struct record *r, size_t at, struct slice entry, struct buf *hold) {
    size_t from = at * BACKING_ENTRY_LEN, to = from + BACKING_ENTRY_LEN;
    buf_put(hold, slice_sub(r->backings, 0, from));
    buf_put(hold, entry);
    buf_put(hold, slice_sub(r->backings, to, r->backings.len));
    TRY(buf_check(hold, NULL));
    r->backings = buf_slice(hold);
    r->count = (uint16_t)(hold->len / BACKING_ENTRY_LEN);
    return SL_OK;
}

static struct sl_rc answer(struct service *s, struct record *r, struct slice id, bool pending,
                           struct buf *out) {
    r->counter++;
    TRY(service_put_record(s, r, SLICE_EMPTY, out));
    service_put_material_id(id, out);
    buf_u8(out, r->state);
    buf_u8(out, pending);
    return SL_OK;
}

/* Is material of this id what the request says it is? */
static struct sl_rc fits(const struct record *r, struct slice id, size_t at, uint8_t kind,
                         struct slice wanted, struct sl_error *err) {
    bool is_new =
        kind == KEYHOLDER_NEW_MATERIAL || (kind == KEYHOLDER_ANY_MATERIAL && r->count == 0);
    ENSURE(!is_new || at == r->count, err, SL_E_KMS_MATERIAL,
           "The key material is associated with the key already.");
    ENSURE(is_new || at < r->count, err, SL_E_KMS_MATERIAL,
           "The key material is not one that was imported into this key before.");
    ENSURE(wanted.len == 0 || has_material_id(id, wanted), err, SL_E_KMS_MATERIAL,
           "The key material is not the one that the key material id names.");
    ENSURE(!is_new || r->pending == 0, err, SL_E_KMS_INVALID_STATE,
           "%.*s has key material that is pending rotation.", SLICE_FMT(r->arn));
    ENSURE(!is_new || r->count < LIMIT_KMS_BACKING_KEYS, err, SL_E_KMS_LIMIT,
           "The key has %d key materials already.", LIMIT_KMS_BACKING_KEYS);
    return SL_OK;
}

struct sl_rc service_import(struct service *s, struct rdr *q, struct buf *out,
                            struct sl_error *err) {
    struct slice bytes = rdr_vec32(q), token = rdr_vec32(q), wrapped = rdr_vec32(q);
    uint64_t now_ms = rdr_u64(q);
    uint8_t kind = rdr_u8(q);
    struct slice wanted = rdr_vec16(q);
    TRY(rdr_end(q, err, "import"));
    ENSURE(kind <= KEYHOLDER_EXISTING_MATERIAL, err, SL_E_VALIDATION, "No such import.");
    struct record r;
    TRY(imported_record(s, bytes, &r, err));
    ENSURE(r.state != KEY_PENDING_DELETION, err, SL_E_KMS_INVALID_STATE,
           "%.*s is pending deletion.", SLICE_FMT(r.arn));
    struct secret material SL_CLEANUP(secret_fini) = {0};
    TRY(receive(s, &r, token, wrapped, now_ms, &material, err));
    uint8_t id_bytes[BACKING_ID_LEN];
    struct slice id = slice_of(id_bytes, sizeof id_bytes);
    TRY(backing_id(s, r.arn, secret_view(&material), id_bytes));
    size_t at = index_of(&r, id);
    TRY(fits(&r, id, at, kind, wanted, err));
    struct buf entry SL_CLEANUP(buf_fini) = BUF_INIT(BACKING_ENTRY_LEN);
    struct buf entries SL_CLEANUP(buf_fini) = BUF_INIT(LIMIT_FRAME_BYTES / 2);
    TRY(service_wrap_backing(s, r.arn, r.spec, id, secret_view(&material), &entry));
    if (at == r.count && r.count > 0) {
        r.pending = 1;
    }
    TRY(replace(&r, at, buf_slice(&entry), &entries));
    if (r.state == KEY_PENDING_IMPORT && record_complete(&r)) {
        r.state = KEY_ENABLED;
    }
    return answer(s, &r, id, r.pending == 1 && at + 1 == r.count, out);
}

struct sl_rc service_forget(struct service *s, struct rdr *q, struct buf *out,
                            struct sl_error *err) {
    struct slice bytes = rdr_vec32(q), wanted = rdr_vec16(q);
    TRY(rdr_end(q, err, "forget"));
    struct record r;
    TRY(imported_record(s, bytes, &r, err));
    size_t permanent = (size_t)r.count - r.pending;
    size_t at = permanent > 0 ? permanent - 1 : r.count; /* the current one */
    for (size_t i = 0; wanted.len > 0 && i <= r.count; i++) {
        at = i;
        if (i < r.count && has_material_id(record_backing(&r, i).id, wanted)) {
            break;
        }
    }
    ENSURE(at < r.count, err, SL_E_KMS_MATERIAL, "The key has no such key material.");
    bool waits = at == permanent;
    uint8_t id_bytes[BACKING_ID_LEN];
    memcpy(id_bytes, record_backing(&r, at).id.ptr, sizeof id_bytes);
    struct slice id = slice_of(id_bytes, sizeof id_bytes);
    key_cache_drop(s->cache, id);
    static const uint8_t absent[ABSENT_LEN];
    struct buf entry SL_CLEANUP(buf_fini) = BUF_INIT(BACKING_ENTRY_LEN);
    struct buf entries SL_CLEANUP(buf_fini) = BUF_INIT(LIMIT_FRAME_BYTES / 2);
    if (!waits) {
        buf_put(&entry, id);
        buf_put(&entry, slice_of(absent, sizeof absent));
    }
    TRY(replace(&r, at, buf_slice(&entry), &entries));
    r.pending = waits ? 0 : r.pending;
    if (!waits && r.state != KEY_PENDING_DELETION) {
        r.state = KEY_PENDING_IMPORT;
    }
    return answer(s, &r, id, waits, out);
}

struct sl_rc service_promote(struct service *s, struct record *r, struct buf *out,
                             struct sl_error *err) {
    ENSURE(r->pending == 1, err, SL_E_KMS_INVALID_STATE,
           "No available key material pending rotation for the key: %.*s.", SLICE_FMT(r->arn));
    r->pending = 0;
    r->counter++;
    TRY(service_put_record(s, r, SLICE_EMPTY, out));
    service_put_material_id(record_backing(r, (size_t)r->count - 1).id, out);
    return SL_OK;
}
