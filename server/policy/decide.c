/* The decision: which statements of which policies apply, and what follows from them. An explicit
 * deny anywhere wins; then the rules of the resource's kind say which allows are needed. */
#include "server/policy/policy_in.h"

#include "lib/base/clock.h"

const char *const pol_fact_names[POL_FACTS] = {
    [FACT_PRINCIPAL_ARN] = "aws:PrincipalArn",
    [FACT_PRINCIPAL_ACCOUNT] = "aws:PrincipalAccount",
    [FACT_PRINCIPAL_TYPE] = "aws:PrincipalType",
    [FACT_USERID] = "aws:userid",
    [FACT_USERNAME] = "aws:username",
    [FACT_TOKEN_ISSUE_TIME] = "aws:TokenIssueTime",
    [FACT_MFA_PRESENT] = "aws:MultiFactorAuthPresent",
    [FACT_IS_SERVICE] = "aws:PrincipalIsAWSService",
    [FACT_SERVICE_NAME] = "aws:PrincipalServiceName",
    [FACT_RESOURCE_ACCOUNT] = "aws:ResourceAccount",
};

/* How a statement's Principal met the caller: the kinds grant differently. */
enum {
    HIT_ANY = 1,     /* "*" */
    HIT_ACCOUNT = 2, /* the caller's account: leaves it to the account's identity policies */
    HIT_ROLE = 4,    /* the session's role: boundary and session policy still limit it */
    HIT_DIRECT = 8,  /* user, session, service, or the root user by its account */
};

static unsigned meets_aws(struct slice value, const struct policy_principal *who) {
    bool user = who->type == PRINCIPAL_USER, session = who->type == PRINCIPAL_ROLE_SESSION;
    if (!user && !session && who->type != PRINCIPAL_ROOT) {
        return 0;
    }
    bool account = value.len == 12 ? slice_eq(value, who->account)
                                   : slice_starts(value, SLICE_LIT("arn:aws:iam::")) &&
                                         slice_eq(slice_sub(value, 13, 25), who->account) &&
                                         slice_eq_cstr(slice_sub(value, 25, value.len), ":root");
    if (account) {
        return who->type == PRINCIPAL_ROOT ? HIT_DIRECT : HIT_ACCOUNT;
    }
    if ((user || session) && slice_eq(value, who->arn)) {
        return HIT_DIRECT;
    }
    if (user && slice_starts(value, SLICE_LIT("AIDA")) && slice_eq(value, who->user_id)) {
        return HIT_DIRECT;
    }
    if (session && (slice_eq(value, who->role_arn) ||
                    (slice_starts(value, SLICE_LIT("AROA")) &&
                     slice_eq(value, slice_sub(who->user_id, 0, slice_find(who->user_id, ':')))))) {
        return HIT_ROLE;
    }
    return 0;
}

static unsigned meets(const struct pol_statement *st, const struct policy_principal *who) {
    unsigned hits = 0;
    for (size_t i = 0; i < st->principal_count; i++) {
        const struct pol_principal *p = &st->principals[i];
        if (p->kind == POL_ANY) {
            hits |= HIT_ANY;
        } else if (p->kind == POL_AWS) {
            hits |= meets_aws(p->value, who);
        } else if (p->kind == POL_SERVICE && who->type == PRINCIPAL_SERVICE &&
                   slice_eq(p->value, who->service)) {
            hits |= HIT_DIRECT;
        }
    }
    if (!st->not_principal) {
        return hits;
    }
    /* NotPrincipal denies whoever is not named in full: a user needs its own ARN and its account,
     * a session its own ARN, its role and its account. */
    unsigned needed = who->type == PRINCIPAL_USER           ? HIT_DIRECT | HIT_ACCOUNT
                      : who->type == PRINCIPAL_ROLE_SESSION ? HIT_DIRECT | HIT_ROLE | HIT_ACCOUNT
                                                            : HIT_DIRECT;
    bool named = (hits & HIT_ANY) || (hits & needed) == needed;
    return named ? 0 : HIT_ANY;
}

static bool action_applies(const struct pol_statement *st, struct slice action) {
    bool found = false;
    for (size_t i = 0; i < st->actions.count && !found; i++) {
        found = pol_glob((struct pol_pattern){st->actions.items[i].text, NULL}, action, true);
    }
    return found != st->not_action;
}

static bool resource_applies(struct pol_eval *e, const struct pol_statement *st) {
    bool found = false, unresolved = false;
    for (size_t i = 0; i < st->resources.count && !found; i++) {
        struct pol_pattern p;
        if (pol_expand(e, &st->resources.items[i], &p)) {
            found = pol_glob(p, e->req->resource, false);
        } else {
            unresolved = true;
        }
    }
    if (!st->not_resource) {
        return found;
    }
    /* An exception that can't be computed must not widen an allow, nor narrow a deny. */
    return !found && (!unresolved || st->deny);
}

