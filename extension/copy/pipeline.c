/* The pipeline's threads and what they hand over; see pipeline.h. Order is kept by a ring of runs:
 * the fetching thread fills them in order, converters take them in order, and the taker empties
 * them in order. A converter of a later run never takes the last free batch, so that the run the
 * taker waits for can always go on. */
#include "extension/copy/pipeline_in.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { THREAD_STACK_BYTES = 1024 * 1024, SHRINK_ABOVE_BYTES = 1024 * 1024 };

static bool aborted(const struct pipeline *p) {
    return atomic_load_explicit(&p->abort, memory_order_relaxed);
}

static void wake_taker(struct pipeline *p) {
    if (p->taker_waits) {
        p->taker_waits = false;
        uint64_t one = 1;
        while (write(p->conf.wake_fd, &one, sizeof one) < 0 && errno == EINTR) {
        }
    }
}

struct run *pipeline_slot(struct pipeline *p) {
    pthread_mutex_lock(&p->mu);
    while (p->tail - p->head == PIPELINE_RING && !aborted(p)) {
        pthread_cond_wait(&p->space, &p->mu);
    }
    struct run *r = aborted(p) ? NULL : &p->ring[p->tail % PIPELINE_RING];
    pthread_mutex_unlock(&p->mu);
    return r;
}

void pipeline_publish(struct pipeline *p) {
    pthread_mutex_lock(&p->mu);
    p->tail++;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->mu);
}

/* ---- Converters ---- */

static void batch_free(struct pipeline *p, struct pipeline_batch *b) {
    b->next = p->free_batches;
    p->free_batches = b;
    p->free_count++;
    pthread_cond_broadcast(&p->work);
}

static struct pipeline_batch *batch_wait(struct pipeline *p, uint64_t seq) {
    while (!aborted(p) && p->free_count < (seq == p->head ? 1u : 2u)) {
        pthread_cond_wait(&p->work, &p->mu);
    }
    if (aborted(p)) {
        return NULL;
    }
    struct pipeline_batch *b = p->free_batches;
    p->free_batches = b->next;
    p->free_count--;
    b->next = NULL;
    return b;
}

static void batch_out(struct pipeline *p, struct run *r, struct pipeline_batch *b) {
    if (b->batch.rows == 0 && b->batch.bad_count == 0) {
        batch_free(p, b);
        return;
    }
    if (r->last != NULL) {
        r->last->next = b;
    } else {
        r->first = b;
    }
    r->last = b;
    wake_taker(p);
}

/* Called and returns with mu held. False: the thread has to end. */
static bool convert_run(struct pipeline *p, struct copy_converter *c, uint64_t seq) {
    struct run *r = &p->ring[seq % PIPELINE_RING];
    copy_converter_start(c, slice_of(r->ptr, r->len), r->line);
    bool more = r->len > 0;
    while (more) {
        struct pipeline_batch *b = batch_wait(p, seq);
        if (b == NULL) {
            return false;
        }
        pthread_mutex_unlock(&p->mu);
        struct sl_error err = {0};
        struct sl_rc rc = copy_converter_fill(c, &b->batch, &more, &err);
        memcpy(b->object, r->object, sizeof b->object);
        pthread_mutex_lock(&p->mu);
        if (sl_failed(rc)) {
            batch_free(p, b);
            if (!p->broken) {
                p->broken = true;
                p->failure = (struct pipeline_failure){.kind = PIPELINE_INTERNAL, .err = err};
            }
            wake_taker(p);
            return false;
        }
        batch_out(p, r, b);
    }
    r->done = true;
    wake_taker(p);
    return true;
}

static void *converter_main(void *arg) {
    struct pipeline *p = arg;
    struct copy_converter *c = NULL;
    struct sl_rc rc = copy_converter_new(&p->conf.convert, &c);
    pthread_mutex_lock(&p->mu);
    if (sl_failed(rc)) {
        p->broken = true;
        p->failure = (struct pipeline_failure){.kind = PIPELINE_INTERNAL};
        wake_taker(p);
    }
    bool go = sl_is_ok(rc);
    while (go) {
        while (!aborted(p) && p->next == p->tail && !p->fetched) {
            pthread_cond_wait(&p->work, &p->mu);
        }
        go = !aborted(p) && p->next < p->tail;
        if (go) {
            uint64_t seq = p->next++;
            go = convert_run(p, c, seq);
        }
    }
    pthread_mutex_unlock(&p->mu);
    copy_converter_free(c);
    return NULL;
}

