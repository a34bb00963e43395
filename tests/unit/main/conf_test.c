/* Who may speak for an edge, by the uid at the socket's other end. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <sys/socket.h>
#include <unistd.h>

#include "server/main/conf.h"

static void test_peer(void **state) {
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    struct conf c = {.peers_known = true, .edge_uid = {0, getuid(), getuid() + 1, 0, getuid()}};
    assert_true(conf_peer_ok(&c, pair[0], SEAM_S3));
    assert_false(conf_peer_ok(&c, pair[0], SEAM_GATEWAY));
    assert_true(conf_peer_ok(&c, pair[0], SEAM_SUPERVISOR));
    assert_false(conf_peer_ok(&c, pair[0], 0));
    assert_false(conf_peer_ok(&c, pair[0], 5));
    assert_false(conf_peer_ok(&c, -1, SEAM_S3));
    c.peers_known = false; /* an ordinary user's instance: the token decides */
    assert_true(conf_peer_ok(&c, pair[0], SEAM_GATEWAY));
    close(pair[0]);
    close(pair[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_peer)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
