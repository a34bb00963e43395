/* Space that nobody needs; see space.h.
 *
 * A block is in use when a catalog row that some snapshot may still see names it, or when a
 * transaction has reserved it and not written its row yet. Such a one holds RowExclusiveLock at
 * least, from before its reservation to its end. So: the list of free runs is taken away, after
 * which nothing below the file's end is reserved; if no other transaction holds such a lock then,
 * every reservation below has its row by now, or never will. */
#include "extension/columnar/space.h"

#include "storage/lock.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "extension/columnar/fail.h"
#include "extension/columnar/pages.h"
#include "extension/columnar/rows.h"

/* Another transaction holds a lock that lets it write. */
static bool others_write(Relation rel) {
    LOCKTAG tag;
    int count = 0;
    SET_LOCKTAG_RELATION(tag, rel->rd_lockInfo.lockRelId.dbId, rel->rd_lockInfo.lockRelId.relId);
    pfree(GetLockConflicts(&tag, ShareLock, &count));
    return count > 0;
}

/* What lies between the used runs in [1, end); the greatest ones when there are too many. Runs
 * behind the end were reserved since. */
static int gaps_between(Relation rel, const struct pages_run *used, int used_count, BlockNumber end,
                        struct pages_run *gaps) {
    BlockNumber at = 1;
    int count = 0;
    while (used_count > 0 && used[used_count - 1].first >= end) {
        used_count--;
    }
    for (int i = 0; i <= used_count; i++) {
        BlockNumber next = i < used_count ? used[i].first : end;
        if (next < at || next > end || (i < used_count && used[i].blocks > end - next)) {
            fail_damaged(rel, "segments overlap in its file, or pass its end");
        }
        if (next > at && count == PAGES_RUNS_MAX) {
            int least = 0;
            for (int g = 1; g < count; g++) {
                least = gaps[g].blocks < gaps[least].blocks ? g : least;
            }
            memmove(&gaps[least], &gaps[least + 1], sizeof *gaps * (Size)(count - least - 1));
            count--;
        }
        if (next > at) {
            gaps[count++] = (struct pages_run){at, next - at};
        }
        at = i < used_count ? next + used[i].blocks : end;
    }
    return count;
}

void space_reclaim(Relation rel) {
    if (others_write(rel)) {
        return;
    }
    MemoryContext own =
        AllocSetContextCreate(CurrentMemoryContext, "sealed space", ALLOCSET_DEFAULT_SIZES);
    MemoryContext before = MemoryContextSwitchTo(own);
    struct pages_run *runs = palloc_array(struct pages_run, PAGES_RUNS_MAX), *used;
    BlockNumber end;
    TransactionId latest = InvalidTransactionId;
    struct rows_storage *s = rows_storage_open(rel);
    int used_count, count = pages_take_runs(rel, &s->key, runs, &end);
    if (!others_write(rel)) {
        used = rows_used(rel, s, &used_count, &latest);
        count = gaps_between(rel, used, used_count, end, runs);
    }
    pages_give_runs(rel, &s->key, runs, count, latest);
    rows_storage_close(s);
    MemoryContextSwitchTo(before);
    MemoryContextDelete(own);
}
