/* The private PostgreSQL cluster: made on the first start, configured at each, executed by the
 * supervisor. */
#ifndef SL_CLI_WAREHOUSE_H
#define SL_CLI_WAREHOUSE_H

#include "cli/instance.h"

/* As root: the system user that PostgreSQL runs under. */
struct sl_rc warehouse_user(uint32_t *ret_uid, uint32_t *ret_gid, struct sl_error *err);
/* Is DATA/pg there? */
bool warehouse_exists(const struct instance *in);
/* First start: initdb and the bootstrap SQL in DATA/pg.new, then a rename. Runs in a child process:
 * *ret_pid is waited for with warehouse_make_wait. */
struct sl_rc warehouse_make_begin(const struct instance *in, const char *module_dir,
                                  const struct secret *password, int *ret_pid,
                                  struct sl_error *err);
struct sl_rc warehouse_make_wait(const struct instance *in, int pid, struct sl_error *err);
/* Writes postgresql.conf and pg_hba.conf. */
struct sl_rc warehouse_configure(const struct instance *in, const char *module_dir,
                                 struct sl_error *err);
/* In the child: drops privileges, enters the sandbox, executes postgres; returns only on failure.
 * Descriptor 3 holds the tokens. */
void warehouse_exec(const struct instance *in, const char *module_dir);
/* Does the postmaster of this pid accept connections? */
bool warehouse_ready(const struct instance *in, int pid);
/* The folder with PostgreSQL 15's programs. */
extern const char warehouse_bin_dir[];

#endif
