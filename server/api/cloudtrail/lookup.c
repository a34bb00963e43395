/* CloudTrail's LookupEvents over the audit log: newest first, the caller's account and the region
 * of the request. A page ends after MaxResults events, or when LIMIT_AUDIT_LOOKUP_BYTES of the log
 * were read for it; then it may be short, and its token goes on from there. */
#include "lib/crypto/crypto.h"
#include "server/api/api.h"
#include "server/audit/backward.h"
#include "server/audit/event.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    RESULTS_MAX = 50,
    VALUE_MAX = 2000,
    EVENT_ARENA_BYTES = 32 * 1024 * 1024, /* the longest record, of empty lists */
    EVENT_ROOM_BYTES = 600 * 1024,        /* the longest record, quoted */
    QUERY_HASH_LEN = 16,
    /* Events are written a little after their time. */
    LATE_S = 60,
};

enum attribute {
    ANY,
    EVENT_ID,
    EVENT_NAME,
    READ_ONLY,
    USERNAME,
    RESOURCE_TYPE,
    RESOURCE_NAME,
    EVENT_SOURCE,
    ACCESS_KEY_ID,
    ATTRIBUTES
};
static const char *const attribute_names[ATTRIBUTES] = {
    NULL,           "EventId",      "EventName",   "ReadOnly",   "Username",
    "ResourceType", "ResourceName", "EventSource", "AccessKeyId"};

struct lookup {
    enum attribute attribute;
    struct slice value;
    int64_t start_ms, end_ms; /* inclusive */
    int64_t max;
    bool resumed;
    struct audit_place place; /* when resumed */
    uint8_t hash[QUERY_HASH_LEN];
};

/* ---- The request ---- */

/* A member of this type, or NULL: then it is absent, or null. */
static struct sl_rc get_member(struct api_call *c, const struct json *in, const char *name,
                               enum json_type type, const struct json **ret) {
    static const char *const types[] = {
        [JSON_STRING] = "a String", [JSON_NUMBER] = "a Number", [JSON_ARRAY] = "a List"};
    const struct json *v = json_get(in, name);
    if (v != NULL && v->type == JSON_NULL) {
        v = NULL;
    }
    ENSURE(v == NULL || v->type == type, c->err, SL_E_PARSE,
           "%s: the value can not be converted to %s", name, types[type]);
    *ret = v;
    return SL_OK;
}

static struct sl_rc get_attribute(struct api_call *c, struct lookup *l) {
    const struct json *list = NULL, *key = NULL, *value = NULL;
    TRY(get_member(c, c->body, "LookupAttributes", JSON_ARRAY, &list));
    if (list == NULL || list->count == 0) {
        return SL_OK;
    }
    ENSURE(list->count == 1, c->err, SL_E_TRAIL_ATTRIBUTE,
           "You must specify exactly one lookup attribute.");
    ENSURE(list->child->type == JSON_OBJECT, c->err, SL_E_PARSE,
           "LookupAttributes: the value can not be converted to a Structure");
    TRY(get_member(c, list->child, "AttributeKey", JSON_STRING, &key));
    TRY(get_member(c, list->child, "AttributeValue", JSON_STRING, &value));
    ENSURE(key != NULL && value != NULL && value->text.len > 0 && value->text.len <= VALUE_MAX,
           c->err, SL_E_TRAIL_ATTRIBUTE, "A lookup attribute has a key and a value.");
    for (int i = 1; i < ATTRIBUTES; i++) {
        if (slice_eq_cstr(key->text, attribute_names[i])) {
            l->attribute = (enum attribute)i;
        }
    }
    ENSURE(l->attribute != ANY, c->err, SL_E_TRAIL_ATTRIBUTE, "Unknown lookup attribute key: %.*s.",
           SLICE_FMT(key->text));
    l->value = value->text;
    return SL_OK;
}

static struct sl_rc get_time(struct api_call *c, const char *name, int64_t *ret_ms) {
    const struct json *v = NULL;
    TRY(get_member(c, c->body, name, JSON_NUMBER, &v));
    if (v == NULL) {
        return SL_OK;
    }
    ENSURE(v->real >= 0 && v->real < 1e11, c->err, SL_E_TRAIL_TIMES, "%s is not a valid time.",
           name);
    *ret_ms = (int64_t)(v->real * 1000);
    return SL_OK;
}

/* A token is of one query of one account. */
static void query_hash(const struct api_call *c, struct lookup *l) {
    SL_CLEANUP(buf_fini) struct buf b = BUF_INIT(16 * 1024);
    uint8_t whole[SHA256_LEN];
    buf_u8(&b, (uint8_t)l->attribute);
    buf_vec16(&b, l->value);
    buf_u64(&b, (uint64_t)l->start_ms);
    buf_u64(&b, (uint64_t)l->end_ms);
    buf_vec16(&b, c->caller->who.principal.account);
    buf_vec16(&b, c->caller->region);
    sha256(buf_slice(&b), whole);
    memcpy(l->hash, whole, sizeof l->hash);
}

