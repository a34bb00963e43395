/* See load_state.h. What a load is stands in its slot under one lock; how far it is are atomic
 * counters, which its threads move without one. */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/backendid.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "extension/catalog/load_state.h"
#include "extension/copy/failure.h"

PG_FUNCTION_INFO_V1(sealift_load_state);

enum { SOURCE_BYTES = sizeof "s3://" + WATCH_OBJECT_BYTES, FORMAT_BYTES = 16, COLUMNS = 20 };

struct slot {
    int query; /* 0: no load */
    int pid;
    Oid user, table;
    uint64 xid;
    TimestampTz start;
    bool compressed;
    char database[NAMEDATALEN], table_name[NAMEDATALEN], format[FORMAT_BYTES], source[SOURCE_BYTES];
    struct watch_counters counters;
};

static struct slot *slots; /* MaxBackends; all but the counters under `lock` */
static LWLock *lock;
static shmem_request_hook_type next_request;
static shmem_startup_hook_type next_startup;

static Size slots_size(void) {
    return mul_size(sizeof(struct slot), (Size)MaxBackends);
}

static void request(void) {
    if (next_request != NULL) {
        next_request();
    }
    RequestAddinShmemSpace(slots_size());
    RequestNamedLWLockTranche("sealift_loads", 1);
}

static void startup(void) {
    bool found;
    if (next_startup != NULL) {
        next_startup();
    }
    slots = ShmemInitStruct("sealift_loads", slots_size(), &found);
    memset(slots, 0, slots_size());
    lock = &GetNamedLWLockTranche("sealift_loads")[0].lock;
}

void load_state_init(void) {
    next_request = shmem_request_hook;
    shmem_request_hook = request;
    next_startup = shmem_startup_hook;
    shmem_startup_hook = startup;
}

struct watch_counters *load_state_begin(const struct load_facts *f) {
    struct slot *s = &slots[MyBackendId - 1];
    watch_counters_reset(&s->counters);
    LWLockAcquire(lock, LW_EXCLUSIVE);
    s->query = f->query;
    s->pid = MyProcPid;
    s->user = f->user;
    s->table = f->table;
    s->xid = f->xid;
    s->start = f->start;
    s->compressed = f->compressed;
    strlcpy(s->database, f->database, sizeof s->database);
    strlcpy(s->table_name, f->table_name, sizeof s->table_name);
    strlcpy(s->format, f->format, sizeof s->format);
    strlcpy(s->source, f->source, sizeof s->source);
    LWLockRelease(lock);
    return &s->counters;
}

void load_state_end(void) {
    LWLockAcquire(lock, LW_EXCLUSIVE);
    slots[MyBackendId - 1].query = 0;
    LWLockRelease(lock);
}

int load_state_running(void) {
    int n = 0;
    LWLockAcquire(lock, LW_SHARED);
    for (int i = 0; i < MaxBackends; i++) {
        n += slots[i].query != 0;
    }
    LWLockRelease(lock);
    return n;
}

static Datum counted(const atomic_uint_least64_t *at) {
    return Int64GetDatum((int64)atomic_load_explicit(at, memory_order_relaxed));
}

static void put_slot(const struct slot *s, const char *object, ReturnSetInfo *out) {
    const struct watch_counters *c = &s->counters;
    Datum v[COLUMNS] = {
        Int32GetDatum((int32)s->user),
        Int32GetDatum(s->pid),
        Int32GetDatum(s->query),
        CStringGetTextDatum(s->database),
        Int64GetDatum((int64)s->xid),
        Int32GetDatum((int32)s->table),
        CStringGetTextDatum(s->table_name),
        TimestampGetDatum(s->start),
        CStringGetTextDatum(s->source),
        CStringGetTextDatum(s->format),
        BoolGetDatum(s->compressed),
        counted(&c->files),
        counted(&c->size),
        counted(&c->done),
        counted(&c->fetched),
        counted(&c->plain),
        counted(&c->lines),
        counted(&c->rows),
        counted(&c->errors),
        CStringGetTextDatum(object[0] != '\0' ? copy_object_url(object) : ""),
    };
    bool nulls[COLUMNS] = {false};
    tuplestore_putvalues(out->setResult, out->setDesc, v, nulls);
}

/* sealift.load_state(): all that run, of all users; views show each user his own. */
Datum sealift_load_state(PG_FUNCTION_ARGS) {
    InitMaterializedSRF(fcinfo, 0);
    struct slot *s = palloc(sizeof *s);
    char object[WATCH_OBJECT_BYTES];
    for (int i = 0; i < MaxBackends; i++) {
        LWLockAcquire(lock, LW_SHARED);
        memcpy(s, &slots[i], sizeof *s);
        if (s->query != 0) {
            /* the name where it is written: of a copy nothing tells that it is torn */
            watch_counters_object(&slots[i].counters, object);
        }
        LWLockRelease(lock);
        if (s->query != 0) {
            put_slot(s, object, (ReturnSetInfo *)fcinfo->resultinfo);
        }
    }
    return (Datum)0;
}
