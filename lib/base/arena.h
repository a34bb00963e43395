/* struct arena: memory of one request, freed in one go. Allocation beyond the cap, or out of
 * memory, returns NULL. */
#ifndef SL_BASE_ARENA_H
#define SL_BASE_ARENA_H

#include "lib/base/rc.h"
#include "lib/base/slice.h"

struct arena_block;
struct arena {
    struct arena_block *head;
    size_t used;
    size_t max; /* hard cap over all blocks */
    bool wipe;  /* blocks are zeroed before they are freed: set where secrets pass */
};

#define ARENA_INIT(max_bytes) ((struct arena){.max = (max_bytes)})

/* `n` zeroed bytes, 16-byte aligned, or NULL past the cap or out of memory. */
void *arena_alloc(struct arena *a, size_t n);
/* As arena_alloc for n*size with overflow check. */
void *arena_array(struct arena *a, size_t n, size_t size);
/* A copy of `s` followed by a NUL (not counted), or an empty slice with ptr NULL on failure. */
struct slice arena_copy(struct arena *a, struct slice s);
/* A NUL-terminated copy, or NULL. */
char *arena_cstr(struct arena *a, struct slice s);
/* `count` runs, one behind the other, as arena_copy. */
struct slice arena_join(struct arena *a, const struct slice *runs, size_t count);
char *arena_printf(struct arena *a, const char *fmt, ...) SL_PRINTF(2, 3);
void arena_reset(struct arena *a); /* frees everything; the arena is usable again */
static inline void arena_fini(struct arena *a) {
    arena_reset(a);
}

#endif
