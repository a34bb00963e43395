/* CHAR(n) and VARCHAR(n) count bytes, as in Redshift: what is too long is an error unless the rest
 * is blanks; an explicit cast cuts at a character's boundary. These stand behind PostgreSQL's own
 * types and casts (docs/decisions/11-varchar.md). */
#include "postgres.h"

#include "fmgr.h"
#include "libpq/pqformat.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(sealift_varchar_in);
PG_FUNCTION_INFO_V1(sealift_varchar_receive);
PG_FUNCTION_INFO_V1(sealift_varchar_cast);
PG_FUNCTION_INFO_V1(sealift_bpchar_in);
PG_FUNCTION_INFO_V1(sealift_bpchar_receive);
PG_FUNCTION_INFO_V1(sealift_bpchar_cast);

/* How many bytes of s stay within `max`. */
static int fit(const char *s, int len, int max, bool cut, const char *type) {
    if (len <= max) {
        return len;
    }
    int keep = pg_mbcliplen(s, len, max);
    for (int i = keep; i < len && !cut; i++) {
        if (s[i] != ' ') {
            ereport(ERROR, (errcode(ERRCODE_STRING_DATA_RIGHT_TRUNCATION),
                            errmsg("value too long for type %s(%d)", type, max)));
        }
    }
    return keep;
}

static VarChar *varchar_of(const char *s, int len, int32 typmod) {
    if (typmod >= VARHDRSZ) {
        len = fit(s, len, typmod - VARHDRSZ, false, "character varying");
    }
    return (VarChar *)cstring_to_text_with_len(s, len);
}

/* Padded with blanks to n bytes; without a length as it is. */
static BpChar *bpchar_of(const char *s, int len, int32 typmod, bool cut) {
    int size = len;
    if (typmod >= VARHDRSZ) {
        size = typmod - VARHDRSZ;
        len = fit(s, len, size, cut, "character");
    }
    BpChar *result = palloc((Size)size + VARHDRSZ);
    SET_VARSIZE(result, size + VARHDRSZ);
    memcpy(VARDATA(result), s, (size_t)len);
    memset(VARDATA(result) + len, ' ', (size_t)(size - len));
    return result;
}

Datum sealift_varchar_in(PG_FUNCTION_ARGS) {
    char *s = PG_GETARG_CSTRING(0);
    PG_RETURN_VARCHAR_P(varchar_of(s, (int)strlen(s), PG_GETARG_INT32(2)));
}

Datum sealift_varchar_receive(PG_FUNCTION_ARGS) {
    StringInfo message = (StringInfo)PG_GETARG_POINTER(0);
    int len;
    char *s = pq_getmsgtext(message, message->len - message->cursor, &len);
    PG_RETURN_VARCHAR_P(varchar_of(s, len, PG_GETARG_INT32(2)));
}

Datum sealift_varchar_cast(PG_FUNCTION_ARGS) {
    VarChar *source = PG_GETARG_VARCHAR_PP(0);
    int32 typmod = PG_GETARG_INT32(1);
    int len = VARSIZE_ANY_EXHDR(source), max = typmod - VARHDRSZ;
    if (max < 0 || len <= max) {
        PG_RETURN_VARCHAR_P(source);
    }
    int keep = fit(VARDATA_ANY(source), len, max, PG_GETARG_BOOL(2), "character varying");
    PG_RETURN_VARCHAR_P((VarChar *)cstring_to_text_with_len(VARDATA_ANY(source), keep));
}

Datum sealift_bpchar_in(PG_FUNCTION_ARGS) {
    char *s = PG_GETARG_CSTRING(0);
    PG_RETURN_BPCHAR_P(bpchar_of(s, (int)strlen(s), PG_GETARG_INT32(2), false));
}

Datum sealift_bpchar_receive(PG_FUNCTION_ARGS) {
    StringInfo message = (StringInfo)PG_GETARG_POINTER(0);
    int len;
    char *s = pq_getmsgtext(message, message->len - message->cursor, &len);
    PG_RETURN_BPCHAR_P(bpchar_of(s, len, PG_GETARG_INT32(2), false));
}

Datum sealift_bpchar_cast(PG_FUNCTION_ARGS) {
    BpChar *source = PG_GETARG_BPCHAR_PP(0);
    int32 typmod = PG_GETARG_INT32(1);
    if (typmod < VARHDRSZ || (int32)VARSIZE_ANY_EXHDR(source) == typmod - VARHDRSZ) {
        PG_RETURN_BPCHAR_P(source);
    }
    PG_RETURN_BPCHAR_P(
        bpchar_of(VARDATA_ANY(source), VARSIZE_ANY_EXHDR(source), typmod, PG_GETARG_BOOL(2)));
}
