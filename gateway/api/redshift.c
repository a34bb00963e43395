/* Redshift API; see redshift.h. Every request is verified by kms first, with the checks of its
 * operation; the names of operations that are not served are told only to those who can sign. */
#include "gateway/api/redshift.h"

#include <stdio.h>
#include <unistd.h>

#include "gateway/session/session.h"
#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/rdr.h"
#include "lib/codec/json.h"
#include "lib/codec/xml.h"
#include "lib/crypto/crypto.h"
#include "lib/ipc/frame.h"

static const char xmlns[] = "http://redshift.amazonaws.com/doc/2012-12-01/";

enum {
    ROLES_MAX = 50, /* Redshift's quota of roles of a cluster */
    ANSWER_MAX = 256 * 1024,
    RECORDS_MIN = 20,
    RECORDS_MAX = 100,
    IDENTIFIER_MAX = 63,
    TAG_KEY_MAX = 128,
    TAG_VALUE_MAX = 256,
    TAG_FILTERS_MAX = 50,
};

struct request {
    struct http *h;
    const struct redshift_env *env;
    struct slice body;
    struct params form;
    int kms;
    struct seam_granted granted;
    struct buf out; /* inside of <OpResult> */
};

static const char *arn_of(struct request *r, struct slice cluster) {
    const struct conf *c = r->env->conf;
    const char *arn = arena_printf(r->h->arena, "arn:aws:redshift:%s:%s:cluster:%.*s", c->region,
                                   c->account, SLICE_FMT(cluster));
    return arn != NULL ? arn : "";
}

static struct sl_rc authorize(struct request *r, const char *service,
                              const struct seam_check *checks, size_t count) {
    struct http *h = r->h;
    struct sigv4_header *headers = arena_array(h->arena, h->header_count, sizeof *headers);
    uint8_t sum[SHA256_LEN];
    SL_CLEANUP(buf_fini) struct buf hex = BUF_INIT(2 * SHA256_LEN);
    ENSURE(headers != NULL, &h->err, SL_E_NOMEM, "Out of memory.");
    for (size_t i = 0; i < h->header_count; i++) {
        headers[i] = (struct sigv4_header){h->headers[i].name, h->headers[i].value};
    }
    sha256(r->body, sum);
    hex_put(&hex, slice_of(sum, sizeof sum));
    const struct seam_authorize q = {
        .service = slice_cstr(service),
        .request_id = slice_cstr(h->request_id),
        .peer_ip = slice_cstr(h->peer->ip),
        .peer_tls = h->peer->tls,
        .request = {h->method, h->path, h->query, headers, h->header_count, buf_slice(&hex)},
        .checks = checks,
        .check_count = count,
    };
    TRY(seam_connect(r->env->conf->kms_socket, &r->env->hello, &r->kms, &h->err));
    TRY(seam_authorize(r->kms, &q, h->arena, &h->err, &r->granted, NULL, NULL));
    ENSURE(!r->granted.anonymous, &h->err, SL_E_MISSING_TOKEN, "%s",
           sl_code_info(SL_E_MISSING_TOKEN)->text);
    return SL_OK;
}

static struct slice param(const struct request *r, const char *name) {
    const struct param *p = params_get(&r->form, name);
    return p != NULL ? p->value : SLICE_EMPTY;
}

/* Given, it must be an identifier; whether there is such a cluster is asked later. */
static struct sl_rc identifier_valid(struct request *r, struct slice id) {
    bool fine = id.len > 0 && id.len <= IDENTIFIER_MAX && id.ptr[id.len - 1] != '-';
    for (size_t i = 0; i < id.len && fine; i++) {
        uint8_t c = id.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool within = (c >= '0' && c <= '9') || (c == '-' && i > 0 && id.ptr[i - 1] != '-');
        fine = letter || (i > 0 && within);
    }
    ENSURE(fine, &r->h->err, SL_E_REDSHIFT_INVALID_PARAMETER,
           "The parameter ClusterIdentifier is not a valid identifier. Identifiers must begin with "
           "a letter; must contain only ASCII letters, digits, and hyphens; and must not end with "
           "a hyphen or contain two consecutive hyphens.");
    return SL_OK;
}

