/* Who may open a database session, and what the session knows of its gateway (docs/decisions/1 and
 * 6). */
#ifndef SEALIFT_GUARD_SESSION_H
#define SEALIFT_GUARD_SESSION_H

#include "lib/base/buf.h"
#include "lib/crypto/secret.h"

/* Reads the inherited token and puts the hook in place; in the postmaster, from _PG_init. */
void session_init(void);
/* The postgres edge's token, SEAM_TOKEN_LEN bytes; NULL in a single-user backend. */
const uint8_t *session_edge_token(void);
/* Opens `sealed:1:<base64url>` of this session's gateway; `what` as it was sealed. Raises nothing.
 */
struct sl_rc session_unseal(const char *what, struct slice text, struct secret *ret,
                            struct sl_error *err);

#endif
