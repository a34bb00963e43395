/* See raise.h. */
#include "postgres.h"

#include "extension/keys/raise.h"

void keys_raise(int level, struct sl_rc rc, const struct sl_error *err, const char *what) {
    const char *s = sl_code_info(rc.code)->sqlstate;
    ereport(level, (errcode(MAKE_SQLSTATE(s[0], s[1], s[2], s[3], s[4])),
                    errmsg("%s: %s", what, sl_error_message(err, rc.code)),
                    err->hint[0] != '\0' ? errhint("%s", err->hint) : 0));
}
