/* sealift.table_figures(oid): what a table's catalog rows and sealed footers say of it, for
 * svv_table_info. NULL when it is no sealed table, or is gone. */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include <sys/statvfs.h>

#include "extension/columnar/columnar.h"
#include "extension/columnar/order.h"
#include "extension/columnar/reader.h"
#include "extension/columnar/sortkey.h"
#include "extension/columnar/table.h"

PG_FUNCTION_INFO_V1(sealift_table_figures);

struct figures {
    int64 rows; /* those that are deleted, and not gone by VACUUM yet, too */
    int64 live;
    int64 bytes;
    bool sorted;     /* by a SORTKEY */
    double unsorted; /* percent of the live rows */
    double skew;     /* the longest other column to the first of the key; 0: not known */
};

/* Is the column one of the key's? */
static bool in_key(const uint32_t *keys, uint32_t key_count, uint32_t column) {
    for (uint32_t k = 0; k < key_count; k++) {
        if (keys[k] == column) {
            return true;
        }
    }
    return false;
}

/* Lengths of columns as they lie in the file, from the footers. */
static double skew_of(struct reader *reader, int natts, const uint32_t *keys, uint32_t key_count) {
    const struct rows_list *list = reader_list(reader);
    uint64 *length = palloc0_array(uint64, natts + 1), longest = 0;
    for (int i = 0; i < list->count; i++) {
        CHECK_FOR_INTERRUPTS();
        const struct segment *s = reader_footer(reader, i);
        for (uint32_t c = 0; c < Min(segment_column_count(s), (uint32_t)natts); c++) {
            length[c] += segment_column(s, c)->length;
        }
    }
    for (uint32_t c = 0; c < (uint32_t)natts; c++) {
        longest = in_key(keys, key_count, c) ? longest : Max(longest, length[c]);
    }
    return length[keys[0]] > 0 ? (double)longest / (double)length[keys[0]] : 0;
}

static void take_figures(Relation rel, struct figures *f) {
    Snapshot now = RegisterSnapshot(GetLatestSnapshot());
    struct reader *reader = reader_open(rel, now, NULL);
    const struct rows_list *list = reader_list(reader);
    uint32_t *keys, key_count = sortkey_of(rel, &keys);
    for (int i = 0; i < list->count; i++) {
        f->rows += list->segments[i].ref.rows;
        f->live += (int64)list->segments[i].ref.rows - reader_deleted(&list->segments[i]);
    }
    f->bytes = (int64)table_size(rel, InvalidForkNumber);
    if (key_count > 0) {
        f->sorted = true;
        f->unsorted = order_unsorted(reader, keys, key_count);
        f->skew = skew_of(reader, RelationGetNumberOfAttributes(rel), keys, key_count);
    }
    reader_close(reader);
    UnregisterSnapshot(now);
}

/* Of the file system, what the table takes. */
static double percent_of_disk(int64 bytes) {
    struct statvfs disk;
    if (statvfs(DataDir, &disk) != 0 || disk.f_blocks == 0) {
        return -1;
    }
    return (double)bytes * 100 / ((double)disk.f_blocks * (double)disk.f_frsize);
}

Datum sealift_table_figures(PG_FUNCTION_ARGS) {
    TupleDesc desc;
    struct figures f = {0};
    Relation rel = try_relation_open(PG_GETARG_OID(0), AccessShareLock);
    bool sealed = rel != NULL && columnar_is_sealed(rel) && !RELATION_IS_OTHER_TEMP(rel);
    if (sealed) {
        take_figures(rel, &f);
    }
    if (rel != NULL) {
        relation_close(rel, AccessShareLock);
    }
    if (!sealed) {
        PG_RETURN_NULL();
    }
    if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE) {
        elog(ERROR, "table_figures gives a row");
    }
    double used = percent_of_disk(f.bytes);
    Datum values[] = {Int64GetDatum(f.rows),      Int64GetDatum(f.live),  Int64GetDatum(f.bytes),
                      Float8GetDatum(f.unsorted), Float8GetDatum(f.skew), Float8GetDatum(used)};
    bool nulls[] = {false, false, false, !f.sorted, f.skew == 0, used < 0};
    PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