/* The cluster belongs to one region and one account. */
static bool is_ours(const struct request *r, struct slice cluster) {
    return slice_ieq(cluster, slice_cstr(r->env->conf->cluster)) &&
           slice_eq_cstr(r->granted.region, r->env->conf->region);
}

static struct sl_rc not_found(struct request *r, struct slice cluster) {
    return sl_fail(&r->h->err, SL_E_REDSHIFT_CLUSTER_NOT_FOUND, "Cluster %.*s not found.",
                   SLICE_FMT(cluster));
}

/* Lists that clients walk, of what there is none of. */
static void put_empty(struct buf *out) {
    static const char *const lists[] = {"ClusterSecurityGroups",
                                        "VpcSecurityGroups",
                                        "ClusterParameterGroups",
                                        "PendingModifiedValues",
                                        "Tags",
                                        "DeferredMaintenanceWindows"};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        xmlw_open(out, lists[i]);
        xmlw_close(out, lists[i]);
    }
}

void redshift_cluster_put(struct buf *out, const struct conf *conf,
                          const struct redshift_cluster *c) {
    char created[21];
    clock_iso(conf->created_s, created);
    struct slice default_role = SLICE_EMPTY;
    xmlw_open(out, "Cluster");
    xmlw_cstr(out, "ClusterIdentifier", conf->cluster);
    xmlw_cstr(out, "ClusterStatus", c->rotating ? "rotating-keys" : "available");
    xmlw_cstr(out, "ClusterAvailabilityStatus", c->rotating ? "Modifying" : "Available");
    xmlw_cstr(out, "MasterUsername", conf->master_user);
    xmlw_cstr(out, "DBName", "dev");
    xmlw_open(out, "Endpoint");
    xmlw_cstr(out, "Address", conf->host_count > 0 ? conf->hosts[0] : "localhost");
    xmlw_int(out, "Port", conf->sql_port);
    xmlw_close(out, "Endpoint");
    xmlw_cstr(out, "ClusterCreateTime", created);
    xmlw_cstr(out, "ClusterVersion", "1.0");
    xmlw_bool(out, "AllowVersionUpgrade", false);
    xmlw_int(out, "AutomatedSnapshotRetentionPeriod", 0);
    xmlw_bool(out, "EnhancedVpcRouting", false);
    put_empty(out);
    xmlw_open(out, "ClusterNodes");
    xmlw_open(out, "member");
    xmlw_cstr(out, "NodeRole", "SHARED"); /* leader and compute node in one */
    xmlw_close(out, "member");
    xmlw_close(out, "ClusterNodes");
    xmlw_open(out, "IamRoles");
    for (size_t i = 0; i < c->role_count; i++) {
        xmlw_open(out, "ClusterIamRole");
        xmlw_text(out, "IamRoleArn", c->roles[i].arn);
        xmlw_cstr(out, "ApplyStatus", "in-sync");
        xmlw_close(out, "ClusterIamRole");
        default_role = c->roles[i].is_default ? c->roles[i].arn : default_role;
    }
    xmlw_close(out, "IamRoles");
    if (default_role.len > 0) {
        xmlw_text(out, "DefaultIamRoleArn", default_role);
    }
    xmlw_int(out, "NumberOfNodes", 1);
    xmlw_bool(out, "PubliclyAccessible", false);
    xmlw_bool(out, "Encrypted", true);
    if (c->kms_key.len > 0) {
        xmlw_text(out, "KmsKeyId", c->kms_key);
    }
    const char *id = conf->instance_id; /* 32 hex, shown as a UUID */
    SL_CLEANUP(buf_fini) struct buf arn = BUF_INIT(1024);
    buf_printf(&arn, "arn:aws:redshift:%s:%s:namespace:%.8s-%.4s-%.4s-%.4s-%.12s", conf->region,
               conf->account, id, id + 8, id + 12, id + 16, id + 20);
    xmlw_text(out, "ClusterNamespaceArn", buf_slice(&arn));
    xmlw_close(out, "Cluster");
}

static struct sl_rc put_cluster(struct request *r) {
    struct redshift_cluster c = {0};
    struct seam_cluster_role *roles;
    TRY(seam_cluster_roles_get(r->kms, r->h->arena, &r->h->err, &roles, &c.role_count));
    TRY(seam_cluster_encryption(r->kms, r->h->arena, &r->h->err, &c.kms_key, &c.rotating));
    c.roles = roles;
    redshift_cluster_put(&r->out, r->env->conf, &c);
    return SL_OK;
}

