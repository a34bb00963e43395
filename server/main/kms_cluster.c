/* The warehouse's roles: which are attached to the cluster, and COPY's credentials. No service
 * credential exists: the service principal is this process's own, its right comes from the role's
 * trust policy, and only temporary credentials go out. */
#include "server/main/kms_service.h"

#include "lib/crypto/crypto.h"
#include "lib/ipc/seam_msg.h"
#include "server/store/keys/keys.h"

#define SESSION_NAME SLICE_LIT("RedshiftIamRoleSession")
enum { SESSION_S = 3600, DB_USER_MAX = 256 };

static struct slice cluster_arn(struct kms_rpc *r) {
    return slice_cstr(arena_printf(r->arena, "arn:aws:redshift:%.*s:%.*s:cluster:%s",
                                   SLICE_FMT(r->env.region), SLICE_FMT(r->env.account),
                                   r->service->conf->cluster));
}

static struct sl_rc attached(struct kms_rpc *r, struct cluster_role_row **ret, size_t *ret_count) {
    struct sqlite3 *conn = NULL;
    TRY(kms_db_read(r->env.db, &conn, &r->err));
    struct sl_rc rc = keys_cluster_roles(conn, r->arena, ret, ret_count, &r->err);
    kms_db_read_end(r->env.db, conn);
    return rc;
}

/* The role as attached; "default" is the cluster's default. */
static struct sl_rc find_attached(struct kms_rpc *r, struct slice name, struct slice *ret_arn) {
    struct cluster_role_row *rows = NULL;
    size_t n = 0;
    bool by_default = slice_eq_cstr(name, "default");
    TRY(attached(r, &rows, &n));
    for (size_t i = 0; i < n; i++) {
        if (by_default ? rows[i].is_default : slice_eq(rows[i].arn, name)) {
            *ret_arn = rows[i].arn;
            return SL_OK;
        }
    }
    return by_default
               ? sl_fail(&r->err, SL_E_COPY_ROLE,
                         "The cluster has no default IAM role associated to it")
               : sl_fail(&r->err, SL_E_COPY_ROLE,
                         "The requested role %.*s is not associated to cluster", SLICE_FMT(name));
}

struct assume {
    struct slice db_user_arn;
    struct slice cluster;
    struct auth_caller caller; /* the service, then each role's session */
    struct identity_role role; /* the last one assumed */
};

static struct sl_rc assume_one(struct kms_rpc *r, struct assume *s, struct slice arn) {
    struct sl_error why = {0};
    struct slice values[] = {s->cluster, r->env.account, s->db_user_arn, SESSION_NAME};
    struct policy_key keys[] = {{SLICE_LIT("aws:SourceArn"), &values[0], 1},
                                {SLICE_LIT("aws:SourceAccount"), &values[1], 1},
                                {SLICE_LIT("sts:ExternalId"), &values[2], 1},
                                {SLICE_LIT("sts:RoleSessionName"), &values[3], 1}};
    struct sl_rc rc = identity_role_get(r->env.db, arn, r->arena, &why, &s->role);
    if (!sl_failed(rc)) {
        rc = auth_decide(&r->env, &s->caller, SLICE_LIT("sts:AssumeRole"), s->role.arn,
                         s->role.account, s->role.trust, POLICY_TRUST, keys, 4, r->arena, &why);
    }
    if (rc.code == SL_E_IAM_NO_SUCH_ENTITY || rc.code == SL_E_ACCESS_DENIED) {
        return sl_fail(&r->err, SL_E_COPY_ROLE,
                       "User %.*s is not authorized to assume IAM Role %.*s",
                       SLICE_FMT(s->db_user_arn), SLICE_FMT(arn));
    }
    if (sl_failed(rc)) {
        return sl_fail(&r->err, rc.code, "%s", why.detail);
    }
    struct auth_caller next = {.tls = true, .region = r->env.region};
    TRY(identity_by_role(r->env.db, s->role.arn, SESSION_NAME, r->arena, &r->err, &next.who));
    next.who.principal.token_issued_s = r->env.now_ms / 1000;
    s->caller = next;
    return SL_OK;
}

static struct auth_caller redshift(struct kms_rpc *r) {
    return (struct auth_caller){
        .who = {.principal = {.type = PRINCIPAL_SERVICE,
                              .service = SLICE_LIT("redshift.amazonaws.com")}},
        .tls = true,
        .region = r->env.region,
    };
}

static struct sl_rc assume_all(struct kms_rpc *r, struct assume *s, const struct slice *roles,
                               size_t count, struct auth_session *ret) {
    struct slice first = SLICE_EMPTY;
    ENSURE(count > 0, &r->err, SL_E_COPY_ROLE, "No IAM role was given.");
    TRY(find_attached(r, roles[0], &first));
    TRY(assume_one(r, s, first));
    for (size_t i = 1; i < count; i++) {
        TRY(assume_one(r, s, roles[i]));
    }
    int64_t duration = s->role.max_session_s < SESSION_S && s->role.max_session_s > 0
                           ? s->role.max_session_s
                           : SESSION_S;
    struct auth_sts what = {.kind = AUTH_STS_ROLE,
                            .account = s->role.account,
                            .role_arn = s->role.arn,
                            .id = s->role.role_id,
                            .name = SESSION_NAME};
    return auth_session_make(&r->env, &what, duration, r->arena, &r->err, ret);
}