struct outcome {
    bool denied;
    unsigned allowed; /* HIT_ bits; HIT_DIRECT for policies without principals */
    struct slice deny_sid;
    struct slice allow_sid;
};

static void weigh(struct pol_eval *e, const struct policy *p, struct outcome *out) {
    if (p == NULL) {
        return;
    }
    bool of_resource = p->kind == POLICY_KEY || p->kind == POLICY_BUCKET || p->kind == POLICY_TRUST;
    for (size_t i = 0; i < p->count; i++) {
        const struct pol_statement *st = &p->statements[i];
        unsigned hits = of_resource ? meets(st, e->req->principal) : HIT_DIRECT;
        bool inert =
            st->actions.count == 0 || (st->resources.count == 0 && p->kind != POLICY_TRUST);
        if (hits == 0 || inert || !action_applies(st, e->req->action) ||
            (p->kind != POLICY_TRUST && !resource_applies(e, st)) || !pol_conditions_hold(e, st)) {
            continue;
        }
        if (st->deny && !out->denied) {
            out->denied = true;
            out->deny_sid = st->sid;
        } else if (!st->deny) {
            if (out->allowed == 0) {
                out->allow_sid = st->sid;
            }
            out->allowed |= hits;
        }
    }
}

/* All that the policies say about a request. */
struct weighed {
    struct outcome identity, boundary, session, resource;
    bool identity_ok, boundary_ok, session_ok;
};

static void weigh_all(struct pol_eval *e, const struct policy_set *set, struct weighed *w) {
    for (size_t i = 0; i < set->identity_count; i++) {
        weigh(e, set->identity[i], &w->identity);
    }
    weigh(e, set->boundary, &w->boundary);
    weigh(e, set->session, &w->session);
    weigh(e, set->resource, &w->resource);
    int type = e->req->principal->type;
    w->identity_ok =
        type == PRINCIPAL_ROOT ||
        (w->identity.allowed != 0 && (type == PRINCIPAL_USER || type == PRINCIPAL_ROLE_SESSION));
    w->boundary_ok = set->boundary == NULL || w->boundary.allowed != 0;
    w->session_ok = set->session == NULL || w->session.allowed != 0;
}

static struct policy_verdict denied(bool is_explicit, const char *reason, struct slice sid) {
    return (struct policy_verdict){POLICY_DENY, is_explicit, reason, sid};
}

/* The default: no policy of the kind that is needed allows. */
static struct policy_verdict nothing_allows(struct pol_eval *e, const char *policies) {
    const char *reason = arena_printf(e->a, "because no %s allows the %.*s action", policies,
                                      SLICE_FMT(e->req->action));
    return denied(false, reason ? reason : "because no policy allows it", SLICE_EMPTY);
}

static const char vague[] =
    "because the resource does not exist in this Region, no resource-based policies allow access, "
    "or a resource-based policy explicitly denies access";

static bool explicit_deny(const struct weighed *w, enum policy_kind kind, bool same,
                          struct policy_verdict *ret) {
    const struct outcome *o = w->identity.denied   ? &w->identity
                              : w->boundary.denied ? &w->boundary
                              : w->session.denied  ? &w->session
                              : w->resource.denied ? &w->resource
                                                   : NULL;
    if (o == NULL) {
        return false;
    }
    const char *reason = "with an explicit deny in a resource-based policy";
    if (o == &w->identity) {
        reason = "with an explicit deny in an identity-based policy";
    } else if (o == &w->boundary) {
        reason = "with an explicit deny in a permissions boundary";
    } else if (o == &w->session) {
        reason = "with an explicit deny in a session policy";
    } else if (kind == POLICY_TRUST) {
        reason = "with an explicit deny in the role trust policy";
    } else if (kind == POLICY_KEY && !same) {
        reason = vague; /* another account is not told whether the key exists */
    }
    *ret = denied(true, reason, o->deny_sid);
    return true;
}

/* The first of the caller's own policies that does not allow. */
static struct policy_verdict caller_denied(struct pol_eval *e, const struct weighed *w,
                                           bool identity_needed) {
    return nothing_allows(e, identity_needed && !w->identity_ok ? "identity-based policy"
                             : !w->boundary_ok                  ? "permissions boundary"
                                                                : "session policy");
}

static struct policy_verdict resource_denied(struct pol_eval *e, enum policy_kind kind, bool same) {
    if (kind == POLICY_KEY && !same) {
        return denied(false, vague, SLICE_EMPTY);
    }
    return nothing_allows(e, kind == POLICY_TRUST ? "role trust policy" : "resource-based policy");
}

static struct policy_verdict allow(const struct outcome *o) {
    return (struct policy_verdict){POLICY_ALLOW, false, "", o->allow_sid};
}

