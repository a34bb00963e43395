/* Descriptors of files. */
#ifndef SL_BASE_FD_H
#define SL_BASE_FD_H

#include "lib/base/rc.h"
#include "lib/base/slice.h"

/* Writes all of it, after signals too. SL_E_FULL (disk, quota, size of files) or SL_E_IO, without a
 * text; errno says why. */
struct sl_rc fd_write(int fd, struct slice bytes);

#endif
