/* The renewing thread; see tls_renew.h. It ends with the process. */
#include "server/main/tls_renew.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/crypto/crypto.h"

static struct tls_renewer self;
static uint8_t in_service[SHA256_LEN]; /* of the chain */
static int wake_fd = -1;

static void on_hup(int sig) {
    const uint64_t one = 1;
    (void)!write(wake_fd, &one, sizeof one);
}

static struct sl_rc look(struct sl_error *err) {
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(LIMIT_FRAME_BYTES);
    SL_CLEANUP(secret_fini) struct secret key = {0};
    uint8_t sum[SHA256_LEN];
    struct slice chain;
    int fd;
    TRY(seam_connect(self.kms_socket, &self.hello, &fd, err));
    struct sl_rc rc = seam_tls_identity(fd, &a, err, &chain, &key);
    close(fd);
    TRY(rc);
    sha256(chain, sum);
    if (memcmp(sum, in_service, sizeof sum) == 0) {
        return SL_OK;
    }
    TRY(net_tls_replace(self.tls, chain, secret_view(&key), err));
    memcpy(in_service, sum, sizeof sum);
    sl_log(SL_INFO, "tls.renewed", "%s", "");
    return SL_OK;
}

static void *renew(void *arg) {
    for (;;) {
        struct pollfd p = {.fd = wake_fd, .events = POLLIN};
        uint64_t count;
        struct sl_error err = {0};
        (void)poll(&p, 1, LIMIT_TLS_LOOK_MS);
        if (p.revents != 0) {
            (void)!read(wake_fd, &count, sizeof count);
        }
        struct sl_rc rc = look(&err);
        if (sl_failed(rc)) {
            sl_log(SL_WARN, "tls.not_renewed", "error=%s",
                   SL_Q(slice_cstr(sl_error_message(&err, rc.code))));
        }
    }
    return NULL;
}

struct sl_rc tls_renew_start(const struct tls_renewer *what, struct sl_error *err) {
    pthread_t t;
    sl_assert(wake_fd < 0);
    self = *what;
    sha256(what->chain, in_service);
    self.chain = SLICE_EMPTY;
    wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ENSURE(wake_fd >= 0 && pthread_create(&t, NULL, renew, NULL) == 0, err, SL_E_NOMEM,
           "The thread that renews the certificate can't be started.");
    pthread_detach(t);
    const struct sigaction act = {.sa_handler = on_hup, .sa_flags = SA_RESTART};
    sigaction(SIGHUP, &act, NULL);
    return SL_OK;
}