/* <list>.<item>.<n>: are there any? A length that no tag has is refused. */
static struct sl_rc tag_filter(struct request *r, const char *list, size_t max, bool *ret_any) {
    for (int i = 1;; i++) {
        char key[64];
        snprintf(key, sizeof key, "%ss.%s.%d", list, list, i);
        const struct param *p = params_get(&r->form, key);
        if (p == NULL) {
            return SL_OK;
        }
        ENSURE(p->value.len <= max && i <= TAG_FILTERS_MAX, &r->h->err, SL_E_REDSHIFT_INVALID_TAG,
               "The tag is invalid.");
        *ret_any = true;
    }
}

/* One cluster is one page, so there are no markers. */
static struct sl_rc page_valid(struct request *r) {
    struct slice max = param(r, "MaxRecords"), marker = param(r, "Marker");
    uint64_t n;
    ENSURE(max.len == 0 || (slice_u64(max, UINT64_MAX, &n) && n >= RECORDS_MIN && n <= RECORDS_MAX),
           &r->h->err, SL_E_REDSHIFT_INVALID_PARAMETER,
           "Invalid value %.*s for MaxRecords. Must be between %d and %d", SLICE_FMT(max),
           RECORDS_MIN, RECORDS_MAX);
    ENSURE(marker.len == 0, &r->h->err, SL_E_REDSHIFT_INVALID_PARAMETER,
           "The parameter Marker is not valid.");
    return SL_OK;
}

static struct sl_rc describe_clusters(struct request *r) {
    struct slice id = param(r, "ClusterIdentifier");
    bool by_tag = false;
    const struct seam_check check = {
        .action = SLICE_LIT("redshift:DescribeClusters"),
        .resource = slice_cstr(arn_of(r, id.len > 0 ? id : SLICE_LIT("*"))),
        .resource_account = slice_cstr(r->env->conf->account),
    };
    TRY(authorize(r, "redshift", &check, 1));
    TRY(page_valid(r));
    TRY(tag_filter(r, "TagKey", TAG_KEY_MAX, &by_tag));
    TRY(tag_filter(r, "TagValue", TAG_VALUE_MAX, &by_tag));
    if (id.len > 0) {
        TRY(identifier_valid(r, id));
    }
    if (id.len > 0 && !is_ours(r, id)) {
        return not_found(r, id);
    }
    xmlw_open(&r->out, "Clusters");
    /* The cluster has no tags. */
    if (!by_tag && is_ours(r, slice_cstr(r->env->conf->cluster))) {
        TRY(put_cluster(r));
    }
    xmlw_close(&r->out, "Clusters");
    return SL_OK;
}

#define NO_SUCH_ROLE                                                                               \
    "The IAM role %.*s is not valid. The IAM role must delegate access to an Amazon Redshift "     \
    "account."

/* "arn:aws:iam::<12 digits>:role/<name>" */
static bool is_role_arn(struct slice arn, struct slice *ret_account) {
    static const char head[] = "arn:aws:iam::";
    struct slice rest = slice_sub(arn, sizeof head - 1, arn.len);
    uint64_t n;
    *ret_account = slice_sub(rest, 0, 12);
    return arn.len <= 2048 && slice_starts(arn, slice_cstr(head)) && ret_account->len == 12 &&
           slice_u64(*ret_account, UINT64_MAX, &n) &&
           slice_starts(slice_sub(rest, 12, rest.len), SLICE_LIT(":role/")) &&
           rest.len > 12 + strlen(":role/");
}

