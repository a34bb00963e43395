/* `sealift warehouse check`. */
#ifndef SL_CLI_WAREHOUSE_CHECK_H
#define SL_CLI_WAREHOUSE_CHECK_H

/* argv[0] is "check"; the exit code. */
int warehouse_check(int argc, char **argv);

#endif
