/* The root key in a token: SoftHSM2 with a folder of its own. */
#include "tests/unit/keys/rig.h"

#include "server/keys/domain.h"
#include "server/keys/token.h"

#include <ftw.h>
#include <sys/stat.h>

#define MODULE "/usr/lib/softhsm/libsofthsm2.so"

static char dir[] = "/tmp/sealift-token-XXXXXX";

static int gone(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    return remove(path);
}

static int start(void **state) {
    char conf[64], line[128];
    assert_non_null(mkdtemp(dir));
    snprintf(conf, sizeof conf, "%s/conf", dir);
    FILE *f = fopen(conf, "w");
    assert_non_null(f);
    fprintf(f, "directories.tokendir = %s\nobjectstore.backend = file\n", dir);
    assert_int_equal(fclose(f), 0);
    setenv("SOFTHSM2_CONF", conf, 1);
    snprintf(line, sizeof line,
             "softhsm2-util --init-token --free --label sealift --so-pin 87654321 "
             "--pin 1234567 >/dev/null");
    assert_int_equal(system(line), 0);
    return 0;
}

static int end(void **state) {
    return nftw(dir, gone, 8, FTW_DEPTH | FTW_PHYS);
}

static void wraps_in_the_token(void **state) {
    struct root_place to, other;
    struct domain d = {0}, again = {0};
    struct secret pin = {0}, wrong = {0};
    struct sl_error err = {0};
    struct buf file SL_CLEANUP(buf_fini) = BUF_INIT(4096);
    OK(root_place_parse("pkcs11:token=sealift?module-path=" MODULE, "/x", &to, NULL));
    OK(secret_random(&d.key, DOMAIN_KEY_LEN));
    OK(secret_from(&pin, SLICE_LIT("1234567")));
    OK(secret_from(&wrong, SLICE_LIT("7654321")));
    FAILS(domain_wrap(&to, true, &wrong, &d, &file, NULL), SL_E_ACCESS_DENIED);
    buf_reset(&file);
    OK(domain_wrap(&to, true, &pin, &d, &file, NULL));
    OK(domain_unwrap(buf_slice(&file), NULL, &pin, &again, NULL));
    assert_true(secret_equal(secret_view(&d.key), secret_view(&again.key)));
    domain_fini(&again);
    FAILS(domain_unwrap(buf_slice(&file), NULL, &wrong, &again, &err), SL_E_ACCESS_DENIED);
    assert_string_equal(err.detail, "the PIN is wrong");
    file.ptr[file.len - 1] ^= 1;
    FAILS(domain_unwrap(buf_slice(&file), NULL, &pin, &again, NULL), SL_E_CORRUPT);
    file.ptr[file.len - 1] ^= 1;
    file.ptr[file.len - 49] ^= 1; /* the nonce */
    FAILS(domain_unwrap(buf_slice(&file), NULL, &pin, &again, NULL), SL_E_CORRUPT);
    uint8_t nonce[GCM_NONCE_LEN] = {0}, cipher[48] = {0}, plain[32];
    other = to;
    snprintf(other.token.key, sizeof other.token.key, "none");
    FAILS(token_unwrap(&other.token, secret_view(&pin), nonce, SLICE_EMPTY,
                       slice_of(cipher, sizeof cipher), plain, NULL),
          SL_E_NOT_FOUND);
    other = to;
    snprintf(other.token.token, sizeof other.token.token, "none");
    FAILS(token_unwrap(&other.token, secret_view(&pin), nonce, SLICE_EMPTY,
                       slice_of(cipher, sizeof cipher), plain, NULL),
          SL_E_NOT_FOUND);
    other = to;
    snprintf(other.token.module, sizeof other.token.module, "/nonexistent.so");
    FAILS(token_unwrap(&other.token, secret_view(&pin), nonce, SLICE_EMPTY,
                       slice_of(cipher, sizeof cipher), plain, NULL),
          SL_E_NOT_FOUND);
    domain_fini(&d);
    secret_fini(&pin);
    secret_fini(&wrong);
}

/* A module that somebody else could write, or put another in the place of, is not loaded. */
static void module_is_its_owners(void **state) {
    char folder[64], line[256];
    struct root_token t = {.token = "none", .key = "none"};
    uint8_t nonce[GCM_NONCE_LEN] = {0}, cipher[48] = {0}, plain[32];
    struct slice sealed = slice_of(cipher, sizeof cipher);
    static const struct {
        mode_t folder, file;
        enum sl_code code;
    } cases[] = {{0755, 0666, SL_E_ACCESS_DENIED},
                 {0777, 0644, SL_E_ACCESS_DENIED},
                 {0775, 0644, SL_E_ACCESS_DENIED},
                 {01777, 0644, SL_E_NOT_FOUND}, /* the token: nobody else can rename it there */
                 {0755, 0644, SL_E_NOT_FOUND}};
    snprintf(folder, sizeof folder, "%s/modules", dir);
    snprintf(t.module, sizeof t.module, "%s/modules/../modules/hsm.so", dir);
    snprintf(line, sizeof line, "mkdir %s && cp " MODULE " %s/hsm.so", folder, folder);
    assert_int_equal(system(line), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(chmod(folder, cases[i].folder), 0);
        assert_int_equal(chmod(t.module, cases[i].file), 0);
        struct sl_rc rc =
            token_unwrap(&t, SLICE_LIT("1234567"), nonce, SLICE_EMPTY, sealed, plain, NULL);
        assert_int_equal(rc.code, cases[i].code);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(wraps_in_the_token),
                                       cmocka_unit_test(module_is_its_owners)};
    return cmocka_run_group_tests(tests, start, end);
}
