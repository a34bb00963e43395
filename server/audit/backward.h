/* Reads an audit log from its end towards its beginning, over segments, with bounded memory; for
 * searches that want the newest first. The log may be written meanwhile. */
#ifndef SL_AUDIT_BACKWARD_H
#define SL_AUDIT_BACKWARD_H

#include "server/audit/segment.h"

/* A place between two lines: the segment's first record, and the offset where a line ends. */
struct audit_place {
    uint64_t first;
    uint64_t end;
};
struct audit_backward {
    int dir_fd, fd;
    uint64_t *firsts; /* of the segments */
    size_t segment;   /* index of the open one */
    off_t end;        /* of what is left of it */
    off_t base;       /* offset of mem in the file */
    uint8_t *mem;
    uint64_t bytes; /* read so far */
};
/* From `from` on, or from the log's end where it is NULL. SL_E_NOT_FOUND when `from` is no place of
 * this log. */
struct sl_rc audit_backward_open(struct audit_backward *b, const char *dir,
                                 const struct audit_place *from, struct sl_error *err);
void audit_backward_fini(struct audit_backward *b);
/* The line before, valid until the next call; *ret_found false at the beginning of the log. What is
 * no line is passed over: verify tells. */
struct sl_rc audit_backward_next(struct audit_backward *b, bool *ret_found, struct audit_line *ret,
                                 struct sl_error *err);
/* Where the next call goes on. */
struct audit_place audit_backward_place(const struct audit_backward *b);

#endif
