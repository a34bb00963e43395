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

static unsigned meets(const struct pol_eval *e, const struct pol_statement *st) {
    const struct policy_principal *who = e->req->principal;
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
     * a session its own ARN, its role and its account. With a boundary naming does not help. */
    if (e->bounded) {
        return HIT_ANY;
    }
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
            found = pol_glob_resource(p, e->req->resource);
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

unsigned pol_applies(struct pol_eval *e, const struct policy *p, const struct pol_statement *st) {
    bool trust = p->kind == POLICY_TRUST;
    bool of_resource = p->kind == POLICY_KEY || p->kind == POLICY_BUCKET || trust;
    bool inert = st->actions.count == 0 || (st->resources.count == 0 && !trust);
    unsigned hits = of_resource ? meets(e, st) : HIT_DIRECT;
    bool applies = hits != 0 && !inert && action_applies(st, e->req->action) &&
                   (trust || resource_applies(e, st)) && pol_conditions_hold(e, st);
    return applies ? hits : 0;
}

/* A statement that was met, by its place. */
struct place {
    size_t policy, statement;
    struct slice sid;
};

struct outcome {
    bool denied;
    unsigned allowed; /* HIT_ bits */
    struct place deny_at;
    struct place allow_at[HIT_BITS]; /* of the first statement that set the bit */
};

static void weigh(struct pol_eval *e, const struct policy *p, size_t index, struct outcome *out) {
    for (size_t i = 0; p != NULL && i < p->count; i++) {
        const struct pol_statement *st = &p->statements[i];
        struct place at = {index, i, st->sid};
        unsigned hits = pol_applies(e, p, st);
        if (hits != 0 && st->deny && !out->denied) {
            out->denied = true;
            out->deny_at = at;
        }
        if (hits == 0 || st->deny) {
            continue;
        }
        for (unsigned bit = 0; bit < HIT_BITS; bit++) {
            if (hits & ~out->allowed & (1u << bit)) {
                out->allow_at[bit] = at;
            }
        }
        out->allowed |= hits;
    }
}

/* All that the policies say about a request. */
struct weighed {
    const struct policy_set *set;
    struct outcome of[POLICY_SOURCES];
    bool same; /* caller and resource are of one account */
    bool identity_ok, boundary_ok, session_ok;
};

static void weigh_all(struct pol_eval *e, const struct policy_set *set, struct weighed *w) {
    w->set = set;
    w->same = pol_same_account(e->req);
    for (size_t i = 0; i < set->identity_count; i++) {
        weigh(e, set->identity[i], i, &w->of[POLICY_BY_IDENTITY]);
    }
    for (size_t i = 0; i < set->session_count; i++) {
        weigh(e, set->session[i], i, &w->of[POLICY_BY_SESSION]);
    }
    weigh(e, set->boundary, 0, &w->of[POLICY_BY_BOUNDARY]);
    weigh(e, set->resource, 0, &w->of[POLICY_BY_RESOURCE]);
    int type = e->req->principal->type;
    w->identity_ok =
        type == PRINCIPAL_ROOT || (w->of[POLICY_BY_IDENTITY].allowed != 0 &&
                                   (type == PRINCIPAL_USER || type == PRINCIPAL_ROLE_SESSION));
    w->boundary_ok = set->boundary == NULL || w->of[POLICY_BY_BOUNDARY].allowed != 0;
    w->session_ok = set->session_count == 0 || w->of[POLICY_BY_SESSION].allowed != 0;
}

static struct slice name_of(const struct policy_set *set, enum policy_source by, size_t index) {
    switch (by) {
    case POLICY_BY_IDENTITY:
        return set->identity_names ? set->identity_names[index] : SLICE_EMPTY;
    case POLICY_BY_SESSION:
        return set->session_names ? set->session_names[index] : SLICE_EMPTY;
    case POLICY_BY_BOUNDARY:
        return set->boundary_name;
    default:
        return SLICE_EMPTY;
    }
}

static struct policy_verdict decided(const struct weighed *w, enum policy_source by,
                                     const struct place *at) {
    return (struct policy_verdict){.reason = "",
                                   .by = by,
                                   .sid = at->sid,
                                   .policy = at->policy,
                                   .statement = at->statement,
                                   .policy_name = name_of(w->set, by, at->policy)};
}

/* Allowed by the first statement of `by` that met the caller in one of the ways of `hits`. */
static struct policy_verdict allow(const struct weighed *w, enum policy_source by, unsigned hits) {
    const struct outcome *o = &w->of[by];
    unsigned bit = HIT_BITS;
    while (bit > 0 && !(o->allowed & hits & (1u << (bit - 1)))) {
        bit--;
    }
    struct place none = {0};
    struct policy_verdict v = bit > 0 ? decided(w, by, &o->allow_at[bit - 1])
                                      : decided(w, POLICY_BY_RULE, &none); /* the root user */
    v.decision = POLICY_ALLOW;
    return v;
}

static struct policy_verdict allow_by_grant(const struct policy_grant *grant) {
    return (struct policy_verdict){
        .decision = POLICY_ALLOW, .reason = "", .by = POLICY_BY_GRANT, .policy_name = grant->id};
}

/* Is the grant enough, with what the caller's own policies say? */
static bool grant_allows(const struct weighed *w) {
    const struct policy_grant *grant = w->set->grant;
    bool limits_ok = w->boundary_ok && w->session_ok;
    return grant != NULL &&
           (grant->grantee == POLICY_GRANT_DIRECT ||
            (limits_ok && (grant->grantee == POLICY_GRANT_ROLE || w->identity_ok)));
}

static bool grant_delegates(const struct weighed *w) {
    return w->set->grant != NULL && w->set->grant->grantee == POLICY_GRANT_ACCOUNT;
}

static const char vague[] =
    "because the resource does not exist in this Region, no resource-based policies allow access, "
    "or a resource-based policy explicitly denies access";

static bool explicit_deny(const struct weighed *w, struct policy_verdict *ret) {
    static const enum policy_source order[] = {POLICY_BY_IDENTITY, POLICY_BY_BOUNDARY,
                                               POLICY_BY_SESSION, POLICY_BY_RESOURCE};
    static const char *const reasons[POLICY_SOURCES] = {
        [POLICY_BY_IDENTITY] = "with an explicit deny in an identity-based policy",
        [POLICY_BY_BOUNDARY] = "with an explicit deny in a permissions boundary",
        [POLICY_BY_SESSION] = "with an explicit deny in a session policy",
        [POLICY_BY_RESOURCE] = "with an explicit deny in a resource-based policy",
    };
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        const struct outcome *o = &w->of[order[i]];
        if (!o->denied) {
            continue;
        }
        struct policy_verdict v = decided(w, order[i], &o->deny_at);
        v.explicit_deny = true;
        v.reason = reasons[order[i]];
        if (order[i] == POLICY_BY_RESOURCE && w->set->resource_kind == POLICY_TRUST) {
            v.reason = "with an explicit deny in the role trust policy";
        } else if (order[i] == POLICY_BY_RESOURCE && w->set->resource_kind == POLICY_KEY &&
                   !w->same) {
            v.reason = vague; /* another account is not told whether the key exists */
        }
        *ret = v;
        return true;
    }
    return false;
}

