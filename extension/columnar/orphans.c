/* Orphans of a database; see orphans.h. Candidates are looked at twice, and between the looks all
 * transactions that ran at the first one end (in a sweep) or a moment passes (in a check): what a
 * transaction has just made is no orphan, what it has just dropped is gone. */
#include "extension/columnar/orphans.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "common/relpath.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/lock.h"
#include "storage/procarray.h"
#include "storage/reinit.h"
#include "storage/smgr.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/relmapper.h"
#include "utils/snapmgr.h"
#include "utils/uuid.h"

#include <sys/stat.h>

#include "extension/columnar/findings.h"
#include "extension/columnar/pages.h"

PG_FUNCTION_INFO_V1(sealift_check_orphans);

enum { FIRST_ENTRIES = 256, LOOK_AGAIN_US = 300 * 1000, WAIT_STEPS = 100, WAIT_US = 100 * 1000 };

/* ---- catalog rows ---- */

static HTAB *id_set(const char *name, Size len) {
    HASHCTL ctl = {.keysize = len, .entrysize = len, .hcxt = CurrentMemoryContext};
    return hash_create(name, FIRST_ENTRIES, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

static void query(const char *sql) {
    if (SPI_execute(sql, true, 0) != SPI_OK_SELECT) {
        elog(ERROR, "the catalog can't be read");
    }
}

static Datum value(uint64 row, int column) {
    bool isnull;
    return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, &isnull);
}

static bool is_named(const char *table, const uint8_t id[STORAGE_ID_LEN]) {
    Datum arg = PointerGetDatum(id);
    Oid type = UUIDOID;
    char *sql = psprintf("SELECT FROM sealift.%s WHERE storage = $1", table);
    if (SPI_execute_with_args(sql, 1, &type, &arg, NULL, true, 1) != SPI_OK_SELECT) {
        elog(ERROR, "the catalog can't be read");
    }
    return SPI_processed > 0;
}

/* Storages that files of relations name. *ret_known: each file names one that is there, and no two
 * the same; otherwise a damaged file may be another storage's, which only seems to be an orphan. */
static HTAB *claimed_storages(bool *ret_known) {
    HTAB *set = id_set("claimed", STORAGE_ID_LEN);
    *ret_known = true;
    query("SELECT c.relfilenode, c.relnamespace, c.relpersistence = 't' FROM pg_catalog.pg_class c "
          "JOIN pg_catalog.pg_am a ON a.oid = c.relam WHERE a.amname = 'sealed' AND c.relkind IN "
          "('r', 'm')");
    SPITupleTable *relations = SPI_tuptable;
    for (uint64 i = 0; i < relations->numvals; i++) {
        bool isnull, twice = false;
        HeapTuple row = relations->vals[i];
        TupleDesc desc = relations->tupdesc;
        RelFileNode node = {.spcNode = MyDatabaseTableSpace,
                            .dbNode = MyDatabaseId,
                            .relNode = DatumGetObjectId(SPI_getbinval(row, desc, 1, &isnull))};
        Oid schema = DatumGetObjectId(SPI_getbinval(row, desc, 2, &isnull));
        bool temporary = DatumGetBool(SPI_getbinval(row, desc, 3, &isnull));
        BackendId backend = temporary ? GetTempNamespaceBackendId(schema) : InvalidBackendId;
        uint8_t id[STORAGE_ID_LEN];
        if (pages_file_storage(&node, backend, id)) {
            hash_search(set, id, HASH_ENTER, &twice);
            *ret_known &= !twice && is_named("storage", id);
        } else if (!temporary || smgrexists(smgropen(node, backend), MAIN_FORKNUM)) {
            *ret_known = false;
        }
    }
    return set;
}

/* Ids that rows name and no file does; of those in `before`, when it is given. */
static HTAB *unclaimed(const char *sql, HTAB *claimed, HTAB *before) {
    HTAB *set = id_set("unclaimed", STORAGE_ID_LEN);
    query(sql);
    for (uint64 i = 0; i < SPI_processed; i++) {
        const void *id = DatumGetUUIDP(value(i, 1))->data;
        if (hash_search(claimed, id, HASH_FIND, NULL) == NULL &&
            (before == NULL || hash_search(before, id, HASH_FIND, NULL) != NULL)) {
            hash_search(set, id, HASH_ENTER, NULL);
        }
    }
    return set;
}

/* Those of two looks, each with one snapshot for relations and rows. *ret_known as of the second.
 */
static HTAB *orphan_storages(bool *ret_known) {
    static const char sql[] = "SELECT storage FROM sealift.storage UNION SELECT storage FROM "
                              "sealift.segment UNION SELECT storage FROM sealift.segment_deletes";
    HTAB *set = NULL;
    for (int look = 0; look < 2; look++) {
        PushActiveSnapshot(GetLatestSnapshot());
        set = unclaimed(sql, claimed_storages(ret_known), set);
        PopActiveSnapshot();
        if (hash_get_num_entries(set) == 0) {
            break;
        }
    }
    return set;
}

static const char attributes_sql[] =
    "FROM sealift.table_attributes a WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE "
    "c.oid = a.relid)";

/* A database without Sealift's schema has nothing of it. */
static bool has_rows(void) {
    Oid schema = get_namespace_oid("sealift", true);
    return OidIsValid(schema) && OidIsValid(get_relname_relid("storage", schema));
}

/* ---- files ---- */

struct file {
    Oid node;
    ino_t inode; /* of the main fork's first segment */
};

/* Which files relations name, those of running transactions too. */
static HTAB *named_files(void) {
    HTAB *set = id_set("named files", sizeof(Oid));
    SnapshotData dirty;
    HeapTuple tuple;
    InitDirtySnapshot(dirty);
    Relation rel = table_open(RelationRelationId, AccessShareLock);
    SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, &dirty, 0, NULL);
    while ((tuple = systable_getnext(scan)) != NULL) {
        Form_pg_class form = (Form_pg_class)GETSTRUCT(tuple);
        Oid node = form->relfilenode;
        if (!OidIsValid(node) && RELKIND_HAS_STORAGE(form->relkind)) {
            node = RelationMapOidToFilenode(form->oid, form->relisshared);
        }
        hash_search(set, &node, HASH_ENTER, NULL);
    }
    systable_endscan(scan);
    table_close(rel, AccessShareLock);
    return set;
}

