/* See loads.h. */
#include "postgres.h"

#include "access/xact.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "extension/catalog/load_records.h"
#include "extension/catalog/loads.h"

struct running {
    struct load_facts facts;
    struct watch watch;
    struct copy_result *result;
    bool recorded;
};

/* An error, or the backend's end where `code` is not 0; after the load's own clean-up, so no thread
 * is left. */
static void cut_off(int code, Datum arg) {
    struct running *r = (struct running *)DatumGetPointer(arg);
    MemoryContext before = MemoryContextSwitchTo(GetMemoryChunkContext(r));
    load_state_end(); /* first: where the record fails too, the load must not go on for others */
    if (!r->recorded) {
        r->result->message = code == 0 ? CopyErrorData()->message : "the session was ended";
        load_records_write_later(&r->facts, &r->watch, r->result);
    }
    watch_fini(&r->watch);
    MemoryContextSwitchTo(before);
}

static const char *format_of(const struct copy_spec *spec) {
    return spec->format == DELIMITED_JSON ? "json" : spec->format == DELIMITED_CSV ? "csv" : "txt";
}

void loads_run(Relation rel, struct copy_spec *spec, struct copy_result *ret) {
    struct running *r = palloc0(sizeof *r);
    r->facts = (struct load_facts){
        .user = GetUserId(),
        .table = RelationGetRelid(rel),
        .database = get_database_name(MyDatabaseId),
        .table_name = pstrdup(RelationGetRelationName(rel)),
        .source = psprintf("s3://%s/%s", spec->bucket, spec->prefix),
        .format = format_of(spec),
        .query = spec->query_id,
        .xid = U64FromFullTransactionId(GetTopFullTransactionId()),
        .start = GetCurrentTimestamp(),
        .compressed = spec->compression != UNPACK_NONE,
    };
    load_records_begin(&r->facts);
    r->result = ret;
    watch_init(&r->watch, load_state_begin(&r->facts));
    spec->watch = &r->watch;
    spec->running = load_state_running();
    PG_ENSURE_ERROR_CLEANUP(cut_off, PointerGetDatum(r));
    {
        copy_load(rel, spec, ret);
        r->recorded = true;
        load_records_write(&r->facts, &r->watch, ret);
    }
    PG_END_ENSURE_ERROR_CLEANUP(cut_off, PointerGetDatum(r));
    load_state_end();
    watch_fini(&r->watch);
    pfree(r);
}
