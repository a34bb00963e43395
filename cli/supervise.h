/* The supervisor: starts the five children with what they inherit, restarts the dead, stops them in
 * order. docs/decisions/1-processes.md. */
#ifndef SL_CLI_SUPERVISE_H
#define SL_CLI_SUPERVISE_H

#include "cli/instance.h"
#include "lib/ipc/seam.h"

enum child_id { CHILD_KEYHOLDER, CHILD_KMS, CHILD_GATEWAY, CHILD_S3, CHILD_POSTGRES, CHILD_COUNT };

struct child {
    const char *name;
    int pid;      /* 0 = not running */
    int ready_fd; /* reading end of the ready pipe, -1 once ready; PostgreSQL's tells why not */
    bool ready;
    int64_t started_ms, restart_at_ms;
    int backoff_ms;
    int restarts;
    char why[256]; /* PostgreSQL: why it could not start; empty once it has */
};

struct supervisor {
    struct instance *in;
    char exe[INSTANCE_PATH_MAX];        /* this executable */
    char module_dir[INSTANCE_PATH_MAX]; /* folder of the PostgreSQL module */
    struct child child[CHILD_COUNT];
    int https_fd, plain_fd, sql_fd, kms_fd, gateway_fd, admin_fd; /* listeners, -1 = none */
    int keyholder_control;                                        /* our end */
    uint8_t token[SEAM_TOKENS][SEAM_TOKEN_LEN];                   /* by enum seam_edge */
    bool isolated; /* uids or landlock keep the children apart */
    bool stopping;
    bool sealed;               /* the keyholder waits for a word */
    int wrong_words;           /* since the last right one */
    int64_t next_word_ms;      /* monotonic: no earlier */
    int unseal_fd;             /* the verb whose word the keyholder is trying, or -1 */
    const struct secret *word; /* passphrase or PIN for the start, or NULL */
};

/* Makes listeners, tokens, run/ files. */
struct sl_rc supervise_prepare(struct supervisor *s, struct sl_error *err);
/* Starts one child; for the keyholder waits for its word. */
struct sl_rc supervise_start(struct supervisor *s, enum child_id id, struct sl_error *err);
/* Waits until the child has said that it serves; fails when it dies or the time is over. */
struct sl_rc supervise_wait_ready(struct supervisor *s, enum child_id id, int timeout_ms,
                                  struct sl_error *err);
/* A connection to kms on the supervisor's edge. */
struct sl_rc supervise_connect(const struct supervisor *s, int *ret_fd, struct sl_error *err);
/* Gives the keyholder the word that it waits for. SL_E_ACCESS_DENIED: too soon after a wrong one;
 * each costs a longer wait than the one before. The keyholder takes a second or more to try it:
 * what it says of it the loop passes on to unseal_fd, which it takes over when this succeeds. */
struct sl_rc supervise_unseal(struct supervisor *s, struct slice word, int take_fd,
                              struct sl_error *err);
/* Puts the domain key of an instance that is not up under in->move_to; words may be empty where the
 * roots need none. */
struct sl_rc supervise_move(struct supervisor *s, struct instance *in, const struct secret *was,
                            const struct secret *will, struct sl_error *err);
/* The keyholder of an instance that is not up, alone: a channel to it. supervise_end_alone ends
 * it. */
struct sl_rc supervise_keyholder_alone(struct supervisor *s, struct instance *in, int *ret_channel,
                                       struct sl_error *err);
/* The folders of a data directory, as their owners need them; s->in is set. */
struct sl_rc supervise_folders(struct supervisor *s, struct instance *in, struct sl_error *err);
/* The domain key as a file under a backup's passphrase, by the keyholder that is alone. */
struct sl_rc supervise_wrap(struct supervisor *s, struct slice passphrase, struct buf *ret,
                            struct sl_error *err);
/* kms beside the keyholder that is alone, for supervise_connect. No network. */
struct sl_rc supervise_kms_alone(struct supervisor *s, struct sl_error *err);
/* Whose files a child's are, as root; else (uint32_t)-1. */
uint32_t supervise_uid(const struct instance *in, enum child_id id);
void supervise_end_alone(struct supervisor *s);
/* What `sealift status` reads; written again at each change. */
void supervise_write_status(struct supervisor *s);
/* Runs until SIGTERM or SIGINT, restarting the dead, then stops all. */
void supervise_run(struct supervisor *s);
/* Gives kms the administrator's own certificate, or tells it that there is none. */
struct sl_rc supervise_own_tls(const struct supervisor *s, struct sl_error *err);
/* Reads that certificate again; s3 and gateway look for new ones, whether that failed or not. */
struct sl_rc supervise_reload_tls(const struct supervisor *s, struct sl_error *err);
void supervise_stop(struct supervisor *s);

#endif
