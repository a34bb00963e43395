/* Columns of a load; see columns.h. */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "optimizer/optimizer.h"
#include "pgtime.h"
#include "rewrite/rewriteHandler.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "extension/copy/columns.h"

static void refuse_type(Relation rel, Form_pg_attribute att) {
    ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
                    errmsg("Column \"%s.%s\" has unsupported type \"%s\".",
                           RelationGetRelationName(rel), NameStr(att->attname),
                           format_type_with_typemod(att->atttypid, att->atttypmod))));
}

static void numeric_column(Relation rel, Form_pg_attribute att, struct copy_column *col) {
    int32 typmod = att->atttypmod - (int32)VARHDRSZ;
    int precision = (typmod >> 16) & 0xffff;
    int scale = (int)(((uint32)typmod & 0x7ff) ^ 1024) - 1024; /* eleven bits with sign */
    if (att->atttypmod < (int32)VARHDRSZ || precision < 1 || precision > 38 || scale < 0 ||
        scale > precision) {
        refuse_type(rel, att);
    }
    col->type = precision <= 18 ? COPY_NUMERIC : COPY_NUMERIC_BIG;
    col->precision = (uint8_t)precision;
    col->scale = (uint8_t)scale;
}

static void column_of(Relation rel, Form_pg_attribute att, struct copy_column *col) {
    *col = (struct copy_column){.not_null = att->attnotnull,
                                .identity = att->attidentity == ATTRIBUTE_IDENTITY_ALWAYS};
    switch (att->atttypid) {
    case INT2OID:
        col->type = COPY_INT2;
        break;
    case INT4OID:
        col->type = COPY_INT4;
        break;
    case INT8OID:
        col->type = COPY_INT8;
        break;
    case FLOAT4OID:
        col->type = COPY_FLOAT4;
        break;
    case FLOAT8OID:
        col->type = COPY_FLOAT8;
        break;
    case BOOLOID:
        col->type = COPY_BOOL;
        break;
    case DATEOID:
        col->type = COPY_DATE;
        break;
    case TIMEOID:
        col->type = COPY_TIME;
        break;
    case TIMESTAMPOID:
        col->type = COPY_TIMESTAMP;
        break;
    case TIMESTAMPTZOID:
        col->type = COPY_TIMESTAMPTZ;
        break;
    case NUMERICOID:
        numeric_column(rel, att, col);
        break;
    case BPCHAROID:
    case VARCHAROID:
    case TEXTOID:
        col->type = att->atttypid == BPCHAROID ? COPY_CHAR : COPY_VARCHAR;
        col->max_bytes =
            att->atttypmod > (int32)VARHDRSZ ? (uint32_t)(att->atttypmod - (int32)VARHDRSZ) : 0;
        break;
    default:
        refuse_type(rel, att);
    }
    /* a declared scale of the fraction would need rounding that Redshift does not know */
    if (att->atttypmod >= 0 && att->atttypmod < 6 &&
        (att->atttypid == TIMEOID || att->atttypid == TIMESTAMPOID ||
         att->atttypid == TIMESTAMPTZOID)) {
        refuse_type(rel, att);
    }
}

static void take_column(Relation rel, AttrNumber attnum, bool explicit_ids, bool *taken,
                        struct copy_columns *c) {
    TupleDesc desc = RelationGetDescr(rel);
    if (attnum < 1 || attnum > desc->natts || TupleDescAttr(desc, attnum - 1)->attisdropped) {
        ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
                        errmsg("column %d of relation \"%s\" does not exist", attnum,
                               RelationGetRelationName(rel))));
    }
    Form_pg_attribute att = TupleDescAttr(desc, attnum - 1);
    if (att->attgenerated != '\0') {
        ereport(ERROR, (errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
                        errmsg("column \"%s\" is a generated column", NameStr(att->attname)),
                        errdetail("Generated columns cannot be used in COPY.")));
    }
    if (att->attidentity == ATTRIBUTE_IDENTITY_ALWAYS && !explicit_ids) {
        ereport(ERROR,
                (errcode(ERRCODE_GENERATED_ALWAYS),
                 errmsg("cannot load values into identity column \"%s\"", NameStr(att->attname))));
    }
    if (taken[attnum - 1]) {
        ereport(ERROR, (errcode(ERRCODE_DUPLICATE_COLUMN),
                        errmsg("column \"%s\" specified more than once", NameStr(att->attname))));
    }
    taken[attnum - 1] = true;
    c->attnums[c->natts] = attnum;
    column_of(rel, att, &c->columns[c->natts]);
    c->natts++;
}

