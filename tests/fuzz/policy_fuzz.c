/* Policy documents: parsed for each kind; what parses is asked about callers of every type. The
 * first byte picks the kind, the rest is the document. */
#include <stdint.h>
#include <stdlib.h>

#include "server/policy/policy.h"

#define A "111111111111"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct policy_principal callers[] = {
        {.type = PRINCIPAL_ANONYMOUS},
        {.type = PRINCIPAL_ROOT,
         .account = SLICE_LIT(A),
         .arn = SLICE_LIT("arn:aws:iam::" A ":root")},
        {.type = PRINCIPAL_USER,
         .account = SLICE_LIT(A),
         .arn = SLICE_LIT("arn:aws:iam::" A ":user/alice"),
         .user_id = SLICE_LIT("AIDAALICEALICEALICE22"),
         .user_name = SLICE_LIT("alice")},
        {.type = PRINCIPAL_ROLE_SESSION,
         .account = SLICE_LIT(A),
         .arn = SLICE_LIT("arn:aws:sts::" A ":assumed-role/Loader/s"),
         .role_arn = SLICE_LIT("arn:aws:iam::" A ":role/Loader"),
         .user_id = SLICE_LIT("AROALOADERLOADERLOAD2:s")},
        {.type = PRINCIPAL_SERVICE, .service = SLICE_LIT("redshift.amazonaws.com")},
    };
    static const struct slice values[] = {SLICE_LIT("10.0.0.1"), SLICE_LIT("2026-01-01T00:00:00Z"),
                                          SLICE_LIT("arn:aws:s3:::b/\xc3\xa9*?${x}")};
    static const struct policy_key keys[] = {{SLICE_LIT("aws:SourceIp"), &values[0], 1},
                                             {SLICE_LIT("aws:CurrentTime"), &values[1], 1},
                                             {SLICE_LIT("aws:SourceArn"), &values[2], 1},
                                             {SLICE_LIT("aws:TagKeys"), values, 3},
                                             {SLICE_LIT("s3:empty"), values, 0}};
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(4 * 1024 * 1024);
    struct sl_error err = {0};
    const struct policy *p = NULL;
    if (size == 0) {
        return 0;
    }
    enum policy_kind kind = (enum policy_kind)(data[0] % 6);
    if (sl_failed(policy_parse(slice_of(data + 1, size - 1), kind, &a, &err, &p))) {
        return 0;
    }
    struct slice s;
    for (size_t cursor = 0;
         policy_next_principal(p, &cursor, &s) || policy_next_resource(p, &cursor, &s);) {
    }
    bool of_resource = kind == POLICY_KEY || kind == POLICY_BUCKET || kind == POLICY_TRUST;
    struct policy_set set = {.identity = &p,
                             .identity_count = !of_resource,
                             .resource = of_resource ? p : NULL,
                             .resource_kind = kind};
    for (size_t i = 0; i < sizeof callers / sizeof *callers; i++) {
        struct policy_request req = {&callers[i],
                                     SLICE_LIT("s3:GetObject"),
                                     SLICE_LIT("arn:aws:s3:::b/alice/k"),
                                     SLICE_LIT(A),
                                     keys,
                                     5};
        struct policy_verdict v = policy_decide(&set, &req, &a);
        if (v.explicit_deny && v.decision == POLICY_ALLOW) {
            abort();
        }
        (void)policy_denied_message(&v, &req, &a);
        SL_CLEANUP(buf_fini) struct buf out = BUF_INIT(256 * 1024);
        sl_ignore(policy_explain(&v, &set, &req, &a, &out, NULL));
    }
    return 0;
}
