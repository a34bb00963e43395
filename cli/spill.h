/* Where queries that need more memory than they have put intermediate rows: files in memory
 * (a private folder of /dev/shm), never on a disk. */
#ifndef SL_CLI_SPILL_H
#define SL_CLI_SPILL_H

#include "cli/instance.h"

/* PostgreSQL's temp_file_limit, in kB: what `up --temp-file-limit` says, or a quarter of that
 * memory. SL_E_NOT_FOUND where /dev/shm is no memory file system. */
struct sl_rc spill_limit(const struct instance *in, uint64_t *ret_kb, struct sl_error *err);
/* As the warehouse's user, before PostgreSQL starts: makes the folder, and DATA/pg/base/pgsql_tmp a
 * link to it. SL_E_IO when somebody else's is in its place. */
struct sl_rc spill_prepare(const struct instance *in, struct sl_error *err);
/* After PostgreSQL's end: the folder, if it is empty. */
void spill_remove(const struct instance *in);

#endif
