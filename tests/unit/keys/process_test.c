/* The keyholder as its own process, inside its sandbox. */
#include "server/main/processes.h"
#include "tests/unit/keys/rig.h"

#include <fcntl.h>
#include <sys/wait.h>

static pid_t spawn(struct rig *r, const char *create) {
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int fd = fcntl(pair[1], F_DUPFD, 10);
        dup2(fd, 3);
        close_range(4, ~0U, 0);
        setenv("SEALIFT_ROOT_KEY", r->root, 1);
        setenv("SEALIFT_DOMAIN_FILE", r->domain, 1);
        setenv("SEALIFT_CREATE", create, 1);
        _exit(keyholder_main());
    }
    close(pair[1]);
    r->control = pair[0];
    return child;
}

static uint8_t first_frame(struct rig *r) {
    uint8_t type = 0;
    struct buf text SL_CLEANUP(buf_fini) = BUF_INIT(4096);
    OK(frame_recv(r->control, &type, &text, clock_mono_ms() + 10000));
    return type;
}

static int ended(pid_t child) {
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void serves_from_its_sandbox(void **state) {
    struct rig r;
    rig_folder(&r);
    pid_t child = spawn(&r, "1");
    assert_int_equal(first_frame(&r), KEYHOLDER_READY);
    struct keyholder *k = rig_channel(&r);
    struct keyholder *second = NULL;
    struct secret a = {0}, b = {0};
    struct buf record SL_CLEANUP(buf_fini) = BUF_INIT(64 * 1024);
    struct buf blob SL_CLEANUP(buf_fini) = BUF_INIT(8192);
    uint8_t signature[64], key[32];
    OK(keyholder_fork(k, &second, NULL));
    OK(keyholder_key_create(second, SLICE_LIT("arn:aws:kms:x"), &record, NULL, NULL));
    OK(keyholder_data_key(k, buf_slice(&record), NULL, 32, &a, &blob, NULL, NULL));
    OK(keyholder_decrypt(second, buf_slice(&record), NULL, buf_slice(&blob), &b, NULL, NULL));
    assert_true(secret_equal(secret_view(&a), secret_view(&b)));
    OK(keyholder_audit_sign(k, SLICE_LIT("head"), signature, key, NULL));
    /* Enough secrets for new regions of memory, which the sandbox must allow. */
    for (int i = 0; i < 1500; i++) {
        OK(keyholder_key_create(k, SLICE_LIT("arn:aws:kms:y"), &record, NULL, NULL));
        OK(keyholder_encrypt(k, buf_slice(&record), NULL, SLICE_LIT("x"), &blob, NULL, NULL));
    }
    secret_fini(&a);
    secret_fini(&b);
    close(r.control); /* the supervisor is gone: the process ends though channels are open */
    assert_int_equal(ended(child), 0);
    FAILS(keyholder_derive(k, "x", &a, NULL), SL_E_CLOSED);
    keyholder_close(k);
    keyholder_close(second);
    rig_remove(&r);
}

static void says_why_not(void **state) {
    struct rig r;
    rig_folder(&r);
    pid_t child = spawn(&r, "0");
    assert_int_equal(first_frame(&r), KEYHOLDER_ERROR);
    assert_int_equal(ended(child), 1);
    close(r.control);
    rig_remove(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(serves_from_its_sandbox),
        cmocka_unit_test(says_why_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
