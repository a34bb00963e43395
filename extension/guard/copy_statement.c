/* COPY from S3 as a statement: options of the rewritten form (docs/decisions/6-secrets-in-sql.md),
 * rights, the load, and what the user sees of it. */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "commands/sequence.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/bitmapset.h"
#include "nodes/makefuncs.h"
#include "parser/parse_relation.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"

#include "extension/catalog/loads.h"
#include "extension/copy/copy.h"
#include "extension/guard/guard.h"
#include "extension/guard/session.h"
#include "lib/codec/text.h"
#include "lib/crypto/crypto.h"

static const char s3_scheme[] = "s3://";
enum { ROLES_MAX = 10, QUERY_ID_NONE = -1 };

static int last_copy_id = QUERY_ID_NONE;
static int64 last_copy_count;

PG_FUNCTION_INFO_V1(sealift_last_copy_id);
PG_FUNCTION_INFO_V1(sealift_last_copy_count);

Datum sealift_last_copy_id(PG_FUNCTION_ARGS) {
    PG_RETURN_INT32(last_copy_id);
}

Datum sealift_last_copy_count(PG_FUNCTION_ARGS) {
    PG_RETURN_INT64(last_copy_count);
}

bool copy_statement_is_s3(const CopyStmt *s) {
    return s->is_from && !s->is_program && s->filename != NULL &&
           pg_strncasecmp(s->filename, s3_scheme, sizeof s3_scheme - 1) == 0;
}

SL_NORETURN static void bad_option(const char *name, const char *why) {
    ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR), errmsg("COPY option %s %s", name, why)));
    pg_unreachable();
}

/* Secrets of the statement; ended when the statement's memory context goes, however it goes. */
struct secrets {
    MemoryContextCallback callback;
    struct secret all, key, token, sealed_master, master;
};

static void end_secrets(void *arg) {
    struct secrets *s = arg;
    secret_fini(&s->all);
    secret_fini(&s->key);
    secret_fini(&s->token);
    secret_fini(&s->sealed_master);
    secret_fini(&s->master);
}

static struct secrets *new_secrets(void) {
    struct secrets *s = palloc0(sizeof *s);
    s->callback.func = end_secrets;
    s->callback.arg = s;
    MemoryContextRegisterResetCallback(CurrentMemoryContext, &s->callback);
    return s;
}

/* "access key id LF secret access key LF session token or nothing", sealed by the gateway. */
static void open_keys(struct copy_spec *spec, const char *sealed, struct secrets *s) {
    struct sl_error err = {0};
    if (sl_failed(session_unseal("copy-credentials", slice_cstr(sealed), &s->all, &err))) {
        ereport(ERROR,
                (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                 errmsg("the credentials of COPY can't be opened"), errdetail("%s", err.detail)));
    }
    struct slice all = secret_view(&s->all);
    size_t first = slice_find(all, '\n');
    struct slice rest = slice_sub(all, first + 1, all.len);
    size_t second = slice_find(rest, '\n');
    struct slice token = slice_sub(rest, second + 1, rest.len);
    spec->auth = COPY_AUTH_KEYS;
    spec->access_key_id = pnstrdup((const char *)all.ptr, first);
    if (sl_failed(secret_from(&s->key, slice_sub(rest, 0, second))) ||
        (token.len > 0 && sl_failed(secret_from(&s->token, token)))) {
        ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
    }
    spec->secret = &s->key;
    spec->token = token.len > 0 ? &s->token : NULL;
}

/* 256 bits in base64, sealed by the gateway. */
static void open_master_key(struct copy_spec *spec, const char *sealed, struct secrets *s) {
    struct sl_error err = {0};
    struct buf key = {.max = SECRET_MAX_BYTES, .wipe = true};
    struct sl_rc rc =
        session_unseal("master-symmetric-key", slice_cstr(sealed), &s->sealed_master, &err);
    rc = sl_is_ok(rc) ? base64_get(secret_view(&s->sealed_master), &key, &err) : rc;
    if (sl_is_ok(rc) && key.len != AES256_KEY_LEN) {
        rc = sl_rc_of(SL_E_PARSE);
    }
    rc = sl_is_ok(rc) ? secret_from(&s->master, buf_slice(&key)) : rc;
    buf_fini(&key);
    if (sl_failed(rc)) {
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("MASTER_SYMMETRIC_KEY must be a 256-bit key in base64")));
    }
    spec->master_key = &s->master;
}

static enum transcode_from encoding_option(DefElem *d) {
    const char *text = defGetString(d);
    for (int i = 0; i < TRANSCODE_COUNT; i++) {
        if (strcmp(text, transcode_name((enum transcode_from)i)) == 0) {
            return (enum transcode_from)i;
        }
    }
    bad_option(d->defname, "is none that is known");
}