/* <name>.IamRoleArn.<n> as the model serialises it, or <name>.member.<n>. */
static struct sl_rc role_list(const struct params *form, const char *name, struct arena *a,
                              const struct slice **ret, size_t *ret_count, struct sl_error *err) {
    static const char *const forms[] = {"IamRoleArn", "member"};
    struct slice *list = arena_array(a, ROLES_MAX, sizeof *list);
    ENSURE(list != NULL, err, SL_E_NOMEM, "Out of memory.");
    size_t count = 0;
    for (size_t f = 0; f < sizeof forms / sizeof forms[0] && count == 0; f++) {
        for (int i = 1;; i++) {
            char key[64];
            snprintf(key, sizeof key, "%s.%s.%d", name, forms[f], i);
            const struct param *p = params_get(form, key);
            if (p == NULL) {
                break;
            }
            struct slice account;
            ENSURE(is_role_arn(p->value, &account), err, SL_E_REDSHIFT_INVALID_PARAMETER,
                   NO_SUCH_ROLE, SLICE_FMT(p->value));
            ENSURE(count < ROLES_MAX, err, SL_E_REDSHIFT_INVALID_PARAMETER,
                   "At most %d IAM roles can be associated with a cluster.", ROLES_MAX);
            list[count++] = p->value;
        }
    }
    *ret = list;
    *ret_count = count;
    return SL_OK;
}

struct sl_rc redshift_modify_parse(const struct params *form, struct arena *a,
                                   struct redshift_modify *ret, struct sl_error *err) {
    struct redshift_modify m = {0};
    struct slice account;
    TRY(role_list(form, "AddIamRoles", a, &m.add, &m.add_count, err));
    TRY(role_list(form, "RemoveIamRoles", a, &m.remove, &m.remove_count, err));
    const struct param *p = params_get(form, "DefaultIamRoleArn");
    if (p != NULL && p->value.len > 0) {
        m.default_role = p->value;
        ENSURE(is_role_arn(m.default_role, &account), err, SL_E_REDSHIFT_INVALID_PARAMETER,
               NO_SUCH_ROLE, SLICE_FMT(m.default_role));
    }
    *ret = m;
    return SL_OK;
}

static struct sl_rc modify_cluster_iam_roles(struct request *r) {
    static const struct context_pair passed_to = {
        {(const uint8_t *)"iam:PassedToService", 19},
        {(const uint8_t *)"redshift.amazonaws.com", 22},
    };
    struct slice id = param(r, "ClusterIdentifier");
    struct redshift_modify m;
    struct seam_check checks[1 + ROLES_MAX] = {
        {.action = SLICE_LIT("redshift:ModifyClusterIamRoles"),
         .resource = slice_cstr(arn_of(r, id)),
         .resource_account = slice_cstr(r->env->conf->account)},
    };
    /* Who can't sign gets no word about the form. */
    struct sl_error form_err = {0};
    struct sl_rc rc = redshift_modify_parse(&r->form, r->h->arena, &m, &form_err);
    size_t count = 1;
    for (size_t i = 0; sl_is_ok(rc) && i < m.add_count; i++) {
        struct slice account;
        (void)is_role_arn(m.add[i], &account);
        checks[count++] = (struct seam_check){
            .action = SLICE_LIT("iam:PassRole"),
            .resource = m.add[i],
            .resource_account = account,
            .keys = &passed_to,
            .key_count = 1,
        };
    }
    TRY(authorize(r, "redshift", checks, count));
    ENSURE(id.len > 0, &r->h->err, SL_E_MISSING_PARAMETER,
           "The request must contain the parameter ClusterIdentifier.");
    TRY(identifier_valid(r, id));
    if (sl_failed(rc)) {
        r->h->err = form_err;
        return rc;
    }
    if (!is_ours(r, id)) {
        return not_found(r, id);
    }
    TRY(seam_cluster_roles_modify(r->kms, r->granted.session, m.add, m.add_count, m.remove,
                                  m.remove_count, m.default_role, r->h->arena, &r->h->err));
    return put_cluster(r);
}

/* The new key is in use when it answers; wrapping the database keys anew goes on behind it. */
static struct sl_rc rotate_encryption_key(struct request *r) {
    struct slice id = param(r, "ClusterIdentifier");
    const struct seam_check check = {
        .action = SLICE_LIT("redshift:RotateEncryptionKey"),
        .resource = slice_cstr(arn_of(r, id)),
        .resource_account = slice_cstr(r->env->conf->account),
    };
    TRY(authorize(r, "redshift", &check, 1));
    ENSURE(id.len > 0, &r->h->err, SL_E_MISSING_PARAMETER,
           "The request must contain the parameter ClusterIdentifier.");
    TRY(identifier_valid(r, id));
    if (!is_ours(r, id)) {
        return not_found(r, id);
    }
    TRY(lookup_rotate(r->env->sql->lookup, &r->h->err));
    return put_cluster(r);
}

