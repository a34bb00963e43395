/* How text and varchar compare in Redshift: trailing blanks don't count. These functions stand
 * behind PostgreSQL's own operators and operator classes of text, which varchar shares
 * (docs/decisions/11-varchar.md); bootstrap.sql puts them there. */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/pg_locale.h"
#include "utils/sortsupport.h"
#include "utils/varlena.h"

PG_FUNCTION_INFO_V1(sealift_text_eq);
PG_FUNCTION_INFO_V1(sealift_text_ne);
PG_FUNCTION_INFO_V1(sealift_text_lt);
PG_FUNCTION_INFO_V1(sealift_text_le);
PG_FUNCTION_INFO_V1(sealift_text_gt);
PG_FUNCTION_INFO_V1(sealift_text_ge);
PG_FUNCTION_INFO_V1(sealift_text_cmp);
PG_FUNCTION_INFO_V1(sealift_text_larger);
PG_FUNCTION_INFO_V1(sealift_text_smaller);
PG_FUNCTION_INFO_V1(sealift_text_hash);
PG_FUNCTION_INFO_V1(sealift_text_hash_extended);
PG_FUNCTION_INFO_V1(sealift_text_sortsupport);

/* A value without its trailing blanks; points into `t`. */
struct trimmed {
    const char *s;
    int len;
};

static struct trimmed trim(const text *t) {
    struct trimmed v = {VARDATA_ANY(t), VARSIZE_ANY_EXHDR(t)};
    while (v.len > 0 && v.s[v.len - 1] == ' ') {
        v.len--;
    }
    return v;
}

static void need_collation(Oid collation) {
    if (!OidIsValid(collation)) {
        ereport(ERROR, (errcode(ERRCODE_INDETERMINATE_COLLATION),
                        errmsg("could not determine which collation to use for string comparison"),
                        errhint("Use the COLLATE clause to set the collation explicitly.")));
    }
}

/* Equal bytes are what equality means? */
static bool bytewise(Oid collation) {
    return collation == C_COLLATION_OID || collation == DEFAULT_COLLATION_OID ||
           get_collation_isdeterministic(collation);
}

static bool same(const text *a, const text *b, Oid collation) {
    need_collation(collation);
    struct trimmed x = trim(a), y = trim(b);
    if (!bytewise(collation)) {
        return varstr_cmp(x.s, x.len, y.s, y.len, collation) == 0;
    }
    return x.len == y.len && memcmp(x.s, y.s, (size_t)x.len) == 0;
}

static int compare(const text *a, const text *b, Oid collation) {
    struct trimmed x = trim(a), y = trim(b);
    return varstr_cmp(x.s, x.len, y.s, y.len, collation);
}

#define ARGS_OF(fcinfo)                                                                            \
    text *a = PG_GETARG_TEXT_PP(0), *b = PG_GETARG_TEXT_PP(1);                                     \
    Oid collation = PG_GET_COLLATION()
#define DONE                                                                                       \
    PG_FREE_IF_COPY(a, 0);                                                                         \
    PG_FREE_IF_COPY(b, 1)

Datum sealift_text_eq(PG_FUNCTION_ARGS) {
    ARGS_OF(fcinfo);
    bool result = same(a, b, collation);
    DONE;
    PG_RETURN_BOOL(result);
}

Datum sealift_text_ne(PG_FUNCTION_ARGS) {
    ARGS_OF(fcinfo);
    bool result = !same(a, b, collation);
    DONE;
    PG_RETURN_BOOL(result);
}

#define ORDER(name, is)                                                                            \
    Datum name(PG_FUNCTION_ARGS) {                                                                 \
        ARGS_OF(fcinfo);                                                                           \
        int order = compare(a, b, collation);                                                      \
        DONE;                                                                                      \
        PG_RETURN_BOOL(is);                                                                        \
    }
ORDER(sealift_text_lt, order < 0)
ORDER(sealift_text_le, order <= 0)
ORDER(sealift_text_gt, order > 0)
ORDER(sealift_text_ge, order >= 0)