void copy_columns_init(Relation rel, const struct copy_spec *spec, struct copy_columns *ret) {
    TupleDesc desc = RelationGetDescr(rel);
    struct copy_columns c = {0};
    bool *taken = palloc0(sizeof *taken * (Size)(desc->natts + 1));
    c.attnums = palloc(sizeof *c.attnums * (Size)(desc->natts + 1));
    c.columns = palloc(sizeof *c.columns * (Size)(desc->natts + 1));
    for (int i = 0; i < (spec->natts > 0 ? spec->natts : desc->natts); i++) {
        Form_pg_attribute att = spec->natts > 0 ? NULL : TupleDescAttr(desc, i);
        if (att == NULL) {
            take_column(rel, spec->attnums[i], spec->explicit_ids, taken, &c);
        } else if (!att->attisdropped && att->attgenerated == '\0' &&
                   (att->attidentity != ATTRIBUTE_IDENTITY_ALWAYS || spec->explicit_ids)) {
            take_column(rel, (AttrNumber)(i + 1), spec->explicit_ids, taken, &c);
        }
    }
    if (c.natts == 0) {
        ereport(ERROR,
                (errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
                 errmsg("relation \"%s\" has no column to load", RelationGetRelationName(rel))));
    }
    if (spec->width_count > 0 && spec->width_count != (size_t)c.natts) {
        ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR),
                        errmsg("FIXEDWIDTH names %zu columns, the table or column list has %d",
                               spec->width_count, c.natts)));
    }
    c.default_attnums = palloc(sizeof *c.default_attnums * (Size)(desc->natts + 1));
    c.default_exprs = palloc(sizeof(Expr *) * (Size)(desc->natts + 1));
    c.defaults = palloc(sizeof(ExprState *) * (Size)(desc->natts + 1));
    long offset = 0;
    c.local_is_utc = pg_get_timezone_offset(session_timezone, &offset) && offset == 0;
    c.constrained =
        desc->constr != NULL && (desc->constr->num_check > 0 || desc->constr->has_generated_stored);
    for (int i = 0; i < desc->natts; i++) {
        Form_pg_attribute att = TupleDescAttr(desc, i);
        if (att->attisdropped || taken[i]) {
            continue;
        }
        c.constrained |= att->attnotnull;
        if (att->attgenerated != '\0') {
            continue;
        }
        Expr *expr = (Expr *)build_column_default(rel, i + 1);
        if (expr != NULL) {
            expr = expression_planner(expr);
            c.default_exprs[c.default_count] = expr;
            c.defaults[c.default_count] = ExecInitExpr(expr, NULL);
            c.default_attnums[c.default_count++] = (AttrNumber)(i + 1);
        }
    }
    pfree(taken);
    *ret = c;
}

/* Above 18 digits the way through text is good enough. */
static Datum big_numeric(__int128 v, uint8_t scale) {
    char text[48];
    char *p = text + sizeof text;
    bool negative = v < 0;
    unsigned __int128 u = negative ? -(unsigned __int128)v : (unsigned __int128)v;
    *--p = '\0';
    for (int digits = 0; u != 0 || digits <= scale; digits++) {
        if (digits == scale && scale > 0) {
            *--p = '.';
        }
        *--p = (char)('0' + (int)(u % 10));
        u /= 10;
    }
    if (negative) {
        *--p = '-';
    }
    return DirectFunctionCall3(numeric_in, CStringGetDatum(p), ObjectIdGetDatum(InvalidOid),
                               Int32GetDatum(-1));
}

