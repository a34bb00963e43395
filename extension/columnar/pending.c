/* Pending changes; see pending.h. The lists live in the transaction's memory. */
#include "extension/columnar/pending.h"

#include "access/xact.h"
#include "port/pg_bswap.h"
#include "storage/lmgr.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "extension/columnar/gather.h"
#include "extension/columnar/rows.h"

/* Of one storage in one subtransaction. */
struct change {
    struct change *next;
    uint8_t storage[STORAGE_ID_LEN];
    SubTransactionId sub;
    uint8_t sum[CATALOG_MAC_LEN];
    int64 rows;
    bool changed;
    CommandId last_change;
};

struct removal {
    struct removal *next;
    uint8_t storage[STORAGE_ID_LEN];
    SubTransactionId sub;
    CommandId cid;
    uint8_t mac[CATALOG_MAC_LEN];
};

static struct change *changes;
static struct removal *removals;

static struct change *change_of(const uint8_t storage[STORAGE_ID_LEN]) {
    SubTransactionId sub = GetCurrentSubTransactionId();
    for (struct change *c = changes; c != NULL; c = c->next) {
        if (c->sub == sub && memcmp(c->storage, storage, STORAGE_ID_LEN) == 0) {
            return c;
        }
    }
    struct change *c = MemoryContextAllocZero(TopTransactionContext, sizeof *c);
    memcpy(c->storage, storage, STORAGE_ID_LEN);
    c->sub = sub;
    c->next = changes;
    changes = c;
    return c;
}

void pending_added(const uint8_t storage[STORAGE_ID_LEN], const uint8_t mac[CATALOG_MAC_LEN],
                   int64 rows) {
    struct change *c = change_of(storage);
    catalog_sum_add(c->sum, mac);
    c->rows += rows;
}

void pending_took(const uint8_t storage[STORAGE_ID_LEN], const uint8_t mac[CATALOG_MAC_LEN],
                  int64 rows, CommandId cid, bool own) {
    struct change *c = change_of(storage);
    catalog_sum_sub(c->sum, mac);
    c->rows += rows;
    if (!own) {
        struct removal *r = MemoryContextAllocZero(TopTransactionContext, sizeof *r);
        memcpy(r->storage, storage, STORAGE_ID_LEN);
        memcpy(r->mac, mac, CATALOG_MAC_LEN);
        r->sub = c->sub;
        r->cid = cid;
        r->next = removals;
        removals = r;
    }
}

void pending_changed(const uint8_t storage[STORAGE_ID_LEN], CommandId cid) {
    struct change *c = change_of(storage);
    c->last_change = c->changed ? Max(c->last_change, cid) : cid;
    c->changed = true;
}

void pending_removed(const uint8_t storage[STORAGE_ID_LEN], Snapshot snapshot,
                     uint8_t sum[CATALOG_MAC_LEN]) {
    for (const struct removal *r = removals; r != NULL; r = r->next) {
        if (memcmp(r->storage, storage, STORAGE_ID_LEN) == 0 &&
            (!IsMVCCSnapshot(snapshot) || r->cid < snapshot->curcid)) {
            catalog_sum_add(sum, r->mac);
        }
    }
}

bool pending_changed_after(const uint8_t storage[STORAGE_ID_LEN], CommandId cid) {
    for (const struct change *c = changes; c != NULL; c = c->next) {
        if (c->changed && c->last_change > cid &&
            memcmp(c->storage, storage, STORAGE_ID_LEN) == 0) {
            return true;
        }
    }
    return false;
}

bool pending_none(void) {
    return changes == NULL && removals == NULL;
}

int64 pending_rows(const uint8_t storage[STORAGE_ID_LEN]) {
    int64 rows = 0;
    for (const struct change *c = changes; c != NULL; c = c->next) {
        rows += memcmp(c->storage, storage, STORAGE_ID_LEN) == 0 ? c->rows : 0;
    }
    return rows;
}

/* ---- the end of a transaction ---- */

