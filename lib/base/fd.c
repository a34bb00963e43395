/* See fd.h. */
#include "lib/base/fd.h"

#include <errno.h>
#include <unistd.h>

struct sl_rc fd_write(int fd, struct slice bytes) {
    while (bytes.len > 0) {
        ssize_t n = write(fd, bytes.ptr, bytes.len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            errno = n < 0 ? errno : ENOSPC;
            bool full = errno == ENOSPC || errno == EDQUOT || errno == EFBIG;
            return sl_rc_of(full ? SL_E_FULL : SL_E_IO);
        }
        bytes = slice_sub(bytes, (size_t)n, bytes.len);
    }
    return SL_OK;
}
