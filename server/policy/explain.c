/* A verdict as JSON: what sts:DecodeAuthorizationMessage answers with. The statements are walked
 * again, so deciding itself keeps no list. What is shown is bounded by the caller's buffer: first
 * the request's conditions go, then the statements that were met. */
#include "server/policy/policy_in.h"

#include "lib/codec/json.h"

static const char *const kinds[POLICY_SOURCES] = {
    [POLICY_BY_RULE] = "none",
    [POLICY_BY_IDENTITY] = "identity-based policy",
    [POLICY_BY_BOUNDARY] = "permissions boundary",
    [POLICY_BY_SESSION] = "session policy",
    [POLICY_BY_RESOURCE] = "resource-based policy",
    [POLICY_BY_GRANT] = "grant",
};

struct explainer {
    struct policy_verdict v; /* as it may be shown */
    const struct policy_set *set;
    const struct policy_request *req;
    struct pol_eval eval;
    struct jsonw w;
    bool owned; /* the resource policy may be shown to the caller's side */
    bool statements, conditions;
};

static const char *kind_name(const struct policy_set *set, enum policy_source by) {
    if (by != POLICY_BY_RESOURCE) {
        return kinds[by];
    }
    return set->resource_kind == POLICY_TRUST    ? "role trust policy"
           : set->resource_kind == POLICY_KEY    ? "key policy"
           : set->resource_kind == POLICY_BUCKET ? "bucket policy"
                                                 : kinds[by];
}

static void member(struct jsonw *w, const char *name, struct slice value) {
    jsonw_name(w, name);
    jsonw_string(w, value);
}

static void items_begin(struct jsonw *w, const char *name) {
    jsonw_name(w, name);
    jsonw_object_begin(w);
    jsonw_name(w, "items");
    jsonw_array_begin(w);
}
static void items_end(struct jsonw *w) {
    jsonw_array_end(w);
    jsonw_object_end(w);
}

static void value_item(struct jsonw *w, struct slice value) {
    jsonw_object_begin(w);
    member(w, "value", value);
    jsonw_object_end(w);
}

static void texts(struct jsonw *w, const char *name, const struct pol_texts *t) {
    items_begin(w, name);
    for (size_t i = 0; i < t->count; i++) {
        value_item(w, t->items[i].text);
    }
    items_end(w);
}

static void statement_principals(struct jsonw *w, const struct pol_statement *st) {
    items_begin(w, st->not_principal ? "notPrincipals" : "principals");
    for (size_t i = 0; i < st->principal_count; i++) {
        const struct pol_principal *p = &st->principals[i];
        value_item(w, p->kind == POL_ANY ? SLICE_LIT("*") : p->value);
    }
    items_end(w);
}

/* Binary values are kept decoded. */
static void condition_value(struct jsonw *w, const struct pol_condition *c, struct slice value) {
    if (c->how.op != OP_BINARY) {
        value_item(w, value);
        return;
    }
    jsonw_object_begin(w);
    jsonw_name(w, "value");
    jsonw_base64(w, value);
    jsonw_object_end(w);
}

static void statement_conditions(struct jsonw *w, const struct pol_statement *st) {
    items_begin(w, "conditions");
    for (size_t i = 0; i < st->condition_count; i++) {
        const struct pol_condition *c = &st->conditions[i];
        jsonw_object_begin(w);
        member(w, "operator", c->name);
        member(w, "key", c->key);
        items_begin(w, "values");
        for (size_t k = 0; k < c->values.count; k++) {
            condition_value(w, c, c->values.items[k].text);
        }
        items_end(w);
        jsonw_object_end(w);
    }
    items_end(w);
}

static void statement(struct explainer *x, const struct pol_statement *st, enum policy_source by,
                      struct slice name, size_t index) {
    struct jsonw *w = &x->w;
    jsonw_object_begin(w);
    member(w, "statementId", st->sid);
    member(w, "effect", st->deny ? SLICE_LIT("DENY") : SLICE_LIT("ALLOW"));
    statement_principals(w, st);
    items_begin(w, "principalGroups");
    items_end(w);
    texts(w, st->not_action ? "notActions" : "actions", &st->actions);
    texts(w, st->not_resource ? "notResources" : "resources", &st->resources);
    statement_conditions(w, st);
    member(w, "policyType", slice_cstr(kind_name(x->set, by)));
    if (name.len > 0) {
        member(w, "policyName", name);
    }
    jsonw_name(w, "statementIndex");
    jsonw_int(w, (int64_t)index);
    jsonw_object_end(w);
}

