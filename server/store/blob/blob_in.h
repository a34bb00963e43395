/* Inside of server/store/blob. */
#ifndef SL_STORE_BLOB_IN_H
#define SL_STORE_BLOB_IN_H

#include "server/store/blob/blob.h"

enum { BLOB_PATH_BYTES = 2 + 1 + 32 + 1 }; /* "ab/<32 hex>" */

void blob_path(const struct blob_id *id, char out[BLOB_PATH_BYTES]);
int blob_dir_fd(const struct blob_store *s);

#endif
