/* Arena of blocks; see arena.h. */
#include "lib/base/arena.h"

#include <stdarg.h>
#include <stdio.h>

enum { BLOCK_MIN = 8 * 1024, ALIGN = 16 };

struct arena_block {
    struct arena_block *next;
    size_t cap;
    size_t len;
    size_t pad;
    uint8_t data[];
};

void *arena_alloc(struct arena *a, size_t n) {
    if (n > SIZE_MAX - 2 * ALIGN) {
        return NULL;
    }
    n = (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    struct arena_block *b = a->head;
    if (b == NULL || b->cap - b->len < n) {
        size_t cap = n > BLOCK_MIN ? n : BLOCK_MIN;
        if (cap > a->max || a->used > a->max - cap) {
            return NULL;
        }
        b = malloc(sizeof *b + cap);
        if (b == NULL) {
            return NULL;
        }
        *b = (struct arena_block){.next = a->head, .cap = cap};
        a->head = b;
        a->used += cap;
    }
    void *p = b->data + b->len;
    memset(p, 0, n); /* most of a block is never used */
    b->len += n;
    return p;
}

void *arena_array(struct arena *a, size_t n, size_t size) {
    size_t total;
    if (__builtin_mul_overflow(n, size, &total)) {
        return NULL;
    }
    return arena_alloc(a, total);
}

struct slice arena_copy(struct arena *a, struct slice s) {
    return arena_join(a, &s, 1);
}

struct slice arena_join(struct arena *a, const struct slice *runs, size_t count) {
    size_t len = 0, at = 0;
    for (size_t i = 0; i < count; i++) {
        if (__builtin_add_overflow(len, runs[i].len, &len)) {
            return SLICE_EMPTY;
        }
    }
    uint8_t *p = len < SIZE_MAX ? arena_alloc(a, len + 1) : NULL;
    if (p == NULL) {
        return SLICE_EMPTY;
    }
    for (size_t i = 0; i < count; i++) {
        if (runs[i].len > 0) {
            memcpy(p + at, runs[i].ptr, runs[i].len);
            at += runs[i].len;
        }
    }
    return slice_of(p, len);
}

char *arena_cstr(struct arena *a, struct slice s) {
    return (char *)(uintptr_t)arena_copy(a, s).ptr;
}

char *arena_printf(struct arena *a, const char *fmt, ...) {
    char small[256];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(small, sizeof small, fmt, ap);
    va_end(ap);
    char *p = n < 0 ? NULL : arena_alloc(a, (size_t)n + 1);
    if (p == NULL) {
        return NULL;
    }
    if ((size_t)n < sizeof small) {
        memcpy(p, small, (size_t)n + 1);
        return p;
    }
    va_start(ap, fmt);
    vsnprintf(p, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return p;
}

void arena_reset(struct arena *a) {
    struct arena_block *b = a->head;
    while (b != NULL) {
        struct arena_block *next = b->next;
        if (a->wipe) {
            explicit_bzero(b->data, b->len);
        }
        free(b);
        b = next;
    }
    a->head = NULL;
    a->used = 0;
}