/* The statements of one policy that apply; after an explicit deny only those that deny. */
static void matched(struct explainer *x, const struct policy *p, enum policy_source by,
                    struct slice name) {
    for (size_t i = 0; p != NULL && i < p->count; i++) {
        const struct pol_statement *st = &p->statements[i];
        if ((st->deny || !x->v.explicit_deny) && pol_applies(&x->eval, p, st) != 0) {
            statement(x, st, by, name, i);
        }
    }
}

static void matched_statements(struct explainer *x) {
    const struct policy_set *set = x->set;
    items_begin(&x->w, "matchedStatements");
    for (size_t i = 0; i < set->identity_count && x->statements; i++) {
        matched(x, set->identity[i], POLICY_BY_IDENTITY,
                set->identity_names ? set->identity_names[i] : SLICE_EMPTY);
    }
    for (size_t i = 0; i < set->session_count && x->statements; i++) {
        matched(x, set->session[i], POLICY_BY_SESSION,
                set->session_names ? set->session_names[i] : SLICE_EMPTY);
    }
    if (x->statements) {
        matched(x, set->boundary, POLICY_BY_BOUNDARY, set->boundary_name);
        matched(x, x->owned ? set->resource : NULL, POLICY_BY_RESOURCE, SLICE_EMPTY);
    }
    items_end(&x->w);
}

static void condition_item(struct jsonw *w, struct slice key, const struct slice *values,
                           size_t count) {
    jsonw_object_begin(w);
    member(w, "key", key);
    items_begin(w, "values");
    for (size_t i = 0; i < count; i++) {
        value_item(w, values[i]);
    }
    items_end(w);
    jsonw_object_end(w);
}

static struct slice principal_name(const struct policy_principal *who) {
    return who->type == PRINCIPAL_ANONYMOUS ? SLICE_LIT("anonymous")
           : who->type == PRINCIPAL_SERVICE ? who->service
                                            : who->arn;
}

static void context(struct explainer *x) {
    struct jsonw *w = &x->w;
    jsonw_name(w, "context");
    jsonw_object_begin(w);
    jsonw_name(w, "principal");
    jsonw_object_begin(w);
    member(w, "id", x->eval.facts[FACT_USERID]);
    member(w, "arn", principal_name(x->req->principal));
    jsonw_object_end(w);
    member(w, "action", x->req->action);
    member(w, "resource", x->req->resource);
    items_begin(w, "conditions");
    for (size_t i = 0; i < POL_FACTS && x->conditions; i++) {
        if (x->eval.facts[i].len > 0) {
            condition_item(w, slice_cstr(pol_fact_names[i]), &x->eval.facts[i], 1);
        }
    }
    for (size_t i = 0; i < x->req->key_count && x->conditions; i++) {
        const struct policy_key *k = &x->req->keys[i];
        condition_item(w, k->name, k->values, k->count);
    }
    items_end(w);
    jsonw_object_end(w);
}

/* The statement that would allow exactly this request, for a policy of the kind. */
static void allowing_statement(struct explainer *x, enum policy_source by) {
    struct jsonw *w = &x->w;
    const struct policy_principal *who = x->req->principal;
    enum policy_kind kind = x->set->resource_kind;
    bool of_resource = by == POLICY_BY_RESOURCE;
    jsonw_object_begin(w);
    member(w, "Effect", SLICE_LIT("Allow"));
    if (of_resource && who->type == PRINCIPAL_ANONYMOUS) {
        member(w, "Principal", SLICE_LIT("*"));
    } else if (of_resource) {
        jsonw_name(w, "Principal");
        jsonw_object_begin(w);
        if (who->type == PRINCIPAL_SERVICE) {
            member(w, "Service", who->service);
        } else {
            member(w, "AWS", who->type == PRINCIPAL_ROLE_SESSION ? who->role_arn : who->arn);
        }
        jsonw_object_end(w);
    }
    member(w, "Action", x->req->action);
    if (!of_resource || kind != POLICY_TRUST) {
        member(w, "Resource",
               of_resource && kind == POLICY_KEY ? SLICE_LIT("*") : x->req->resource);
    }
    jsonw_object_end(w);
}

