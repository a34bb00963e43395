/* Inside of lib/columnar: a delete vector's bytes behind its seal, for the fuzzer. */
#ifndef SL_COLUMNAR_DELETES_IN_H
#define SL_COLUMNAR_DELETES_IN_H

#include "lib/columnar/deletes.h"

/* `d` is made for the segment's rows, with none deleted. */
struct sl_rc deletes_read(struct slice body, struct deletes *d, struct sl_error *err);

#endif
