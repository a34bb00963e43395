/* Narrows a process after its start: privileges, dumps, landlock, seccomp. See
 * docs/decisions/1-processes.md. */
#ifndef SL_MAIN_SANDBOX_H
#define SL_MAIN_SANDBOX_H

#include "lib/base/rc.h"

enum sandbox_role { SANDBOX_KEYHOLDER, SANDBOX_KMS, SANDBOX_S3, SANDBOX_GATEWAY, SANDBOX_POSTGRES };

/* Undumpable, no new privileges, no core; landlock to `write_paths` (and their contents) and
 * `read_paths`, both NULL-ended, either may be NULL; the role's seccomp list. Call once all needed
 * descriptors are open and before threads start. Kernel features that are missing are skipped;
 * *ret_isolated tells whether landlock holds. */
struct sl_rc sandbox_enter(enum sandbox_role role, const char *const *write_paths,
                           const char *const *read_paths, bool *ret_isolated, struct sl_error *err);

/* As root: becomes SEALIFT_UID/SEALIFT_GID for good; otherwise does nothing. sandbox_enter calls
 * it; children that make files before they enter call it first. */
struct sl_rc sandbox_drop(struct sl_error *err);

/* This thread and those it starts take over no processor from whoever wakes them (SCHED_BATCH): the
 * waker then finishes what it has begun, and wakes them for much work once instead of for little
 * work often. Where a processor is idle they start at once all the same. */
void sandbox_unhurried(void);

#endif