static const struct operation {
    const char *name;
    struct sl_rc (*run)(struct request *r);
} operations[] = {
    {"DescribeClusters", describe_clusters},
    {"ModifyClusterIamRoles", modify_cluster_iam_roles},
    {"RotateEncryptionKey", rotate_encryption_key},
};

static struct sl_rc run(struct request *r, struct slice action) {
    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++) {
        if (slice_eq_cstr(action, operations[i].name)) {
            return operations[i].run(r);
        }
    }
    TRY(authorize(r, "redshift", NULL, 0));
    ENSURE(action.len > 0, &r->h->err, SL_E_MISSING_PARAMETER,
           "The request must contain the parameter Action.");
    return sl_fail(&r->h->err, SL_E_INVALID_ACTION,
                   "Could not find operation %.*s for version 2012-12-01.", SLICE_FMT(action));
}

static void reply_xml(struct http *h, int status, const struct buf *out) {
    http_status(h, out->failed ? 500 : status);
    http_set_cstr(h, "content-type", "text/xml");
    http_set_cstr(h, "x-amzn-requestid", h->request_id);
    sl_ignore(http_reply(h, out->failed ? SLICE_EMPTY : buf_slice(out)));
}

static void reply_error(struct http *h, struct sl_rc rc) {
    const struct sl_code_info *info = sl_code_info(rc.code);
    /* The query services' word for what S3 calls InvalidAccessKeyId. */
    bool unknown_key = rc.code == SL_E_UNKNOWN_KEY_ID;
    SL_CLEANUP(buf_fini) struct buf out = BUF_INIT(ANSWER_MAX);
    xmlw_open_ns(&out, "ErrorResponse", xmlns);
    xmlw_open(&out, "Error");
    xmlw_cstr(&out, "Type", info->http_status < 500 ? "Sender" : "Receiver");
    xmlw_cstr(&out, "Code", unknown_key ? "InvalidClientTokenId" : info->wire);
    xmlw_cstr(&out, "Message",
              unknown_key ? "The security token included in the request is invalid."
                          : sl_error_message(&h->err, rc.code));
    if (rc.code == SL_E_ACCESS_DENIED && h->err.denial != NULL) {
        http_set_cstr(h, DENIAL_HEADER, h->err.denial);
        xmlw_cstr(&out, DENIAL_ELEMENT, h->err.denial);
    }
    xmlw_close(&out, "Error");
    xmlw_cstr(&out, "RequestId", h->request_id);
    xmlw_close(&out, "ErrorResponse");
    reply_xml(h, info->http_status, &out);
}

static void reply_result(struct request *r, struct slice action) {
    char name[128];
    SL_CLEANUP(buf_fini) struct buf out = BUF_INIT(2 * ANSWER_MAX);
    snprintf(name, sizeof name, "%.*sResponse", SLICE_FMT(action));
    xmlw_open_ns(&out, name, xmlns);
    char result[128];
    snprintf(result, sizeof result, "%.*sResult", SLICE_FMT(action));
    xmlw_open(&out, result);
    buf_put(&out, buf_slice(&r->out));
    xmlw_close(&out, result);
    xmlw_open(&out, "ResponseMetadata");
    xmlw_cstr(&out, "RequestId", r->h->request_id);
    xmlw_close(&out, "ResponseMetadata");
    xmlw_close(&out, name);
    out.failed = out.failed || r->out.failed;
    reply_xml(r->h, 200, &out);
}

/* The Redshift Data API is not served; its callers learn so in their own protocol. */
static void data_api(struct request *r, struct slice target) {
    struct http *h = r->h;
    struct sl_rc rc = authorize(r, "redshift-data", NULL, 0);
    int status = 400;
    const char *type = "UnsupportedOperationException";
    const char *text = NULL;
    if (sl_failed(rc)) {
        status = sl_code_info(rc.code)->http_status;
        type = sl_code_info(rc.code)->wire;
        text = sl_error_message(&h->err, rc.code);
    } else {
        struct slice op = slice_sub(target, slice_find(target, '.') + 1, target.len);
        text =
            arena_printf(h->arena, "The operation %.*s of the Redshift Data API is not supported.",
                         SLICE_FMT(op));
    }
    SL_CLEANUP(buf_fini) struct buf out = BUF_INIT(ANSWER_MAX);
    struct jsonw w = jsonw_of(&out);
    jsonw_object_begin(&w);
    jsonw_name(&w, "__type");
    jsonw_cstr(&w, type);
    jsonw_name(&w, "message");
    jsonw_cstr(&w, text != NULL ? text : "");
    jsonw_object_end(&w);
    http_status(h, status);
    http_set_cstr(h, "content-type", "application/x-amz-json-1.1");
    http_set_cstr(h, "x-amzn-requestid", h->request_id);
    sl_ignore(http_reply(h, buf_slice(&out)));
}

