/* `sealift env`, `status` and `down`: what a person or a shell asks of a running instance. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "cli/instance.h"
#include "cli/verb.h"
#include "cli/verbs.h"
#include "lib/base/arena.h"
#include "lib/base/clock.h"
#include "lib/codec/json.h"
#include "lib/columnar/segment.h"

enum { DOWN_MS = 90 * 1000, FILE_BYTES_MAX = 64 * 1024 };

static struct sl_rc read_json(const struct instance *in, const char *name, struct arena *a,
                              const struct json **ret, struct sl_error *err) {
    char path[INSTANCE_PATH_MAX];
    instance_path(in, name, path, sizeof path);
    SL_CLEANUP(buf_fini) struct buf data = BUF_INIT(FILE_BYTES_MAX);
    TRY(file_load(path, &data, err));
    return json_parse(buf_slice(&data), a, err, ret);
}

static void print_export(const char *name, struct slice value) {
    printf("export %s='", name);
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] == '\'') {
            fputs("'\\''", stdout);
        } else {
            putchar(value.ptr[i]);
        }
    }
    printf("'\n");
}

static void print_cstr(const char *name, const char *value) {
    print_export(name, slice_cstr(value));
}

static struct sl_rc env(const struct instance *in, struct sl_error *err) {
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(FILE_BYTES_MAX * 4);
    SL_CLEANUP(client_fini) struct client_credentials c = {0};
    const struct json *conf;
    TRY(read_json(in, "run/conf.json", &a, &conf, err));
    TRY(client_load(in, &c, err));
    const struct json *https = json_get(conf, "httpsPort"), *sql = json_get(conf, "sqlPort");
    const struct json *listen = json_get(conf, "listen");
    ENSURE(https && sql && listen, err, SL_E_PARSE, "%s/run/conf.json lacks a member", in->data);
    const char *addr =
        slice_eq_cstr(listen->text, "0.0.0.0") ? "127.0.0.1" : arena_cstr(&a, listen->text);
    char ca[INSTANCE_PATH_MAX], text[128];
    instance_path(in, "tls/ca.pem", ca, sizeof ca);
    snprintf(text, sizeof text, "https://%s:%d", addr, (int)https->integer);
    print_cstr("AWS_ENDPOINT_URL", text);
    print_cstr("AWS_REGION", in->region);
    print_cstr("AWS_DEFAULT_REGION", in->region);
    print_cstr("AWS_CA_BUNDLE", ca);
    print_cstr("NODE_EXTRA_CA_CERTS", ca);
    print_cstr("AWS_ACCESS_KEY_ID", c.access_key_id);
    print_export("AWS_SECRET_ACCESS_KEY", secret_view(&c.secret_access_key));
    printf("unset AWS_SESSION_TOKEN AWS_PROFILE\n");
    print_cstr("PGHOST", "localhost");
    snprintf(text, sizeof text, "%d", (int)sql->integer);
    print_cstr("PGPORT", text);
    print_cstr("PGUSER", instance_master_user);
    print_export("PGPASSWORD", secret_view(&c.master_password));
    print_cstr("PGDATABASE", "dev");
    print_cstr("PGSSLMODE", "verify-full");
    print_cstr("PGSSLROOTCERT", ca);
    return SL_OK;
}

int verb_env(int argc, char **argv) {
    static struct instance in;
    struct sl_error err = {0};
    struct sl_rc rc = verb_open(
        argc, argv,
        "usage: eval \"$(sealift env [--data DIR])\"\n"
        "Prints shell lines that point aws, SDKs and psql at the instance, with admin's key.\n",
        NULL, &in, &err);
    rc = sl_is_ok(rc) ? env(&in, &err) : rc;
    return sl_is_ok(rc) ? 0 : verb_report(&err, rc);
}

static struct sl_rc status(const struct instance *in, struct sl_error *err) {
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(FILE_BYTES_MAX * 4);
    const struct json *state, *conf;
    int pid = instance_running(in);
    printf("data         %s%s\n", in->data, in->ephemeral ? " (ephemeral)" : "");
    printf("account      %s, region %s\n", in->account, in->region);
    if (pid == 0) {
        printf("supervisor   down\n");
        return sl_rc_of(SL_E_NOT_FOUND);
    }
    printf("supervisor   up, process %d\n", pid);
    TRY(read_json(in, "run/conf.json", &a, &conf, err));
    printf("endpoints    https port %d, sql port %d\n", (int)json_get(conf, "httpsPort")->integer,
           (int)json_get(conf, "sqlPort")->integer);
    TRY(read_json(in, "run/status.json", &a, &state, err));
    const struct json *list = json_get(state, "processes"), *isolated = json_get(state, "isolated");
    bool all = true, sealed = false;
    for (const struct json *p = list ? list->child : NULL; p != NULL; p = p->next) {
        struct slice name = json_get(p, "name")->text, word = json_get(p, "state")->text;
        const struct json *why = json_get(p, "why");
        printf("%-12.*s %.*s, process %d, %d restart(s)%s%.*s\n", SLICE_FMT(name), SLICE_FMT(word),
               (int)json_get(p, "pid")->integer, (int)json_get(p, "restarts")->integer,
               why != NULL ? ": " : "", SLICE_FMT(why != NULL ? why->text : SLICE_EMPTY));
        all &= slice_eq_cstr(word, "up");
        sealed |= slice_eq_cstr(word, "sealed");
    }
    if (sealed) {
        printf("SEALED       the keys are closed; next: sealift unseal --data %s\n", in->data);
    }
    printf("keys         %s\n", isolated && isolated->boolean ? "isolated" : "keys not isolated");
    if (segment_null_cipher()) {
        printf("NULL CIPHER  a build for tests alone: tables are NOT ENCRYPTED\n");
    }
    ENSURE(all, err, SL_E_INTERNAL, "not every process is up");
    return SL_OK;
}

int verb_status(int argc, char **argv) {
    static struct instance in;
    struct sl_error err = {0};
    struct sl_rc rc =
        verb_open(argc, argv,
                  "usage: sealift status [--data DIR]\n"
                  "Shows the processes and what protects the keys. Exit code 0 when all is up.\n",
                  NULL, &in, &err);
    if (sl_failed(rc)) {
        return verb_report(&err, rc);
    }
    rc = status(&in, &err);
    return sl_is_ok(rc) ? 0 : err.code != SL_CODE_OK ? verb_report(&err, rc) : 3;
}

int verb_down(int argc, char **argv) {
    static struct instance in;
    struct sl_error err = {0};
    struct sl_rc rc =
        verb_open(argc, argv,
                  "usage: sealift down [--data DIR]\n"
                  "Stops the instance: clients first, then the warehouse, then the keys.\n",
                  NULL, &in, &err);
    if (sl_failed(rc)) {
        return verb_report(&err, rc);
    }
    int pid = instance_running(&in);
    if (pid == 0) {
        printf("Sealift is not up on %s\n", in.data);
        return 0;
    }
    if (kill(pid, SIGTERM) != 0) {
        fprintf(stderr, "sealift: process %d can't be stopped: %m\n", pid);
        return 1;
    }
    int64_t deadline = clock_mono_ms() + DOWN_MS;
    while (instance_running(&in) != 0) {
        if (clock_mono_ms() > deadline) {
            fprintf(stderr, "sealift: process %d has not ended after %d s\n", pid, DOWN_MS / 1000);
            return 1;
        }
        nanosleep(&(struct timespec){0, 20 * 1000 * 1000}, NULL);
    }
    /* The lock goes an instant before the process does. */
    for (int i = 0; i < 100 && kill(pid, 0) == 0; i++) {
        nanosleep(&(struct timespec){0, 20 * 1000 * 1000}, NULL);
    }
    printf("Sealift is down\n");
    return 0;
}