static void change(struct explainer *x, enum policy_source by) {
    struct jsonw *w = &x->w;
    const struct policy_principal *who = x->req->principal;
    bool session = who->type == PRINCIPAL_ROLE_SESSION;
    jsonw_object_begin(w);
    member(w, "policyType", slice_cstr(kind_name(x->set, by)));
    if (by == POLICY_BY_BOUNDARY && x->set->boundary_name.len > 0) {
        member(w, "policyName", x->set->boundary_name);
    }
    member(w, "of",
           by == POLICY_BY_RESOURCE  ? x->req->resource
           : by == POLICY_BY_SESSION ? who->arn
           : session                 ? who->role_arn
                                     : principal_name(who));
    jsonw_name(w, "addStatement");
    allowing_statement(x, by);
    jsonw_object_end(w);
}

static void denied_change(struct explainer *x) {
    struct jsonw *w = &x->w;
    jsonw_object_begin(w);
    member(w, "policyType", slice_cstr(kind_name(x->set, x->v.by)));
    if (x->v.policy_name.len > 0) {
        member(w, "policyName", x->v.policy_name);
    }
    jsonw_name(w, "removeOrNarrowStatement");
    jsonw_object_begin(w);
    member(w, "Sid", x->v.sid);
    jsonw_name(w, "index");
    jsonw_int(w, (int64_t)x->v.statement);
    jsonw_object_end(w);
    jsonw_object_end(w);
}

/* Our own member: what decided, or what is missing, and what would change it. */
static void diagnosis(struct explainer *x) {
    struct jsonw *w = &x->w;
    const struct policy_verdict *v = &x->v;
    jsonw_name(w, "sealift");
    jsonw_object_begin(w);
    bool hidden = v->by == POLICY_BY_RESOURCE && !x->owned;
    member(w, "reason", slice_cstr(v->reason));
    if (v->missing == 0 && !hidden) {
        member(w, "decidedBy", slice_cstr(kind_name(x->set, v->by)));
        if (v->policy_name.len > 0) {
            member(w, "policyName", v->policy_name);
        }
    }
    jsonw_name(w, "missingAllows");
    jsonw_array_begin(w);
    for (int by = 0; by < POLICY_SOURCES; by++) {
        if (v->missing & (1u << by)) {
            jsonw_cstr(w, kind_name(x->set, (enum policy_source)by));
        }
    }
    jsonw_array_end(w);
    jsonw_name(w, "smallestChange");
    jsonw_array_begin(w);
    for (int by = 0; by < POLICY_SOURCES; by++) {
        if (v->missing & (1u << by)) {
            change(x, (enum policy_source)by);
        }
    }
    if (v->explicit_deny && v->by != POLICY_BY_RULE && !hidden) {
        denied_change(x);
    }
    jsonw_array_end(w);
    jsonw_object_end(w);
}

static void whole(struct explainer *x) {
    struct jsonw *w = &x->w;
    jsonw_object_begin(w);
    jsonw_name(w, "allowed");
    jsonw_bool(w, x->v.decision == POLICY_ALLOW);
    jsonw_name(w, "explicitDeny");
    jsonw_bool(w, x->v.explicit_deny);
    matched_statements(x);
    items_begin(w, "failures");
    items_end(w);
    context(x);
    diagnosis(x);
    if (!x->statements || !x->conditions) {
        jsonw_name(w, "truncated");
        jsonw_bool(w, true);
    }
    jsonw_object_end(w);
}

struct sl_rc policy_explain(const struct policy_verdict *v, const struct policy_set *set,
                            const struct policy_request *req, struct arena *a, struct buf *out,
                            struct sl_error *err) {
    struct explainer x = {.v = *v, .set = set, .req = req, .owned = pol_same_account(req)};
    if (v->explicit_deny && v->by == POLICY_BY_RESOURCE && set->resource_kind == POLICY_KEY &&
        !x.owned) {
        /* Another account learns as little about a key as from the refusal itself. */
        x.v.explicit_deny = false;
        x.v.missing = 1u << POLICY_BY_RESOURCE;
    }
    pol_eval_init(&x.eval, set, req, a);
    for (int left = 2; left >= 0; left--) {
        buf_reset(out);
        x.w = jsonw_of(out);
        x.conditions = left == 2;
        x.statements = left >= 1;
        whole(&x);
        if (!out->failed) {
            break;
        }
    }
    ENSURE(!x.eval.failed, err, SL_E_NOMEM, "Out of memory.");
    return buf_check(out, err);
}
