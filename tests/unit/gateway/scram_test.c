/* SCRAM-SHA-256 against RFC 7677's example, and its refusals; MD5 answers; verifiers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "gateway/wire/password.h"
#include "gateway/wire/scram.h"
#include "lib/base/limits.h"
#include "lib/codec/text.h"

#define CLIENT_FIRST "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
#define SERVER_NONCE "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define SERVER_FIRST                                                                               \
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
#define WITHOUT_PROOF "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define PROOF "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
#define CLIENT_FINAL WITHOUT_PROOF ",p=" PROOF
#define SERVER_FINAL "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="

/* The verifier of "pencil" with the example's salt, made from the RFC's own formulas. */
static struct scram_verifier pencil(void) {
    struct scram_verifier v = {.rounds = 4096, .salt_len = 16};
    struct buf salt = BUF_INIT(64);
    uint8_t salted[SHA256_LEN];
    uint8_t key[SHA256_LEN];
    assert_true(sl_is_ok(base64_get(SLICE_LIT("W22ZaJ0SNY7soEsUEjb6gQ=="), &salt, NULL)));
    memcpy(v.salt, salt.ptr, 16);
    assert_true(sl_is_ok(
        pbkdf2_sha256(SLICE_LIT("pencil"), buf_slice(&salt), 4096, salted, sizeof salted)));
    hmac_sha256(slice_of(salted, 32), SLICE_LIT("Client Key"), key);
    sha256(slice_of(key, 32), v.stored_key);
    hmac_sha256(slice_of(salted, 32), SLICE_LIT("Server Key"), v.server_key);
    buf_fini(&salt);
    return v;
}

static void follows_the_rfc(void **state) {
    struct scram s = {.verifier = pencil()};
    struct buf out = BUF_INIT(1024);
    assert_true(
        sl_is_ok(scram_first(&s, SLICE_LIT(CLIENT_FIRST), SLICE_LIT(SERVER_NONCE), &out, NULL)));
    assert_true(slice_eq(buf_slice(&out), SLICE_LIT(SERVER_FIRST)));
    buf_reset(&out);
    assert_true(sl_is_ok(scram_final(&s, SLICE_LIT(CLIENT_FINAL), &out, NULL)));
    assert_true(slice_eq(buf_slice(&out), SLICE_LIT(SERVER_FINAL)));
    buf_fini(&out);
    scram_fini(&s);
}

