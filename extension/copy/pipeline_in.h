/* Inside of the pipeline: the state its threads share. */
#ifndef SEALIFT_COPY_PIPELINE_IN_H
#define SEALIFT_COPY_PIPELINE_IN_H

#include <pthread.h>

#include "extension/copy/pipeline.h"

enum {
    PIPELINE_RING = 8,
    PIPELINE_RUN_BYTES = 256 * 1024,
    /* A run holding a row at the limit, and the bytes that came with its end. */
    PIPELINE_RUN_MAX_BYTES = LIMIT_COPY_ROW_BYTES + 2 * PIPELINE_RUN_BYTES,
};

/* A run of whole rows. Its slot in the ring passes from the fetching thread to a converter to the
 * taker; only `first`, `last` and `done` are shared, under mu. */
struct run {
    uint8_t *ptr;
    size_t len;
    size_t cap;
    uint64_t line;
    char object[PIPELINE_OBJECT_CHARS + 1];
    struct pipeline_batch *first;
    struct pipeline_batch *last;
    bool done;
};

struct pipeline {
    struct pipeline_conf conf; /* read-only after the start */
    atomic_bool abort;
    atomic_int credentials_fd;
    pthread_t threads[PIPELINE_CONVERTERS + 1];
    unsigned thread_count;
    struct pipeline_batch *batches; /* all of them, as allocated */
    unsigned batch_count;

    pthread_mutex_t mu;
    pthread_cond_t space; /* a slot of the ring came free */
    pthread_cond_t work;  /* a run to convert, a batch to fill, or the head moved */
    struct run ring[PIPELINE_RING];
    uint64_t head; /* the run the taker is at */
    uint64_t next; /* the run the next free converter takes */
    uint64_t tail; /* the run the fetching thread fills */
    bool fetched;  /* nothing follows tail */
    bool broken;   /* a converter failed */
    struct pipeline_failure failure;
    struct pipeline_batch *free_batches;
    unsigned free_count;
    bool taker_waits;
    struct pipeline_counts counts;
};

/* The fetching thread's work, from listing to the last run; fetch.c. */
void fetch_all(struct pipeline *p);
/* For it: waits for the slot at tail, NULL after an abort; hands the slot over to the converters.
 */
struct run *pipeline_slot(struct pipeline *p);
void pipeline_publish(struct pipeline *p);

#endif