static struct sl_rc get_token(struct api_call *c, struct lookup *l) {
    const struct json *v = NULL;
    TRY(get_member(c, c->body, "NextToken", JSON_STRING, &v));
    if (v == NULL) {
        return SL_OK;
    }
    SL_CLEANUP(buf_fini) struct buf b = BUF_INIT(256);
    bool ok = v->text.len < 128 && sl_is_ok(base64_get(v->text, &b, NULL)) &&
              b.len == 16 + QUERY_HASH_LEN;
    ENSURE(ok && memcmp(b.ptr + 16, l->hash, QUERY_HASH_LEN) == 0, c->err, SL_E_TRAIL_TOKEN,
           "Invalid token.");
    for (size_t i = 0; i < 8; i++) {
        l->place.first = l->place.first << 8 | b.ptr[i];
        l->place.end = l->place.end << 8 | b.ptr[8 + i];
    }
    l->resumed = true;
    return SL_OK;
}

static struct sl_rc get_lookup(struct api_call *c, struct lookup *l) {
    const struct json *max = NULL, *category = NULL;
    *l = (struct lookup){.start_ms = INT64_MIN, .end_ms = INT64_MAX, .max = RESULTS_MAX};
    TRY(get_attribute(c, l));
    TRY(get_time(c, "StartTime", &l->start_ms));
    TRY(get_time(c, "EndTime", &l->end_ms));
    ENSURE(l->start_ms <= l->end_ms, c->err, SL_E_TRAIL_TIMES,
           "The start time is after the end time.");
    TRY(get_member(c, c->body, "MaxResults", JSON_NUMBER, &max));
    if (max != NULL) {
        ENSURE(max->is_int, c->err, SL_E_PARSE,
               "MaxResults: the value can not be converted to an Integer");
        ENSURE(max->integer >= 1 && max->integer <= RESULTS_MAX, c->err, SL_E_TRAIL_MAX,
               "MaxResults is a number from 1 to %d.", RESULTS_MAX);
        l->max = max->integer;
    }
    TRY(get_member(c, c->body, "EventCategory", JSON_STRING, &category));
    if (category != NULL) {
        ENSURE(slice_eq_cstr(category->text, "insight"), c->err, SL_E_TRAIL_CATEGORY,
               "The event category is not valid.");
        l->max = 0; /* no trail enables Insights */
    }
    query_hash(c, l);
    return get_token(c, l);
}

/* ---- Events ---- */

static bool has_resource(const struct audit_event *e, const struct lookup *l) {
    for (const struct json *r = e->resources ? e->resources->child : NULL; r != NULL; r = r->next) {
        struct slice arn = audit_event_text(r, "ARN");
        if (l->attribute == RESOURCE_TYPE
                ? slice_eq(audit_event_text(r, "type"), l->value)
                : slice_eq(arn, l->value) || slice_eq(audit_event_last_part(arn), l->value)) {
            return true;
        }
    }
    return false;
}

static bool matches(const struct lookup *l, const struct audit_event *e) {
    if (e->time_s * 1000 < l->start_ms || e->time_s * 1000 > l->end_ms) {
        return false;
    }
    switch (l->attribute) {
    case EVENT_ID:
        return slice_eq(e->id, l->value);
    case EVENT_NAME:
        return slice_eq(e->name, l->value);
    case READ_ONLY:
        return slice_eq_cstr(l->value, e->read_only ? "true" : "false");
    case USERNAME:
        return slice_eq(e->user_name, l->value);
    case RESOURCE_TYPE:
    case RESOURCE_NAME:
        return has_resource(e, l);
    case EVENT_SOURCE:
        return slice_eq(e->source, l->value);
    case ACCESS_KEY_ID:
        return slice_eq(e->access_key, l->value);
    default:
        return true;
    }
}

static void put(struct jsonw *w, const char *name, struct slice value) {
    if (value.len > 0) {
        jsonw_name(w, name);
        jsonw_string(w, value);
    }
}