static struct slice role_request(struct kms_rpc *r, const struct assume *s,
                                 const struct slice *roles, size_t count) {
    SL_CLEANUP(buf_fini) struct buf out = BUF_INIT(64 * 1024);
    struct jsonw w = jsonw_of(&out);
    jsonw_object_begin(&w);
    jsonw_name(&w, "roleArn");
    jsonw_string(&w, count > 0 ? roles[count - 1] : SLICE_EMPTY);
    jsonw_name(&w, "roleSessionName");
    jsonw_string(&w, SESSION_NAME);
    jsonw_name(&w, "externalId");
    jsonw_string(&w, s->db_user_arn);
    if (count > 1) {
        jsonw_name(&w, "chain");
        jsonw_array_begin(&w);
        for (size_t i = 0; i < count; i++) {
            jsonw_string(&w, roles[i]);
        }
        jsonw_array_end(&w);
    }
    jsonw_object_end(&w);
    return out.failed ? SLICE_EMPTY : arena_copy(r->arena, buf_slice(&out));
}

struct sl_rc kms_cluster_credentials(struct kms_rpc *r, struct slice payload, struct buf *out) {
    struct rdr in = rdr_of(payload);
    struct slice user = rdr_vec16(&in);
    const struct slice *roles = NULL;
    size_t count = 0;
    seam_list_get(&in, SEAM_ROLES_MAX, r->arena, &roles, &count);
    TRY(rdr_end(&in, &r->err, "cluster credentials"));
    ENSURE(user.len > 0 && user.len <= DB_USER_MAX, &r->err, SL_E_PARSE, "database user");
    struct assume s = {
        .cluster = cluster_arn(r),
        .db_user_arn = slice_cstr(arena_printf(
            r->arena, "arn:aws:redshift:%.*s:%.*s:dbuser:%s/%.*s", SLICE_FMT(r->env.region),
            SLICE_FMT(r->env.account), r->service->conf->cluster, SLICE_FMT(user))),
        .caller = redshift(r),
    };
    ENSURE(s.cluster.ptr && s.db_user_arn.ptr, &r->err, SL_E_NOMEM, "Out of memory.");
    struct auth_session made = {0};
    struct sl_rc rc = assume_all(r, &s, roles, count, &made);
    struct auth_caller who = redshift(r);
    char request_id[37];
    crypto_uuid(request_id);
    struct api_call c = {.env = &r->env,
                         .caller = &who,
                         .arena = r->arena,
                         .err = &r->err,
                         .request_id = request_id,
                         .audit_request = role_request(r, &s, roles, count),
                         .audit_resource = s.role.arn};
    struct kms_event event = {"sts.amazonaws.com", SLICE_LIT("AssumeRole"), true, false};
    rc = kms_audit(r->service, &event, &c, rc);
    if (!sl_failed(rc)) {
        seam_credentials_put(out, &(struct seam_credentials){
                                      .access_key_id = made.access_key_id,
                                      .secret_access_key = made.secret_access_key,
                                      .session_token = made.token,
                                      .expires_s = made.expires_s - kms_clock_ahead_s(&r->env),
                                  });
    }
    secret_fini(&made.secret_access_key);
    return rc;
}

struct sl_rc kms_cluster_roles(struct kms_rpc *r, struct slice payload, struct buf *out) {
    struct cluster_role_row *rows = NULL;
    size_t n = 0;
    TRY(attached(r, &rows, &n));
    buf_u16(out, (uint16_t)n);
    for (size_t i = 0; i < n; i++) {
        buf_vec16(out, rows[i].arn);
        buf_u8(out, rows[i].is_default ? 1 : 0);
    }
    return SL_OK;
}

/* The gateway has asked already; kms decides by itself what it stores. */
static struct sl_rc may_modify(struct kms_rpc *r, const struct auth_caller *caller,
                               const struct slice *add, size_t add_count) {
    struct slice service = SLICE_LIT("redshift.amazonaws.com");
    struct policy_key passed = {SLICE_LIT("iam:PassedToService"), &service, 1};
    TRY(auth_decide(&r->env, caller, SLICE_LIT("redshift:ModifyClusterIamRoles"), cluster_arn(r),
                    r->env.account, NULL, POLICY_IDENTITY, NULL, 0, r->arena, &r->err));
    for (size_t i = 0; i < add_count; i++) {
        struct identity_role role = {0};
        struct sl_error why = {0};
        struct sl_rc rc = identity_role_get(r->env.db, add[i], r->arena, &why, &role);
        ENSURE(rc.code != SL_E_IAM_NO_SUCH_ENTITY, &r->err, SL_E_REDSHIFT_INVALID_PARAMETER,
               "The IAM role %.*s is not valid. The IAM role must delegate access to an Amazon "
               "Redshift account.",
               SLICE_FMT(add[i]));
        if (sl_failed(rc)) {
            return sl_fail(&r->err, rc.code, "%s", why.detail);
        }
        TRY(auth_decide(&r->env, caller, SLICE_LIT("iam:PassRole"), role.arn, role.account, NULL,
                        POLICY_IDENTITY, &passed, 1, r->arena, &r->err));
    }
    return SL_OK;
}

