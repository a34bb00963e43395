/* Derivations, AEAD and signatures on OpenSSL's EVP layer; see crypto.h. The cipher is fetched
 * once, because OpenSSL 3.0 looks names up under a lock at every use. */
#include "lib/crypto/crypto.h"
#include "lib/crypto/digest_in.h"

#include <limits.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdatomic.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static EVP_CIPHER *gcm;

static void fetch(void) {
    gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    sl_assert(gcm != NULL);
}

static void ready(void) {
    sl_assert(pthread_once(&once, fetch) == 0);
}

static const uint8_t *bytes(struct slice s) {
    return s.ptr != NULL ? s.ptr : (const uint8_t *)"";
}

void crypto_random(void *out, size_t n) {
    uint8_t *p = out;
    while (n > 0) {
        int now = n > INT_MAX ? INT_MAX : (int)n;
        sl_assert(RAND_bytes(p, now) == 1);
        p += now;
        n -= (size_t)now;
    }
}

static void put_hex(char *out, const uint8_t *p, size_t hex_chars) {
    for (size_t i = 0; i < hex_chars; i++) {
        out[i] = "0123456789abcdef"[i % 2 == 0 ? p[i / 2] >> 4 : p[i / 2] & 15];
    }
}

void crypto_random_hex(char *out, size_t hex_chars) {
    for (size_t done = 0; done < hex_chars;) {
        uint8_t raw[64];
        size_t now = hex_chars - done < 2 * sizeof raw ? hex_chars - done : 2 * sizeof raw;
        crypto_random(raw, sizeof raw);
        put_hex(out + done, raw, now);
        done += now;
    }
    out[hex_chars] = '\0';
}

/* Random bytes for ids, fetched for many at once; no two processes go on with the same. */
struct id_pool {
    uint8_t bytes[256];
    size_t left;
    unsigned forks;
};

static atomic_uint forks;
static pthread_once_t counting = PTHREAD_ONCE_INIT;

static void fork_child(void) {
    atomic_fetch_add(&forks, 1);
}

static void count_forks(void) {
    sl_assert(pthread_atfork(NULL, NULL, fork_child) == 0);
}

static void random_for_id(uint8_t out[16]) {
    static _Thread_local struct id_pool pool;
    sl_assert(pthread_once(&counting, count_forks) == 0);
    unsigned now = atomic_load(&forks);
    if (pool.left == 0 || pool.forks != now) {
        crypto_random(pool.bytes, sizeof pool.bytes);
        pool.left = sizeof pool.bytes;
        pool.forks = now;
    }
    pool.left -= 16;
    memcpy(out, pool.bytes + pool.left, 16);
}

void crypto_uuid(char out[37]) {
    uint8_t raw[16];
    random_for_id(raw);
    raw[6] = (uint8_t)((raw[6] & 0x0f) | 0x40);
    raw[8] = (uint8_t)((raw[8] & 0x3f) | 0x80);
    static const struct {
        uint8_t at, from, len;
    } runs[] = {{0, 0, 8}, {9, 4, 4}, {14, 6, 4}, {19, 8, 4}, {24, 10, 12}};
    memset(out, '-', 36);
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++) {
        put_hex(out + runs[i].at, raw + runs[i].from, runs[i].len);
    }
    out[36] = '\0';
}

struct sl_rc hkdf_sha256(struct slice key, struct slice salt, struct slice info, uint8_t *out,
                         size_t out_len) {
    ENSURE(out_len <= 255 * SHA256_LEN, NULL, SL_E_LIMIT, "HKDF output too long");
    static const uint8_t zeros[SHA256_LEN];
    uint8_t prk[SHA256_LEN];
    uint8_t t[SHA256_LEN];
    hmac_sha256(salt.len ? salt : slice_of(zeros, sizeof zeros), key, prk);
    size_t t_len = 0;
    for (uint8_t i = 1; out_len > 0; i++) {
        struct slice runs[] = {slice_of(t, t_len), info, slice_of(&i, 1)};
        hmac_runs(slice_of(prk, sizeof prk), runs, 3, t);
        t_len = SHA256_LEN;
        size_t now = out_len < SHA256_LEN ? out_len : SHA256_LEN;
        memcpy(out, t, now);
        out += now;
        out_len -= now;
    }
    secret_wipe(prk, sizeof prk);
    secret_wipe(t, sizeof t);
    return SL_OK;
}

static void put_u32(uint8_t out[4], uint32_t v) {
    for (int i = 0; i < 4; i++) {
        out[i] = (uint8_t)(v >> (24 - 8 * i));
    }
}

