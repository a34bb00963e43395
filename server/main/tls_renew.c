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
static uint8_t in_service[SHA256_LEN]; /* of the chains */
static int wake_fd = -1;

static void on_hup(int sig) {
    const uint64_t one = 1;
    (void)!write(wake_fd, &one, sizeof one);
}

static struct sl_rc put_into_service(const struct seam_tls *t, struct sl_error *err) {
    uint8_t sums[2 * SHA256_LEN], both[SHA256_LEN];
    struct net_cert cert = {t->chain, secret_view(&t->key)};
    struct net_cert own = {t->own_chain, secret_view(&t->own_key)};
    sha256(t->chain, sums);
    sha256(t->own_chain, sums + SHA256_LEN);
    sha256(slice_of(sums, sizeof sums), both);
    if (memcmp(both, in_service, sizeof both) == 0) {
        return SL_OK;
    }
    TRY(net_tls_replace(self.tls, &cert, t->own_chain.len > 0 ? &own : NULL, err));
    memcpy(in_service, both, sizeof both);
    sl_log(SL_INFO, "tls.in_service", "own=%s", t->own_chain.len > 0 ? "yes" : "no");
    return SL_OK;
}

static struct sl_rc look(struct sl_error *err) {
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(LIMIT_FRAME_BYTES);
    SL_CLEANUP(seam_tls_fini) struct seam_tls t = {0};
    int fd;
    TRY(seam_connect(self.kms_socket, &self.hello, &fd, err));
    struct sl_rc rc = seam_tls_identity(fd, &a, err, &t);
    close(fd);
    return sl_failed(rc) ? rc : put_into_service(&t, err);
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

struct sl_rc tls_renew_start(const struct tls_renewer *what, const struct seam_tls *first,
                             struct sl_error *err) {
    pthread_t t;
    sl_assert(wake_fd < 0);
    self = *what;
    TRY(put_into_service(first, err));
    wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ENSURE(wake_fd >= 0 && pthread_create(&t, NULL, renew, NULL) == 0, err, SL_E_NOMEM,
           "The thread that renews the certificate can't be started.");
    pthread_detach(t);
    const struct sigaction act = {.sa_handler = on_hup, .sa_flags = SA_RESTART};
    sigaction(SIGHUP, &act, NULL);
    return SL_OK;
}