static void refuses_first_messages(void **state) {
    static const struct {
        const char *message;
        enum sl_code code;
    } cases[] = {
        {"", SL_E_SQL_PROTOCOL},
        {"n,", SL_E_SQL_PROTOCOL},
        {"x,,n=u,r=abc", SL_E_SQL_PROTOCOL},
        {"p=tls-server-end-point,,n=u,r=abc", SL_E_SQL_PROTOCOL},
        {"n,a=other,n=u,r=abc", SL_E_UNSUPPORTED},
        {"n,,m=ext,n=u,r=abc", SL_E_UNSUPPORTED},
        {"n,,r=abc", SL_E_SQL_PROTOCOL},
        {"n,,n=u", SL_E_SQL_PROTOCOL},
        {"n,,n=u,r=", SL_E_SQL_PROTOCOL},
        {"n,,n=u,r=a\x01", SL_E_SQL_PROTOCOL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct scram s = {.verifier = pencil()};
        struct buf out = BUF_INIT(1024);
        struct sl_rc rc =
            scram_first(&s, slice_cstr(cases[i].message), SLICE_LIT("nonce"), &out, NULL);
        if (rc.code != cases[i].code) {
            fail_msg("%s: %s", cases[i].message, sl_code_info(rc.code)->name);
        }
        buf_fini(&out);
        scram_fini(&s);
    }
}

static void refuses_final_messages(void **state) {
    static const struct {
        const char *message;
        enum sl_code code;
    } cases[] = {
        {"", SL_E_SQL_PROTOCOL},
        {WITHOUT_PROOF, SL_E_SQL_PROTOCOL},
        {WITHOUT_PROOF ",p=", SL_E_SQL_PROTOCOL},
        {WITHOUT_PROOF ",p=AAAA", SL_E_SQL_PROTOCOL},
        {WITHOUT_PROOF ",p=AHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", SL_E_SQL_AUTH},
        {CLIENT_FINAL ",x=1", SL_E_SQL_PROTOCOL},
        /* another binding flag than at first */
        {"c=eSws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=" PROOF, SL_E_SQL_PROTOCOL},
        {"c=biws,r=rOprNGfwEbeRWgbNEkqO,p=" PROOF, SL_E_SQL_PROTOCOL},
        /* an extension is covered by the proof, which so no longer fits */
        {WITHOUT_PROOF ",x=1,p=" PROOF, SL_E_SQL_AUTH},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct scram s = {.verifier = pencil()};
        struct buf out = BUF_INIT(1024);
        assert_true(sl_is_ok(
            scram_first(&s, SLICE_LIT(CLIENT_FIRST), SLICE_LIT(SERVER_NONCE), &out, NULL)));
        buf_reset(&out);
        struct sl_rc rc = scram_final(&s, slice_cstr(cases[i].message), &out, NULL);
        if (rc.code != cases[i].code) {
            fail_msg("%s: %s", cases[i].message, sl_code_info(rc.code)->name);
        }
        assert_int_equal(out.len, 0);
        buf_fini(&out);
        scram_fini(&s);
    }
}

/* A client's proof for a password against the verifier in `text`. */
static struct sl_rc log_in(struct slice text, struct slice password) {
    struct scram s = {0};
    uint8_t salted[SHA256_LEN];
    uint8_t key[SHA256_LEN];
    uint8_t stored[SHA256_LEN];
    uint8_t mac[SHA256_LEN];
    struct buf first = BUF_INIT(1024);
    struct buf auth = BUF_INIT(4096);
    struct buf final = BUF_INIT(1024);
    struct buf out = BUF_INIT(1024);
    assert_true(sl_is_ok(scram_verifier_parse(text, &s.verifier)));
    assert_true(
        sl_is_ok(scram_first(&s, SLICE_LIT("y,,n=,r=abc"), SLICE_LIT("xyz"), &first, NULL)));
    assert_true(sl_is_ok(pbkdf2_sha256(password, slice_of(s.verifier.salt, s.verifier.salt_len),
                                       s.verifier.rounds, salted, sizeof salted)));
    hmac_sha256(slice_of(salted, 32), SLICE_LIT("Client Key"), key);
    sha256(slice_of(key, 32), stored);
    buf_puts(&auth, "n=,r=abc,");
    buf_put(&auth, buf_slice(&first));
    buf_puts(&auth, ",c=eSws,r=abcxyz");
    hmac_sha256(slice_of(stored, 32), buf_slice(&auth), mac);
    for (size_t i = 0; i < 32; i++) {
        key[i] ^= mac[i];
    }
    buf_puts(&final, "c=eSws,r=abcxyz,p=");
    base64_put(&final, slice_of(key, 32));
    struct sl_rc rc = scram_final(&s, buf_slice(&final), &out, NULL);
    buf_fini(&first);
    buf_fini(&auth);
    buf_fini(&final);
    buf_fini(&out);
    scram_fini(&s);
    return rc;
}

static void made_verifiers_open_with_their_password_alone(void **state) {
    struct buf v = BUF_INIT(1024);
    assert_true(sl_is_ok(password_verifier_put(SLICE_LIT("Open-Sesame1"), &v, NULL)));
    assert_true(slice_starts(buf_slice(&v), SLICE_LIT("SCRAM-SHA-256$4096:")));
    assert_true(sl_is_ok(log_in(buf_slice(&v), SLICE_LIT("Open-Sesame1"))));
    assert_int_equal(log_in(buf_slice(&v), SLICE_LIT("Open-Sesame2")).code, SL_E_SQL_AUTH);
    struct buf again = BUF_INIT(1024);
    assert_true(sl_is_ok(password_verifier_put(SLICE_LIT("Open-Sesame1"), &again, NULL)));
    assert_false(slice_eq(buf_slice(&v), buf_slice(&again))); /* a fresh salt */
    buf_reset(&again);
    assert_true(sl_is_ok(password_verifier_put(buf_slice(&v), &again, NULL)));
    assert_true(slice_eq(buf_slice(&v), buf_slice(&again)));
    buf_reset(&v);
    assert_true(sl_is_ok(password_verifier_put(SLICE_LIT("sha256|Open-Sesame1"), &v, NULL)));
    assert_true(sl_is_ok(log_in(buf_slice(&v), SLICE_LIT("Open-Sesame1"))));
    buf_fini(&v);
    buf_fini(&again);
}

static void password_forms(void **state) {
    struct buf v = BUF_INIT(1024);
    struct slice md5 = SLICE_LIT("md5aaf4c61ddcc5e8a2dabede0f3b482cd9");
    assert_int_equal(md5.len, PASSWORD_MD5_LEN);
    assert_true(sl_is_ok(password_verifier_put(md5, &v, NULL)));
    assert_true(slice_eq(buf_slice(&v), md5));
    buf_reset(&v);
    assert_int_equal(password_verifier_put(SLICE_LIT("sha256|00ff|salt"), &v, NULL).code,
                     SL_E_SQL_UNSUPPORTED);
    assert_int_equal(password_verifier_put(SLICE_EMPTY, &v, NULL).code, SL_E_VALIDATION);
    assert_int_equal(v.len, 0);
    /* nearly md5 is a clear password */
    assert_true(sl_is_ok(
        password_verifier_put(SLICE_LIT("md5aaf4c61ddcc5e8a2dabede0f3b482cdg"), &v, NULL)));
    assert_true(slice_starts(buf_slice(&v), SLICE_LIT("SCRAM-SHA-256$")));
    buf_fini(&v);
}

static void md5_answer(void **state) {
    /* md5(md5("secret" "ann") || salt), reckoned with another tool */
    char answer[PASSWORD_MD5_LEN + 1];
    const uint8_t salt[4] = {1, 2, 3, 4};
    assert_true(sl_is_ok(
        password_md5_answer(SLICE_LIT("md59d792a3a8853c2411afb9163d088c036"), salt, answer)));
    assert_string_equal(answer, "md59009ce60b9ca97f1e752376843d1309e");
}

static void refuses_verifiers(void **state) {
    static const char *const bad[] = {
        "",
        "SCRAM-SHA-256",
        "SCRAM-SHA-256$4096:QQ==$QQ==:QQ==",
        "SCRAM-SHA-1$4096:W22ZaJ0SNY7soEsUEjb6gQ==$x:y",
        "SCRAM-SHA-256$0:W22ZaJ0SNY7soEsUEjb6gQ==$"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "SCRAM-SHA-256$99999999999:W22ZaJ0SNY7soEsUEjb6gQ==$"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "SCRAM-SHA-256$4096:$"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct scram_verifier v;
        assert_int_equal(scram_verifier_parse(slice_cstr(bad[i]), &v).code, SL_E_PARSE);
    }
}

static void unknown_users_look_like_others(void **state) {
    struct scram_verifier a;
    struct scram_verifier b;
    struct scram_verifier c;
    struct slice key = SLICE_LIT("0123456789abcdef0123456789abcdef");
    scram_verifier_fake(key, SLICE_LIT("nobody"), &a);
    scram_verifier_fake(key, SLICE_LIT("nobody"), &b);
    scram_verifier_fake(key, SLICE_LIT("noone"), &c);
    assert_int_equal(a.rounds, SCRAM_ROUNDS);
    assert_int_equal(a.salt_len, SCRAM_SALT_BYTES);
    assert_memory_equal(a.salt, b.salt, a.salt_len);
    assert_memory_not_equal(a.salt, c.salt, a.salt_len);
    assert_memory_not_equal(a.stored_key, b.stored_key, SHA256_LEN);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follows_the_rfc),
        cmocka_unit_test(refuses_first_messages),
        cmocka_unit_test(refuses_final_messages),
        cmocka_unit_test(made_verifiers_open_with_their_password_alone),
        cmocka_unit_test(password_forms),
        cmocka_unit_test(md5_answer),
        cmocka_unit_test(refuses_verifiers),
        cmocka_unit_test(unknown_users_look_like_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
