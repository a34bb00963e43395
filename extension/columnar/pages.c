/* The file of a sealed table; see pages.h.
 *
 * Block 0 goes through the buffer manager and generic WAL. Segment pages never do: they are written
 * straight through smgr, then logged in records of our own that hold all their bytes; replay writes
 * them the same way, whatever is there. Written first, since a full disk is then an error and not
 * the end of the server, as it is for WAL. That is in order because nobody reads these blocks
 * before the catalog row commits, and with it flushes WAL up to here; and a checkpoint that begins
 * after the record was inserted flushes pages that were written before.
 *
 * Files grow at the reservation, under the extension lock, by writing their last page; so writers
 * only ever write inside the file and never race for its end. */
#include "extension/columnar/pages.h"

#include "access/generic_xlog.h"
#include "access/xlog_internal.h"
#include "access/xloginsert.h"
#include "access/xlogutils.h"
#include "catalog/pg_class.h"
#include "catalog/storage.h"
#include "miscadmin.h"
#include "storage/buf_internals.h"
#include "storage/bufmgr.h"
#include "storage/bufpage.h"
#include "storage/checksum.h"
#include "storage/lmgr.h"
#include "storage/smgr.h"
#include "storage/standby.h"
#include "utils/rel.h"

#include "extension/columnar/fail.h"
#include "lib/columnar/catalog_mac.h"

enum {
    RMGR_SEALED = 178,
    RECORD_PAGES = 0x00,
    RECORD_FREED = 0x10,
    HEAD_MAGIC = 0x534c5441,
    HEAD_VERSION = 3,
    GROUP_PAGES = 32, /* pages of one record */
    PAGE_BYTES = BLCKSZ - SizeOfPageHeaderData,
};

struct head {
    uint32 magic;
    uint32 version;
    uint8 storage[STORAGE_ID_LEN];
    uint64 next_row;
    BlockNumber next_block;
    uint32 run_count;
    uint64 node;                /* the number of the file that it was made in */
    uint8 mac[CATALOG_MAC_LEN]; /* of all before it, and the runs */
    struct pages_run runs[];    /* up to pd_lower */
};

/* What lay in blocks that may be used again was removed by transactions up to this one. */
struct freed_record {
    RelFileNode node;
    TransactionId latest;
};

struct record {
    RelFileNode node;
    BlockNumber first;
    uint32 bytes; /* that follow */
};

typedef union {
    char data[BLCKSZ];
    int64 align;
} page_buffer;

/* ---- segment pages ---- */

uint32 pages_for(size_t bytes) {
    return (uint32)((bytes + PAGE_BYTES - 1) / PAGE_BYTES);
}

/* The LSN is zero, in replay too: nothing reads it, and so each byte of a page is known. */
static void fill_page(char *page, const uint8_t *bytes, size_t len, BlockNumber block) {
    PageHeader h = (PageHeader)page;
    memset(page, 0, BLCKSZ);
    memcpy(page + SizeOfPageHeaderData, bytes, len);
    /* No hole that anything could leave out, no line pointers. */
    h->pd_lower = h->pd_upper = h->pd_special = BLCKSZ;
    PageSetPageSizeAndVersion(page, BLCKSZ, PG_PAGE_LAYOUT_VERSION);
    PageSetChecksumInplace(page, block);
}

/* One record's pages; in replay the file may still be too short. */
static void put_pages(SMgrRelation smgr, BlockNumber first, const uint8_t *bytes, size_t len,
                      bool replay) {
    page_buffer page;
    BlockNumber end = replay ? smgrnblocks(smgr, MAIN_FORKNUM) : InvalidBlockNumber;
    for (size_t at = 0; at < len; at += PAGE_BYTES, first++) {
        fill_page(page.data, bytes + at, Min(len - at, PAGE_BYTES), first);
        if (first < end) {
            smgrwrite(smgr, MAIN_FORKNUM, first, page.data, false);
        } else {
            smgrextend(smgr, MAIN_FORKNUM, first, page.data, false);
        }
    }
}

