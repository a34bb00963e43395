/* A pool of memory for secrets; see secret.h. Regions of 64 KiB, handed out in runs of 64-byte
 * units by first fit, so that many small secrets share few locked pages. A region is a secret memfd
 * where the kernel gives one, else anonymous memory that is locked if the allowance permits. Units
 * in the free state are always zero.
 *
 * After a fork the child reads the secrets it inherited, but neither allocates from nor wipes the
 * regions of its parent: a secret memfd is shared with it. */
#include "lib/crypto/secret.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { REGION_BYTES = SECRET_MAX_BYTES, UNIT_BYTES = 64, UNITS = REGION_BYTES / UNIT_BYTES };

struct region {
    struct region *next;
    uint8_t *mem;
    size_t used;  /* units */
    bool shared;  /* a secret memfd: a forked child sees the same pages */
    bool foreign; /* made by the process that forked this one */
    uint8_t taken[UNITS / 8];
};

static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct region *regions; /* under mu */
static bool unlocked;          /* under mu */

static void fork_prepare(void) {
    pthread_mutex_lock(&mu);
}

static void fork_parent(void) {
    pthread_mutex_unlock(&mu);
}

static void fork_child(void) {
    for (struct region *r = regions; r != NULL; r = r->next) {
        r->foreign = true;
    }
    pthread_mutex_unlock(&mu);
}

static void setup(void) {
    sl_assert(pthread_atfork(fork_prepare, fork_parent, fork_child) == 0);
}

static uint8_t *map_secret_memfd(void) {
#ifdef SYS_memfd_secret
    int fd = (int)syscall(SYS_memfd_secret, O_CLOEXEC);
    if (fd < 0) {
        return NULL;
    }
    void *p = MAP_FAILED;
    if (ftruncate(fd, REGION_BYTES) == 0) {
        p = mmap(NULL, REGION_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    }
    close(fd);
    return p == MAP_FAILED ? NULL : p;
#else
    return NULL;
#endif
}

static struct region *region_new(void) {
    struct region *r = calloc(1, sizeof *r);
    if (r == NULL) {
        return NULL;
    }
    r->mem = map_secret_memfd();
    r->shared = r->mem != NULL;
    if (r->mem == NULL) {
        void *p =
            mmap(NULL, REGION_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED) {
            free(r);
            return NULL;
        }
        r->mem = p;
        if (mlock(r->mem, REGION_BYTES) != 0) {
            unlocked = true; /* undumpable all the same; the program warns */
        }
    }
    (void)madvise(r->mem, REGION_BYTES, MADV_DONTDUMP);
    r->next = regions;
    regions = r;
    return r;
}

static bool is_taken(const struct region *r, size_t unit) {
    return (r->taken[unit / 8] >> (unit % 8) & 1) != 0;
}

static void mark(struct region *r, size_t first, size_t n, bool taken) {
    for (size_t i = first; i < first + n; i++) {
        uint8_t bit = (uint8_t)(1U << (i % 8));
        r->taken[i / 8] = (uint8_t)(taken ? r->taken[i / 8] | bit : r->taken[i / 8] & ~bit);
    }
    r->used = taken ? r->used + n : r->used - n;
}

/* First run of n free units, or UNITS. */
static size_t find_run(const struct region *r, size_t n) {
    size_t run = 0;
    for (size_t i = 0; i < UNITS; i++) {
        if (i % 8 == 0 && r->taken[i / 8] == 0xff) {
            run = 0;
            i += 7;
            continue;
        }
        run = is_taken(r, i) ? 0 : run + 1;
        if (run == n) {
            return i + 1 - n;
        }
    }
    return UNITS;
}

static size_t units_of(size_t len) {
    return len == 0 ? 1 : (len + UNIT_BYTES - 1) / UNIT_BYTES;
}

struct sl_rc secret_init(struct secret *s, size_t len) {
    ENSURE(len <= SECRET_MAX_BYTES, NULL, SL_E_LIMIT, "secret too long");
    sl_assert(pthread_once(&once, setup) == 0);
    size_t n = units_of(len);
    pthread_mutex_lock(&mu);
    struct region *r = regions;
    size_t at = UNITS;
    for (; r != NULL; r = r->next) {
        if (!r->foreign && UNITS - r->used >= n && (at = find_run(r, n)) < UNITS) {
            break;
        }
    }
    if (r == NULL) {
        r = region_new();
        at = 0;
    }
    if (r != NULL) {
        mark(r, at, n, true);
        *s = (struct secret){r->mem + at * UNIT_BYTES, len};
    }
    pthread_mutex_unlock(&mu);
    ENSURE(r != NULL, NULL, SL_E_NOMEM, "no memory for a secret");
    return SL_OK;
}

struct sl_rc secret_from(struct secret *s, struct slice bytes) {
    TRY(secret_init(s, bytes.len));
    if (bytes.len > 0) {
        memcpy(s->ptr, bytes.ptr, bytes.len);
    }
    return SL_OK;
}

struct sl_rc secret_random(struct secret *s, size_t len) {
    TRY(secret_init(s, len));
    sl_assert(RAND_priv_bytes(s->ptr, (int)len) == 1);
    return SL_OK;
}

/* The last empty region stays, so that a lone secret coming and going maps nothing. */
static void drop_if_empty(struct region *r) {
    if (r->used > 0 || r->foreign || (regions == r && r->next == NULL)) {
        return;
    }
    struct region **at = &regions;
    while (*at != r) {
        at = &(*at)->next;
    }
    *at = r->next;
    munmap(r->mem, REGION_BYTES);
    free(r);
}

void secret_fini(struct secret *s) {
    if (s == NULL || s->ptr == NULL) {
        return;
    }
    pthread_mutex_lock(&mu);
    struct region *r = regions;
    while (r != NULL && (s->ptr < r->mem || s->ptr >= r->mem + REGION_BYTES)) {
        r = r->next;
    }
    sl_assert(r != NULL);
    if (!(r->foreign && r->shared)) {
        OPENSSL_cleanse(s->ptr, units_of(s->len) * UNIT_BYTES);
    }
    if (!r->foreign) {
        size_t first = (size_t)(s->ptr - r->mem) / UNIT_BYTES;
        sl_assert(is_taken(r, first)); /* ended twice through a copy of the struct */
        mark(r, first, units_of(s->len), false);
        drop_if_empty(r);
    }
    pthread_mutex_unlock(&mu);
    *s = (struct secret){NULL, 0};
}

bool secret_equal(struct slice a, struct slice b) {
    return a.len == b.len && (a.len == 0 || CRYPTO_memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool secret_is_locked(void) {
    pthread_mutex_lock(&mu);
    bool locked = !unlocked;
    pthread_mutex_unlock(&mu);
    return locked;
}

void secret_wipe(void *p, size_t n) {
    if (p != NULL && n > 0) {
        OPENSSL_cleanse(p, n);
    }
}
