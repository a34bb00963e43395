/* Large arrays; see area.h. */
#include "lib/base/area.h"

#include <stdlib.h>
#include <sys/mman.h>

enum { HUGE_BYTES = 2 * 1024 * 1024 };

void *area_new(size_t bytes) {
    void *p = NULL;
    if (posix_memalign(&p, bytes >= HUGE_BYTES ? HUGE_BYTES : AREA_ALIGN, bytes) != 0) {
        return NULL;
    }
    if (bytes >= HUGE_BYTES) {
        /* whole ones only; without them, or if it fails, the memory is as good */
        (void)madvise(p, bytes / HUGE_BYTES * HUGE_BYTES, MADV_HUGEPAGE);
    }
    return p;
}
