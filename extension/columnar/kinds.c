#include "extension/columnar/kinds.h"

#include "catalog/pg_type.h"

bool kinds_is_fixed(const FormData_pg_attribute *att) {
    return !att->attbyval && att->attlen > 0;
}

enum vector_kind kinds_of(const FormData_pg_attribute *att) {
    if (att->attisdropped) {
        return VECTOR_INT16;
    }
    if (!att->attbyval) {
        return VECTOR_BYTES;
    }
    switch (att->atttypid) {
    case BOOLOID:
        return VECTOR_BOOL;
    case FLOAT4OID:
        return VECTOR_FLOAT32;
    case FLOAT8OID:
        return VECTOR_FLOAT64;
    default:
        return att->attlen <= 2 ? VECTOR_INT16 : att->attlen == 4 ? VECTOR_INT32 : VECTOR_INT64;
    }
}

void kinds_store(enum vector_kind kind, Datum value, uint8_t *out) {
    uint16 i16 = DatumGetUInt16(value);
    uint32 i32 = DatumGetUInt32(value);
    uint64 i64 = DatumGetUInt64(value);
    switch (kind) {
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
        elog(ERROR, "sealed: kind %d has no plain values", (int)kind);
    }
}

Datum kinds_load(const struct vector *v, uint32_t row) {
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
