/* Published vectors: AES-256-GCM (NIST CAVP), HMAC-SHA256 (RFC 4231), HKDF-SHA256 (RFC 5869),
 * SP 800-108 counter mode (NIST CAVP), SHA-256 and SHA-1 (NIST CAVP), MD5 (RFC 1321), AES key wrap
 * with padding (NIST CAVP), RSA-OAEP (PKCS #1, and derived from it), Ed25519 (its authors').
 * PBKDF2-SHA256 has two, in crypto_test.c. argv: the folder of the vectors. */
#include "lib/crypto/keywrap.h"
#include "lib/crypto/rsa.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const char *folder;

enum { FIELDS_MAX = 16, VALUE_MAX = 52 * 1024 };

/* The fields of the vector being read; a later field of the same name replaces the earlier. */
struct vector {
    size_t count;
    struct {
        char name[32];
        char text[2 * VALUE_MAX];
        uint8_t bytes[VALUE_MAX];
        size_t len;
    } fields[FIELDS_MAX];
};

static int digit(char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static void set(struct vector *v, const char *name, const char *text) {
    size_t i = 0;
    while (i < v->count && strcmp(v->fields[i].name, name) != 0) {
        i++;
    }
    assert_true(i < FIELDS_MAX && strlen(name) < sizeof v->fields[i].name);
    v->count = i == v->count ? i + 1 : v->count;
    snprintf(v->fields[i].name, sizeof v->fields[i].name, "%s", name);
    snprintf(v->fields[i].text, sizeof v->fields[i].text, "%s", text);
    v->fields[i].len = 0;
    for (const char *p = text; digit(p[0]) >= 0 && digit(p[1]) >= 0; p += 2) {
        v->fields[i].bytes[v->fields[i].len++] = (uint8_t)(digit(p[0]) << 4 | digit(p[1]));
    }
}

static const char *text(const struct vector *v, const char *name) {
    for (size_t i = 0; i < v->count; i++) {
        if (strcmp(v->fields[i].name, name) == 0) {
            return v->fields[i].text;
        }
    }
    return "";
}

static struct slice bytes(const struct vector *v, const char *name) {
    for (size_t i = 0; i < v->count; i++) {
        if (strcmp(v->fields[i].name, name) == 0) {
            return slice_of(v->fields[i].bytes, v->fields[i].len);
        }
    }
    fail_msg("no field %s", name);
    return SLICE_EMPTY;
}

/* Calls `check` after each field `last`, which ends a vector; a line "FAIL" is the field FAIL. */
static void each(const char *file, const char *last, const char *other_last,
                 void (*check)(const struct vector *, size_t *), size_t least) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, file);
    FILE *f = fopen(path, "r");
    if (f == NULL) {
        fail_msg("%s: no test vectors; install Debian's python3-cryptography-vectors and "
                 "configure the build again",
                 path);
        return;
    }
    struct vector *v = calloc(1, sizeof *v);
    assert_non_null(v);
    static char line[2 * VALUE_MAX + 64];
    size_t checked = 0;
    while (fgets(line, sizeof line, f) != NULL) {
        char *start = line + strspn(line, " \t[");
        start[strcspn(start, "]\r\n")] = '\0';
        char *eq = strchr(start, '=');
        if (start[0] == '#' || (eq == NULL && strcmp(start, "FAIL") != 0)) {
            continue;
        }
        char *value = eq != NULL ? eq + 1 + strspn(eq + 1, " ") : start;
        if (eq != NULL) {
            while (eq > start && eq[-1] == ' ') {
                eq--;
            }
            *eq = '\0';
        }
        set(v, start, value);
        if (strcmp(start, last) == 0 || (other_last != NULL && strcmp(start, other_last) == 0)) {
            check(v, &checked);
            if (other_last != NULL) {
                set(v, other_last, "");
            }
        }
    }
    fclose(f);
    free(v);
    if (checked < least) {
        fail_msg("%s: only %zu vectors", file, checked);
    }
}

static void is(struct slice want, const uint8_t *got, size_t len) {
    assert_int_equal(want.len, len);
    assert_memory_equal(want.ptr, got, len);
}

static void check_hmac(const struct vector *v, size_t *checked) {
    uint8_t mac[SHA256_LEN];
    hmac_sha256(bytes(v, "Key"), bytes(v, "Msg"), mac);
    struct slice want = bytes(v, "MD");
    assert_true(want.len >= 16); /* one case is cut to 128 bits */
    is(want, mac, want.len);
    ++*checked;
}

