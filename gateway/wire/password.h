/* Passwords as PostgreSQL stores and asks for them: MD5 answers, and verifiers made from what
 * CREATE and ALTER USER say. */
#ifndef SL_GATEWAY_PASSWORD_H
#define SL_GATEWAY_PASSWORD_H

#include "lib/base/buf.h"

enum { PASSWORD_MD5_LEN = 35 }; /* "md5" and 32 hex digits */

bool password_is_md5(struct slice stored);
/* The answer that AuthenticationMD5Password wants for a stored "md5…" and a salt. */
struct sl_rc password_md5_answer(struct slice stored, const uint8_t salt[4],
                                 char ret[PASSWORD_MD5_LEN + 1]);
/* Appends what PostgreSQL is to store: a SCRAM verifier; "md5…" and SCRAM verifiers stay as they
 * are. Redshift's 'sha256|clear' is taken, its digest form refused (nothing can log in with it). */
struct sl_rc password_verifier_put(struct slice text, struct buf *out, struct sl_error *err);

#endif