Datum sealift_text_cmp(PG_FUNCTION_ARGS) {
    ARGS_OF(fcinfo);
    int order = compare(a, b, collation);
    DONE;
    PG_RETURN_INT32(order);
}

Datum sealift_text_larger(PG_FUNCTION_ARGS) {
    ARGS_OF(fcinfo);
    PG_RETURN_TEXT_P(compare(a, b, collation) > 0 ? a : b);
}

Datum sealift_text_smaller(PG_FUNCTION_ARGS) {
    ARGS_OF(fcinfo);
    PG_RETURN_TEXT_P(compare(a, b, collation) < 0 ? a : b);
}

/* Where equality isn't that of bytes, PostgreSQL's own hash knows how. */
static Datum hash_by_collation(PGFunction f, struct trimmed v, Oid collation, Datum seed) {
    text *copy = cstring_to_text_with_len(v.s, v.len);
    return f == hashtext ? DirectFunctionCall1Coll(f, collation, PointerGetDatum(copy))
                         : DirectFunctionCall2Coll(f, collation, PointerGetDatum(copy), seed);
}

Datum sealift_text_hash(PG_FUNCTION_ARGS) {
    text *a = PG_GETARG_TEXT_PP(0);
    Oid collation = PG_GET_COLLATION();
    need_collation(collation);
    struct trimmed v = trim(a);
    Datum result = bytewise(collation) ? hash_any((const unsigned char *)v.s, v.len)
                                       : hash_by_collation(hashtext, v, collation, (Datum)0);
    PG_FREE_IF_COPY(a, 0);
    return result;
}

Datum sealift_text_hash_extended(PG_FUNCTION_ARGS) {
    text *a = PG_GETARG_TEXT_PP(0);
    Datum seed = PG_GETARG_DATUM(1);
    Oid collation = PG_GET_COLLATION();
    need_collation(collation);
    struct trimmed v = trim(a);
    Datum result = bytewise(collation)
                       ? hash_any_extended((const unsigned char *)v.s, v.len, DatumGetUInt64(seed))
                       : hash_by_collation(hashtextextended, v, collation, seed);
    PG_FREE_IF_COPY(a, 0);
    return result;
}

/* ---- Sorting ---- */

static int sort_compare(Datum x, Datum y, SortSupport ssup) {
    text *a = DatumGetTextPP(x), *b = DatumGetTextPP(y);
    int order = compare(a, b, ssup->ssup_collation);
    if ((Pointer)a != DatumGetPointer(x)) {
        pfree(a);
    }
    if ((Pointer)b != DatumGetPointer(y)) {
        pfree(b);
    }
    return order;
}

/* The first bytes, as a number that orders as they do: a shorter value is followed by zeros, which
 * text doesn't hold. */
static Datum abbreviate(Datum original, SortSupport ssup) {
    text *t = DatumGetTextPP(original);
    struct trimmed v = trim(t);
    Datum key = 0;
    memcpy(&key, v.s, Min((size_t)v.len, sizeof key));
    if ((Pointer)t != DatumGetPointer(original)) {
        pfree(t);
    }
    return DatumBigEndianToNative(key);
}

static bool never_abort(int tuples, SortSupport ssup) {
    return false;
}

Datum sealift_text_sortsupport(PG_FUNCTION_ARGS) {
    SortSupport ssup = (SortSupport)PG_GETARG_POINTER(0);
    need_collation(ssup->ssup_collation);
    ssup->comparator = sort_compare;
    if (ssup->abbreviate && lc_collate_is_c(ssup->ssup_collation)) {
        ssup->abbrev_converter = abbreviate;
        ssup->abbrev_abort = never_abort;
        ssup->abbrev_full_comparator = sort_compare;
        ssup->comparator = ssup_datum_unsigned_cmp;
    }
    PG_RETURN_VOID();
}
