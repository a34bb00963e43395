/* The keyholder process: descriptor 3 is the control socket, SEALIFT_ROOT_KEY and
 * SEALIFT_DOMAIN_FILE name its two files, SEALIFT_CREATE=1 makes them on the first start, under
 * SEALIFT_ROOT; with SEALIFT_MOVE_TO it puts the domain key under that root and ends. Else it ends
 * when the supervisor closes the control socket. */
#include "lib/base/log.h"
#include "lib/crypto/secret.h"
#include "server/keys/keyholder.h"
#include "server/main/processes.h"
#include "server/main/sandbox.h"

#include <signal.h>
#include <unistd.h>

enum { CONTROL_FD = 3 };

static struct sl_rc enter(void *user, struct sl_error *err) {
    bool *isolated = user;
    TRY(sandbox_enter(SANDBOX_KEYHOLDER, NULL, NULL, isolated, err));
    if (!secret_is_locked()) {
        sl_log(SL_WARN, "keyholder.unlocked",
               "hint=\"memory can't be locked; raise 'ulimit -l', or keep swap encrypted or off\"");
    }
    return SL_OK;
}

/* A root named in the environment, if any. */
static struct sl_rc place(const char *name, const struct keyholder_conf *conf,
                          struct root_place *mem, const struct root_place **ret,
                          struct sl_error *err) {
    const char *text = getenv(name);
    if (text != NULL) {
        TRY(root_place_parse(text, conf->root_key_file, mem, err));
        *ret = mem;
    }
    return SL_OK;
}

int keyholder_main(void) {
    sl_log_init("keyholder", SL_INFO);
    sandbox_unhurried();
    signal(SIGPIPE, SIG_IGN);
    const char *create = getenv("SEALIFT_CREATE");
    bool isolated = false;
    struct keyholder_conf conf = {.root_key_file = getenv("SEALIFT_ROOT_KEY"),
                                  .domain_file = getenv("SEALIFT_DOMAIN_FILE"),
                                  .create = create != NULL && strcmp(create, "1") == 0,
                                  .control_fd = CONTROL_FD,
                                  .sandbox = enter,
                                  .user = &isolated};
    if (conf.root_key_file == NULL || conf.domain_file == NULL) {
        sl_log(SL_ERROR, "keyholder.start", "error=\"this process is started by 'sealift up'\"");
        return 2;
    }
    struct sl_error err = {0};
    struct root_place first, move_to;
    struct sl_rc rc = place("SEALIFT_ROOT", &conf, &first, &conf.first, &err);
    rc = sl_is_ok(rc) ? place("SEALIFT_MOVE_TO", &conf, &move_to, &conf.move_to, &err) : rc;
    rc = sl_is_ok(rc) ? keyholder_serve(&conf, &err) : rc;
    if (sl_failed(rc)) {
        sl_log(SL_ERROR, "keyholder.end", "error=%s hint=%s",
               SL_Q(slice_cstr(sl_error_message(&err, rc.code))), SL_Q(slice_cstr(err.hint)));
        return 1;
    }
    return 0;
}
