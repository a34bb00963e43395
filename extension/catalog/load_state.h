/* The loads that run, in shared memory: one slot a backend, whose counters the load's threads move
 * and any session reads (stv_load_state, sys_load_history, `sealift loads`). */
#ifndef SEALIFT_CATALOG_LOAD_STATE_H
#define SEALIFT_CATALOG_LOAD_STATE_H

#include "datatype/timestamp.h"

#include "extension/copy/copy.h"

/* In the postmaster, from _PG_init. */
void load_state_init(void);

struct load_facts {
    Oid user, table;
    const char *database, *table_name;
    const char *source; /* s3://bucket/prefix */
    const char *format; /* as load_format says it */
    int query;
    uint64 xid; /* with its epoch */
    TimestampTz start;
    bool compressed;
};

/* This backend's slot, from here until load_state_end; its counters start at zero. */
struct watch_counters *load_state_begin(const struct load_facts *facts);
void load_state_end(void);
/* Loads that run, of all sessions. */
int load_state_running(void);

#endif
