/* Which process a request on the public port belongs to. S3 keeps its own; the rest is passed on
 * unopened. */
#ifndef SL_MAIN_S3_ROUTE_H
#define SL_MAIN_S3_ROUTE_H

#include "server/http/http.h"

enum s3_route { S3_ROUTE_S3, S3_ROUTE_KMS, S3_ROUTE_GATEWAY };

/* By the credential's scope, else by X-Amz-Target, host, or the form of a query request. */
enum s3_route s3_route_of(const struct http *h);
/* A KMS call that uses a key, whose answer kms has at once. */
bool s3_is_key_use(const struct http *h);
/* The service in a credential's scope: of an Authorization header or of a raw query; empty if none.
 */
struct slice s3_route_scope(struct slice authorization, struct slice query);

#endif
