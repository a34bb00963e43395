/* Audit records as events, for those who search the log. */
#ifndef SL_AUDIT_EVENT_H
#define SL_AUDIT_EVENT_H

#include "lib/codec/json.h"

struct audit_event {
    struct slice record; /* the JSON text */
    int64_t time_s;
    struct slice name, source, id, request_id, source_ip;
    struct slice account;                 /* whose event it is */
    struct slice access_key, arn, issuer; /* of who asked; empty where there is none */
    struct slice user_name;               /* of a user, session or "root" */
    struct slice service;                 /* that asked for itself or for somebody */
    struct slice error;                   /* code, empty: the call went well */
    bool read_only;
    bool management;              /* not of an object */
    const struct json *resources; /* array or NULL */
};
/* Slices in `a` and in `record`. False for what is no event: a segment's header, or text that isn't
 * as it was written (verify tells). */
bool audit_event_parse(struct slice record, struct arena *a, struct audit_event *ret);
/* A member's text; empty where there is none. */
struct slice audit_event_text(const struct json *object, const char *name);
/* "arn:…:key/ID" -> "ID" */
struct slice audit_event_last_part(struct slice arn);

#endif