/* The default: an allow is missing. `first` is the kind that the message names; the caller's own
 * policies that don't allow either are told beside it. */
static struct policy_verdict nothing_allows(struct pol_eval *e, const struct weighed *w,
                                            enum policy_source first, bool identity_needed,
                                            bool limits_count) {
    static const char *const kinds[POLICY_SOURCES] = {
        [POLICY_BY_IDENTITY] = "identity-based policy",
        [POLICY_BY_BOUNDARY] = "permissions boundary",
        [POLICY_BY_SESSION] = "session policy",
        [POLICY_BY_RESOURCE] = "resource-based policy",
    };
    struct policy_verdict v = {.by = first, .missing = 1u << first};
    v.missing |= identity_needed && !w->identity_ok ? 1u << POLICY_BY_IDENTITY : 0;
    v.missing |= limits_count && !w->boundary_ok ? 1u << POLICY_BY_BOUNDARY : 0;
    v.missing |= limits_count && !w->session_ok ? 1u << POLICY_BY_SESSION : 0;
    bool of_resource = first == POLICY_BY_RESOURCE;
    int type = e->req->principal->type;
    if (of_resource && w->set->resource_kind == POLICY_KEY && !w->same &&
        type != PRINCIPAL_SERVICE) {
        v.reason = vague;
        return v;
    }
    bool trust = of_resource && w->set->resource_kind == POLICY_TRUST;
    v.reason = arena_printf(e->a, "because no %s allows the %.*s action",
                            trust ? "role trust policy" : kinds[first], SLICE_FMT(e->req->action));
    if (v.reason == NULL) {
        v.reason = "because no policy allows it";
    }
    return v;
}

/* The first of the caller's own policies that does not allow. */
static struct policy_verdict caller_denied(struct pol_eval *e, const struct weighed *w,
                                           bool identity_needed) {
    enum policy_source first = identity_needed && !w->identity_ok ? POLICY_BY_IDENTITY
                               : !w->boundary_ok                  ? POLICY_BY_BOUNDARY
                                                                  : POLICY_BY_SESSION;
    return nothing_allows(e, w, first, identity_needed, true);
}

/* A statement that named the caller would be enough; naming a role, its limits still count. */
static struct policy_verdict resource_denied(struct pol_eval *e, const struct weighed *w,
                                             bool identity_needed) {
    bool role = e->req->principal->type == PRINCIPAL_ROLE_SESSION;
    return nothing_allows(e, w, POLICY_BY_RESOURCE, identity_needed, identity_needed || role);
}

