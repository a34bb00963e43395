/* SCRAM-SHA-256; see scram.h. Passwords are used as the bytes they are: for ASCII that is
 * SASLprep's result too, and PostgreSQL does the same for text that SASLprep refuses. */
#include "gateway/wire/scram.h"

#include "lib/base/limits.h"
#include "lib/codec/text.h"

static bool cut(struct slice *s, uint8_t at, struct slice *ret_before) {
    size_t n = slice_find(*s, at);
    if (n == s->len) {
        return false;
    }
    *ret_before = slice_sub(*s, 0, n);
    *s = slice_sub(*s, n + 1, s->len);
    return true;
}

/* base64 into a fixed array; the length must lie in [min, max]. */
static bool decode(struct slice text, uint8_t *out, size_t min, size_t max, size_t *ret_len) {
    SL_CLEANUP(buf_fini) struct buf b = BUF_INIT(SCRAM_TEXT_MAX);
    b.wipe = true;
    if (text.len > SCRAM_TEXT_MAX || sl_failed(base64_get(text, &b, NULL)) || b.len < min ||
        b.len > max) {
        return false;
    }
    memcpy(out, b.ptr, b.len);
    *ret_len = b.len;
    return true;
}

struct sl_rc scram_verifier_parse(struct slice text, struct scram_verifier *ret) {
    struct scram_verifier v = {0};
    struct slice scheme;
    struct slice rounds;
    struct slice salt;
    struct slice stored;
    uint64_t n;
    size_t len;
    if (!cut(&text, '$', &scheme) || !slice_eq_cstr(scheme, "SCRAM-SHA-256") ||
        !cut(&text, ':', &rounds) || !slice_u64(rounds, LIMIT_SCRAM_ROUNDS, &n) || n == 0 ||
        !cut(&text, '$', &salt) || !decode(salt, v.salt, 1, SCRAM_SALT_MAX, &v.salt_len) ||
        !cut(&text, ':', &stored) || !decode(stored, v.stored_key, SHA256_LEN, SHA256_LEN, &len) ||
        !decode(text, v.server_key, SHA256_LEN, SHA256_LEN, &len)) {
        secret_wipe(&v, sizeof v);
        return sl_rc_of(SL_E_PARSE);
    }
    v.rounds = (uint32_t)n;
    *ret = v;
    secret_wipe(&v, sizeof v);
    return SL_OK;
}

struct sl_rc scram_verifier_put(struct slice password, struct buf *out) {
    uint8_t salt[SCRAM_SALT_BYTES];
    uint8_t salted[SHA256_LEN];
    uint8_t key[SHA256_LEN];
    uint8_t stored[SHA256_LEN];
    crypto_random(salt, sizeof salt);
    TRY(pbkdf2_sha256(password, slice_of(salt, sizeof salt), SCRAM_ROUNDS, salted, sizeof salted));
    buf_printf(out, "SCRAM-SHA-256$%d:", SCRAM_ROUNDS);
    base64_put(out, slice_of(salt, sizeof salt));
    buf_puts(out, "$");
    hmac_sha256(slice_of(salted, sizeof salted), SLICE_LIT("Client Key"), key);
    sha256(slice_of(key, sizeof key), stored);
    base64_put(out, slice_of(stored, sizeof stored));
    buf_puts(out, ":");
    hmac_sha256(slice_of(salted, sizeof salted), SLICE_LIT("Server Key"), key);
    base64_put(out, slice_of(key, sizeof key));
    secret_wipe(salted, sizeof salted);
    secret_wipe(key, sizeof key);
    return buf_check(out, NULL);
}

void scram_verifier_fake(struct slice key, struct slice user, struct scram_verifier *ret) {
    uint8_t salt[SHA256_LEN];
    *ret = (struct scram_verifier){.rounds = SCRAM_ROUNDS, .salt_len = SCRAM_SALT_BYTES};
    hmac_sha256(key, user, salt);
    memcpy(ret->salt, salt, SCRAM_SALT_BYTES);
    crypto_random(ret->stored_key, sizeof ret->stored_key);
    crypto_random(ret->server_key, sizeof ret->server_key);
}

/* Takes "<name>=value" up to the next comma or the end. */
static bool attribute(struct slice *s, char name, struct slice *ret) {
    if (s->len < 2 || s->ptr[0] != (uint8_t)name || s->ptr[1] != '=') {
        return false;
    }
    size_t n = slice_find(*s, ',');
    *ret = slice_sub(*s, 2, n);
    *s = slice_sub(*s, n + 1, s->len);
    return true;
}

static bool printable(struct slice s) {
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < 0x21 || s.ptr[i] > 0x7e || s.ptr[i] == ',') {
            return false;
        }
    }
    return s.len > 0;
}