static XLogRecPtr log_pages(Relation rel, BlockNumber first, const uint8_t *bytes, size_t len) {
    struct record r = {.node = rel->rd_node, .first = first, .bytes = (uint32)len};
    XLogBeginInsert();
    XLogRegisterData((char *)&r, sizeof r);
    XLogRegisterData((char *)(uintptr_t)bytes, (int)len);
    return XLogInsert(RMGR_SEALED, RECORD_PAGES);
}

/* The WAL writer is told to flush what was logged, so that little is left to do at the commit. */
void pages_write(Relation rel, BlockNumber first_block, struct slice bytes) {
    XLogRecPtr logged = InvalidXLogRecPtr;
    for (size_t at = 0; at < bytes.len; at += (size_t)GROUP_PAGES * PAGE_BYTES) {
        CHECK_FOR_INTERRUPTS();
        size_t len = Min(bytes.len - at, (size_t)GROUP_PAGES * PAGE_BYTES);
        BlockNumber first = first_block + (BlockNumber)(at / PAGE_BYTES);
        put_pages(RelationGetSmgr(rel), first, bytes.ptr + at, len, false);
        if (rel->rd_rel->relpersistence == RELPERSISTENCE_PERMANENT) {
            logged = log_pages(rel, first, bytes.ptr + at, len);
        }
    }
    if (logged != InvalidXLogRecPtr) {
        XLogSetAsyncXactLSN(logged);
    }
}

/* Every bit of a page counts: the header is checked, and the checksum where the cluster has them.
 */
static void check_page(Relation rel, const char *page, BlockNumber block) {
    PageHeader h = (PageHeader)(uintptr_t)page;
    if (PageIsNew((Page)(uintptr_t)page) || h->pd_flags != 0 || h->pd_lower != BLCKSZ ||
        h->pd_upper != BLCKSZ || h->pd_special != BLCKSZ || h->pd_prune_xid != 0 ||
        PageGetLSN((Page)(uintptr_t)page) != InvalidXLogRecPtr ||
        h->pd_pagesize_version != (BLCKSZ | PG_PAGE_LAYOUT_VERSION) ||
        !PageIsVerifiedExtended((Page)(uintptr_t)page, block, 0)) {
        fail_damaged(rel, psprintf("block %u is not what was written", block));
    }
}