static void hmac_vectors(void **state) {
    each("HMAC/rfc-4231-sha256.txt", "MD", NULL, check_hmac, 6);
}

static void check_hkdf(const struct vector *v, size_t *checked) {
    uint8_t out[1200];
    size_t len = (size_t)atoi(text(v, "L"));
    assert_true(len <= sizeof out);
    assert_int_equal(
        hkdf_sha256(bytes(v, "IKM"), bytes(v, "salt"), bytes(v, "info"), out, len).code,
        SL_CODE_OK);
    is(bytes(v, "OKM"), out, len);
    ++*checked;
}

static void hkdf_vectors(void **state) {
    each("KDF/rfc-5869-HKDF-SHA256.txt", "OKM", NULL, check_hkdf, 3);
    each("KDF/hkdf-generated.txt", "OKM", NULL, check_hkdf, 1);
}

static void check_kdf(const struct vector *v, size_t *checked) {
    if (strcmp(text(v, "PRF"), "HMAC_SHA256") != 0 || strcmp(text(v, "RLEN"), "32_BITS") != 0 ||
        strcmp(text(v, "CTRLOCATION"), "BEFORE_FIXED") != 0) {
        return;
    }
    uint8_t out[256];
    size_t len = (size_t)atoi(text(v, "L")) / 8;
    assert_true(len <= sizeof out);
    assert_int_equal(
        kdf_counter_fixed_sha256(bytes(v, "KI"), bytes(v, "FixedInputData"), out, len).code,
        SL_CODE_OK);
    is(bytes(v, "KO"), out, len);
    ++*checked;
}

static void kdf_vectors(void **state) {
    each("KDF/nist-800-108-KBKDF-CTR.txt", "KO", NULL, check_kdf, 40);
}

static bool gcm_supported(const struct vector *v) {
    return strcmp(text(v, "IVlen"), "96") == 0 && strcmp(text(v, "Taglen"), "128") == 0;
}

static void check_gcm(const struct vector *v, size_t *checked, bool sealing) {
    if (!gcm_supported(v)) {
        return;
    }
    bool refused = !sealing && strcmp(text(v, "FAIL"), "FAIL") == 0;
    struct slice ct = bytes(v, "CT");
    struct slice tag = bytes(v, "Tag");
    uint8_t sealed[VALUE_MAX];
    uint8_t out[VALUE_MAX];
    memcpy(sealed, ct.ptr, ct.len);
    memcpy(sealed + ct.len, tag.ptr, tag.len);
    struct aead *a = NULL;
    assert_int_equal(aead_new(bytes(v, "Key"), &a).code, SL_CODE_OK);
    memset(out, 0xaa, sizeof out);
    struct sl_rc rc =
        aead_open(a, bytes(v, "IV").ptr, bytes(v, "AAD"), slice_of(sealed, ct.len + tag.len), out);
    assert_int_equal(rc.code, refused ? SL_E_CORRUPT : SL_CODE_OK);
    if (refused) {
        for (size_t i = 0; i < ct.len; i++) {
            assert_int_equal(out[i], 0);
        }
    } else {
        struct slice pt = bytes(v, "PT");
        is(pt, out, ct.len);
        assert_int_equal(aead_seal(a, bytes(v, "IV").ptr, bytes(v, "AAD"), pt, out).code,
                         SL_CODE_OK);
        is(slice_of(sealed, ct.len + tag.len), out, pt.len + GCM_TAG_LEN);
    }
    aead_free(a);
    ++*checked;
}

static void check_gcm_seal(const struct vector *v, size_t *checked) {
    check_gcm(v, checked, true);
}

static void check_gcm_open(const struct vector *v, size_t *checked) {
    check_gcm(v, checked, false);
}

static void gcm_vectors(void **state) {
    each("ciphers/AES/GCM/gcmEncryptExtIV256.rsp", "Tag", NULL, check_gcm_seal, 370);
    each("ciphers/AES/GCM/gcmDecrypt256.rsp", "PT", "FAIL", check_gcm_open, 370);
}

/* ---- digests ---- */

