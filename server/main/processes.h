/* Entry points of the children, called by cli/main.c for `sealift keyholder|kms|s3|gateway`. Each
 * returns an exit code. Descriptors at start: docs/decisions/1-processes.md. gateway_main lives in
 * gateway/. */
#ifndef SL_MAIN_PROCESSES_H
#define SL_MAIN_PROCESSES_H

int keyholder_main(void); /* server/main/keyholder.c */
int kms_main(void);       /* server/main/kms.c */
int s3_main(void);        /* server/main/s3.c */

#endif
