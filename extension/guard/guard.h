/* What sessions may run and what may be logged. */
#ifndef SEALIFT_GUARD_GUARD_H
#define SEALIFT_GUARD_GUARD_H

#include "nodes/parsenodes.h"
#include "parser/parse_node.h"
#include "tcop/cmdtag.h"
#include "tcop/utility.h"

/* Settings of the cluster, written by the supervisor at each start; public facts. */
extern char *guard_s3_endpoint, *guard_ca_file, *guard_kms_socket, *guard_region, *guard_account,
    *guard_cluster, *guard_master_user;
extern bool guard_ephemeral;
extern int guard_s3_stall_ms;

void utility_init(void);
void log_guard_init(void);
/* Settings by which a client could have tables of his lie in the clear, or libraries loaded, become
 * the superuser's; settings.c. */
void settings_init(void);
/* Sets one of them to what it is, as pg_dump's scripts do. */
bool settings_are_so(const VariableSetStmt *statement);

/* Raises ERRCODE_FEATURE_NOT_SUPPORTED or ERRCODE_INSUFFICIENT_PRIVILEGE for what clients may not
 * run; allow_list.c. */
void allow_list_check(const Node *statement);

/* COPY from S3, already recognised as such; copy_statement.c. */
void copy_statement_run(const CopyStmt *stmt, ParseState *pstate, QueryCompletion *qc);
bool copy_statement_is_s3(const CopyStmt *stmt);

#endif
