/* A KMS request by someone without any right: parsing, validation and decision, up to where the
 * keyholder would be asked. The first byte chooses the operation, the rest is its body. */
#include <stdio.h>
#include <unistd.h>

#include "lib/base/limits.h"
#include "server/api/kms/kms.h"
#include "server/store/identity/iam.h"

static char dir[] = "/tmp/sealift-fuzz-XXXXXX";
static struct kms_db *db;

static void clean(void) {
    static const char *const names[] = {"kms.db", "kms.db-wal", "kms.db-shm"};
    char path[64];
    kms_db_close(db);
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        unlink(path);
    }
    rmdir(dir);
}

static void start(void) {
    static const char *const schemas[] = {identity_schema, keys_schema, NULL};
    char path[64];
    sl_assert(mkdtemp(dir) != NULL);
    snprintf(path, sizeof path, "%s/kms.db", dir);
    sl_assert(sl_is_ok(kms_db_open(path, schemas, &db, NULL)));
    atexit(clean);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (db == NULL) {
        start();
    }
    size_t count = 0;
    while (api_kms_operations[count].name != NULL) {
        count++;
    }
    if (size == 0) {
        return 0;
    }
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(LIMIT_REQUEST_ARENA_BYTES);
    SL_CLEANUP(buf_fini) struct buf out = BUF_INIT(LIMIT_API_BODY_BYTES);
    struct sl_error err = {0};
    struct auth_caller caller = {.region = SLICE_LIT("us-east-1")};
    caller.who.principal.type = PRINCIPAL_USER;
    caller.who.principal.arn = SLICE_LIT("arn:aws:iam::000000000000:user/nobody");
    struct auth_env env = {.db = db, .region = SLICE_LIT("us-east-1"), .now_ms = 1};
    struct api_call c = {.env = &env,
                         .caller = &caller,
                         .arena = &a,
                         .err = &err,
                         .request_id = "fuzz",
                         .out = &out};
    if (sl_is_ok(json_parse(slice_of(data + 1, size - 1), &a, NULL, &c.body))) {
        sl_assert(sl_failed(api_kms_operations[data[0] % count].run(&c)));
    }
    return 0;
}