/* `runs[0]` is overwritten with the counter. */
static void counter_mode(struct slice key, struct slice *runs, size_t count, uint8_t *out,
                         size_t out_len) {
    uint8_t counter[4];
    uint8_t block[SHA256_LEN];
    runs[0] = slice_of(counter, sizeof counter);
    for (uint32_t i = 1; out_len > 0; i++) {
        put_u32(counter, i);
        hmac_runs(key, runs, count, block);
        size_t now = out_len < SHA256_LEN ? out_len : SHA256_LEN;
        memcpy(out, block, now);
        out += now;
        out_len -= now;
    }
    secret_wipe(block, sizeof block);
}

struct sl_rc kdf_counter_sha256(struct slice key, struct slice label, struct slice context,
                                uint8_t *out, size_t out_len) {
    ENSURE(out_len <= UINT32_MAX / 8, NULL, SL_E_LIMIT, "KDF output too long");
    uint8_t bits[4];
    put_u32(bits, (uint32_t)(out_len * 8));
    static const uint8_t zero = 0;
    struct slice runs[] = {SLICE_EMPTY, label, slice_of(&zero, 1), context,
                           slice_of(bits, sizeof bits)};
    counter_mode(key, runs, sizeof runs / sizeof runs[0], out, out_len);
    return SL_OK;
}

struct sl_rc kdf_counter_fixed_sha256(struct slice key, struct slice fixed, uint8_t *out,
                                      size_t out_len) {
    ENSURE(out_len <= UINT32_MAX / 8, NULL, SL_E_LIMIT, "KDF output too long");
    struct slice runs[] = {SLICE_EMPTY, fixed};
    counter_mode(key, runs, 2, out, out_len);
    return SL_OK;
}

struct sl_rc pbkdf2_sha256(struct slice password, struct slice salt, uint32_t rounds, uint8_t *out,
                           size_t out_len) {
    ready();
    ENSURE(password.len <= INT_MAX && salt.len <= INT_MAX && rounds > 0 && rounds <= INT_MAX &&
               out_len <= INT_MAX,
           NULL, SL_E_LIMIT, "PBKDF2 input too long");
    int ok = PKCS5_PBKDF2_HMAC((const char *)bytes(password), (int)password.len, bytes(salt),
                               (int)salt.len, (int)rounds, EVP_sha256(), (int)out_len, out);
    ENSURE(ok == 1, NULL, SL_E_INTERNAL, "PBKDF2 failed");
    return SL_OK;
}

struct sl_rc scrypt(struct slice password, struct slice salt, unsigned log_n, uint32_t r,
                    uint32_t p, uint64_t max_bytes, uint8_t *out, size_t out_len) {
    ENSURE(log_n >= 1 && log_n < 32 && r >= 1 && p >= 1 && r < 1024 && p < 1024, NULL, SL_E_LIMIT,
           "scrypt parameters out of range");
    uint64_t needed = 128 * (uint64_t)r * ((1ULL << log_n) + p + 2);
    ENSURE(needed <= max_bytes, NULL, SL_E_LIMIT, "scrypt needs too much memory");
    int ok = EVP_PBE_scrypt((const char *)bytes(password), password.len, bytes(salt), salt.len,
                            1ULL << log_n, r, p, needed, out, out_len);
    ENSURE(ok == 1, NULL, SL_E_NOMEM, "scrypt failed");
    return SL_OK;
}

/* ---- AES-256-GCM ---- */

struct aead {
    EVP_CIPHER_CTX *seal;
    EVP_CIPHER_CTX *open; /* made at the first opening: most handles do one of the two */
    struct secret key;
};

enum { AEAD_MAX_BYTES = 1 << 30 };

static EVP_CIPHER_CTX *keyed(const struct aead *a, int encrypting) {
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    if (c != NULL && EVP_CipherInit_ex2(c, gcm, a->key.ptr, NULL, encrypting, NULL) != 1) {
        EVP_CIPHER_CTX_free(c);
        c = NULL;
    }
    return c;
}

struct sl_rc aead_new(struct slice key32, struct aead **ret) {
    ready();
    ENSURE(key32.len == AES256_KEY_LEN, NULL, SL_E_INTERNAL, "AES-256 key of wrong length");
    struct aead *a = calloc(1, sizeof *a);
    ENSURE(a != NULL, NULL, SL_E_NOMEM, "aead");
    struct sl_rc rc = secret_from(&a->key, key32);
    if (sl_failed(rc)) {
        aead_free(a);
        return rc;
    }
    *ret = a;
    return SL_OK;
}

void aead_free(struct aead *a) {
    if (a != NULL) {
        EVP_CIPHER_CTX_free(a->seal); /* cleanses the key schedule */
        EVP_CIPHER_CTX_free(a->open);
        secret_fini(&a->key);
        free(a);
    }
}

static bool feed(EVP_CIPHER_CTX *c, const uint8_t *nonce, struct slice aad, struct slice in,
                 uint8_t *out, int encrypting) {
    int n = 0;
    return EVP_CipherInit_ex2(c, NULL, NULL, nonce, encrypting, NULL) == 1 &&
           (aad.len == 0 || EVP_CipherUpdate(c, NULL, &n, aad.ptr, (int)aad.len) == 1) &&
           (in.len == 0 || EVP_CipherUpdate(c, out, &n, in.ptr, (int)in.len) == 1);
}

