/* Large arrays; see area.h. */
#include "lib/base/area.h"

#include <stdlib.h>
#include <sys/mman.h>

enum { HUGE_BYTES = 2 * 1024 * 1024 };

void *area_new(size_t bytes) {
    size_t align = bytes >= HUGE_BYTES ? HUGE_BYTES : AREA_ALIGN, len;
    if (__builtin_add_overflow(bytes, AREA_ALIGN, &len)) {
        return NULL;
    }
    void *p = aligned_alloc(align, len / AREA_ALIGN * AREA_ALIGN);
    if (p != NULL && align == HUGE_BYTES) {
        /* whole ones only; without them, or if it fails, the memory is as good */
        (void)madvise(p, bytes / HUGE_BYTES * HUGE_BYTES, MADV_HUGEPAGE);
    }
    return p;
}
