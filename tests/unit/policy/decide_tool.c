/* Decides what standard input asks, a JSON object a line, and writes a JSON object a line: the
 * engine's side of the comparison in tests/clients/simulate.mjs.
 *   {"principal":{"type":"user","account":"…","arn":"…","roleArn":"…","userId":"…","userName":"…",
 *    "service":"…"}, "action":"…", "resource":"…", "owner":"…", "keys":{"aws:SourceIp":["…"]},
 *    "identity":["document"], "boundary":"document", "session":["document"],
 *    "policy":"document", "kind":"key"}
 * Answer: {"allowed":true,"explicit":false,"why":"…"} or {"error":"…"}. */
#include <stdio.h>
#include <stdlib.h>

#include "lib/codec/json.h"
#include "server/policy/policy.h"

enum { POLICIES_MAX = 16, KEYS_MAX = 64, ARENA_MAX = 8 * 1024 * 1024, OUT_MAX = 64 * 1024 };

struct question {
    struct policy_principal who;
    struct policy_request req;
    struct policy_set set;
    struct policy_key keys[KEYS_MAX];
    const struct policy *identity[POLICIES_MAX], *session[POLICIES_MAX];
};

static struct slice text_of(const struct json *obj, const char *name) {
    const struct json *v = json_get(obj, name);
    return v != NULL && v->type == JSON_STRING ? v->text : SLICE_EMPTY;
}

static struct sl_rc principal_of(const struct json *v, struct policy_principal *ret,
                                 struct sl_error *err) {
    static const char *const types[] = {[PRINCIPAL_ANONYMOUS] = "anonymous",
                                        [PRINCIPAL_ROOT] = "root",
                                        [PRINCIPAL_USER] = "user",
                                        [PRINCIPAL_ROLE_SESSION] = "session",
                                        [PRINCIPAL_SERVICE] = "service"};
    size_t type = 0;
    while (type < 5 && !slice_eq_cstr(text_of(v, "type"), types[type])) {
        type++;
    }
    ENSURE(type < 5, err, SL_E_PARSE, "unknown type of principal");
    *ret = (struct policy_principal){.type = type,
                                     .account = text_of(v, "account"),
                                     .arn = text_of(v, "arn"),
                                     .role_arn = text_of(v, "roleArn"),
                                     .user_id = text_of(v, "userId"),
                                     .user_name = text_of(v, "userName"),
                                     .service = text_of(v, "service"),
                                     .token_issued_s = 1600000000};
    return SL_OK;
}

static struct sl_rc list_of(const struct json *v, enum policy_kind kind, struct arena *a,
                            const struct policy **list, size_t *ret_count, struct sl_error *err) {
    size_t n = 0;
    for (const struct json *d = v ? v->child : NULL; d != NULL; d = d->next) {
        ENSURE(n < POLICIES_MAX, err, SL_E_PARSE, "too many policies");
        TRY(policy_parse(d->text, kind, a, err, &list[n++]));
    }
    *ret_count = n;
    return SL_OK;
}

static struct sl_rc keys_of(const struct json *v, struct arena *a, struct question *q,
                            struct sl_error *err) {
    for (const struct json *k = v ? v->child : NULL; k != NULL; k = k->next) {
        ENSURE(q->req.key_count < KEYS_MAX, err, SL_E_PARSE, "too many keys");
        struct slice *values = arena_array(a, k->count + 1, sizeof *values);
        ENSURE(values != NULL, err, SL_E_NOMEM, "out of memory");
        struct policy_key *key = &q->keys[q->req.key_count++];
        *key = (struct policy_key){.name = k->name, .values = values};
        for (const struct json *i = k->child; i != NULL; i = i->next) {
            values[key->count++] = i->text;
        }
    }
    return SL_OK;
}

static struct sl_rc ask(struct slice line, struct arena *a, struct sl_error *err,
                        struct policy_verdict *ret) {
    const struct json *v = NULL;
    TRY(json_parse(line, a, err, &v));
    struct question *q = arena_alloc(a, sizeof *q);
    ENSURE(q != NULL, err, SL_E_NOMEM, "out of memory");
    TRY(principal_of(json_get(v, "principal"), &q->who, err));
    q->req = (struct policy_request){.principal = &q->who,
                                     .action = text_of(v, "action"),
                                     .resource = text_of(v, "resource"),
                                     .resource_account = text_of(v, "owner"),
                                     .keys = q->keys};
    TRY(keys_of(json_get(v, "keys"), a, q, err));
    struct slice kind = text_of(v, "kind"), boundary = text_of(v, "boundary");
    q->set = (struct policy_set){.identity = q->identity,
                                 .session = q->session,
                                 .resource_kind = slice_eq_cstr(kind, "key")     ? POLICY_KEY
                                                  : slice_eq_cstr(kind, "trust") ? POLICY_TRUST
                                                                                 : POLICY_BUCKET};
    TRY(list_of(json_get(v, "identity"), POLICY_IDENTITY, a, q->identity, &q->set.identity_count,
                err));
    TRY(list_of(json_get(v, "session"), POLICY_SESSION, a, q->session, &q->set.session_count, err));
    if (boundary.len > 0) {
        TRY(policy_parse(boundary, POLICY_BOUNDARY, a, err, &q->set.boundary));
    }
    struct slice policy = text_of(v, "policy");
    if (policy.len > 0) {
        TRY(policy_parse(policy, q->set.resource_kind, a, err, &q->set.resource));
    }
    *ret = policy_decide(&q->set, &q->req, a);
    return SL_OK;
}

static void answer(struct slice line) {
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(ARENA_MAX);
    SL_CLEANUP(buf_fini) struct buf out = BUF_INIT(OUT_MAX);
    struct sl_error err = {0};
    struct policy_verdict verdict = {0};
    struct sl_rc rc = ask(line, &a, &err, &verdict);
    struct jsonw w = jsonw_of(&out);
    jsonw_object_begin(&w);
    if (sl_failed(rc)) {
        jsonw_name(&w, "error");
        jsonw_cstr(&w, sl_error_message(&err, rc.code));
    } else {
        jsonw_name(&w, "allowed");
        jsonw_bool(&w, verdict.decision == POLICY_ALLOW);
        jsonw_name(&w, "explicit");
        jsonw_bool(&w, verdict.explicit_deny);
        jsonw_name(&w, "why");
        jsonw_cstr(&w, verdict.reason);
    }
    jsonw_object_end(&w);
    sl_assert(!out.failed);
    printf("%.*s\n", (int)out.len, (const char *)out.ptr);
}

int main(void) {
    char *line = NULL;
    size_t size = 0;
    ssize_t n;
    while ((n = getline(&line, &size, stdin)) > 0) {
        answer(slice_of(line, (size_t)n));
    }
    free(line);
    return 0;
}