static void check_digest(const struct vector *v, size_t *checked, enum digest_alg alg) {
    struct slice message = slice_sub(bytes(v, "Msg"), 0, (size_t)atoi(text(v, "Len")) / 8);
    struct digest *d = NULL;
    uint8_t out[64];
    assert_int_equal(digest_new(alg, &d).code, SL_CODE_OK);
    size_t half = message.len / 2;
    digest_more(d, slice_sub(message, 0, half));
    digest_more(d, slice_sub(message, half, message.len));
    is(bytes(v, "MD"), out, digest_end(d, out));
    digest_free(d);
    if (alg == DIGEST_SHA256) {
        sha256(message, out);
        is(bytes(v, "MD"), out, SHA256_LEN);
    }
    ++*checked;
}

static void check_sha256(const struct vector *v, size_t *checked) {
    check_digest(v, checked, DIGEST_SHA256);
}

static void check_sha1(const struct vector *v, size_t *checked) {
    check_digest(v, checked, DIGEST_SHA1);
}

static void check_md5(const struct vector *v, size_t *checked) {
    check_digest(v, checked, DIGEST_MD5);
}

static void digest_vectors(void **state) {
    each("hashes/SHA2/SHA256ShortMsg.rsp", "MD", NULL, check_sha256, 65);
    each("hashes/SHA2/SHA256LongMsg.rsp", "MD", NULL, check_sha256, 64);
    each("hashes/SHA1/SHA1ShortMsg.rsp", "MD", NULL, check_sha1, 65);
    each("hashes/SHA1/SHA1LongMsg.rsp", "MD", NULL, check_sha1, 64);
    each("hashes/MD5/rfc-1321.txt", "MD", NULL, check_md5, 7);
}

/* ---- AES key wrap with padding ---- */

static void check_keywrap(const struct vector *v, size_t *checked) {
    bool refused = strcmp(text(v, "FAIL"), "FAIL") == 0;
    struct secret plain = {0};
    struct sl_rc rc = keywrap_open(bytes(v, "K"), bytes(v, "C"), &plain);
    assert_int_equal(rc.code, refused ? SL_E_CORRUPT : SL_CODE_OK);
    if (!refused) {
        is(bytes(v, "P"), plain.ptr, plain.len);
    }
    secret_fini(&plain);
    ++*checked;
}

static void keywrap_vectors(void **state) {
    each("keywrap/kwtestvectors/KWP_AD_256.txt", "P", "FAIL", check_keywrap, 500);
}

/* ---- Ed25519: seed and public key : public key : message : signature and message ---- */

static void ed25519_vectors(void **state) {
    char path[4096];
    snprintf(path, sizeof path, "%s/asymmetric/Ed25519/sign.input", folder);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    static char line[16 * 1024];
    struct vector *v = calloc(1, sizeof *v);
    assert_non_null(v);
    size_t checked = 0;
    while (fgets(line, sizeof line, f) != NULL) {
        static const char *const names[] = {"seed", "public", "message", "signature"};
        char *rest = line;
        for (int i = 0; i < 4; i++) {
            char *word = strsep(&rest, ":\n");
            assert_non_null(word);
            set(v, names[i], word);
        }
        uint8_t signature[ED25519_SIGNATURE_LEN], public_key[ED25519_PUBLIC_LEN];
        struct slice want = slice_sub(bytes(v, "signature"), 0, ED25519_SIGNATURE_LEN);
        struct slice seed = slice_sub(bytes(v, "seed"), 0, 32);
        assert_int_equal(ed25519_sign(seed, bytes(v, "message"), signature, public_key).code, 0);
        is(want, signature, sizeof signature);
        is(bytes(v, "public"), public_key, sizeof public_key);
        assert_true(ed25519_verify(bytes(v, "public"), bytes(v, "message"), want));
        signature[checked % sizeof signature] ^= 1;
        assert_false(ed25519_verify(bytes(v, "public"), bytes(v, "message"),
                                    slice_of(signature, sizeof signature)));
        checked++;
    }
    fclose(f);
    free(v);
    assert_true(checked >= 1024);
}

/* ---- RSA-OAEP: titles "# Name:", then hex, in one line or many ---- */

static void der_integer(struct buf *out, struct slice n) {
    while (n.len > 1 && n.ptr[0] == 0) {
        n = slice_sub(n, 1, n.len);
    }
    bool pad = n.ptr[0] >= 0x80;
    buf_u8(out, 2);
    buf_u8(out, 0x82);
    buf_u16(out, (uint16_t)(n.len + pad));
    if (pad) {
        buf_u8(out, 0);
    }
    buf_put(out, n);
}