static Datum local_timestamp(int64_t v) {
    int overflow = 0;
    TimestampTz at = timestamp2timestamptz_opt_overflow(v, &overflow);
    if (overflow != 0) { /* it is an infinity then */
        ereport(ERROR,
                (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE), errmsg("timestamp out of range")));
    }
    return TimestampTzGetDatum(at);
}

static void fill_column(const struct copy_column *col, const struct copy_vector *v,
                        const uint8_t *text, size_t from, int n, int at, TupleTableSlot **slots) {
#define FILL(datum)                                                                                \
    for (int i = 0; i < n; i++) {                                                                  \
        size_t row = from + (size_t)i;                                                             \
        bool null = v->presence[row] == COPY_NULL;                                                 \
        slots[i]->tts_isnull[at] = null;                                                           \
        slots[i]->tts_values[at] = null ? (Datum)0 : (datum);                                      \
    }                                                                                              \
    break
    switch (col->type) {
    case COPY_INT2:
        FILL(Int16GetDatum(v->v.i16[row]));
    case COPY_INT4:
        FILL(Int32GetDatum(v->v.i32[row]));
    case COPY_DATE:
        FILL(DateADTGetDatum(v->v.i32[row]));
    case COPY_INT8:
    case COPY_TIME:
    case COPY_TIMESTAMP:
        FILL(Int64GetDatum(v->v.i64[row]));
    case COPY_TIMESTAMPTZ:
        FILL(v->presence[row] == COPY_LOCAL ? local_timestamp(v->v.i64[row])
                                            : TimestampTzGetDatum(v->v.i64[row]));
    case COPY_FLOAT4:
        FILL(Float4GetDatum(v->v.f4[row]));
    case COPY_FLOAT8:
        FILL(Float8GetDatum(v->v.f8[row]));
    case COPY_BOOL:
        FILL(BoolGetDatum(v->v.b[row]));
    case COPY_NUMERIC:
        if (col->scale == 0) {
            FILL(NumericGetDatum(int64_to_numeric(v->v.i64[row])));
        }
        FILL(NumericGetDatum(int64_div_fast_to_numeric(v->v.i64[row], col->scale)));
    case COPY_NUMERIC_BIG:
        FILL(big_numeric(v->v.i128[row], col->scale));
    case COPY_CHAR:
    case COPY_VARCHAR:
        /* the batch holds texts in the form of datums, see struct copy_vector */
        FILL(PointerGetDatum(text + v->v.text[row]));
    }
#undef FILL
}

void copy_columns_fill(const struct copy_columns *c, Relation rel, EState *estate,
                       const struct copy_batch *batch, size_t from, int n, TupleTableSlot **slots) {
    int natts = RelationGetDescr(rel)->natts;
    if (c->natts < natts) {
        for (int i = 0; i < n; i++) {
            memset(slots[i]->tts_values, 0, sizeof(Datum) * (Size)natts);
            memset(slots[i]->tts_isnull, true, sizeof(bool) * (Size)natts);
        }
    }
    for (int k = 0; k < c->natts; k++) {
        fill_column(&c->columns[k], &batch->columns[k], batch->text.ptr, from, n, c->attnums[k] - 1,
                    slots);
    }
    for (int i = 0; i < n && c->default_count > 0; i++) {
        ExprContext *econtext = GetPerTupleExprContext(estate);
        for (int k = 0; k < c->default_count; k++) {
            int at = c->default_attnums[k] - 1;
            slots[i]->tts_values[at] =
                ExecEvalExprSwitchContext(c->defaults[k], econtext, &slots[i]->tts_isnull[at]);
        }
    }
    for (int i = 0; i < n; i++) {
        ExecStoreVirtualTuple(slots[i]);
    }
}
