/* Finds where an audit log ends, after an orderly close or a crash. */
#ifndef SL_AUDIT_RECOVER_H
#define SL_AUDIT_RECOVER_H

#include "server/audit/segment.h"

/* *ret_open: the last segment has no head and goes on. An empty log gives a zero point, not open.
 * A torn tail is cut off; anything more that is malformed is moved to `<first>.cut`, for verify to
 * report. */
struct sl_rc audit_recover(int dir_fd, struct audit_point *ret, bool *ret_open,
                           struct sl_error *err);

#endif