struct sl_rc scram_first(struct scram *s, struct slice client_first, struct slice nonce,
                         struct buf *out, struct sl_error *err) {
    ENSURE(client_first.len >= 3 && client_first.len <= SCRAM_TEXT_MAX, err, SL_E_SQL_PROTOCOL,
           "malformed SCRAM message");
    uint8_t flag = client_first.ptr[0];
    ENSURE(flag != 'p', err, SL_E_SQL_PROTOCOL,
           "client selected channel binding, which was not offered");
    ENSURE((flag == 'n' || flag == 'y') && client_first.ptr[1] == ',', err, SL_E_SQL_PROTOCOL,
           "malformed SCRAM message");
    ENSURE(client_first.ptr[2] == ',', err, SL_E_UNSUPPORTED,
           "client uses authorization identity, but it is not supported");
    memcpy(s->gs2, client_first.ptr, 3);
    struct slice bare = slice_sub(client_first, 3, client_first.len);
    struct slice rest = bare;
    struct slice user;
    struct slice client_nonce;
    ENSURE(!slice_starts(bare, SLICE_LIT("m=")), err, SL_E_UNSUPPORTED,
           "client requires an unsupported SCRAM extension");
    /* The name in here is not used: the startup packet's counts (as in PostgreSQL). */
    ENSURE(attribute(&rest, 'n', &user) && attribute(&rest, 'r', &client_nonce) &&
               printable(client_nonce),
           err, SL_E_SQL_PROTOCOL, "malformed SCRAM message");
    s->bare = BUF_INIT(SCRAM_TEXT_MAX);
    s->first = BUF_INIT(4 * SCRAM_TEXT_MAX);
    buf_put(&s->bare, bare);
    buf_puts(&s->first, "r=");
    buf_put(&s->first, client_nonce);
    buf_put(&s->first, nonce);
    buf_puts(&s->first, ",s=");
    base64_put(&s->first, slice_of(s->verifier.salt, s->verifier.salt_len));
    buf_printf(&s->first, ",i=%u", s->verifier.rounds);
    TRY(buf_check(&s->bare, err));
    TRY(buf_check(&s->first, err));
    buf_put(out, buf_slice(&s->first));
    return buf_check(out, err);
}

/* Does c= repeat the GS2 header? */
static bool binding_fits(const struct scram *s, struct slice c) {
    uint8_t got[8];
    size_t n;
    return decode(c, got, 3, sizeof got, &n) && slice_eq(slice_of(got, n), slice_of(s->gs2, 3));
}

struct sl_rc scram_final(struct scram *s, struct slice client_final, struct buf *out,
                         struct sl_error *err) {
    ENSURE(client_final.len <= 4 * SCRAM_TEXT_MAX, err, SL_E_SQL_PROTOCOL,
           "malformed SCRAM message");
    struct slice rest = client_final;
    struct slice binding;
    struct slice nonce;
    ENSURE(attribute(&rest, 'c', &binding) && attribute(&rest, 'r', &nonce), err, SL_E_SQL_PROTOCOL,
           "malformed SCRAM message");
    ENSURE(binding_fits(s, binding), err, SL_E_SQL_PROTOCOL,
           "unexpected SCRAM channel-binding attribute in client-final-message");
    struct slice own = slice_sub(buf_slice(&s->first), 2, s->first.len);
    ENSURE(slice_eq(nonce, slice_sub(own, 0, slice_find(own, ','))), err, SL_E_SQL_PROTOCOL,
           "invalid SCRAM response: nonce does not match");
    struct slice proof_text;
    /* Extensions may stand between; the proof is last. */
    while (!attribute(&rest, 'p', &proof_text)) {
        struct slice skipped;
        ENSURE(cut(&rest, ',', &skipped), err, SL_E_SQL_PROTOCOL, "malformed SCRAM message");
    }
    ENSURE(rest.len == 0, err, SL_E_SQL_PROTOCOL, "malformed SCRAM message");
    uint8_t proof[SHA256_LEN];
    size_t n;
    ENSURE(decode(proof_text, proof, SHA256_LEN, SHA256_LEN, &n), err, SL_E_SQL_PROTOCOL,
           "malformed SCRAM message");

    size_t without_proof = (size_t)(proof_text.ptr - client_final.ptr) - 3; /* ",p=" */
    SL_CLEANUP(buf_fini) struct buf auth = BUF_INIT(16 * SCRAM_TEXT_MAX);
    buf_put(&auth, buf_slice(&s->bare));
    buf_puts(&auth, ",");
    buf_put(&auth, buf_slice(&s->first));
    buf_puts(&auth, ",");
    buf_put(&auth, slice_sub(client_final, 0, without_proof));
    TRY(buf_check(&auth, err));

    uint8_t mac[SHA256_LEN];
    uint8_t stored[SHA256_LEN];
    hmac_sha256(slice_of(s->verifier.stored_key, SHA256_LEN), buf_slice(&auth), mac);
    for (size_t i = 0; i < SHA256_LEN; i++) {
        proof[i] ^= mac[i];
    }
    sha256(slice_of(proof, sizeof proof), stored);
    secret_wipe(proof, sizeof proof);
    ENSURE(
        secret_equal(slice_of(stored, sizeof stored), slice_of(s->verifier.stored_key, SHA256_LEN)),
        err, SL_E_SQL_AUTH, "%s", "");
    hmac_sha256(slice_of(s->verifier.server_key, SHA256_LEN), buf_slice(&auth), mac);
    buf_puts(out, "v=");
    base64_put(out, slice_of(mac, sizeof mac));
    return buf_check(out, err);
}

void scram_fini(struct scram *s) {
    buf_fini(&s->bare);
    buf_fini(&s->first);
    secret_wipe(s, sizeof *s);
}