static void write_sum(const struct change *c) {
    uint32 lock;
    memcpy(&lock, c->storage, sizeof lock);
    /* In one order for all (take_lowest), so that two commits never wait for each other. */
    LockDatabaseObject(rows_storage_table(), pg_ntoh32(lock), 0, ExclusiveLock);
    struct rows_storage *s = rows_storage_find(c->storage, SnapshotSelf);
    struct rows_counts counts;
    if (s == NULL) {
        return; /* dropped or truncated by this transaction */
    }
    if (rows_counts(NULL, s, SnapshotSelf, &counts)) {
        catalog_sum_add(counts.sum, c->sum);
        counts.rows += c->rows;
        counts.changes += c->changed;
        rows_counts_update(s, &counts);
    }
    rows_storage_close(s);
}

/* The changes of all subtransactions of a storage become one. */
static void merge_changes(void) {
    for (struct change *c = changes; c != NULL; c = c->next) {
        for (struct change **at = &c->next; *at != NULL;) {
            struct change *other = *at;
            if (memcmp(other->storage, c->storage, STORAGE_ID_LEN) != 0) {
                at = &other->next;
                continue;
            }
            catalog_sum_add(c->sum, other->sum);
            c->rows += other->rows;
            c->changed |= other->changed;
            *at = other->next;
        }
    }
}

static struct change *take_lowest(void) {
    struct change **lowest = &changes;
    for (struct change **at = &changes; *at != NULL; at = &(*at)->next) {
        if (memcmp((*at)->storage, (*lowest)->storage, STORAGE_ID_LEN) < 0) {
            lowest = at;
        }
    }
    struct change *c = *lowest;
    *lowest = c->next;
    return c;
}

void pending_write_sums(void) {
    if (changes == NULL) {
        return;
    }
    MemoryContext own =
        AllocSetContextCreate(CurrentMemoryContext, "sealed sums", ALLOCSET_SMALL_SIZES);
    MemoryContext before = MemoryContextSwitchTo(own);
    CommandCounterIncrement();
    merge_changes();
    while (changes != NULL) {
        write_sum(take_lowest());
    }
    removals = NULL;
    MemoryContextSwitchTo(before);
    MemoryContextDelete(own);
}

static void at_transaction(XactEvent event, void *arg) {
    switch (event) {
    case XACT_EVENT_PRE_COMMIT:
        gather_flush_all();
        pending_write_sums();
        gather_committing();
        break;
    case XACT_EVENT_PRE_PREPARE:
        gather_flush_all();
        if (changes != NULL) {
            ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                            errmsg("two-phase commit of a transaction that changed a sealed table "
                                   "is not supported")));
        }
        break;
    case XACT_EVENT_COMMIT:
    case XACT_EVENT_ABORT:
    case XACT_EVENT_PREPARE:
        changes = NULL;
        removals = NULL;
        gather_forget();
        break;
    default:
        break;
    }
}

static void at_subtransaction(SubXactEvent event, SubTransactionId sub, SubTransactionId parent,
                              void *arg) {
    if (event == SUBXACT_EVENT_PRE_COMMIT_SUB) {
        gather_flush_all();
        return;
    }
    if (event == SUBXACT_EVENT_START_SUB) {
        return;
    }
    bool commits = event == SUBXACT_EVENT_COMMIT_SUB;
    for (struct change **at = &changes; *at != NULL;) {
        if ((*at)->sub == sub && !commits) {
            *at = (*at)->next;
            continue;
        }
        (*at)->sub = (*at)->sub == sub ? parent : (*at)->sub;
        at = &(*at)->next;
    }
    for (struct removal **at = &removals; *at != NULL;) {
        if ((*at)->sub == sub && !commits) {
            *at = (*at)->next;
            continue;
        }
        (*at)->sub = (*at)->sub == sub ? parent : (*at)->sub;
        at = &(*at)->next;
    }
    gather_end_sub(sub);
}

void pending_init(void) {
    RegisterXactCallback(at_transaction, NULL);
    RegisterSubXactCallback(at_subtransaction, NULL);
}
