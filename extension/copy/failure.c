/* Failures of a load in words; see failure.h. Engine errors carry the DETAIL block that tools
 * parse: a rule, then error, code, context, query, location, process, a rule. */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/formatting.h"
#include "utils/rel.h"

#include "extension/copy/failure.h"

enum { CODE_GENERIC = 8001 };
#define RULE "  -----------------------------------------------\n"

static char *detail_block(const struct copy_spec *spec, const char *error, const char *context,
                          const char *location) {
    StringInfoData s;
    initStringInfo(&s);
    appendStringInfo(&s,
                     "\n" RULE "  error:  %s\n  code:      %d\n  context:   %s\n"
                     "  query:     %d\n  location:  %s\n  process:   query0_%d [pid=%d]\n" RULE,
                     error, CODE_GENERIC, context, spec->query_id, location, spec->query_id,
                     MyProcPid);
    return s.data;
}

/* Valid UTF-8 without NUL; what is not becomes '?'. */
static char *clean_text(const uint8_t *p, size_t len) {
    char *out = palloc(len + 1);
    size_t n = 0;
    size_t i = 0;
    while (i < len) {
        int want = pg_utf_mblen(p + i);
        if (p[i] != '\0' && i + (size_t)want <= len && pg_utf8_islegal(p + i, want)) {
            memcpy(out + n, p + i, (size_t)want);
            n += (size_t)want;
            i += (size_t)want;
        } else {
            out[n++] = '?';
            i++;
        }
    }
    out[n] = '\0';
    return out;
}

static char *clean_cstr(const char *s) {
    return clean_text((const uint8_t *)s, strlen(s));
}

char *copy_object_url(const char *object) {
    return psprintf("s3://%s", clean_cstr(object));
}

static void set(struct copy_result *ret, const char *message, const char *detail,
                const char *sqlstate) {
    ret->message = message;
    ret->detail = detail;
    strlcpy(ret->sqlstate, sqlstate, sizeof ret->sqlstate);
}

void copy_failure_rejects(Relation rel, struct copy_result *ret) {
    set(ret,
        psprintf("Load into table '%s' failed.  Check 'stl_load_errors' system table for details.",
                 RelationGetRelationName(rel)),
        NULL, "XX000");
}

static char *s3_error(const struct s3client_failure *f) {
    if (f->status == 0) {
        return psprintf(
            "S3CurlException: %s, CurlError %d, multiCurlError 0, CanRetry 1, UserError 0",
            f->message, f->curl_code);
    }
    return psprintf("S3ServiceException:%s,Status %ld,Error %s,Rid %s,ExtRid %s,CanRetry 1",
                    clean_cstr(f->message), f->status, clean_cstr(f->code),
                    clean_cstr(f->request_id), clean_cstr(f->host_id));
}

static const char *upper_name(const struct copy_spec *spec) {
    const char *name = unpack_name(spec->compression);
    return asc_toupper(name, strlen(name));
}

void copy_failure_pipeline(Relation rel, const struct copy_spec *spec,
                           const struct pipeline_failure *f, struct copy_result *ret) {
    const char *text = clean_cstr(sl_error_message(&f->err, f->err.code));
    const char *context = psprintf("S3 key being read : %s", copy_object_url(f->object));
    switch (f->kind) {
    case PIPELINE_S3_LIST:
        context = psprintf("Listing bucket=%s prefix=%s", spec->bucket, spec->prefix);
        text = s3_error(&f->s3);
        set(ret, text, detail_block(spec, text, context, "s3_utility"), "XX000");
        break;
    case PIPELINE_S3_GET:
        text = s3_error(&f->s3);
        set(ret, text, detail_block(spec, text, context, "table_s3_scanner"), "XX000");
        break;
    case PIPELINE_NO_OBJECTS:
        set(ret, text, detail_block(spec, text, "", "s3_utility"), "XX000");
        break;
    case PIPELINE_MANIFEST:
        set(ret, text, detail_block(spec, text, context, "s3_utility"), "XX000");
        break;
    case PIPELINE_CREDENTIALS:
        context = spec->auth == COPY_AUTH_ROLES && spec->role_count > 0
                      ? psprintf("IAM Role=%s", spec->roles[spec->role_count - 1])
                      : "";
        set(ret, text, detail_block(spec, text, context, "aws_credentials"),
            sl_code_info(f->err.code)->sqlstate);
        break;
    case PIPELINE_DECRYPT:
        set(ret, text, detail_block(spec, text, context, "file_reader"), "XX000");
        break;
    case PIPELINE_UNPACK:
        text = psprintf("The file is not in %s format or is damaged: %s", upper_name(spec), text);
        set(ret, text, detail_block(spec, text, context, "file_reader"), "XX000");
        break;
    case PIPELINE_ENCODING: /* the reject is load.c's */
        copy_failure_rejects(rel, ret);
        break;
    default:
        set(ret, text, NULL, sl_code_info(f->err.code)->sqlstate);
    }
}

void copy_failure_reject(Relation rel, const struct copy_spec *spec, const struct copy_columns *c,
                         const struct pipeline_batch *b, const struct copy_bad_row *bad,
                         struct copy_reject *ret) {
    const uint8_t *raw = b->bad.raw.ptr;
    *ret = (struct copy_reject){
        .filename = copy_object_url(b->object),
        .line_number = (int64_t)bad->line,
        .colname = "",
        .type = "",
        .col_length = "",
        .position = (int)bad->position,
        .raw_line = clean_text(raw + bad->line_at, bad->line_len),
        .raw_field_value = clean_text(raw + bad->field_at, bad->field_len),
        .err_code = bad->code,
        .err_reason = clean_cstr(bad->reason),
    };
    if (bad->column >= 0) {
        const struct copy_column *col = &c->columns[bad->column];
        char *length = palloc(24);
        copy_type_length(col, length);
        ret->colname = pstrdup(
            NameStr(TupleDescAttr(RelationGetDescr(rel), c->attnums[bad->column] - 1)->attname));
        ret->type = copy_type_name(col);
        ret->col_length = length;
    }
}