static void put_event(struct jsonw *w, const struct audit_event *e) {
    jsonw_object_begin(w);
    put(w, "EventId", e->id);
    put(w, "EventName", e->name);
    put(w, "ReadOnly", e->read_only ? SLICE_LIT("true") : SLICE_LIT("false"));
    put(w, "AccessKeyId", e->access_key);
    jsonw_name(w, "EventTime");
    jsonw_int(w, e->time_s);
    put(w, "EventSource", e->source);
    put(w, "Username", e->user_name);
    jsonw_name(w, "Resources");
    jsonw_array_begin(w);
    for (const struct json *r = e->resources ? e->resources->child : NULL; r != NULL; r = r->next) {
        jsonw_object_begin(w);
        put(w, "ResourceType", audit_event_text(r, "type"));
        put(w, "ResourceName", audit_event_text(r, "ARN"));
        jsonw_object_end(w);
    }
    jsonw_array_end(w);
    put(w, "CloudTrailEvent", e->record);
    jsonw_object_end(w);
}

static bool contains(struct slice record, const char *name, struct slice value) {
    char text[128];
    int n = snprintf(text, sizeof text, "\"%s\":\"%.*s\"", name, SLICE_FMT(value));
    return n > 0 && (size_t)n < sizeof text &&
           memmem(record.ptr, record.len, text, (size_t)n) != NULL;
}

/* Written in JSON as it is. */
static bool is_plain(struct slice s) {
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] <= ' ' || s.ptr[i] > '~' || strchr("\"\\/<>&'", s.ptr[i]) != NULL) {
            return false;
        }
    }
    return true;
}

/* Most lines of others are told apart without reading them as JSON. */
static bool is_own(const struct api_call *c, const struct lookup *l, struct slice record) {
    return contains(record, "recipientAccountId", c->caller->who.principal.account) &&
           contains(record, "awsRegion", c->caller->region) &&
           (l->attribute == ANY || l->attribute == READ_ONLY || !is_plain(l->value) ||
            memmem(record.ptr, record.len, l->value.ptr, l->value.len) != NULL);
}

static bool page_full(const struct api_call *c, const struct audit_backward *b) {
    return c->out->len + EVENT_ROOM_BYTES > c->out->max || b->bytes > LIMIT_AUDIT_LOOKUP_BYTES;
}

/* Puts one page; *ret_more: there may be another. */
static struct sl_rc put_page(struct api_call *c, const struct lookup *l, struct audit_backward *b,
                             struct jsonw *w, bool *ret_more) {
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(EVENT_ARENA_BYTES);
    int64_t count = 0;
    *ret_more = false;
    while (count < l->max && !page_full(c, b)) {
        struct audit_line line;
        struct audit_event e;
        bool found;
        TRY(audit_backward_next(b, &found, &line, c->err));
        if (!found) {
            return SL_OK;
        }
        arena_reset(&a);
        if (!is_own(c, l, line.record) || !audit_event_parse(line.record, &a, &e) ||
            !e.management || !slice_eq(e.account, c->caller->who.principal.account)) {
            continue;
        }
        if (l->start_ms > 0 && (e.time_s + LATE_S) * 1000 < l->start_ms) {
            return SL_OK;
        }
        if (matches(l, &e)) {
            put_event(w, &e);
            count++;
        }
    }
    *ret_more = l->max > 0;
    return SL_OK;
}

static void put_token(const struct lookup *l, const struct audit_backward *b, struct jsonw *w) {
    SL_CLEANUP(buf_fini) struct buf token = BUF_INIT(64);
    struct audit_place place = audit_backward_place(b);
    buf_u64(&token, place.first);
    buf_u64(&token, place.end);
    buf_put(&token, slice_of(l->hash, sizeof l->hash));
    jsonw_name(w, "NextToken");
    jsonw_base64(w, buf_slice(&token));
}

static struct sl_rc lookup_events(struct api_call *c) {
    SL_CLEANUP(audit_backward_fini) struct audit_backward b = {.fd = -1};
    struct lookup l;
    bool more = false;
    TRY(auth_decide(c->env, c->caller, SLICE_LIT("cloudtrail:LookupEvents"), SLICE_LIT("*"),
                    c->caller->who.principal.account, NULL, POLICY_IDENTITY, NULL, 0, c->arena,
                    c->err));
    TRY(get_lookup(c, &l));
    struct sl_rc rc =
        audit_backward_open(&b, c->env->audit_dir, l.resumed ? &l.place : NULL, c->err);
    ENSURE(rc.code != SL_E_NOT_FOUND, c->err, SL_E_TRAIL_TOKEN, "Invalid token.");
    TRY(rc);
    struct jsonw w = jsonw_of(c->out);
    jsonw_object_begin(&w);
    jsonw_name(&w, "Events");
    jsonw_array_begin(&w);
    TRY(put_page(c, &l, &b, &w, &more));
    jsonw_array_end(&w);
    if (more) {
        put_token(&l, &b, &w);
    }
    jsonw_object_end(&w);
    return buf_check(c->out, c->err);
}

const struct api_operation api_cloudtrail_operations[] = {
    {"LookupEvents", lookup_events, true, false},
    {NULL, NULL, false, false},
};
