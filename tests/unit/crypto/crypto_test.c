#include "lib/crypto/crypto.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>
#include <sys/wait.h>
#include <unistd.h>

static void to_hex(const uint8_t *p, size_t n, char *out) {
    for (size_t i = 0; i < n; i++) {
        snprintf(out + 2 * i, 3, "%02x", p[i]);
    }
}

static void digests(void **state) {
    static const struct {
        enum digest_alg alg;
        const char *text, *hex;
    } cases[] = {
        {DIGEST_SHA256, "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {DIGEST_SHA256, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {DIGEST_SHA1, "abc", "a9993e364706816aba3e25717850c26c9cd0d89d"},
        {DIGEST_MD5, "abc", "900150983cd24fb0d6963f7d28e17f72"},
        {DIGEST_MD5, "", "d41d8cd98f00b204e9800998ecf8427e"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct digest *d = NULL;
        assert_int_equal(digest_new(cases[i].alg, &d).code, SL_CODE_OK);
        for (int round = 0; round < 2; round++) { /* the second shows that the end resets */
            uint8_t out[64];
            char hex[129];
            for (const char *p = cases[i].text; *p != '\0'; p++) {
                digest_more(d, slice_of(p, 1));
            }
            to_hex(out, digest_end(d, out), hex);
            assert_string_equal(hex, cases[i].hex);
        }
        digest_free(d);
    }
    uint8_t out[SHA256_LEN];
    char hex[65];
    sha256(SLICE_LIT("abc"), out);
    to_hex(out, sizeof out, hex);
    assert_string_equal(hex, cases[1].hex);
}

static void kdf_composes_fixed_input(void **state) {
    uint8_t a[48];
    uint8_t b[48];
    uint8_t c[48];
    struct slice key = SLICE_LIT("0123456789abcdef0123456789abcdef");
    assert_int_equal(kdf_counter_sha256(key, SLICE_LIT("label"), SLICE_LIT("ctx"), a, 48).code, 0);
    struct slice fixed = SLICE_LIT("label\0ctx\0\0\x01\x80"); /* 48 bytes are 0x180 bits */
    assert_int_equal(kdf_counter_fixed_sha256(key, fixed, b, 48).code, 0);
    assert_memory_equal(a, b, 48);
    /* The separator keeps label and context apart, and the length is bound. */
    assert_int_equal(kdf_counter_sha256(key, SLICE_LIT("labelc"), SLICE_LIT("tx"), c, 48).code, 0);
    assert_memory_not_equal(a, c, 48);
    assert_int_equal(kdf_counter_sha256(key, SLICE_LIT("label"), SLICE_LIT("ctx"), c, 32).code, 0);
    assert_memory_not_equal(a, c, 32);
}

static void pbkdf2(void **state) {
    uint8_t out[32]; /* RFC 7914, section 11 */
    char hex[65];
    assert_int_equal(pbkdf2_sha256(SLICE_LIT("passwd"), SLICE_LIT("salt"), 1, out, sizeof out).code,
                     0);
    to_hex(out, sizeof out, hex);
    assert_string_equal(hex, "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc");
    assert_int_equal(pbkdf2_sha256(SLICE_LIT("p"), SLICE_LIT("s"), 0, out, 32).code, SL_E_LIMIT);
}

static void aead_refuses(void **state) {
    struct aead *a = NULL;
    assert_int_not_equal(aead_new(SLICE_LIT("short"), &a).code, SL_CODE_OK);
    assert_int_equal(aead_new(SLICE_LIT("0123456789abcdef0123456789abcdef"), &a).code, 0);
    const uint8_t nonce[GCM_NONCE_LEN] = {1};
    uint8_t sealed[5 + GCM_TAG_LEN];
    uint8_t out[5];
    assert_int_equal(aead_seal(a, nonce, SLICE_LIT("aad"), SLICE_LIT("hello"), sealed).code, 0);
    assert_int_equal(aead_open(a, nonce, SLICE_LIT("aad"), slice_of(sealed, 21), out).code, 0);
    assert_memory_equal(out, "hello", 5);
    for (size_t i = 0; i < sizeof sealed; i++) {
        sealed[i] ^= 1;
        assert_int_equal(aead_open(a, nonce, SLICE_LIT("aad"), slice_of(sealed, 21), out).code,
                         SL_E_CORRUPT);
        assert_memory_equal(out, "\0\0\0\0\0", 5);
        sealed[i] ^= 1;
    }
    const uint8_t other[GCM_NONCE_LEN] = {2};
    assert_int_equal(aead_open(a, other, SLICE_LIT("aad"), slice_of(sealed, 21), out).code,
                     SL_E_CORRUPT);
    assert_int_equal(aead_open(a, nonce, SLICE_LIT("aaa"), slice_of(sealed, 21), out).code,
                     SL_E_CORRUPT);
    assert_int_equal(aead_open(a, nonce, SLICE_LIT("aad"), slice_of(sealed, 15), out).code,
                     SL_E_CORRUPT);
    /* In place. */
    assert_int_equal(
        aead_open(a, nonce, SLICE_LIT("aad"), slice_of(sealed, sizeof sealed), sealed).code, 0);
    assert_memory_equal(sealed, "hello", 5);
    aead_free(a);
    aead_free(NULL);
}

static void ed25519(void **state) {
    static const uint8_t seed[32] = {/* RFC 8032, 7.1, test 1 */
                                     0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60,
                                     0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4,
                                     0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19,
                                     0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60};
    uint8_t sig[ED25519_SIGNATURE_LEN];
    uint8_t key[ED25519_PUBLIC_LEN];
    char hex[65];
    struct slice k = slice_of(key, sizeof key);
    struct slice s = slice_of(sig, sizeof sig);
    assert_int_equal(ed25519_sign(slice_of(seed, 32), SLICE_EMPTY, sig, key).code, 0);
    to_hex(key, 32, hex);
    assert_string_equal(hex, "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
    to_hex(sig, 32, hex);
    assert_string_equal(hex, "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155");
    assert_true(ed25519_verify(k, SLICE_EMPTY, s));
    assert_false(ed25519_verify(k, SLICE_LIT("x"), s));
    sig[0] ^= 1;
    assert_false(ed25519_verify(k, SLICE_EMPTY, s));
    assert_false(ed25519_verify(slice_sub(k, 0, 31), SLICE_EMPTY, s));
}

static void random_forms(void **state) {
    char a[37];
    char b[37];
    crypto_uuid(a);
    crypto_uuid(b);
    assert_string_not_equal(a, b);
    assert_int_equal(strlen(a), 36);
    assert_int_equal(a[14], '4');
    assert_non_null(strchr("89ab", a[19]));
    static const int dashes[] = {8, 13, 18, 23};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(a[dashes[i]], '-');
    }
    char hex[302];
    memset(hex, 'x', sizeof hex);
    crypto_random_hex(hex, 301);
    assert_int_equal(strspn(hex, "0123456789abcdef"), 301);
    assert_int_equal(hex[301], '\0');
}

/* A child and its parent, who have the same memory, make other ids. */
static void forked_ids(void **state) {
    char first[37], mine[37], its[37] = "";
    int pipe_fds[2];
    crypto_uuid(first);
    assert_int_equal(pipe(pipe_fds), 0);
    pid_t child = fork();
    if (child == 0) {
        crypto_uuid(its);
        _exit(write(pipe_fds[1], its, 36) == 36 ? 0 : 1);
    }
    crypto_uuid(mine);
    assert_int_equal(read(pipe_fds[0], its, 36), 36);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_string_not_equal(mine, its);
    assert_string_not_equal(first, its);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
}

static void *hash_many(void *user) {
    uint8_t *last = user;
    for (int i = 0; i < 2000; i++) {
        hmac_sha256(SLICE_LIT("key"), SLICE_LIT("message"), last);
    }
    return NULL;
}

static void threads_agree(void **state) {
    uint8_t out[4][SHA256_LEN];
    pthread_t t[4];
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&t[i], NULL, hash_many, out[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(t[i], NULL);
        assert_memory_equal(out[0], out[i], SHA256_LEN);
    }
    uint8_t empty_key[SHA256_LEN];
    hmac_sha256(SLICE_EMPTY, SLICE_EMPTY, empty_key);
    char hex[65];
    to_hex(empty_key, 32, hex);
    assert_string_equal(hex, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests),    cmocka_unit_test(kdf_composes_fixed_input),
        cmocka_unit_test(pbkdf2),     cmocka_unit_test(aead_refuses),
        cmocka_unit_test(ed25519),    cmocka_unit_test(random_forms),
        cmocka_unit_test(forked_ids), cmocka_unit_test(threads_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