/* RSAPrivateKey (PKCS #1). Lengths are longer than DER's, which OpenSSL takes. */
static void private_key(const struct vector *v, struct buf *out) {
    static const char *const names[] = {"Modulus",          "Public exponent", "Exponent",
                                        "Prime 1",          "Prime 2",         "Prime exponent 1",
                                        "Prime exponent 2", "Coefficient"};
    struct buf numbers SL_CLEANUP(buf_fini) = BUF_INIT(8192);
    der_integer(&numbers, slice_of("", 1));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        der_integer(&numbers, bytes(v, names[i]));
    }
    buf_u8(out, 0x30);
    buf_u8(out, 0x82);
    buf_vec16(out, buf_slice(&numbers));
    assert_int_equal(buf_check(out, NULL).code, 0);
}

static void check_oaep(const struct vector *v, enum digest_alg alg) {
    struct buf key SL_CLEANUP(buf_fini) = BUF_INIT(8192);
    struct secret plain = {0};
    size_t used = 0;
    private_key(v, &key);
    struct slice cipher = bytes(v, "Encryption");
    assert_int_equal(rsa_oaep_open(buf_slice(&key), alg, cipher, &plain, &used).code, SL_CODE_OK);
    assert_int_equal(used, cipher.len);
    is(bytes(v, "Message"), plain.ptr, plain.len);
    secret_fini(&plain);
    uint8_t bad[1024];
    memcpy(bad, cipher.ptr, cipher.len);
    bad[cipher.len / 2] ^= 1;
    assert_int_equal(
        rsa_oaep_open(buf_slice(&key), alg, slice_of(bad, cipher.len), &plain, &used).code,
        SL_E_CORRUPT);
    enum digest_alg other = alg == DIGEST_SHA1 ? DIGEST_SHA256 : DIGEST_SHA1;
    assert_int_equal(rsa_oaep_open(buf_slice(&key), other, cipher, &plain, &used).code,
                     SL_E_CORRUPT);
}

/* The field that a title names is complete. */
static void oaep_field(struct vector *v, const char *name, const char *hex, enum digest_alg alg,
                       size_t *checked) {
    if (name[0] == '\0' || hex[0] == '\0') {
        return;
    }
    char even[2 * VALUE_MAX / 16];
    snprintf(even, sizeof even, "%s%s", strlen(hex) % 2 == 1 ? "0" : "", hex);
    set(v, name, even);
    if (strcmp(name, "Encryption") == 0) {
        check_oaep(v, alg);
        ++*checked;
    }
}

static void oaep_file(const char *file, enum digest_alg alg, size_t least) {
    char path[4096], line[4096], name[32] = "", hex[4096] = "";
    snprintf(path, sizeof path, "%s/asymmetric/RSA/%s", folder, file);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    struct vector *v = calloc(1, sizeof *v);
    assert_non_null(v);
    size_t checked = 0, n = 0;
    while (fgets(line, sizeof line, f) != NULL) {
        if (line[0] != '#') {
            for (const char *p = line; digit(*p) >= 0 || *p == ' '; p++) {
                if (*p != ' ' && n + 1 < sizeof hex) {
                    hex[n++] = *p;
                    hex[n] = '\0';
                }
            }
            continue;
        }
        oaep_field(v, name, hex, alg, &checked);
        n = 0;
        hex[0] = '\0';
        char *colon = strchr(line, ':');
        snprintf(name, sizeof name, "%.*s", colon ? (int)(colon - line) - 2 : 0, line + 2);
    }
    oaep_field(v, name, hex, alg, &checked);
    fclose(f);
    free(v);
    if (checked < least) {
        fail_msg("%s: only %zu vectors", file, checked);
    }
}

static void oaep_vectors(void **state) {
    oaep_file("pkcs-1v2-1d2-vec/oaep-vect.txt", DIGEST_SHA1, 60);
    oaep_file("oaep-custom/oaep-sha256-sha256.txt", DIGEST_SHA256, 12);
}

int main(int argc, char **argv) {
    folder = argc > 1 ? argv[1] : "";
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hmac_vectors),    cmocka_unit_test(hkdf_vectors),
        cmocka_unit_test(kdf_vectors),     cmocka_unit_test(gcm_vectors),
        cmocka_unit_test(digest_vectors),  cmocka_unit_test(keywrap_vectors),
        cmocka_unit_test(ed25519_vectors), cmocka_unit_test(oaep_vectors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