static void *fetch_main(void *arg) {
    struct pipeline *p = arg;
    fetch_all(p);
    pthread_mutex_lock(&p->mu);
    p->fetched = true;
    pthread_cond_broadcast(&p->work);
    wake_taker(p);
    pthread_mutex_unlock(&p->mu);
    return NULL;
}

/* ---- The taker's side ---- */

/* A slot that held a giant row gives its memory back. */
static void run_recycle(struct run *r) {
    r->len = 0;
    r->first = NULL;
    r->last = NULL;
    r->done = false;
    if (r->cap > SHRINK_ABOVE_BYTES) {
        free(r->ptr);
        r->ptr = NULL;
        r->cap = 0;
    }
}

enum pipeline_took pipeline_take(struct pipeline *p, struct pipeline_batch **ret) {
    enum pipeline_took took = PIPELINE_WAIT;
    pthread_mutex_lock(&p->mu);
    while (took == PIPELINE_WAIT) {
        if (p->broken) {
            took = PIPELINE_FAIL;
        } else if (p->head == p->tail) {
            if (!p->fetched) {
                break;
            }
            took = p->failure.kind == PIPELINE_FINE ? PIPELINE_END : PIPELINE_FAIL;
        } else {
            struct run *r = &p->ring[p->head % PIPELINE_RING];
            if (r->first != NULL) {
                *ret = r->first;
                r->first = r->first->next;
                r->last = r->first == NULL ? NULL : r->last;
                took = PIPELINE_BATCH;
            } else if (r->done) {
                run_recycle(r);
                p->head++;
                pthread_cond_signal(&p->space);
                pthread_cond_broadcast(&p->work);
            } else {
                break;
            }
        }
    }
    p->taker_waits = took == PIPELINE_WAIT;
    pthread_mutex_unlock(&p->mu);
    return took;
}

void pipeline_give_back(struct pipeline *p, struct pipeline_batch *b) {
    pthread_mutex_lock(&p->mu);
    batch_free(p, b);
    pthread_mutex_unlock(&p->mu);
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

static struct sl_rc batches_make(struct pipeline *p, struct sl_error *err) {
    unsigned n = 2 * p->conf.converters + 2;
    p->batches = calloc(n, sizeof *p->batches);
    ENSURE(p->batches != NULL, err, SL_E_NOMEM, "out of memory");
    for (unsigned i = 0; i < n; i++) {
        struct sl_rc rc = copy_batch_init(&p->batches[i].batch, &p->conf.convert);
        if (sl_failed(rc)) {
            return sl_fail(err, rc.code, "out of memory");
        }
        p->batch_count++;
        batch_free(p, &p->batches[i]);
    }
    return SL_OK;
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
    for (unsigned i = 0; rc == 0 && i <= p->conf.converters; i++) {
        rc = pthread_create(&p->threads[i], &attr, i == 0 ? fetch_main : converter_main, p);
        p->thread_count += rc == 0;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    ENSURE(rc == 0, err, SL_E_NOMEM, "A thread can't be started.");
    return SL_OK;
}

struct sl_rc pipeline_start(const struct pipeline_conf *conf, struct pipeline **ret,
                            struct sl_error *err) {
    sl_assert(conf->converters >= 1 && conf->converters <= PIPELINE_CONVERTERS);
    struct pipeline *p = calloc(1, sizeof *p);
    ENSURE(p != NULL, err, SL_E_NOMEM, "out of memory");
    p->conf = *conf;
    p->conf.s3.abort = &p->abort;
    atomic_init(&p->credentials_fd, -1);
    pthread_mutex_init(&p->mu, NULL);
    pthread_cond_init(&p->space, NULL);
    pthread_cond_init(&p->work, NULL);
    struct sl_rc rc = batches_make(p, err);
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
    int fd = atomic_load(&p->credentials_fd);
    if (fd >= 0) {
        shutdown(fd, SHUT_RDWR);
    }
    pthread_cond_broadcast(&p->space);
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->mu);
    for (unsigned i = 0; i < p->thread_count; i++) {
        pthread_join(p->threads[i], NULL);
    }
    for (unsigned i = 0; i < p->batch_count; i++) {
        copy_batch_fini(&p->batches[i].batch);
    }
    free(p->batches);
    for (unsigned i = 0; i < PIPELINE_RING; i++) {
        free(p->ring[i].ptr);
    }
    pthread_mutex_destroy(&p->mu);
    pthread_cond_destroy(&p->space);
    pthread_cond_destroy(&p->work);
    free(p);
}