/* Whom no identity policy, boundary or session policy speaks of. */
static struct policy_verdict decide_outsider(struct pol_eval *e, const struct weighed *w) {
    unsigned hits = w->of[POLICY_BY_RESOURCE].allowed;
    bool service = e->req->principal->type == PRINCIPAL_SERVICE;
    if (service && (hits & HIT_DIRECT)) {
        return allow(w, POLICY_BY_RESOURCE, HIT_DIRECT);
    }
    if (!service && w->set->resource_kind == POLICY_BUCKET && (hits & HIT_ANY)) {
        return allow(w, POLICY_BY_RESOURCE, HIT_ANY);
    }
    const struct policy_grant *grant = w->set->grant;
    if (service && grant != NULL && grant->grantee == POLICY_GRANT_DIRECT) {
        return allow_by_grant(grant);
    }
    return resource_denied(e, w, false);
}

static struct policy_verdict decide_same(struct pol_eval *e, const struct weighed *w) {
    const struct policy_set *set = w->set;
    unsigned hits = w->of[POLICY_BY_RESOURCE].allowed;
    bool limits_ok = w->boundary_ok && w->session_ok;
    if (hits & (HIT_DIRECT | HIT_ANY)) {
        return allow(w, POLICY_BY_RESOURCE, HIT_DIRECT | HIT_ANY);
    }
    if ((hits & HIT_ROLE) && limits_ok) {
        return allow(w, POLICY_BY_RESOURCE, HIT_ROLE);
    }
    /* A key or trust policy must at least leave the action to the account; for buckets, and where
     * there is no resource policy, the caller's own policies are enough. */
    bool delegated =
        set->resource == NULL || set->resource_kind == POLICY_BUCKET || (hits & HIT_ACCOUNT);
    if (delegated && w->identity_ok && limits_ok) {
        return allow(w, POLICY_BY_IDENTITY, HIT_DIRECT);
    }
    if (grant_allows(w)) {
        return allow_by_grant(set->grant);
    }
    delegated |= grant_delegates(w);
    if ((set->grant != NULL && !grant_delegates(w)) || (hits & HIT_ROLE)) {
        return caller_denied(e, w, false);
    }
    return delegated ? caller_denied(e, w, true) : resource_denied(e, w, false);
}

static struct policy_verdict decide_across(struct pol_eval *e, const struct weighed *w) {
    const struct policy_grant *grant = w->set->grant;
    bool limits_ok = w->boundary_ok && w->session_ok;
    bool reached = w->of[POLICY_BY_RESOURCE].allowed != 0;
    if (reached && w->identity_ok && limits_ok) {
        return allow(w, POLICY_BY_RESOURCE, ~0u);
    }
    if (grant_allows(w)) {
        return allow_by_grant(grant);
    }
    if (grant != NULL) {
        return caller_denied(e, w, grant_delegates(w));
    }
    return reached ? caller_denied(e, w, true) : resource_denied(e, w, true);
}

static struct policy_verdict decide(struct pol_eval *e, const struct weighed *w) {
    const struct policy_principal *who = e->req->principal;
    sl_assert(w->set->grant == NULL || w->set->resource_kind == POLICY_KEY);
    if (who->type == PRINCIPAL_SERVICE || who->type == PRINCIPAL_ANONYMOUS) {
        return decide_outsider(e, w);
    }
    if (w->set->resource != NULL && w->set->resource_kind == POLICY_TRUST &&
        who->type == PRINCIPAL_ROOT) {
        return (struct policy_verdict){
            .explicit_deny = true, .reason = "because roles may not be assumed by root accounts"};
    }
    return w->same ? decide_same(e, w) : decide_across(e, w);
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

void pol_eval_init(struct pol_eval *e, const struct policy_set *set,
                   const struct policy_request *req, struct arena *a) {
    *e = (struct pol_eval){.req = req, .a = a, .bounded = set->boundary != NULL};
    gather_facts(e);
}

bool pol_same_account(const struct policy_request *req) {
    struct slice account = req->principal->account;
    return account.len > 0 &&
           (req->resource_account.len == 0 || slice_eq(account, req->resource_account));
}

struct policy_verdict policy_decide(const struct policy_set *set, const struct policy_request *req,
                                    struct arena *a) {
    struct pol_eval e;
    struct weighed w = {0};
    struct policy_verdict verdict;
    pol_eval_init(&e, set, req, a);
    weigh_all(&e, set, &w);
    if (!explicit_deny(&w, &verdict)) {
        verdict = decide(&e, &w);
    }
    if (e.failed) {
        return (struct policy_verdict){.reason = "because the policies could not be evaluated"};
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
