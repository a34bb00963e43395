/* Small files that hold wrapped keys: written whole or not at all, and durable when written. Knows
 * no PostgreSQL. */
#ifndef SEALIFT_KEYS_KEY_FILE_H
#define SEALIFT_KEYS_KEY_FILE_H

#include "lib/base/buf.h"

enum { KEY_PATH_MAX = 4096, LIMIT_KEY_FILE_BYTES = 32 * 1024 };

/* Writes under the name `temporary` in the same folder, flushes, takes the name `path`, flushes the
 * folder. A file of that name is replaced, or is SL_E_EXISTS. SL_E_FULL, SL_E_IO. */
enum key_file_how { KEY_FILE_NEW, KEY_FILE_REPLACE };
struct sl_rc key_file_write(const char *path, const char *temporary, struct slice bytes,
                            enum key_file_how how, struct sl_error *err);
/* SL_E_NOT_FOUND; SL_E_CORRUPT when it is longer than ret's cap. */
struct sl_rc key_file_read(const char *path, struct buf *ret, struct sl_error *err);
/* `each` for every name in a folder, until one fails. SL_E_IO when the folder can't be read, or not
 * to its end: none may seem to be empty whose keys are then forgotten. */
typedef struct sl_rc (*key_file_each_fn)(const char *name, void *arg, struct sl_error *err);
struct sl_rc key_file_each(const char *folder, key_file_each_fn each, void *arg,
                           struct sl_error *err);

#endif
