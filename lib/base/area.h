/* Memory for large arrays that are filled from end to end: in huge pages where the system gives
 * them, since a page of 4 KiB costs more to fault in than to fill. */
#ifndef SL_BASE_AREA_H
#define SL_BASE_AREA_H

#include <stddef.h>

enum { AREA_ALIGN = 64 };

/* At least `bytes`, aligned to AREA_ALIGN, not cleared; for free(). NULL: out of memory. */
void *area_new(size_t bytes);

#endif