/* The files that are there, then the relations: whatever came between has both. An empty file is
 * one that PostgreSQL removes at its next checkpoint. */
static List *unnamed_files(const List *before) {
    List *found = NIL;
    char *folder = GetDatabasePath(MyDatabaseId, MyDatabaseTableSpace);
    DIR *dir = AllocateDir(folder);
    struct dirent *e;
    while ((e = ReadDirExtended(dir, folder, WARNING)) != NULL) {
        int digits;
        ForkNumber fork;
        struct stat st;
        char *path = psprintf("%s/%s", folder, e->d_name);
        if (parse_filename_for_nontemp_relation(e->d_name, &digits, &fork) &&
            fork == MAIN_FORKNUM && e->d_name[digits] == '\0' && stat(path, &st) == 0 &&
            st.st_size > 0) {
            struct file *f = palloc(sizeof *f);
            *f = (struct file){.node = atooid(e->d_name), .inode = st.st_ino};
            found = lappend(found, f);
        }
    }
    FreeDir(dir);
    HTAB *named = named_files();
    ListCell *lc, *other;
    foreach (lc, found) {
        const struct file *f = lfirst(lc);
        bool candidate = hash_search(named, &f->node, HASH_FIND, NULL) == NULL;
        bool seen = before == NIL;
        foreach (other, before) {
            const struct file *b = lfirst(other);
            seen |= candidate && b->node == f->node && b->inode == f->inode;
        }
        if (!candidate || !seen) {
            found = foreach_delete_current(found, lc);
        }
    }
    return found;
}

/* False: some are still running. */
static bool wait_for_others(void) {
    int count;
    VirtualTransactionId *ids =
        GetCurrentVirtualXIDs(InvalidTransactionId, false, false, 0, &count);
    for (int i = 0; i < count; i++) {
        int step = 0;
        while (!VirtualXactLock(ids[i], false)) {
            CHECK_FOR_INTERRUPTS();
            if (++step == WAIT_STEPS) {
                return false;
            }
            pg_usleep(WAIT_US);
        }
    }
    return true;
}

