/* Inside of the pipeline: the state its threads share. */
#ifndef SEALIFT_COPY_PIPELINE_IN_H
#define SEALIFT_COPY_PIPELINE_IN_H

#include <pthread.h>

#include "extension/copy/pipeline.h"

enum {
    PIPELINE_RUN_BYTES = 256 * 1024,
    /* Runs that may lie ready. The fetching thread is faster than a lane, and gets ahead while no
     * segment is sealed: by as much as a lane converts while one is. */
    PIPELINE_RING = 32,
    /* A run holding a row at the limit, and the bytes that came with its end. */
    PIPELINE_RUN_MAX_BYTES = LIMIT_COPY_ROW_BYTES + 2 * PIPELINE_RUN_BYTES,
    PIPELINE_OUTS = 2,
    /* With a SORTKEY one lane converts, until nothing more is fetched: of that many runs a second
     * lane takes the later half, so that no processor waits for the last rows and their segment. */
    PIPELINE_SPLIT_RUNS = 16,
    /* One that each worker fills or seals, and one more, so that a lane need not wait for them. */
    PIPELINE_GATHERED = PIPELINE_WORKERS + 1,
};

/* A run of whole rows. Its slot in the ring passes from the fetching thread to a worker to the
 * taker; only `first`, `last` and `done` are shared, under mu. */
struct run {
    uint8_t *home; /* its part of the ring's memory, PIPELINE_RUN_BYTES */
    uint8_t *ptr;  /* that, or a row larger than it */
    size_t len;
    size_t cap;
    uint64_t line;
    char object[PIPELINE_OBJECT_CHARS + 1];
    struct pipeline_batch *first;
    struct pipeline_batch *last;
    bool done;
};

/* Rows that become a segment. */
struct gathered {
    struct copy_batch batch;
    struct gathered *next;
};

/* Where runs are converted, one after the other; a worker steps in and out. */
struct lane {
    bool busy; /* a worker is in */
    struct copy_converter *converter;
    uint64_t seq; /* the run at hand */
    bool in_run;
    bool waits;                   /* what it gathered is full, but comes after the first lane's */
    struct pipeline_batch *batch; /* for rows and rejects, or NULL */
    struct gathered *gathered;    /* what its rows are added to, or NULL */
};

enum out_state { OUT_FREE, OUT_SEALING, OUT_READY, OUT_TAKEN };
struct out {
    struct pipeline_segment segment; /* first: what the taker holds leads back here */
    enum out_state state;
    uint64_t seq;
};

struct pipeline {
    struct pipeline_conf conf; /* read-only after the start */
    atomic_bool abort;
    atomic_int credentials_fd;
    pthread_t threads[PIPELINE_WORKERS + 1];
    unsigned thread_count;
    struct pipeline_batch *batches; /* all of them, as allocated */
    unsigned batch_count;
    struct gathered gathered[PIPELINE_GATHERED];
    unsigned lane_count; /* that take the runs in turn; another one may split what is left */
    uint8_t *ring_memory;

    pthread_mutex_t mu;
    pthread_cond_t space; /* a slot of the ring came free */
    pthread_cond_t work;  /* something for a worker to do, or to end */
    struct run ring[PIPELINE_RING];
    uint64_t head; /* the run the taker is at */
    uint64_t next; /* the run the next free lane takes */
    uint64_t late; /* once split: the run the second lane takes; the first ends before `split` */
    uint64_t split;
    uint64_t tail; /* the run the fetching thread fills */
    bool fetched;  /* nothing follows tail */
    bool broken;   /* a worker failed */
    struct pipeline_failure failure;
    struct pipeline_batch *free_batches;
    unsigned free_count;
    struct lane lanes[PIPELINE_WORKERS];
    struct gathered *free_gathered;
    struct gathered *full, *full_last; /* to be sealed, in order */
    struct out outs[PIPELINE_OUTS];
    uint64_t sealing; /* the next segment to be sealed, */
    uint64_t taking;  /* and to be taken */
    bool flushed;     /* all rows are in segments or on their way */
    bool taker_waits;
    struct pipeline_counts counts;
};

/* The fetching thread's work, from listing to the last run; fetch.c. */
void fetch_all(struct pipeline *p);
/* For it: waits for the slot at tail, NULL after an abort; hands the slot over to the workers. */
struct run *pipeline_slot(struct pipeline *p);
void pipeline_publish(struct pipeline *p);

/* A worker's life; workers.c. */
void workers_main(struct pipeline *p);
struct sl_rc workers_init(struct pipeline *p, struct sl_error *err);
void workers_fini(struct pipeline *p);
/* For it, with mu held: a batch comes back; wakes the taker; frees the slots at the head that hold
 * nothing for the taker. */
void pipeline_batch_free(struct pipeline *p, struct pipeline_batch *b);
void pipeline_wake_taker(struct pipeline *p);
void pipeline_advance(struct pipeline *p);
static inline bool pipeline_aborted(const struct pipeline *p) {
    return atomic_load_explicit(&p->abort, memory_order_relaxed);
}

#endif
