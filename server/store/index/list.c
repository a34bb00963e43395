/* Listing: one ordered scan; after a rolled-up prefix the scan restarts behind it, so a folder with
 * a million keys costs one seek. */
#include "server/store/index/index_in.h"

/* The smallest byte string above every string that starts with `p`; empty when there is none. */
static struct sl_rc successor(struct slice p, struct arena *a, struct slice *ret,
                              struct sl_error *err) {
    while (p.len > 0 && p.ptr[p.len - 1] == 0xff) {
        p.len--;
    }
    if (p.len == 0) {
        *ret = SLICE_EMPTY;
        return SL_OK;
    }
    struct slice copy = arena_copy(a, p);
    ENSURE(copy.ptr != NULL, err, SL_E_NOMEM, "request needs too much memory");
    uint8_t *bytes = (uint8_t *)(uintptr_t)copy.ptr;
    bytes[copy.len - 1]++;
    *ret = copy;
    return SL_OK;
}

/* Length of the rolled-up prefix of `key`, or 0. */
static size_t rolled_len(struct slice key, const struct index_list_query *q) {
    if (q->delimiter.len == 0 || key.len < q->prefix.len + q->delimiter.len) {
        return 0;
    }
    const uint8_t *from = key.ptr + q->prefix.len;
    const uint8_t *hit = memmem(from, key.len - q->prefix.len, q->delimiter.ptr, q->delimiter.len);
    return hit ? (size_t)(hit - key.ptr) + q->delimiter.len : 0;
}

struct scan {
    struct sqlite3_stmt *st;
    const struct blob_id *bucket;
    const struct index_list_query *q;
    struct arena *a;
    struct sl_error *err;
    struct index_list_entry *entries;
    size_t count;
    bool ended;
    bool truncated;
};

static void seek(struct scan *s, struct slice from) {
    db_done(s->st);
    db_bind_blob(s->st, 1, blob_id_slice(s->bucket));
    db_bind_blob(s->st, 2, from);
}

static struct sl_rc first_key(const struct index_list_query *q, struct arena *a, struct slice *ret,
                              struct sl_error *err) {
    struct slice from = q->prefix;
    struct slice after = SLICE_EMPTY;
    if (q->after_is_prefix) {
        TRY(successor(q->after, a, &after, err));
        if (q->after.len > 0 && after.len == 0) {
            after = SLICE_LIT("\xff\xff\xff\xff"); /* above every UTF-8 key */
        }
    } else if (q->after.len > 0) {
        uint8_t *next = arena_alloc(a, q->after.len + 1); /* zeroed: after || 0 */
        ENSURE(next != NULL, err, SL_E_NOMEM, "request needs too much memory");
        memcpy(next, q->after.ptr, q->after.len);
        after = slice_of(next, q->after.len + 1);
    }
    *ret = slice_cmp(after, from) > 0 ? after : from;
    return SL_OK;
}

static struct sl_rc take_row(struct scan *s) {
    struct slice key = db_column(s->st, 0);
    if (!slice_starts(key, s->q->prefix)) {
        s->ended = true;
        return SL_OK;
    }
    if (s->count == s->q->max) {
        s->truncated = true;
        return SL_OK;
    }
    struct index_list_entry *e = &s->entries[s->count];
    size_t rolled = rolled_len(key, s->q);
    if (rolled > 0) {
        e->is_prefix = true;
        e->object.key = arena_copy(s->a, slice_sub(key, 0, rolled));
        ENSURE(e->object.key.ptr != NULL, s->err, SL_E_NOMEM, "request needs too much memory");
        s->count++;
        struct slice next;
        TRY(successor(e->object.key, s->a, &next, s->err));
        s->ended = next.len == 0;
        if (!s->ended) {
            seek(s, next);
        }
        return SL_OK;
    }
    TRY(index_column(s->st, 0, s->a, &e->object.key, s->err));
    TRY(index_column_id(s->st, 1, &e->object.id, s->err));
    TRY(index_column(s->st, 2, s->a, &e->object.etag, s->err));
    e->object.size = (uint64_t)sqlite3_column_int64(s->st, 3);
    e->object.modified_ms = sqlite3_column_int64(s->st, 4);
    e->object.checksum_kind = (uint8_t)sqlite3_column_int64(s->st, 5);
    e->object.checksum_type = (uint8_t)sqlite3_column_int64(s->st, 6);
    s->count++;
    return SL_OK;
}

static struct sl_rc scan_all(struct scan *s, struct sqlite3 *conn) {
    struct slice from;
    bool row;
    TRY(first_key(s->q, s->a, &from, s->err));
    TRY(db_prepare(conn,
                   "SELECT key, id, etag, size, modified_ms, checksum_kind, checksum_type"
                   " FROM object WHERE bucket = ? AND key >= ? ORDER BY key",
                   &s->st, s->err));
    seek(s, from);
    while (!s->ended && !s->truncated) {
        TRY(db_step(s->st, &row, s->err));
        if (!row) {
            break;
        }
        TRY(take_row(s));
    }
    return SL_OK;
}

struct sl_rc index_list(struct index *ix, const struct blob_id *bucket,
                        const struct index_list_query *q, struct arena *a, struct index_list *ret,
                        struct sl_error *err) {
    *ret = (struct index_list){0};
    if (q->max == 0) {
        return SL_OK;
    }
    struct scan s = {.bucket = bucket, .q = q, .a = a, .err = err};
    s.entries = arena_array(a, q->max, sizeof *s.entries);
    ENSURE(s.entries != NULL, err, SL_E_NOMEM, "request needs too much memory");
    struct sqlite3 *conn = NULL;
    TRY(kms_db_read(ix->db, &conn, err));
    struct sl_rc rc = scan_all(&s, conn);
    kms_db_read_end(ix->db, conn);
    TRY(rc);
    *ret = (struct index_list){s.entries, s.count, s.truncated};
    return SL_OK;
}
