/* Which process a request belongs to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/main/s3_route.h"

static const struct {
    const char *method, *path, *query;
    const char *name, *value; /* one header */
    enum s3_route want;
} cases[] = {
    {"GET", "/", "", "host", "127.0.0.1:4566", S3_ROUTE_S3},
    {"PUT", "/b/k", "", "authorization",
     "AWS4-HMAC-SHA256 Credential=AKIA/20261124/us-east-1/s3/aws4_request, SignedHeaders=host, "
     "Signature=0",
     S3_ROUTE_S3},
    {"POST", "/", "", "authorization",
     "AWS4-HMAC-SHA256 Credential=AKIA/20261124/us-east-1/kms/aws4_request, SignedHeaders=host",
     S3_ROUTE_KMS},
    {"POST", "/", "", "authorization", "AWS4-HMAC-SHA256 Credential=A/2/r/sts/aws4_request",
     S3_ROUTE_KMS},
    {"POST", "/", "", "authorization", "AWS4-HMAC-SHA256 Credential=A/2/r/iam/aws4_request",
     S3_ROUTE_KMS},
    {"POST", "/", "", "authorization", "AWS4-HMAC-SHA256 Credential=A/2/r/redshift/aws4_request",
     S3_ROUTE_GATEWAY},
    {"POST", "/", "", "authorization",
     "AWS4-HMAC-SHA256 Credential=A/2/r/redshift-data/aws4_request", S3_ROUTE_GATEWAY},
    {"GET", "/b/k", "X-Amz-Credential=AKIA%2F20261124%2Fus-east-1%2Fs3%2Faws4_request&x=1", "host",
     "h", S3_ROUTE_S3},
    {"GET", "/", "Action=GetCallerIdentity&X-Amz-Credential=A%2F2%2Fr%2Fsts%2Faws4_request", "host",
     "h", S3_ROUTE_KMS},
    {"POST", "/", "", "x-amz-target", "TrentService.ListKeys", S3_ROUTE_KMS},
    {"POST", "/", "", "x-amz-target", "RedshiftData.ExecuteStatement", S3_ROUTE_GATEWAY},
    {"POST", "/", "", "content-type", "application/x-www-form-urlencoded; charset=utf-8",
     S3_ROUTE_KMS},
    {"GET", "/", "Version=1&Action=GetCallerIdentity", "host", "h", S3_ROUTE_KMS},
    {"GET", "/b", "Action=x", "host", "h", S3_ROUTE_S3},
    {"POST", "/", "", "host", "kms.us-east-1.localhost", S3_ROUTE_KMS},
    {"POST", "/b", "delete", "host", "h", S3_ROUTE_S3},
    {"GET", "/", "", "authorization", "AWS4-HMAC-SHA256 Credential=A/2/r", S3_ROUTE_S3},
    {"GET", "/", "", "authorization", "AWS4-HMAC-SHA256 Credential=", S3_ROUTE_S3},
    {"GET", "/", "X-Amz-Credential=", "host", "h", S3_ROUTE_S3},
};

/* The one header of a case stands in for the HTTP layer's look-up. */
static void routes(void **state) {
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct http_header header = {slice_cstr(cases[i].name), slice_cstr(cases[i].value)};
        struct http h = {.method = slice_cstr(cases[i].method),
                         .path = slice_cstr(cases[i].path),
                         .query = slice_cstr(cases[i].query),
                         .headers = &header,
                         .header_count = 1};
        assert_int_equal(s3_route_of(&h), cases[i].want);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(routes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
