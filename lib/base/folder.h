/* Folders that outlive a power cut: POSIX makes a name durable by its folder's fsync alone. */
#ifndef SL_BASE_FOLDER_H
#define SL_BASE_FOLDER_H

#include "lib/base/rc.h"

#include <sys/types.h>

/* Flushes the folder that holds `path`, and so the name itself. SL_E_IO. */
struct sl_rc folder_sync_of(const char *path, struct sl_error *err);

/* Makes the folder `path` (its parent is there) unless it is there, and flushes its name. One that
 * an earlier run made is flushed too: that run may have died in between. SL_E_FULL, SL_E_IO. */
struct sl_rc folder_make(const char *path, mode_t mode, struct sl_error *err);

#endif
