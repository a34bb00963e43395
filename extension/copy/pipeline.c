/* The pipeline's life, its ring of runs, and the taker's side; see pipeline.h. */
#include "extension/copy/pipeline_in.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/area.h"

enum { THREAD_STACK_BYTES = 1024 * 1024, SHRINK_ABOVE_BYTES = 1024 * 1024 };

void pipeline_wake_taker(struct pipeline *p) {
    if (p->taker_waits) {
        p->taker_waits = false;
        uint64_t one = 1;
        while (write(p->conf.wake_fd, &one, sizeof one) < 0 && errno == EINTR) {
        }
    }
}

struct run *pipeline_slot(struct pipeline *p) {
    pthread_mutex_lock(&p->mu);
    while (p->tail - p->head == PIPELINE_RING && !pipeline_aborted(p)) {
        pthread_cond_wait(&p->space, &p->mu);
    }
    struct run *r = pipeline_aborted(p) ? NULL : &p->ring[p->tail % PIPELINE_RING];
    pthread_mutex_unlock(&p->mu);
    return r;
}

void pipeline_publish(struct pipeline *p) {
    pthread_mutex_lock(&p->mu);
    p->tail++;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->mu);
}

/* ---- Threads ---- */

static void *worker_main(void *arg) {
    workers_main(arg);
    return NULL;
}

static void *fetch_main(void *arg) {
    struct pipeline *p = arg;
    fetch_all(p);
    pthread_mutex_lock(&p->mu);
    p->fetched = true;
    pthread_cond_broadcast(&p->work);
    pipeline_wake_taker(p);
    pthread_mutex_unlock(&p->mu);
    return NULL;
}

/* ---- The taker's side ---- */

static void run_go_home(struct run *r) {
    if (r->ptr != r->home) {
        free(r->ptr);
    }
    r->ptr = r->home;
    r->cap = PIPELINE_RUN_BYTES;
}

static void run_recycle(struct run *r) {
    r->len = 0;
    r->last = NULL;
    r->done = false;
    if (r->cap > SHRINK_ABOVE_BYTES) { /* it held a giant row */
        run_go_home(r);
    }
}

void pipeline_advance(struct pipeline *p) {
    uint64_t before = p->head;
    for (struct run *r = NULL; p->head < p->tail; p->head++) {
        r = &p->ring[p->head % PIPELINE_RING];
        if (!r->done || r->first != NULL) {
            break;
        }
        run_recycle(r);
    }
    if (p->head != before) {
        pthread_cond_signal(&p->space);
        pthread_cond_broadcast(&p->work); /* a lane may be at the head now */
        /* without rows and rejects of its own a run is nothing to the taker, until the last one */
        if (p->head < p->tail ? p->ring[p->head % PIPELINE_RING].first != NULL : p->fetched) {
            pipeline_wake_taker(p);
        }
    }
}

void pipeline_batch_free(struct pipeline *p, struct pipeline_batch *b) {
    b->next = p->free_batches;
    p->free_batches = b;
    p->free_count++;
    pthread_cond_broadcast(&p->work);
}

static struct pipeline_batch *take_batch(struct pipeline *p) {
    struct run *r = &p->ring[p->head % PIPELINE_RING];
    struct pipeline_batch *b = p->head < p->tail ? r->first : NULL;
    if (b != NULL) {
        r->first = b->next;
        r->last = r->first == NULL ? NULL : r->last;
        pipeline_advance(p);
    }
    return b;
}

static struct pipeline_segment *take_segment(struct pipeline *p) {
    for (unsigned i = 0; i < PIPELINE_OUTS; i++) {
        struct out *o = &p->outs[i];
        if (o->state == OUT_READY && o->seq == p->taking) {
            o->state = OUT_TAKEN;
            p->taking++;
            return &o->segment;
        }
    }
    return NULL;
}

static bool all_taken(const struct pipeline *p) {
    bool sealed = p->conf.table == NULL || p->failure.kind != PIPELINE_FINE ||
                  (p->flushed && p->full == NULL && p->taking == p->sealing);
    return p->fetched && p->head == p->tail && sealed;
}

enum pipeline_took pipeline_take(struct pipeline *p, struct pipeline_taken *ret) {
    struct pipeline_taken taken = {0};
    enum pipeline_took took = PIPELINE_WAIT;
    pthread_mutex_lock(&p->mu);
    if (p->broken) {
        took = PIPELINE_FAIL;
    } else if ((taken.batch = take_batch(p)) != NULL) {
        took = PIPELINE_BATCH;
    } else if ((taken.segment = take_segment(p)) != NULL) {
        took = PIPELINE_SEGMENT;
    } else if (all_taken(p)) {
        took = p->failure.kind == PIPELINE_FINE ? PIPELINE_END : PIPELINE_FAIL;
    }
    p->taker_waits = took == PIPELINE_WAIT;
    pthread_mutex_unlock(&p->mu);
    *ret = taken;
    return took;
}

