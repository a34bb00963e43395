/* A key store out of a backup, in a data directory of its own, with its keyholder and its kms
 * beside it: what restore keeps and the drill throws away. */
#ifndef SL_CLI_STORE_H
#define SL_CLI_STORE_H

#include "cli/backup_file.h"
#include "cli/supervise.h"

struct store {
    struct instance *in; /* adopted by store_open */
    struct supervisor alone;
    char id[SEAM_BACKUP_ID_CHARS + 1]; /* of the backup */
    struct buf client;                 /* the credentials file, or empty */
    int kms;                           /* a connection to it, or -1 */
};

/* "32 hex digits" of the backup. */
void store_backup_id(const struct backup_header *h, char out[SEAM_BACKUP_ID_CHARS + 1]);
/* Puts the backup's instance into in->data, which must be empty, under the backup's passphrase as
 * its root, and starts keyholder and kms on it. SL_E_ACCESS_DENIED: wrong passphrase. store_close
 * follows, whether this failed or not. */
struct sl_rc store_open(struct store *s, struct instance *in, struct backup_reader *from,
                        const struct secret *passphrase, struct sl_error *err);
/* Prints a line for each kind of thing; SL_E_CORRUPT unless all of them are as they were. */
struct sl_rc store_check(struct store *s, struct sl_error *err);
void store_close(struct store *s);

#endif