/* 'default', an ARN, or ARNs separated by commas: each assumes the next. */
static void set_roles(struct copy_spec *spec, const char *text) {
    const char **roles = palloc0(ROLES_MAX * sizeof *roles);
    int n = 0;
    char *copy = pstrdup(text), *save = NULL;
    for (char *one = strtok_r(copy, ",", &save); one != NULL; one = strtok_r(NULL, ",", &save)) {
        if (n == ROLES_MAX) {
            bad_option("IAM_ROLE", "chains at most 10 roles");
        }
        roles[n++] = one;
    }
    if (n == 0) {
        bad_option("IAM_ROLE", "names no role");
    }
    spec->auth = COPY_AUTH_ROLES;
    spec->roles = roles;
    spec->role_count = n;
}

static int int_option(DefElem *d, int max) {
    char *end;
    const char *text = defGetString(d);
    errno = 0;
    long v = strtol(text, &end, 10);
    if (errno != 0 || *end != '\0' || end == text || v < 0 || v > max) {
        bad_option(d->defname, psprintf("wants a number from 0 to %d", max));
    }
    return (int)v;
}

static char char_option(DefElem *d) {
    const char *text = defGetString(d);
    if (strlen(text) != 1 || (text[0] & 0x80) != 0) {
        bad_option(d->defname, "wants a single ASCII character");
    }
    return text[0];
}

static enum unpack_format compression_option(DefElem *d) {
    const char *text = defGetString(d);
    for (int i = UNPACK_NONE + 1; i < UNPACK_COUNT; i++) {
        if (strcmp(text, unpack_name((enum unpack_format)i)) == 0) {
            return (enum unpack_format)i;
        }
    }
    bad_option(d->defname, "is none that is known");
}

/* Where an option without a value is kept, or NULL. */
static bool *flag_of(struct copy_spec *spec, const char *name) {
    struct copy_options *o = &spec->options;
    const struct {
        const char *name;
        bool *flag;
    } flags[] = {{"emptyasnull", &o->emptyasnull},
                 {"blanksasnull", &o->blanksasnull},
                 {"trimblanks", &o->trimblanks},
                 {"truncatecolumns", &o->truncatecolumns},
                 {"fillrecord", &o->fillrecord},
                 {"acceptanydate", &o->acceptanydate},
                 {"roundec", &o->roundec},
                 {"ignoreblanklines", &o->ignoreblanklines},
                 {"manifest", &spec->manifest},
                 {"escape", &spec->escape},
                 {"removequotes", &spec->removequotes},
                 {"noload", &spec->noload},
                 {"ignoreallerrors", &spec->ignoreallerrors},
                 {"explicit_ids", &spec->explicit_ids}};
    for (size_t i = 0; i < lengthof(flags); i++) {
        if (strcmp(name, flags[i].name) == 0) {
            return flags[i].flag;
        }
    }
    return NULL;
}

static void raise_option(struct sl_rc rc, const struct sl_error *err) {
    if (sl_failed(rc)) {
        ereport(ERROR,
                (errcode(ERRCODE_SYNTAX_ERROR), errmsg("%s", sl_error_message(err, rc.code))));
    }
}

static void set_widths(struct copy_spec *spec, const char *text) {
    struct sl_error err = {0};
    uint32_t *widths = palloc(sizeof *widths * COPY_MAX_COLUMNS);
    spec->format = DELIMITED_FIXED;
    spec->widths = widths;
    raise_option(
        delimited_widths(slice_cstr(text), widths, COPY_MAX_COLUMNS, &spec->width_count, &err),
        &err);
}

static void split_url(const char *url, const char **ret_bucket, const char **ret_key) {
    const char *bucket = url + sizeof s3_scheme - 1;
    const char *slash = strchr(bucket, '/');
    *ret_bucket = slash != NULL ? pnstrdup(bucket, slash - bucket) : pstrdup(bucket);
    *ret_key = slash != NULL ? pstrdup(slash + 1) : "";
}

/* 'auto', 'auto ignorecase', or the URL of a JSONPaths file. */
static void set_json(struct copy_spec *spec, const char *text) {
    spec->format = DELIMITED_JSON;
    spec->json_ignorecase = strcmp(text, "auto ignorecase") == 0;
    if (spec->json_ignorecase || strcmp(text, "auto") == 0) {
        return;
    }
    if (pg_strncasecmp(text, s3_scheme, sizeof s3_scheme - 1) == 0) {
        split_url(text, &spec->jsonpaths_bucket, &spec->jsonpaths_key);
    }
    if (spec->jsonpaths_bucket == NULL || spec->jsonpaths_bucket[0] == '\0' ||
        spec->jsonpaths_key[0] == '\0') {
        bad_option("JSON", "wants 'auto', 'auto ignorecase' or the full path of an S3 object");
    }
}