void pipeline_give_back(struct pipeline *p, struct pipeline_taken *taken) {
    pthread_mutex_lock(&p->mu);
    if (taken->batch != NULL) {
        pipeline_batch_free(p, taken->batch);
    }
    if (taken->segment != NULL) {
        ((struct out *)taken->segment)->state = OUT_FREE;
        pthread_cond_broadcast(&p->work);
    }
    pthread_mutex_unlock(&p->mu);
    *taken = (struct pipeline_taken){0};
}

const struct pipeline_failure *pipeline_failure(const struct pipeline *p) {
    return &p->failure;
}

struct pipeline_counts pipeline_counts(struct pipeline *p) {
    pthread_mutex_lock(&p->mu);
    struct pipeline_counts n = p->counts;
    pthread_mutex_unlock(&p->mu);
    return n;
}

/* ---- Start and end ---- */

/* Of credentials_fd: no socket is at hand, or none will be any more. */
enum { FD_NONE = -1, FD_ENDED = -2 };

bool pipeline_credentials_wait(atomic_int *ret_fd, int fd) {
    int before = FD_NONE;
    return atomic_compare_exchange_strong(ret_fd, &before, fd);
}

static struct sl_rc threads_start(struct pipeline *p, struct sl_error *err) {
    pthread_attr_t attr;
    ENSURE(pthread_attr_init(&attr) == 0, err, SL_E_NOMEM, "out of memory");
    pthread_attr_setstacksize(&attr, THREAD_STACK_BYTES);
    /* signals are the main thread's: new threads inherit a full mask */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i <= p->conf.workers; i++) {
        rc = pthread_create(&p->threads[i], &attr, i == 0 ? fetch_main : worker_main, p);
        p->thread_count += rc == 0;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    ENSURE(rc == 0, err, SL_E_NOMEM, "A thread can't be started.");
    return SL_OK;
}

static struct sl_rc ring_init(struct pipeline *p, struct sl_error *err) {
    p->ring_memory = area_new((size_t)PIPELINE_RING * PIPELINE_RUN_BYTES);
    ENSURE(p->ring_memory != NULL, err, SL_E_NOMEM, "out of memory");
    for (unsigned i = 0; i < PIPELINE_RING; i++) {
        p->ring[i].home = p->ring_memory + (size_t)i * PIPELINE_RUN_BYTES;
        p->ring[i].ptr = p->ring[i].home;
        p->ring[i].cap = PIPELINE_RUN_BYTES;
    }
    return SL_OK;
}

struct sl_rc pipeline_start(const struct pipeline_conf *conf, struct pipeline **ret,
                            struct sl_error *err) {
    sl_assert(conf->workers >= 1 && conf->workers <= PIPELINE_WORKERS);
    struct pipeline *p = calloc(1, sizeof *p);
    ENSURE(p != NULL, err, SL_E_NOMEM, "out of memory");
    p->conf = *conf;
    p->conf.s3.abort = &p->abort;
    atomic_init(&p->credentials_fd, FD_NONE);
    pthread_mutex_init(&p->mu, NULL);
    pthread_cond_init(&p->space, NULL);
    pthread_cond_init(&p->work, NULL);
    struct sl_rc rc = ring_init(p, err);
    if (sl_is_ok(rc)) {
        rc = workers_init(p, err);
    }
    if (sl_is_ok(rc)) {
        rc = threads_start(p, err);
    }
    if (sl_failed(rc)) {
        pipeline_stop(p);
        return rc;
    }
    *ret = p;
    return SL_OK;
}

void pipeline_stop(struct pipeline *p) {
    if (p == NULL) {
        return;
    }
    pthread_mutex_lock(&p->mu);
    atomic_store(&p->abort, true);
    /* the fetching thread closes the socket only after taking it out of here under mu */
    int fd = FD_NONE;
    if (!atomic_compare_exchange_strong(&p->credentials_fd, &fd, FD_ENDED)) {
        shutdown(fd, SHUT_RDWR);
    }
    pthread_cond_broadcast(&p->space);
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->mu);
    for (unsigned i = 0; i < p->thread_count; i++) {
        pthread_join(p->threads[i], NULL);
    }
    workers_fini(p);
    for (unsigned i = 0; i < PIPELINE_RING; i++) {
        run_go_home(&p->ring[i]);
    }
    free(p->ring_memory);
    pthread_mutex_destroy(&p->mu);
    pthread_cond_destroy(&p->space);
    pthread_cond_destroy(&p->work);
    free(p);
}
