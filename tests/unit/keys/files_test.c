/* The root key file and the domain key file: what is made, what is refused. */
#include "tests/unit/keys/rig.h"

#include <sys/stat.h>

static void put_file(const char *path, const void *bytes, size_t len) {
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, 0600), 0);
}

static size_t get_file(const char *path, uint8_t *bytes, size_t max) {
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t n = fread(bytes, 1, max, f);
    fclose(f);
    return n;
}

static void refused(struct rig *r, bool create, enum sl_code code, const char *text) {
    assert_false(rig_start(r, create));
    assert_int_equal(r->rc.code, code);
    if (strstr(r->refusal, text) == NULL) {
        fail_msg("'%s' is not in '%s'", text, r->refusal);
    }
}

static void derived(struct rig *r, uint8_t out[32]) {
    struct secret s = {0};
    OK(keyholder_derive(r->k, "test", &s, NULL));
    assert_int_equal(s.len, 32);
    memcpy(out, s.ptr, 32);
    secret_fini(&s);
}

static void made_once_and_kept(void **state) {
    struct rig r;
    uint8_t first[32], again[32], root[64], root_again[64];
    struct stat st;
    rig_folder(&r);
    refused(&r, false, SL_E_NOT_FOUND, "domain");
    assert_int_not_equal(access(r.root, F_OK), 0);
    assert_true(rig_start(&r, true));
    derived(&r, first);
    rig_stop(&r);
    assert_int_equal(stat(r.root, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(stat(r.domain, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(get_file(r.root, root, sizeof root), 32);
    for (int create = 0; create < 2; create++) { /* a second first start changes nothing */
        assert_true(rig_start(&r, create));
        derived(&r, again);
        rig_stop(&r);
        assert_memory_equal(first, again, 32);
        assert_int_equal(get_file(r.root, root_again, sizeof root_again), 32);
        assert_memory_equal(root, root_again, 32);
    }
    rig_remove(&r);
}

static void given_root_is_used(void **state) {
    struct rig r;
    uint8_t root[32];
    rig_folder(&r);
    put_file(r.root, "0123456789abcdef0123456789abcdef", 32);
    assert_true(rig_start(&r, true));
    rig_stop(&r);
    assert_int_equal(get_file(r.root, root, 32), 32);
    assert_memory_equal(root, "0123456789abcdef0123456789abcdef", 32);
    rig_remove(&r);
}

static void bad_root(void **state) {
    struct rig r;
    uint8_t root[32];
    rig_folder(&r);
    assert_true(rig_start(&r, true));
    rig_stop(&r);
    get_file(r.root, root, 32);
    static const mode_t modes[] = {0644, 0640, 0604, 0620, 0602, 0601};
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        chmod(r.root, modes[i]);
        refused(&r, false, SL_E_ACCESS_DENIED, "open to others");
        assert_non_null(strstr(r.err.hint, "chmod"));
    }
    put_file(r.root, root, 31);
    refused(&r, false, SL_E_CORRUPT, "shorter");
    put_file(r.root, "0123456789abcdef0123456789abcdefX", 33);
    refused(&r, false, SL_E_CORRUPT, "longer");
    for (size_t bit = 0; bit < 256; bit += 37) {
        root[bit / 8] ^= (uint8_t)(1 << (bit % 8));
        put_file(r.root, root, 32);
        refused(&r, false, SL_E_CORRUPT, "does not open");
        root[bit / 8] ^= (uint8_t)(1 << (bit % 8));
    }
    unlink(r.root);
    refused(&r, false, SL_E_NOT_FOUND, "root.key");
    refused(&r, true, SL_E_NOT_FOUND, "root.key"); /* a fresh one could not open the domain key */
    assert_int_not_equal(access(r.root, F_OK), 0);
    char elsewhere[128];
    snprintf(elsewhere, sizeof elsewhere, "%s.real", r.root);
    put_file(elsewhere, root, 32);
    assert_int_equal(symlink(elsewhere, r.root), 0);
    refused(&r, false, SL_E_IO, "root.key");
    unlink(elsewhere);
    unlink(r.root);
    put_file(r.root, root, 32);
    assert_true(rig_start(&r, false));
    rig_stop(&r);
    rig_remove(&r);
}

static void bad_domain(void **state) {
    struct rig r;
    uint8_t file[256];
    rig_folder(&r);
    assert_true(rig_start(&r, true));
    rig_stop(&r);
    size_t len = get_file(r.domain, file, sizeof file);
    assert_int_equal(len, 10 + 32 + 12 + 48);
    for (size_t i = 0; i < len; i++) {
        file[i] ^= 1;
        put_file(r.domain, file, len);
        assert_false(rig_start(&r, i % 2 == 0));
        file[i] ^= 1;
    }
    put_file(r.domain, file, len - 1);
    refused(&r, true, SL_E_CORRUPT, "shorter");
    put_file(r.domain, file, len + 1);
    refused(&r, true, SL_E_CORRUPT, "longer");
    put_file(r.domain, file, len);
    assert_true(rig_start(&r, false));
    rig_stop(&r);
    rig_remove(&r);
}

static struct sl_rc no_sandbox(void *user, struct sl_error *err) {
    return sl_fail(err, SL_E_INTERNAL, "no sandbox today");
}

static void sandbox_failure_ends_it(void **state) {
    struct rig r;
    int pair[2];
    rig_folder(&r);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    struct keyholder_conf conf = {.root_key_file = r.root,
                                  .domain_file = r.domain,
                                  .create = true,
                                  .control_fd = pair[1],
                                  .sandbox = no_sandbox};
    FAILS(keyholder_serve(&conf, NULL), SL_E_INTERNAL);
    uint8_t type = 0;
    struct buf text SL_CLEANUP(buf_fini) = BUF_INIT(4096);
    OK(frame_recv(pair[0], &type, &text, clock_mono_ms() + 10000));
    assert_int_equal(type, KEYHOLDER_ERROR);
    assert_true(slice_eq_cstr(buf_slice(&text), "no sandbox today"));
    close(pair[0]);
    close(pair[1]);
    rig_remove(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(made_once_and_kept),
        cmocka_unit_test(given_root_is_used),
        cmocka_unit_test(bad_root),
        cmocka_unit_test(bad_domain),
        cmocka_unit_test(sandbox_failure_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