static bool is_zero(const char *p, size_t len) {
    return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

static void read_pages(Relation rel, BlockNumber first_block, size_t offset, size_t len,
                       uint8_t *out, bool to_the_end) {
    page_buffer page;
    struct fail_context naming;
    fail_context_push(&naming, rel);
    while (len > 0) {
        CHECK_FOR_INTERRUPTS();
        BlockNumber block = first_block + (BlockNumber)(offset / PAGE_BYTES);
        size_t skip = offset % PAGE_BYTES, part = Min(len, PAGE_BYTES - skip);
        smgrread(RelationGetSmgr(rel), MAIN_FORKNUM, block, page.data);
        check_page(rel, page.data, block);
        memcpy(out, page.data + SizeOfPageHeaderData + skip, part);
        out += part;
        offset += part;
        len -= part;
        if (len == 0 && to_the_end &&
            !is_zero(page.data + SizeOfPageHeaderData + skip + part, PAGE_BYTES - skip - part)) {
            fail_damaged(rel, psprintf("block %u is not what was written", block));
        }
    }
    fail_context_pop(&naming);
}

void pages_read(Relation rel, BlockNumber first_block, size_t offset, size_t len, uint8_t *out) {
    read_pages(rel, first_block, offset, len, out, false);
}

void pages_read_end(Relation rel, BlockNumber first_block, size_t offset, size_t len,
                    uint8_t *out) {
    read_pages(rel, first_block, offset, len, out, true);
}

/* ---- the head ---- */

static struct head *head_of(Page page) {
    return (struct head *)PageGetContents(page);
}

static Size head_len(const struct head *h) {
    return sizeof *h + h->run_count * sizeof h->runs[0];
}

typedef union {
    struct head head;
    char room[sizeof(struct head) + PAGES_RUNS_MAX * sizeof(struct pages_run)];
} head_buffer;

static void read_head(Buffer buffer, head_buffer *ret) {
    const struct head *h = head_of(BufferGetPage(buffer));
    memcpy(ret, h, head_len(h));
}

/* Its form, and that nothing stands where nothing belongs; what it says is for its MAC. */
static bool is_head(Page page) {
    const PageHeader p = (PageHeader)page;
    const struct head *h = head_of(page);
    if (PageIsNew(page) || h->magic != HEAD_MAGIC || h->version != HEAD_VERSION ||
        h->next_block == 0 || h->run_count > PAGES_RUNS_MAX) {
        return false;
    }
    Size used = MAXALIGN(SizeOfPageHeaderData) + head_len(h);
    return p->pd_flags == 0 && p->pd_lower == used && p->pd_upper == BLCKSZ &&
           p->pd_special == BLCKSZ && p->pd_prune_xid == 0 &&
           p->pd_pagesize_version == (BLCKSZ | PG_PAGE_LAYOUT_VERSION) &&
           is_zero((const char *)page + used, BLCKSZ - used);
}

static void head_mac(const struct head *h, const struct secret *key, uint8_t out[CATALOG_MAC_LEN]) {
    struct slice fields[] = {slice_of(h, offsetof(struct head, mac)),
                             slice_of(h->runs, h->run_count * sizeof h->runs[0])};
    catalog_mac(key, SLICE_LIT("head"), fields, lengthof(fields), out);
}

static bool is_under(const struct head *h, const struct secret *key) {
    uint8_t mac[CATALOG_MAC_LEN];
    head_mac(h, key, mac);
    return secret_equal(slice_of(mac, sizeof mac), slice_of(h->mac, sizeof h->mac));
}

static void check_head(Relation rel, const struct head *h, const struct secret *key) {
    if (!is_under(h, key)) {
        fail_damaged(rel, "its file's head was altered");
    }
}

void pages_create(const RelFileNode *node, char persistence, const uint8_t storage[STORAGE_ID_LEN],
                  const struct secret *key) {
    SMgrRelation smgr = RelationCreateStorage(*node, persistence, true);
    page_buffer page;
    PageInit(page.data, BLCKSZ, 0);
    struct head *h = head_of(page.data);
    *h = (struct head){
        .magic = HEAD_MAGIC, .version = HEAD_VERSION, .next_block = 1, .node = node->relNode};
    memcpy(h->storage, storage, STORAGE_ID_LEN);
    head_mac(h, key, h->mac);
    ((PageHeader)page.data)->pd_lower += sizeof(struct head);
    PageSetChecksumInplace(page.data, 0);
    smgrextend(smgr, MAIN_FORKNUM, 0, page.data, false);
    if (persistence == RELPERSISTENCE_PERMANENT) {
        RelFileNode copy = *node;
        log_newpage(&copy, MAIN_FORKNUM, 0, page.data, true);
    }
    smgrclose(smgr);
}

/* The head's buffer, locked. */
static Buffer lock_head(Relation rel, int mode) {
    struct fail_context naming;
    fail_context_push(&naming, rel);
    Buffer buffer = ReadBuffer(rel, 0);
    fail_context_pop(&naming);
    LockBuffer(buffer, mode);
    if (!is_head(BufferGetPage(buffer))) {
        UnlockReleaseBuffer(buffer);
        fail_damaged(rel, "its file has no head");
    }
    if (head_of(BufferGetPage(buffer))->node != rel->rd_node.relNode) {
        UnlockReleaseBuffer(buffer);
        fail_damaged(rel, "its file's head is another file's");
    }
    return buffer;
}

void pages_storage_id(Relation rel, uint8_t ret[STORAGE_ID_LEN]) {
    Buffer buffer = lock_head(rel, BUFFER_LOCK_SHARE);
    memcpy(ret, head_of(BufferGetPage(buffer))->storage, STORAGE_ID_LEN);
    UnlockReleaseBuffer(buffer);
}

/* As it lies on the disk; false when it is missing, not sound, or another file's. */
static bool head_on_disk(const RelFileNode *node, BackendId backend, page_buffer *page) {
    enum { ATTEMPTS = 3 }; /* the page may just be written */
    SMgrRelation smgr = smgropen(*node, backend);
    for (int i = 0; i < ATTEMPTS; i++) {
        if (!smgrexists(smgr, MAIN_FORKNUM) || smgrnblocks(smgr, MAIN_FORKNUM) == 0) {
            return false;
        }
        smgrread(smgr, MAIN_FORKNUM, 0, page->data);
        if (is_head(page->data) && PageIsVerifiedExtended(page->data, 0, 0)) {
            return head_of(page->data)->node == node->relNode;
        }
    }
    return false;
}

bool pages_file_storage(const RelFileNode *node, BackendId backend, uint8_t ret[STORAGE_ID_LEN]) {
    page_buffer page;
    if (!head_on_disk(node, backend, &page)) {
        return false;
    }
    memcpy(ret, head_of(page.data)->storage, STORAGE_ID_LEN);
    return true;
}

bool pages_file_is_under(const RelFileNode *node, BackendId backend, const struct secret *key) {
    page_buffer page;
    return head_on_disk(node, backend, &page) && is_under(head_of(page.data), key);
}

/* All of a page but its checksum, which only what is on the disk has. */
static bool same_page(const char *a, const char *b) {
    size_t at = offsetof(PageHeaderData, pd_checksum), behind = at + sizeof(uint16);
    return memcmp(a, b, at) == 0 && memcmp(a + behind, b + behind, BLCKSZ - behind) == 0;
}

void pages_check_file(Relation rel) {
    page_buffer page;
    RelFileNode node = rel->rd_node;
    Buffer buffer = lock_head(rel, BUFFER_LOCK_SHARE);
    bool dirty = (pg_atomic_read_u32(&GetBufferDescriptor(buffer - 1)->state) & BM_DIRTY) != 0;
    bool there = dirty || head_on_disk(&node, rel->rd_backend, &page);
    bool same = dirty || (there && same_page(page.data, BufferGetPage(buffer)));
    UnlockReleaseBuffer(buffer);
    if (!there) {
        fail_damaged(rel, "its file has no head on the disk");
    }
    if (!same) {
        fail_damaged(rel, "its file's head is another one on the disk");
    }
}

void pages_given(Relation rel, const struct secret *key, struct pages_given *ret) {
    head_buffer now;
    Buffer buffer = lock_head(rel, BUFFER_LOCK_SHARE);
    read_head(buffer, &now);
    UnlockReleaseBuffer(buffer);
    check_head(rel, &now.head, key);
    Size runs = now.head.run_count * sizeof now.head.runs[0];
    *ret = (struct pages_given){.next_block = now.head.next_block,
                                .next_row = now.head.next_row,
                                .run_count = (int)now.head.run_count,
                                .runs = palloc(runs + 1)};
    memcpy(ret->runs, now.head.runs, runs);
}

/* The file reaches up to `end`; the new last page stays empty until it is written. */
static void grow(Relation rel, BlockNumber end) {
    static const page_buffer zeros;
    SMgrRelation smgr = RelationGetSmgr(rel);
    if (smgrnblocks(smgr, MAIN_FORKNUM) < end) {
        smgrextend(smgr, MAIN_FORKNUM, end - 1, (char *)(uintptr_t)zeros.data, false);
    }
}

/* The head's new state, logged. Ends the buffer's lock. */
static void write_head(Relation rel, Buffer buffer, const struct secret *key, struct head *next) {
    head_mac(next, key, next->mac);
    GenericXLogState *log = GenericXLogStart(rel);
    Page page = GenericXLogRegisterBuffer(log, buffer, 0);
    Size len = head_len(next);
    memset(head_of(page), 0, BLCKSZ - MAXALIGN(SizeOfPageHeaderData)); /* of runs that are gone */
    memcpy(head_of(page), next, len);
    ((PageHeader)page)->pd_lower = (LocationIndex)((char *)head_of(page) + len - page);
    GenericXLogFinish(log);
    UnlockReleaseBuffer(buffer);
}

/* The smallest run with room, from its begin; false when there is none. */
static bool take_from_runs(Relation rel, struct head *h, uint32 blocks, BlockNumber *ret) {
    struct pages_run *best = NULL;
    for (uint32 i = 0; i < h->run_count; i++) {
        struct pages_run *run = &h->runs[i];
        if (run->first == 0 || run->first >= h->next_block ||
            run->blocks > h->next_block - run->first) {
            fail_damaged(rel, "its file's head contradicts itself");
        }
        if (run->blocks >= blocks && (best == NULL || run->blocks < best->blocks)) {
            best = run;
        }
    }
    if (best == NULL) {
        return false;
    }
    *ret = best->first;
    best->first += blocks;
    best->blocks -= blocks;
    if (best->blocks == 0) {
        h->run_count--;
        memmove(best, best + 1, (Size)((char *)&h->runs[h->run_count] - (char *)best));
    }
    return true;
}

struct pages_range pages_reserve(Relation rel, const struct secret *key, size_t bytes,
                                 uint32 rows) {
    uint32 blocks = pages_for(bytes);
    head_buffer next;
    struct pages_range range = {.first_block = 0};
    LockRelationForExtension(rel, ExclusiveLock);
    Buffer buffer = lock_head(rel, BUFFER_LOCK_EXCLUSIVE);
    read_head(buffer, &next);
    check_head(rel, &next.head, key);
    range.first_row = next.head.next_row;
    bool again = blocks > 0 && take_from_runs(rel, &next.head, blocks, &range.first_block);
    if (blocks > MaxBlockNumber - next.head.next_block ||
        range.first_row + rows > (uint64)PAGES_ROW_LIMIT) {
        ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                        errmsg("table \"%s\" has reached its greatest size",
                               RelationGetRelationName(rel))));
    }
    if (!again) {
        range.first_block = next.head.next_block;
        next.head.next_block += blocks;
    }
    if (blocks > 0) {
        grow(rel, range.first_block + blocks);
    }
    next.head.next_row += rows;
    write_head(rel, buffer, key, &next.head);
    UnlockRelationForExtension(rel, ExclusiveLock);
    return range;
}

