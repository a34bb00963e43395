/* The verbs of the command `sealift`; each gets its own argv (argv[0] is the verb) and returns an
 * exit code. */
#ifndef SL_CLI_VERBS_H
#define SL_CLI_VERBS_H

int verb_up(int argc, char **argv);
int verb_env(int argc, char **argv);
int verb_status(int argc, char **argv);
int verb_down(int argc, char **argv);
int verb_account(int argc, char **argv);
int verb_audit(int argc, char **argv);
int verb_loads(int argc, char **argv);
int verb_clock(int argc, char **argv);
int verb_tls(int argc, char **argv);
int verb_keys(int argc, char **argv);
int verb_warehouse(int argc, char **argv);
int verb_unseal(int argc, char **argv);

#endif
