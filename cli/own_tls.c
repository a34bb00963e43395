/* One's own certificate; see own_tls.h. */
#include "cli/own_tls.h"

#include <stdio.h>

#include "lib/base/clock.h"
#include "lib/crypto/x509.h"
#include "lib/ipc/seam.h"

enum { PEM_BYTES_MAX = 64 * 1024 };

static struct sl_rc load(const struct instance *in, struct buf *chain, struct secret *key,
                         struct sl_error *err) {
    SL_CLEANUP(buf_fini) struct buf text = {.max = PEM_BYTES_MAX, .wipe = true};
    TRY(file_load(in->tls_cert, chain, err));
    TRY(file_load(in->tls_key, &text, err));
    ENSURE(text.len > 0, err, SL_E_VALIDATION, "%s is empty", in->tls_key);
    TRY(secret_from(key, buf_slice(&text)));
    return x509_check_own(buf_slice(chain), key, clock_real_ms() / 1000, err);
}

struct sl_rc own_tls_check(const struct instance *in, struct sl_error *err) {
    SL_CLEANUP(buf_fini) struct buf chain = BUF_INIT(PEM_BYTES_MAX);
    SL_CLEANUP(secret_fini) struct secret key = {0};
    TRY(load(in, &chain, &key, err));
    for (size_t i = 0; i < in->host_count; i++) {
        if (!x509_names(buf_slice(&chain), in->hosts[i])) {
            fprintf(stderr,
                    "sealift: warning: %s does not name %s; clients that use this name get the "
                    "instance's own certificate\n",
                    in->tls_cert, in->hosts[i]);
        }
    }
    return SL_OK;
}

struct sl_rc own_tls_give(const struct instance *in, int kms, struct sl_error *err) {
    SL_CLEANUP(buf_fini) struct buf chain = BUF_INIT(PEM_BYTES_MAX);
    SL_CLEANUP(secret_fini) struct secret key = {0};
    if (in->tls_cert != NULL) {
        TRY(load(in, &chain, &key, err));
    }
    return seam_tls_own(kms, buf_slice(&chain), &key, err);
}
