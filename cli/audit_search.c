/* `sealift audit search`: one pass over the segments, a line of memory at a time. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/audit.h"
#include "cli/verb.h"
#include "lib/base/clock.h"
#include "server/audit/event.h"
#include "server/audit/segment.h"

enum { EVENT_ARENA_BYTES = 32 * 1024 * 1024 }; /* the longest record, of empty lists */

struct search {
    struct slice key, principal, event, request; /* empty: any */
    int64_t from_s, to_s;
    bool errors, json;
};

static struct sl_rc when(const char *text, int64_t *ret, struct sl_error *err) {
    ENSURE(clock_parse_iso(slice_cstr(text), ret), err, SL_E_VALIDATION,
           "a time is 2026-11-24T03:37:16Z, not '%s'", text);
    return SL_OK;
}

static struct sl_rc parse(int argc, char **argv, const char *usage, struct instance *in,
                          struct search *s, struct sl_error *err) {
    const char *key = "", *principal = "", *event = "", *request = "", *from = NULL, *to = NULL;
    const struct verb_option options[] = {{"key", .text = &key},
                                          {"principal", .text = &principal},
                                          {"event", .text = &event},
                                          {"request", .text = &request},
                                          {"from", .text = &from},
                                          {"to", .text = &to},
                                          {"errors", .flag = &s->errors},
                                          {"json", .flag = &s->json},
                                          {0}};
    TRY(verb_open(argc, argv, usage, options, in, err));
    s->key = slice_cstr(key);
    s->principal = slice_cstr(principal);
    s->event = slice_cstr(event);
    s->request = slice_cstr(request);
    if (from != NULL) {
        TRY(when(from, &s->from_s, err));
    }
    return to != NULL ? when(to, &s->to_s, err) : SL_OK;
}

/* An ARN as a whole, or the id or name at its end. */
static bool names(struct slice arn, struct slice wanted) {
    if (slice_eq(arn, wanted)) {
        return true;
    }
    size_t cut = arn.len - (wanted.len < arn.len ? wanted.len : 0);
    return cut > 0 && cut < arn.len && slice_ends(arn, wanted) &&
           (arn.ptr[cut - 1] == '/' || arn.ptr[cut - 1] == ':');
}

static bool has_key(const struct audit_event *e, struct slice key) {
    for (const struct json *r = e->resources ? e->resources->child : NULL; r != NULL; r = r->next) {
        if (names(audit_event_text(r, "ARN"), key)) {
            return true;
        }
    }
    return false;
}

static bool matches(const struct search *s, const struct audit_event *e) {
    struct slice p = s->principal;
    return e->time_s >= s->from_s && e->time_s <= s->to_s &&
           (s->key.len == 0 || has_key(e, s->key)) &&
           (p.len == 0 || names(e->arn, p) || names(e->issuer, p) || slice_eq(e->user_name, p) ||
            slice_eq(e->access_key, p) || slice_eq(e->service, p)) &&
           (s->event.len == 0 || slice_eq(e->name, s->event)) &&
           (s->request.len == 0 || slice_eq(e->request_id, s->request)) &&
           (!s->errors || e->error.len > 0);
}

static void print_event(const struct search *s, const struct audit_event *e) {
    if (s->json) {
        fwrite(e->record.ptr, 1, e->record.len, stdout);
        putchar('\n');
        return;
    }
    char time[21];
    clock_iso(e->time_s, time);
    struct slice who = e->arn.len > 0 ? e->arn : e->service;
    struct slice arn = audit_event_text(e->resources ? e->resources->child : NULL, "ARN");
    printf("%s %.*s %.*s %.*s %.*s %.*s\n", time, SLICE_FMT(e->name),
           SLICE_FMT(e->error.len > 0 ? e->error : SLICE_LIT("ok")),
           SLICE_FMT(who.len > 0 ? who : SLICE_LIT("-")),
           SLICE_FMT(arn.len > 0 ? arn : SLICE_LIT("-")), SLICE_FMT(e->request_id));
}

static struct sl_rc search_segment(const struct search *s, int dir_fd, uint64_t first,
                                   struct sl_error *err) {
    SL_CLEANUP(audit_reader_fini) struct audit_reader r = {.fd = -1};
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(EVENT_ARENA_BYTES);
    TRY(audit_reader_open(&r, dir_fd, first, err));
    for (;;) {
        enum audit_read kind;
        struct slice text;
        struct audit_line line;
        struct audit_event e;
        off_t at;
        TRY(audit_reader_next(&r, &kind, &text, &at, err));
        if (kind == AUDIT_READ_END) {
            return SL_OK;
        }
        if (kind == AUDIT_READ_LINE && audit_line_parse(text, &line) &&
            audit_event_parse(line.record, &a, &e) && matches(s, &e)) {
            print_event(s, &e);
        }
        arena_reset(&a);
    }
}

static struct sl_rc search(const struct instance *in, const struct search *s,
                           struct sl_error *err) {
    char dir[INSTANCE_PATH_MAX];
    uint64_t *firsts = NULL;
    size_t count = 0;
    instance_path(in, "kms/audit", dir, sizeof dir);
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ENSURE(fd >= 0, err, SL_E_IO, "%s: %m", dir);
    struct sl_rc rc = audit_list(fd, ".log", &firsts, &count, err);
    for (size_t i = 0; i < count && sl_is_ok(rc); i++) {
        rc = search_segment(s, fd, firsts[i], err);
    }
    free(firsts);
    close(fd);
    ENSURE(sl_failed(rc) || fflush(stdout) == 0, err, SL_E_IO, "output: %m");
    return rc;
}

struct sl_rc audit_search_verb(int argc, char **argv, const char *usage, struct sl_error *err) {
    static struct instance in;
    struct search s = {.from_s = INT64_MIN, .to_s = INT64_MAX};
    TRY(parse(argc, argv, usage, &in, &s, err));
    return search(&in, &s, err);
}