int pages_take_runs(Relation rel, const struct secret *key, struct pages_run *ret,
                    BlockNumber *ret_end) {
    head_buffer next;
    Buffer buffer = lock_head(rel, BUFFER_LOCK_EXCLUSIVE);
    read_head(buffer, &next);
    check_head(rel, &next.head, key);
    int count = (int)next.head.run_count;
    memcpy(ret, next.head.runs, sizeof *ret * (Size)count);
    *ret_end = next.head.next_block;
    if (count == 0) {
        UnlockReleaseBuffer(buffer);
        return 0;
    }
    next.head.run_count = 0;
    write_head(rel, buffer, key, &next.head);
    return count;
}

/* The end of the last record. At the start of a page the position of the next one lies behind a
 * header that is not there yet, up to which nothing can be flushed. */
static XLogRecPtr last_record_end(void) {
    XLogRecPtr next = GetXLogInsertRecPtr();
    uint64 in_page = next % XLOG_BLCKSZ;
    bool first = XLogSegmentOffset(next, wal_segment_size) < XLOG_BLCKSZ;
    return in_page == (first ? SizeOfXLogLongPHD : SizeOfXLogShortPHD) ? next - in_page : next;
}

static void log_freed(Relation rel, TransactionId latest) {
    struct freed_record r = {.node = rel->rd_node, .latest = latest};
    XLogBeginInsert();
    XLogRegisterData((char *)&r, sizeof r);
    (void)XLogInsert(RMGR_SEALED, RECORD_FREED);
}

