/* The file of a backup (docs/format.md): written whole or not at all, and read chunk by chunk. */
#ifndef SL_CLI_BACKUP_FILE_H
#define SL_CLI_BACKUP_FILE_H

#include "server/keys/backup.h"

struct backup_writer;
/* Starts `path` (a temporary file beside it, 0600) with the header that `h` says, whose salt is
 * given; store_key is the keyholder's for BACKUP_LABEL. */
struct sl_rc backup_create(const char *path, const struct backup_header *h,
                           const struct secret *store_key, struct backup_writer **ret,
                           struct sl_error *err);
struct sl_rc backup_put(struct backup_writer *w, struct slice bytes, struct sl_error *err);
/* Ends the last chunk, flushes, gives the file its name. */
struct sl_rc backup_finish(struct backup_writer *w, struct sl_error *err);
void backup_writer_free(struct backup_writer *w); /* one that is not finished leaves nothing */

struct backup_reader;
struct sl_rc backup_open(const char *path, struct backup_reader **ret, struct sl_error *err);
const struct backup_header *backup_header(const struct backup_reader *r);
/* SL_E_CORRUPT: the header was altered, or the store's key is another. */
struct sl_rc backup_unlock(struct backup_reader *r, const struct secret *store_key,
                           struct sl_error *err);
/* The next bytes, valid until the next call; empty at the end. Nothing counts before the end is
 * reached: a cut shows at the last chunk only. */
struct sl_rc backup_read(struct backup_reader *r, struct slice *ret, struct sl_error *err);
void backup_reader_free(struct backup_reader *r);

#endif