struct sl_rc aead_seal_apart(struct aead *a, const uint8_t nonce[GCM_NONCE_LEN], struct slice aad,
                             struct slice plain, uint8_t *out, uint8_t ret_tag[GCM_TAG_LEN]) {
    ENSURE(plain.len <= AEAD_MAX_BYTES && aad.len <= AEAD_MAX_BYTES, NULL, SL_E_LIMIT,
           "too long to seal at once");
    if (a->seal == NULL) {
        a->seal = keyed(a, 1);
        ENSURE(a->seal != NULL, NULL, SL_E_NOMEM, "aead");
    }
    uint8_t none[16];
    int n = 0;
    bool ok = feed(a->seal, nonce, aad, plain, out, 1) &&
              EVP_CipherFinal_ex(a->seal, none, &n) == 1 &&
              EVP_CIPHER_CTX_ctrl(a->seal, EVP_CTRL_AEAD_GET_TAG, GCM_TAG_LEN, ret_tag) == 1;
    ENSURE(ok, NULL, SL_E_INTERNAL, "sealing failed");
    return SL_OK;
}

struct sl_rc aead_open_apart(struct aead *a, const uint8_t nonce[GCM_NONCE_LEN], struct slice aad,
                             struct slice cipher, const uint8_t tag[GCM_TAG_LEN], uint8_t *out) {
    ENSURE(cipher.len <= AEAD_MAX_BYTES && aad.len <= AEAD_MAX_BYTES, NULL, SL_E_LIMIT,
           "too long to open at once");
    if (a->open == NULL) {
        a->open = keyed(a, 0);
        ENSURE(a->open != NULL, NULL, SL_E_NOMEM, "aead");
    }
    uint8_t expected[GCM_TAG_LEN]; /* OpenSSL wants it writable; opening may go over the tag */
    memcpy(expected, tag, sizeof expected);
    uint8_t none[16];
    int n = 0;
    bool ok = feed(a->open, nonce, aad, cipher, out, 0) &&
              EVP_CIPHER_CTX_ctrl(a->open, EVP_CTRL_AEAD_SET_TAG, GCM_TAG_LEN, expected) == 1 &&
              EVP_CipherFinal_ex(a->open, none, &n) == 1;
    if (!ok) {
        secret_wipe(out, cipher.len);
        return sl_rc_of(SL_E_CORRUPT);
    }
    return SL_OK;
}

struct sl_rc aead_seal(struct aead *a, const uint8_t nonce[GCM_NONCE_LEN], struct slice aad,
                       struct slice plain, uint8_t *out) {
    return aead_seal_apart(a, nonce, aad, plain, out, out + plain.len);
}

struct sl_rc aead_open(struct aead *a, const uint8_t nonce[GCM_NONCE_LEN], struct slice aad,
                       struct slice cipher, uint8_t *out) {
    ENSURE(cipher.len >= GCM_TAG_LEN, NULL, SL_E_CORRUPT, "too short to open");
    size_t len = cipher.len - GCM_TAG_LEN;
    return aead_open_apart(a, nonce, aad, slice_of(cipher.ptr, len), cipher.ptr + len, out);
}

/* ---- Ed25519 ---- */

struct sl_rc ed25519_sign(struct slice seed32, struct slice message,
                          uint8_t ret_signature[ED25519_SIGNATURE_LEN],
                          uint8_t ret_public[ED25519_PUBLIC_LEN]) {
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed32.ptr, seed32.len);
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    size_t sig_len = ED25519_SIGNATURE_LEN;
    size_t public_len = ED25519_PUBLIC_LEN;
    bool ok = key != NULL && c != NULL && EVP_DigestSignInit(c, NULL, NULL, NULL, key) == 1 &&
              EVP_DigestSign(c, ret_signature, &sig_len, bytes(message), message.len) == 1 &&
              EVP_PKEY_get_raw_public_key(key, ret_public, &public_len) == 1;
    EVP_MD_CTX_free(c);
    EVP_PKEY_free(key);
    ENSURE(ok, NULL, SL_E_INTERNAL, "signing failed");
    return SL_OK;
}

bool ed25519_verify(struct slice public32, struct slice message, struct slice signature) {
    EVP_PKEY *key =
        EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, bytes(public32), public32.len);
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    bool ok =
        key != NULL && c != NULL && EVP_DigestVerifyInit(c, NULL, NULL, NULL, key) == 1 &&
        EVP_DigestVerify(c, bytes(signature), signature.len, bytes(message), message.len) == 1;
    EVP_MD_CTX_free(c);
    EVP_PKEY_free(key);
    return ok;
}