/* Options of the data's form; false: not one of them. */
static bool format_option(struct copy_spec *spec, DefElem *d) {
    const char *name = d->defname;
    struct sl_error err = {0};
    if (strcmp(name, "compression") == 0) {
        spec->compression = compression_option(d);
    } else if (strcmp(name, "encoding") == 0) {
        spec->encoding = encoding_option(d);
    } else if (strcmp(name, "csv") == 0) {
        spec->format = defGetBoolean(d) ? DELIMITED_CSV : DELIMITED_PLAIN;
    } else if (strcmp(name, "json") == 0) {
        set_json(spec, defGetString(d));
    } else if (strcmp(name, "fixedwidth") == 0) {
        set_widths(spec, defGetString(d));
    } else if (strcmp(name, "delimiter") == 0) {
        spec->delimiter = char_option(d);
    } else if (strcmp(name, "quote") == 0) {
        spec->quote = char_option(d);
    } else if (strcmp(name, "null_as") == 0) {
        spec->null_as = defGetString(d);
    } else if (strcmp(name, "dateformat") == 0) {
        raise_option(copy_format_date_option(slice_cstr(defGetString(d)), &spec->date_format, &err),
                     &err);
    } else if (strcmp(name, "timeformat") == 0) {
        raise_option(copy_format_time_option(slice_cstr(defGetString(d)), &spec->time_format, &err),
                     &err);
    } else {
        return false;
    }
    return true;
}

/* Options by the names that lib/dialect writes. */
static void one_option(struct copy_spec *spec, DefElem *d, struct secrets *secrets) {
    const char *name = d->defname;
    bool *flag = flag_of(spec, name);
    if (flag != NULL) {
        *flag = defGetBoolean(d);
    } else if (format_option(spec, d)) {
        return;
    } else if (strcmp(name, "acceptinvchars") == 0) {
        spec->options.acceptinvchars = true;
        spec->options.invalid_char = (uint8_t)char_option(d);
    } else if (strcmp(name, "iam_role") == 0) {
        set_roles(spec, defGetString(d));
    } else if (strcmp(name, "credentials") == 0) {
        open_keys(spec, defGetString(d), secrets);
    } else if (strcmp(name, "master_symmetric_key") == 0) {
        open_master_key(spec, defGetString(d), secrets);
    } else if (strcmp(name, "ignoreheader") == 0) {
        spec->ignoreheader = int_option(d, INT_MAX);
    } else if (strcmp(name, "maxerror") == 0) {
        spec->maxerror = int_option(d, 100000);
    } else if (strcmp(name, "region") == 0) {
        spec->region = defGetString(d);
    } else {
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("COPY option \"%s\" is not supported", name)));
    }
}

/* Bytes that the splitter takes for line ends and blanks can't be marks of their own, and one can't
 * be both. */
static void check_marks(const struct copy_spec *spec) {
    bool csv = spec->format == DELIMITED_CSV;
    char delimiter = copy_delimiter(spec), quote = copy_quote(spec);
    if (delimiter == '\n' || delimiter == '\r') {
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("COPY delimiter cannot be newline or carriage return")));
    }
    if (csv && strchr("\n\r \t", quote) != NULL) {
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("COPY quote cannot be a blank, newline or carriage return")));
    }
    if (csv && delimiter == quote) {
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("COPY delimiter and quote must be different")));
    }
}

static void check_manifest(const struct copy_spec *spec) {
    if (spec->manifest && spec->prefix[0] == '\0') {
        ereport(ERROR,
                (errcode(ERRCODE_INTERNAL_ERROR),
                 errmsg("COPY with MANIFEST parameter requires full path of an S3 object.")));
    }
}

static void set_source(struct copy_spec *spec, const char *url) {
    split_url(url, &spec->bucket, &spec->prefix);
    if (spec->bucket[0] == '\0') {
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("COPY names no bucket: \"%s\"", url)));
    }
}

/* Columns by name, in the order of the fields. */
static void set_columns(struct copy_spec *spec, Relation rel, const List *names) {
    AttrNumber *attnums = palloc0((list_length(names) + 1) * sizeof *attnums);
    int n = 0;
    ListCell *lc;
    foreach (lc, names) {
        const char *name = strVal(lfirst(lc));
        AttrNumber attnum = get_attnum(RelationGetRelid(rel), name);
        if (attnum <= 0) {
            ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
                            errmsg("column \"%s\" of relation \"%s\" does not exist", name,
                                   RelationGetRelationName(rel))));
        }
        for (int i = 0; i < n; i++) {
            if (attnums[i] == attnum) {
                ereport(ERROR, (errcode(ERRCODE_DUPLICATE_COLUMN),
                                errmsg("column \"%s\" specified more than once", name)));
            }
        }
        attnums[n++] = attnum;
    }
    spec->attnums = attnums;
    spec->natts = n;
}