enum { ROLES_PER_CLUSTER = 50 };

static struct sl_rc store(struct kms_rpc *r, struct sqlite3 *conn, const struct slice *add,
                          size_t add_count, const struct slice *drop, size_t drop_count,
                          struct slice by_default) {
    struct cluster_role_row *rows = NULL;
    size_t n = 0;
    bool found = true;
    for (size_t i = 0; i < drop_count; i++) {
        TRY(keys_cluster_role_remove(conn, drop[i], &r->err));
    }
    for (size_t i = 0; i < add_count; i++) {
        TRY(keys_cluster_role_add(conn, add[i], r->env.now_ms, &r->err));
    }
    if (by_default.len > 0) {
        TRY(keys_cluster_role_default(conn, by_default, &found, &r->err));
    }
    ENSURE(found, &r->err, SL_E_REDSHIFT_INVALID_PARAMETER,
           "The list of Amazon Resource Names (ARNs) for customer roles should contain the ARN of "
           "the default IAM role when a default is specified.");
    TRY(keys_cluster_roles(conn, r->arena, &rows, &n, &r->err));
    ENSURE(n <= ROLES_PER_CLUSTER, &r->err, SL_E_REDSHIFT_INVALID_PARAMETER,
           "A cluster can have at most %d IAM roles.", ROLES_PER_CLUSTER);
    return SL_OK;
}

static struct slice modify_request(struct kms_rpc *r, const struct slice *add, size_t add_count,
                                   const struct slice *drop, size_t drop_count,
                                   struct slice by_default) {
    SL_CLEANUP(buf_fini) struct buf out = BUF_INIT(64 * 1024);
    struct jsonw w = jsonw_of(&out);
    jsonw_object_begin(&w);
    jsonw_name(&w, "clusterIdentifier");
    jsonw_cstr(&w, r->service->conf->cluster);
    jsonw_name(&w, "addIamRoles");
    jsonw_array_begin(&w);
    for (size_t i = 0; i < add_count; i++) {
        jsonw_string(&w, add[i]);
    }
    jsonw_array_end(&w);
    jsonw_name(&w, "removeIamRoles");
    jsonw_array_begin(&w);
    for (size_t i = 0; i < drop_count; i++) {
        jsonw_string(&w, drop[i]);
    }
    jsonw_array_end(&w);
    jsonw_name(&w, "defaultIamRoleArn");
    jsonw_string(&w, by_default);
    jsonw_object_end(&w);
    return out.failed ? SLICE_EMPTY : arena_copy(r->arena, buf_slice(&out));
}

struct sl_rc kms_cluster_modify(struct kms_rpc *r, struct slice payload, struct buf *out) {
    struct rdr in = rdr_of(payload);
    struct slice session = rdr_vec16(&in);
    const struct slice *add = NULL, *drop = NULL;
    size_t add_count = 0, drop_count = 0;
    seam_list_get(&in, SEAM_ROLES_MAX, r->arena, &add, &add_count);
    seam_list_get(&in, SEAM_ROLES_MAX, r->arena, &drop, &drop_count);
    struct slice by_default = rdr_vec16(&in);
    TRY(rdr_end(&in, &r->err, "cluster roles"));
    struct auth_caller caller = {0};
    TRY(auth_forward_open(&r->env, session, r->edge, r->arena, &r->err, &caller));
    caller.via_service = SLICE_EMPTY;
    struct sl_rc rc = may_modify(r, &caller, add, add_count);
    if (!sl_failed(rc)) {
        struct sqlite3 *conn = NULL;
        TRY(kms_db_write(r->env.db, &conn, &r->err));
        rc = store(r, conn, add, add_count, drop, drop_count, by_default);
        struct sl_rc end = kms_db_write_end(r->env.db, conn, !sl_failed(rc), &r->err);
        rc = sl_failed(rc) ? rc : end;
    }
    char request_id[37];
    crypto_uuid(request_id);
    struct api_call c = {.env = &r->env,
                         .caller = &caller,
                         .arena = r->arena,
                         .err = &r->err,
                         .request_id = request_id,
                         .audit_request =
                             modify_request(r, add, add_count, drop, drop_count, by_default),
                         .audit_resource = cluster_arn(r)};
    struct kms_event event = {"redshift.amazonaws.com", SLICE_LIT("ModifyClusterIamRoles"), false,
                              false};
    return kms_audit(r->service, &event, &c, rc);
}
