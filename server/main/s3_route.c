/* Routing of the public port; see s3_route.h. Nothing is trusted here: whoever gets the request
 * verifies it. */
#include "server/main/s3_route.h"

static bool find(struct slice s, struct slice needle, size_t *ret_end) {
    const uint8_t *hit = s.ptr != NULL ? memmem(s.ptr, s.len, needle.ptr, needle.len) : NULL;
    if (hit == NULL) {
        return false;
    }
    *ret_end = (size_t)(hit - s.ptr) + needle.len;
    return true;
}

/* The fourth element; in a query the separators may be escaped. */
static struct slice service_of(struct slice credential) {
    for (int i = 0; i < 3; i++) {
        size_t slash = slice_find(credential, '/');
        size_t end;
        if (slash < credential.len) {
            end = slash + 1;
        } else if (!find(credential, SLICE_LIT("%2F"), &end) &&
                   !find(credential, SLICE_LIT("%2f"), &end)) {
            return SLICE_EMPTY;
        }
        credential = slice_sub(credential, end, credential.len);
    }
    size_t n = slice_find(credential, '/');
    size_t percent = slice_find(credential, '%');
    return slice_sub(credential, 0, n < percent ? n : percent);
}

struct slice s3_route_scope(struct slice authorization, struct slice query) {
    size_t at;
    if (find(authorization, SLICE_LIT("Credential="), &at)) {
        struct slice rest = slice_sub(authorization, at, authorization.len);
        return service_of(slice_sub(rest, 0, slice_find(rest, ',')));
    }
    if (find(query, SLICE_LIT("X-Amz-Credential="), &at)) {
        struct slice rest = slice_sub(query, at, query.len);
        return service_of(slice_sub(rest, 0, slice_find(rest, '&')));
    }
    return SLICE_EMPTY;
}

static const struct {
    const char *service;
    enum s3_route route;
} services[] = {{"s3", S3_ROUTE_S3},
                {"kms", S3_ROUTE_KMS},
                {"iam", S3_ROUTE_KMS},
                {"sts", S3_ROUTE_KMS},
                {"redshift", S3_ROUTE_GATEWAY},
                {"redshift-data", S3_ROUTE_GATEWAY},
                {"cloudtrail", S3_ROUTE_KMS}};

static bool by_name(struct slice name, enum s3_route *ret) {
    for (size_t i = 0; i < sizeof services / sizeof *services; i++) {
        if (slice_ieq(name, slice_cstr(services[i].service))) {
            *ret = services[i].route;
            return true;
        }
    }
    return false;
}

enum s3_route s3_route_of(const struct http *h) {
    enum s3_route route;
    struct slice target = http_header(h, "x-amz-target");
    struct slice host = http_header(h, "host");
    if (by_name(s3_route_scope(http_header(h, "authorization"), h->query), &route)) {
        return route;
    }
    if (slice_starts(target, SLICE_LIT("RedshiftData"))) {
        return S3_ROUTE_GATEWAY;
    }
    if (target.len > 0) {
        return S3_ROUTE_KMS;
    }
    size_t dot = slice_find(host, '.');
    if (dot < host.len && by_name(slice_sub(host, 0, dot), &route)) {
        return route;
    }
    /* Unsigned requests of the query services: a form, or Action= in the query, to "/". */
    bool root = slice_eq_cstr(h->path, "/");
    bool form = slice_starts(http_header(h, "content-type"),
                             SLICE_LIT("application/x-www-form-urlencoded"));
    size_t at;
    bool action =
        slice_starts(h->query, SLICE_LIT("Action=")) || find(h->query, SLICE_LIT("&Action="), &at);
    bool post = slice_eq_cstr(h->method, "POST");
    return root && ((post && form) || action) ? S3_ROUTE_KMS : S3_ROUTE_S3;
}

bool s3_is_key_use(const struct http *h) {
    static const char *const uses[] = {
        "TrentService.Decrypt",
        "TrentService.Encrypt",
        "TrentService.GenerateDataKey",
        "TrentService.GenerateDataKeyWithoutPlaintext",
    };
    struct slice target = http_header(h, "x-amz-target");
    for (size_t i = 0; i < sizeof uses / sizeof *uses; i++) {
        if (slice_eq_cstr(target, uses[i])) {
            return s3_route_of(h) == S3_ROUTE_KMS;
        }
    }
    return false;
}
