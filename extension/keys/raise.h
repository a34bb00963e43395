/* A failure of lib/ as PostgreSQL's error. */
#ifndef SEALIFT_KEYS_RAISE_H
#define SEALIFT_KEYS_RAISE_H

#include "lib/base/rc.h"

/* ereport(level) with the code's SQLSTATE and "what: detail". Returns only below ERROR. */
void keys_raise(int level, struct sl_rc rc, const struct sl_error *err, const char *what);

#endif
