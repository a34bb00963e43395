#include "extension/columnar/kinds.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/lsyscache.h"

/* Precision and scale of a typmod of NUMERIC; false when it is not kept as decimals. */
static bool decimal_of(int32 typmod, struct kinds_form *form) {
    int32 bits = typmod - (int32)VARHDRSZ;
    int precision = (bits >> 16) & 0xffff;
    int scale = (int)((uint32)bits & 0x7ff); /* eleven bits with sign: negative ones are great */
    if (typmod < (int32)VARHDRSZ || precision > DECIMAL_DIGITS_MAX || scale > precision) {
        return false;
    }
    form->precision = (uint8_t)precision;
    form->scale = (uint8_t)scale;
    return true;
}

static enum vector_kind plain_kind(Oid type, int16 attlen) {
    switch (type) {
    case BOOLOID:
        return VECTOR_BOOL;
    case FLOAT4OID:
        return VECTOR_FLOAT32;
    case FLOAT8OID:
        return VECTOR_FLOAT64;
    default:
        return attlen <= 2 ? VECTOR_INT16 : attlen == 4 ? VECTOR_INT32 : VECTOR_INT64;
    }
}

struct kinds_form kinds_form_of(const FormData_pg_attribute *att) {
    struct kinds_form form = {.kind = VECTOR_INT16, .attlen = att->attlen};
    if (att->attisdropped) {
        return form;
    }
    int32 typmod = att->atttypmod;
    Oid type = getBaseTypeAndTypmod(att->atttypid, &typmod);
    form.numeric = type == NUMERICOID;
    form.decimal = form.numeric && decimal_of(typmod, &form);
    form.fixed = !att->attbyval && att->attlen > 0;
    form.kind = form.decimal
                    ? (form.precision <= DECIMAL_INT64_DIGITS ? VECTOR_INT64 : VECTOR_INT128)
                : att->attbyval ? plain_kind(type, att->attlen)
                                : VECTOR_BYTES;
    return form;
}

struct vector kinds_vector(const struct kinds_form *form) {
    return (struct vector){.kind = form->kind, .decimal = form->decimal, .scale = form->scale};
}

bool kinds_fit(const struct kinds_form *form, enum vector_kind kind, bool decimal) {
    if (form->numeric) {
        return decimal || kind == VECTOR_BYTES;
    }
    return !decimal && kind == form->kind;
}

static bool store_decimal(const struct kinds_form *form, Datum value, uint8_t *out) {
    struct varlena *flat = pg_detoast_datum_packed((struct varlena *)DatumGetPointer(value));
    __int128 x;
    bool fits = decimal_of_datum(slice_of(VARDATA_ANY(flat), VARSIZE_ANY_EXHDR(flat)),
                                 form->precision, form->scale, form->kind, &x);
    if (fits) {
        memcpy(out, &x, vector_width(form->kind)); /* little-endian: the low bytes come first */
    }
    if ((Pointer)flat != DatumGetPointer(value)) {
        pfree(flat);
    }
    return fits;
}

bool kinds_store(const struct kinds_form *form, Datum value, uint8_t *out) {
    if (form->decimal) {
        return store_decimal(form, value, out);
    }
    uint16 i16 = DatumGetUInt16(value);
    uint32 i32 = DatumGetUInt32(value);
    uint64 i64 = DatumGetUInt64(value);
    switch (form->kind) {
    case VECTOR_BOOL:
        *out = DatumGetBool(value);
        break;
    case VECTOR_INT16:
        memcpy(out, &i16, sizeof i16);
        break;
    case VECTOR_INT32:
    case VECTOR_FLOAT32:
        memcpy(out, &i32, sizeof i32);
        break;
    case VECTOR_INT64:
    case VECTOR_FLOAT64:
        memcpy(out, &i64, sizeof i64);
        break;
    default:
        elog(ERROR, "sealed: kind %d has no plain values", (int)form->kind);
    }
    return true;
}

Datum kinds_load(const struct vector *v, uint32_t row, uint8_t *room) {
    if (v->decimal) {
        decimal_datum(v, row, room);
        return PointerGetDatum(room);
    }
    switch (v->kind) {
    case VECTOR_BOOL:
        return BoolGetDatum(v->v.b[row]);
    case VECTOR_INT16:
        return Int16GetDatum(v->v.i16[row]);
    case VECTOR_INT32:
        return Int32GetDatum(v->v.i32[row]);
    case VECTOR_INT64:
        return Int64GetDatum(v->v.i64[row]);
    case VECTOR_FLOAT32:
        return Float4GetDatum(v->v.f32[row]);
    case VECTOR_FLOAT64:
        return Float8GetDatum(v->v.f64[row]);
    case VECTOR_BYTES:
        return PointerGetDatum(vector_datum(v, row));
    default:
        elog(ERROR, "sealed: kind %d is of no type", (int)v->kind);
    }
}