static struct policy_verdict decide(struct pol_eval *e, const struct policy_set *set,
                                    const struct weighed *w, bool same) {
    const struct policy_principal *who = e->req->principal;
    enum policy_kind kind = set->resource_kind;
    unsigned hits = w->resource.allowed;
    bool limits_ok = w->boundary_ok && w->session_ok;
    bool all_ok = w->identity_ok && limits_ok;
    if (who->type == PRINCIPAL_SERVICE) {
        return hits & HIT_DIRECT ? allow(&w->resource) : resource_denied(e, kind, true);
    }
    if (who->type == PRINCIPAL_ANONYMOUS) {
        return kind == POLICY_BUCKET && (hits & HIT_ANY) ? allow(&w->resource)
                                                         : resource_denied(e, kind, false);
    }
    if (set->resource != NULL && kind == POLICY_TRUST && who->type == PRINCIPAL_ROOT) {
        return denied(true, "because roles may not be assumed by root accounts", SLICE_EMPTY);
    }
    if (!same) {
        if (hits == 0) {
            return resource_denied(e, kind, false);
        }
        return all_ok ? allow(&w->resource) : caller_denied(e, w, true);
    }
    if ((hits & HIT_DIRECT) || ((hits & (HIT_ROLE | HIT_ANY)) && limits_ok)) {
        return allow(&w->resource);
    }
    /* A key or trust policy must at least leave the action to the account; for buckets, and where
     * there is no resource policy, the caller's own policies are enough. */
    bool delegated = set->resource == NULL || kind == POLICY_BUCKET || (hits & HIT_ACCOUNT);
    if (delegated && all_ok) {
        return allow(&w->identity);
    }
    if (hits & (HIT_ROLE | HIT_ANY)) {
        return caller_denied(e, w, false);
    }
    return delegated ? caller_denied(e, w, true) : resource_denied(e, kind, true);
}

static void gather_facts(struct pol_eval *e) {
    const struct policy_principal *who = e->req->principal;
    bool session = who->type == PRINCIPAL_ROLE_SESSION;
    static const char *const types[] = {[PRINCIPAL_ANONYMOUS] = "Anonymous",
                                        [PRINCIPAL_ROOT] = "Account",
                                        [PRINCIPAL_USER] = "User",
                                        [PRINCIPAL_ROLE_SESSION] = "AssumedRole",
                                        [PRINCIPAL_SERVICE] = ""};
    e->facts[FACT_PRINCIPAL_ARN] = session ? who->role_arn : who->arn;
    e->facts[FACT_PRINCIPAL_ACCOUNT] = who->account;
    e->facts[FACT_PRINCIPAL_TYPE] = slice_cstr(types[who->type]);
    e->facts[FACT_USERID] = who->type == PRINCIPAL_ROOT        ? who->account
                            : who->type == PRINCIPAL_ANONYMOUS ? SLICE_LIT("anonymous")
                                                               : who->user_id;
    if (who->type == PRINCIPAL_USER) {
        e->facts[FACT_USERNAME] = who->user_name;
    }
    if (session) {
        char *issued = arena_alloc(e->a, 21);
        if (issued == NULL) {
            e->failed = true;
        } else {
            clock_iso(who->token_issued_s, issued);
            e->facts[FACT_TOKEN_ISSUE_TIME] = slice_cstr(issued);
        }
        e->facts[FACT_MFA_PRESENT] = SLICE_LIT("false");
    }
    e->facts[FACT_IS_SERVICE] =
        who->type == PRINCIPAL_SERVICE ? SLICE_LIT("true") : SLICE_LIT("false");
    if (who->type == PRINCIPAL_SERVICE) {
        e->facts[FACT_SERVICE_NAME] = who->service;
    }
    e->facts[FACT_RESOURCE_ACCOUNT] = e->req->resource_account;
}

struct policy_verdict policy_decide(const struct policy_set *set, const struct policy_request *req,
                                    struct arena *a) {
    struct pol_eval e = {.req = req, .a = a};
    struct weighed w = {0};
    struct policy_verdict verdict;
    const struct policy_principal *who = req->principal;
    bool same = who->account.len > 0 &&
                (req->resource_account.len == 0 || slice_eq(who->account, req->resource_account));
    gather_facts(&e);
    weigh_all(&e, set, &w);
    if (!explicit_deny(&w, set->resource_kind, same, &verdict)) {
        verdict = decide(&e, set, &w, same);
    }
    if (e.failed) {
        return denied(false, "because the policies could not be evaluated", SLICE_EMPTY);
    }
    return verdict;
}

const char *policy_denied_message(const struct policy_verdict *v, const struct policy_request *req,
                                  struct arena *a) {
    const struct policy_principal *who = req->principal;
    struct slice name = who->type == PRINCIPAL_ANONYMOUS ? SLICE_LIT("anonymous")
                        : who->type == PRINCIPAL_SERVICE ? who->service
                                                         : who->arn;
    const char *text =
        arena_printf(a, "User: %.*s is not authorized to perform: %.*s on resource: %.*s %s",
                     SLICE_FMT(name), SLICE_FMT(req->action), SLICE_FMT(req->resource), v->reason);
    return text ? text : "Access Denied";
}