static void check_rights(Relation rel, const struct copy_spec *spec, ParseState *pstate) {
    ParseNamespaceItem *item =
        addRangeTableEntryForRelation(pstate, rel, RowExclusiveLock, NULL, false, false);
    RangeTblEntry *rte = item->p_rte;
    rte->requiredPerms = ACL_INSERT;
    for (int i = 0; i < (spec->natts > 0 ? spec->natts : RelationGetNumberOfAttributes(rel)); i++) {
        AttrNumber attnum = spec->natts > 0 ? spec->attnums[i] : (AttrNumber)(i + 1);
        if (!TupleDescAttr(RelationGetDescr(rel), attnum - 1)->attisdropped) {
            rte->insertedCols =
                bms_add_member(rte->insertedCols, attnum - FirstLowInvalidHeapAttributeNumber);
        }
    }
    ExecCheckRTPerms(pstate->p_rtable, true);
    if (check_enable_rls(RelationGetRelid(rel), InvalidOid, false) == RLS_ENABLED) {
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("COPY into a table with row-level security is not supported")));
    }
    if (!rel->rd_islocaltemp) {
        PreventCommandIfReadOnly("COPY FROM");
    }
}

/* The next number of a load, as the cluster's owner; numbers are never given twice. */
static int next_query_id(void) {
    Oid user;
    int sec;
    GetUserIdAndSecContext(&user, &sec);
    SetUserIdAndSecContext(BOOTSTRAP_SUPERUSERID, sec | SECURITY_LOCAL_USERID_CHANGE);
    RangeVar *name = makeRangeVar(pstrdup("sealift"), pstrdup("query_id"), -1);
    int64 id = nextval_internal(RangeVarGetRelid(name, NoLock, false), false);
    SetUserIdAndSecContext(user, sec);
    return (int)id;
}

static void report(const struct copy_result *result, const char *table) {
    if (result->message != NULL) {
        int code = MAKE_SQLSTATE(result->sqlstate[0], result->sqlstate[1], result->sqlstate[2],
                                 result->sqlstate[3], result->sqlstate[4]);
        ereport(ERROR, (errcode(code), errmsg_internal("%s", result->message),
                        result->detail != NULL ? errdetail_internal("%s", result->detail) : 0));
    }
    ereport(INFO,
            (errmsg_internal("Load into table '%s' completed, %lld record(s) loaded successfully.",
                             table, (long long)result->rows)));
    if (result->rejected > 0) {
        ereport(INFO,
                (errmsg_internal(
                    "Load into table '%s' completed, %lld record(s) could not be loaded.  Check "
                    "'stl_load_errors' system table for details.",
                    table, (long long)result->rejected)));
    }
}

void copy_statement_run(const CopyStmt *stmt, ParseState *pstate, QueryCompletion *qc) {
    struct copy_spec spec = {.auth = COPY_AUTH_ROLES,
                             .region = guard_region,
                             .endpoint = guard_s3_endpoint,
                             .ca_file = guard_ca_file,
                             .stall_ms = (unsigned)guard_s3_stall_ms,
                             .kms_socket = guard_kms_socket,
                             .edge_token = session_edge_token()};
    struct secrets *secrets = new_secrets();
    bool authorised = false;
    ListCell *lc;
    foreach (lc, stmt->options) {
        DefElem *d = lfirst_node(DefElem, lc);
        one_option(&spec, d, secrets);
        authorised |= strcmp(d->defname, "iam_role") == 0 || strcmp(d->defname, "credentials") == 0;
    }
    if (!authorised) {
        ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR),
                        errmsg("COPY from S3 needs IAM_ROLE or CREDENTIALS")));
    }
    check_marks(&spec);
    set_source(&spec, stmt->filename);
    check_manifest(&spec);
    Relation rel = table_openrv(stmt->relation, RowExclusiveLock);
    set_columns(&spec, rel, stmt->attlist);
    check_rights(rel, &spec, pstate);
    spec.db_user = GetUserNameFromId(GetSessionUserId(), false);
    last_copy_id = spec.query_id = next_query_id();
    last_copy_count = 0;
    struct copy_result result = {0};
    loads_run(rel, &spec, &result);
    char *table = pstrdup(RelationGetRelationName(rel));
    table_close(rel, NoLock);
    report(&result, table);
    last_copy_count = result.rows;
    if (qc != NULL) {
        SetQueryCompletion(qc, CMDTAG_COPY, (uint64)result.rows);
    }
}
