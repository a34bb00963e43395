/* Connections to the kms process, lent for one call at a time. kms may be restarted at any moment:
 * a connection that broke is replaced and the call made once more. */
#ifndef SL_S3_KMSPOOL_H
#define SL_S3_KMSPOOL_H

#include "lib/ipc/seam.h"

struct kmspool;
/* `path` must outlive the pool. */
struct sl_rc kmspool_new(const char *path, const uint8_t token[SEAM_TOKEN_LEN],
                         struct kmspool **ret);
void kmspool_free(struct kmspool *p);

typedef struct sl_rc (*kmspool_fn)(int fd, void *arg, struct sl_error *err);
struct sl_rc kmspool_call(struct kmspool *p, kmspool_fn fn, void *arg, struct sl_error *err);

#endif
