/* See event.h. */
#include "server/audit/event.h"

#include "lib/base/clock.h"

struct slice audit_event_text(const struct json *obj, const char *name) {
    const struct json *v = json_get(obj, name);
    return v != NULL && v->type == JSON_STRING ? v->text : SLICE_EMPTY;
}

struct slice audit_event_last_part(struct slice arn) {
    size_t i = arn.len;
    while (i > 0 && arn.ptr[i - 1] != '/' && arn.ptr[i - 1] != ':') {
        i--;
    }
    return slice_sub(arn, i, arn.len);
}

bool audit_event_parse(struct slice record, struct arena *a, struct audit_event *ret) {
    const struct json *root = NULL;
    if (sl_failed(json_parse(record, a, NULL, &root)) || root->type != JSON_OBJECT) {
        return false;
    }
    const struct json *who = json_get(root, "userIdentity");
    const struct json *issuer = json_get(json_get(who, "sessionContext"), "sessionIssuer");
    const struct json *read_only = json_get(root, "readOnly");
    const struct json *management = json_get(root, "managementEvent");
    const struct json *resources = json_get(root, "resources");
    struct audit_event e = {
        .record = record,
        .name = audit_event_text(root, "eventName"),
        .source = audit_event_text(root, "eventSource"),
        .id = audit_event_text(root, "eventID"),
        .request_id = audit_event_text(root, "requestID"),
        .source_ip = audit_event_text(root, "sourceIPAddress"),
        .account = audit_event_text(root, "recipientAccountId"),
        .access_key = audit_event_text(who, "accessKeyId"),
        .user_name = audit_event_text(who, "userName"),
        .arn = audit_event_text(who, "arn"),
        .issuer = audit_event_text(issuer, "arn"),
        .service = audit_event_text(who, "invokedBy"),
        .error = audit_event_text(root, "errorCode"),
        .read_only = read_only != NULL && read_only->boolean,
        .management = management == NULL || management->boolean,
        .resources = resources != NULL && resources->type == JSON_ARRAY ? resources : NULL,
    };
    if (e.user_name.len == 0) {
        e.user_name = audit_event_last_part(e.arn);
    }
    if (e.name.len == 0 || !clock_parse_iso(audit_event_text(root, "eventTime"), &e.time_s)) {
        return false;
    }
    *ret = e;
    return true;
}
