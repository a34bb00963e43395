/* Audit segments as files and lines, shared by writer and verifier; format in
 * docs/decisions/4-audit-record.md. */
#ifndef SL_AUDIT_SEGMENT_H
#define SL_AUDIT_SEGMENT_H

#include "lib/base/buf.h"
#include "lib/base/limits.h"

#include <sys/types.h>

enum {
    AUDIT_MAC_LEN = 32,
    AUDIT_FORMAT_VERSION = 1,
    AUDIT_LINE_MAX = LIMIT_AUDIT_RECORD_BYTES + 128,
    AUDIT_HEAD_LINE_MAX = 1024,
};

/* A position in the chain: the last record of a segment. */
struct audit_point {
    uint64_t segment;
    uint64_t first; /* first record of the segment */
    uint64_t last;
    uint8_t mac[AUDIT_MAC_LEN];
};

struct audit_line {
    struct slice record;
    uint64_t seq;
    uint8_t mac[AUDIT_MAC_LEN];
};
/* `text` without its newline; false when it is no chained line. */
bool audit_line_parse(struct slice text, struct audit_line *ret);
void audit_line_put(struct buf *out, const struct audit_line *line);

/* The header record of a segment: where the chain comes from. */
void audit_header_put(struct buf *out, const struct audit_point *previous, uint64_t segment);
bool audit_header_parse(struct slice record, uint64_t *ret_segment, uint64_t *ret_previous_last,
                        uint8_t ret_previous_mac[AUDIT_MAC_LEN]);

/* A head: its JSON text, what was signed, and the signature line around it. */
void audit_head_text(struct buf *out, const struct audit_point *p);
void audit_head_line(struct buf *out, struct slice text, const uint8_t signature[64],
                     const uint8_t public_key[32]);
/* SL_E_CORRUPT unless well-formed and signed by the key that stands in it. */
struct sl_rc audit_head_parse(struct slice line, struct audit_point *ret,
                              uint8_t ret_public_key[32], struct sl_error *err);
/* Reads `<first>.head`; *ret_found false when there is none. */
struct sl_rc audit_head_read(int dir_fd, uint64_t first, bool *ret_found, struct audit_point *ret,
                             uint8_t ret_public_key[32], struct sl_error *err);

/* "<20 digits><suffix>" into out. */
void audit_name(char out[32], uint64_t first, const char *suffix);
/* The numbers of all files with this suffix (".log", ".head"), ascending; the caller frees *ret. */
struct sl_rc audit_list(int dir_fd, const char *suffix, uint64_t **ret, size_t *ret_count,
                        struct sl_error *err);

/* Reads a segment line by line. */
struct audit_reader {
    int fd;
    uint8_t *mem;
    size_t from, to;
    off_t offset; /* in the file, of mem[from] */
};
struct sl_rc audit_reader_open(struct audit_reader *r, int dir_fd, uint64_t first,
                               struct sl_error *err);
void audit_reader_fini(struct audit_reader *r);
enum audit_read {
    AUDIT_READ_END,
    AUDIT_READ_LINE,
    AUDIT_READ_TORN, /* the rest of the file, without a newline */
    AUDIT_READ_LONG, /* a piece of a line longer than any that is written */
};
/* The next line, valid until the next call; *ret_at is its offset. */
struct sl_rc audit_reader_next(struct audit_reader *r, enum audit_read *ret_kind,
                               struct slice *ret_line, off_t *ret_at, struct sl_error *err);

#endif