static struct sl_rc read_form(struct request *r) {
    struct http *h = r->h;
    TRY(http_body_all(h, LIMIT_API_BODY_BYTES, &r->body));
    bool post = slice_eq_cstr(h->method, "POST");
    ENSURE(post || slice_eq_cstr(h->method, "GET"), &h->err, SL_E_INVALID_ACTION,
           "The method %.*s is not supported.", SLICE_FMT(h->method));
    return params_parse(post ? r->body : h->query, true, h->arena, &h->err, &r->form);
}

void redshift_handle(struct http *h, void *user) {
    struct request r = {.h = h, .env = user, .kms = -1, .out = BUF_INIT(ANSWER_MAX)};
    struct slice target = http_header(h, "x-amz-target");
    struct slice action = SLICE_EMPTY;
    if (slice_starts(target, SLICE_LIT("RedshiftData."))) {
        struct sl_rc rc = http_body_all(h, LIMIT_API_BODY_BYTES, &r.body);
        if (sl_failed(rc)) {
            reply_error(h, rc);
        } else {
            data_api(&r, target);
        }
    } else {
        struct sl_rc rc = read_form(&r);
        if (sl_is_ok(rc)) {
            action = param(&r, "Action");
            rc = run(&r, action);
        }
        if (sl_is_ok(rc)) {
            reply_result(&r, action);
        } else {
            reply_error(h, rc);
        }
        sl_log(SL_INFO, "redshift", "action=%s caller=%s code=%s request=%s", SL_Q(action),
               SL_Q(r.granted.arn), sl_code_info(rc.code)->wire, h->request_id);
    }
    secret_fini(&r.granted.signing_key);
    buf_fini(&r.out);
    if (r.kms >= 0) {
        close(r.kms);
    }
}

struct sl_rc redshift_hello(struct net_conn *c, struct net_peer *ret_peer, void *user) {
    const struct http_service *service = user;
    const struct redshift_env *env = service->user;
    enum { HELLO_MAX = 256, HELLO_MS = 5000 };
    int64_t deadline = clock_mono_ms() + HELLO_MS;
    uint8_t head[5];
    uint8_t body[HELLO_MAX];
    TRY(net_read_exact(c, head, sizeof head, deadline));
    struct rdr r = rdr_of(slice_of(head, 4));
    uint32_t len = rdr_u32(&r); /* counts the type */
    if (head[4] != 'H' || len < 1 || len - 1 > sizeof body) {
        return sl_rc_of(SL_E_PARSE);
    }
    TRY(net_read_exact(c, body, len - 1, deadline));
    struct seam_hello hello;
    struct sl_rc rc = seam_hello_get(slice_of(body, len - 1), &hello, NULL);
    bool good = sl_is_ok(rc) && hello.edge == SEAM_S3 && hello.mode == SEAM_HTTP &&
                conf_peer_ok(env->conf, net_fd(c), hello.edge) &&
                secret_equal(slice_of(hello.token, SEAM_TOKEN_LEN),
                             slice_of(env->s3_token, SEAM_TOKEN_LEN));
    secret_wipe(body, sizeof body);
    secret_wipe(hello.token, sizeof hello.token);
    if (!good) {
        return sl_rc_of(SL_E_ACCESS_DENIED);
    }
    ret_peer->edge = hello.edge;
    ret_peer->mode = hello.mode;
    ret_peer->port = hello.peer_port;
    ret_peer->tls = hello.peer_tls;
    memcpy(ret_peer->ip, hello.peer_ip, sizeof ret_peer->ip);
    ret_peer->ip[sizeof ret_peer->ip - 1] = '\0';
    static const uint8_t ok[] = {0, 0, 0, 1, 'O'};
    return net_write(c, slice_of(ok, sizeof ok), deadline);
}