void pages_give_runs(Relation rel, const struct secret *key, const struct pages_run *runs,
                     int count, TransactionId latest) {
    head_buffer next;
    if (rel->rd_rel->relpersistence == RELPERSISTENCE_PERMANENT) {
        if (TransactionIdIsValid(latest)) {
            log_freed(rel, latest);
        }
        /* Whoever removed what lay there has committed, but maybe not on the disk yet; a crash must
         * not bring it back once its blocks have other content. */
        XLogFlush(last_record_end());
    }
    LockRelationForExtension(rel, ExclusiveLock);
    Buffer buffer = lock_head(rel, BUFFER_LOCK_EXCLUSIVE);
    read_head(buffer, &next);
    check_head(rel, &next.head, key);
    bool cut = count > 0 && runs[count - 1].first + runs[count - 1].blocks == next.head.next_block;
    if (cut) {
        next.head.next_block = runs[--count].first;
    }
    memcpy(next.head.runs, runs, sizeof *runs * (Size)count);
    next.head.run_count = (uint32)count;
    write_head(rel, buffer, key, &next.head);
    if (cut) {
        RelationTruncate(rel, next.head.next_block);
    }
    UnlockRelationForExtension(rel, ExclusiveLock);
}

/* ---- replay ---- */

static void redo_freed(XLogReaderState *reader) {
    struct freed_record r;
    memcpy(&r, XLogRecGetData(reader), sizeof r);
    if (InHotStandby) {
        ResolveRecoveryConflictWithSnapshot(r.latest, r.node);
    }
}