/* ---- check ---- */

static void report_ids(FunctionCallInfo fcinfo, HTAB *ids) {
    HASH_SEQ_STATUS each;
    const uint8_t *id;
    hash_seq_init(&each, ids);
    while ((id = hash_seq_search(&each)) != NULL) {
        char hex[2 * STORAGE_ID_LEN + 1];
        for (int i = 0; i < STORAGE_ID_LEN; i++) {
            snprintf(hex + 2 * i, 3, "%02x", id[i]);
        }
        findings_add(fcinfo, psprintf("storage %s", hex), "it belongs to no relation");
    }
}

static void report_rows(FunctionCallInfo fcinfo) {
    bool known;
    HTAB *ids = orphan_storages(&known);
    report_ids(fcinfo, ids);
    PushActiveSnapshot(GetLatestSnapshot());
    query(psprintf("SELECT a.relid %s", attributes_sql));
    PopActiveSnapshot();
    for (uint64 i = 0; i < SPI_processed; i++) {
        findings_add(fcinfo, psprintf("attributes of relation %u", DatumGetObjectId(value(i, 1))),
                     "there is no such relation");
    }
}

Datum sealift_check_orphans(PG_FUNCTION_ARGS) {
    InitMaterializedSRF(fcinfo, 0);
    if (RecoveryInProgress()) {
        return (Datum)0; /* a standby's are those of the server that it follows */
    }
    SPI_connect();
    if (has_rows()) {
        report_rows(fcinfo);
    }
    List *files = unnamed_files(NIL);
    if (files != NIL) {
        pg_usleep(LOOK_AGAIN_US);
        files = unnamed_files(files);
    }
    ListCell *lc;
    foreach (lc, files) {
        const struct file *f = lfirst(lc);
        findings_add(
            fcinfo,
            psprintf("file %s/%u", GetDatabasePath(MyDatabaseId, MyDatabaseTableSpace), f->node),
            "no relation names it");
    }
    SPI_finish();
    return (Datum)0;
}

/* ---- sweep ---- */

static void remove_rows(HTAB *ids) {
    static const char *const tables[] = {"segment", "segment_deletes", "storage"};
    HASH_SEQ_STATUS each;
    const uint8_t *id;
    hash_seq_init(&each, ids);
    while ((id = hash_seq_search(&each)) != NULL) {
        Datum arg = PointerGetDatum(id);
        Oid type = UUIDOID;
        for (int i = 0; i < (int)lengthof(tables); i++) {
            char *sql = psprintf("DELETE FROM sealift.%s WHERE storage = $1", tables[i]);
            if (SPI_execute_with_args(sql, 1, &type, &arg, NULL, false, 0) != SPI_OK_DELETE) {
                elog(ERROR, "an orphan's rows can't be removed");
            }
        }
    }
}

/* False: which storages are orphans is not known. */
static bool sweep_rows(void) {
    bool known;
    HTAB *ids = orphan_storages(&known);
    if (known) {
        remove_rows(ids);
    }
    if (SPI_execute(psprintf("DELETE %s", attributes_sql), false, 0) != SPI_OK_DELETE) {
        elog(ERROR, "an orphan's attributes can't be removed");
    }
    return known;
}

static void sweep_files(void) {
    List *files = unnamed_files(NIL);
    if (files == NIL || !wait_for_others()) {
        return; /* the next start comes by again */
    }
    ListCell *lc;
    files = unnamed_files(files);
    foreach (lc, files) {
        RelFileNode node = {.spcNode = MyDatabaseTableSpace,
                            .dbNode = MyDatabaseId,
                            .relNode = ((struct file *)lfirst(lc))->node};
        SMgrRelation smgr = smgropen(node, InvalidBackendId);
        smgrdounlinkall(&smgr, 1, false);
        smgrclose(smgr);
    }
}

bool orphans_sweep(void) {
    bool known = true;
    StartTransactionCommand();
    SPI_connect();
    if (has_rows()) {
        PushActiveSnapshot(GetTransactionSnapshot());
        known = sweep_rows();
        PopActiveSnapshot();
    }
    sweep_files();
    SPI_finish();
    CommitTransactionCommand();
    return known;
}
