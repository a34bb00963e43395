/* For x509_test.py: ca OUT HOST… makes OUT.pem and OUT.key; issue CA OUT DAYS HOST… makes a server
 * certificate under it. */
#include "lib/base/clock.h"
#include "lib/crypto/x509.h"

#include <stdio.h>

static bool put(const char *base, const char *suffix, struct slice s) {
    char path[4096];
    snprintf(path, sizeof path, "%s%s", base, suffix);
    FILE *f = fopen(path, "wb");
    return f != NULL && fwrite(s.ptr, 1, s.len, f) == s.len && fclose(f) == 0;
}

static struct slice get(const char *base, const char *suffix, char *mem, size_t size) {
    char path[4096];
    snprintf(path, sizeof path, "%s%s", base, suffix);
    FILE *f = fopen(path, "rb");
    size_t n = f != NULL ? fread(mem, 1, size, f) : 0;
    if (f != NULL) {
        fclose(f);
    }
    return slice_of(mem, n);
}

int main(int argc, char **argv) {
    struct sl_error err = {0};
    struct buf cert SL_CLEANUP(buf_fini) = BUF_INIT(64 * 1024);
    struct secret key SL_CLEANUP(secret_fini) = {0};
    const char *const *args = (const char *const *)argv;
    struct sl_rc rc;
    const char *out;
    if (argc > 3 && strcmp(argv[1], "ca") == 0) {
        out = argv[2];
        rc = x509_make_ca("Sealift test CA", args + 3, (size_t)argc - 3, 3650, &cert, &key, &err);
    } else if (argc > 5 && strcmp(argv[1], "issue") == 0) {
        static char cert_mem[65536], key_mem[65536];
        struct secret ca_key SL_CLEANUP(secret_fini) = {0};
        struct slice ca = get(argv[2], ".pem", cert_mem, sizeof cert_mem);
        rc = secret_from(&ca_key, get(argv[2], ".key", key_mem, sizeof key_mem));
        out = argv[3];
        if (sl_is_ok(rc)) {
            rc = x509_issue(ca, &ca_key, args + 5, (size_t)argc - 5, atoi(argv[4]), &cert, &key,
                            &err);
        }
    } else {
        return 2;
    }
    if (sl_failed(rc)) {
        fprintf(stderr, "%s: %s\n", sl_code_info(rc.code)->name, sl_error_message(&err, rc.code));
        return 1;
    }
    int64_t left = 0;
    rc = x509_valid_for(buf_slice(&cert), clock_real_ms() / 1000, &left, &err);
    if (sl_failed(rc) || !put(out, ".pem", buf_slice(&cert)) ||
        !put(out, ".key", secret_view(&key))) {
        return 1;
    }
    printf("%lld\n", (long long)left);
    return 0;
}
