/* `sealift keys backup | restore | drill`: argv[0] is the word. */
#ifndef SL_CLI_BACKUP_H
#define SL_CLI_BACKUP_H

#include "lib/base/rc.h"

struct sl_rc backup_verb(int argc, char **argv, struct sl_error *err);
struct sl_rc restore_verb(int argc, char **argv, struct sl_error *err);
struct sl_rc drill_verb(int argc, char **argv, struct sl_error *err);

#endif