static void redo(XLogReaderState *reader) {
    struct record r;
    if ((XLogRecGetInfo(reader) & ~XLR_INFO_MASK) == RECORD_FREED &&
        XLogRecGetDataLen(reader) == sizeof(struct freed_record)) {
        redo_freed(reader);
        return;
    }
    memcpy(&r, XLogRecGetData(reader), sizeof r);
    if ((XLogRecGetInfo(reader) & ~XLR_INFO_MASK) != RECORD_PAGES ||
        XLogRecGetDataLen(reader) != sizeof r + r.bytes) {
        elog(PANIC, "sealed: unknown WAL record");
    }
    /* The file may be gone again by what follows in the log; then it is removed again. */
    SMgrRelation smgr = smgropen(r.node, InvalidBackendId);
    smgrcreate(smgr, MAIN_FORKNUM, true);
    put_pages(smgr, r.first, (const uint8_t *)XLogRecGetData(reader) + sizeof r, r.bytes, true);
}

static void describe(StringInfo out, XLogReaderState *reader) {
    struct record r;
    if ((XLogRecGetInfo(reader) & ~XLR_INFO_MASK) == RECORD_FREED) {
        struct freed_record f;
        memcpy(&f, XLogRecGetData(reader), sizeof f);
        appendStringInfo(out, "rel %u/%u/%u; latest %u", f.node.spcNode, f.node.dbNode,
                         f.node.relNode, f.latest);
        return;
    }
    memcpy(&r, XLogRecGetData(reader), sizeof r);
    appendStringInfo(out, "rel %u/%u/%u; first block %u; %u bytes", r.node.spcNode, r.node.dbNode,
                     r.node.relNode, r.first, r.bytes);
}

static const char *identify(uint8 info) {
    switch (info & ~XLR_INFO_MASK) {
    case RECORD_PAGES:
        return "PAGES";
    case RECORD_FREED:
        return "FREED";
    default:
        return NULL;
    }
}

void pages_init(void) {
    static RmgrData manager = {
        .rm_name = "sealed", .rm_redo = redo, .rm_desc = describe, .rm_identify = identify};
    RegisterCustomRmgr(RMGR_SEALED, &manager);
}
