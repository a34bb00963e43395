/* See reject_fields.h. The line is split once more: the converter keeps no fields of what it
 * rejects. */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/rel.h"

#include "extension/copy/reject_fields.h"

static bool is_text(enum copy_type type) {
    return type == COPY_CHAR || type == COPY_VARCHAR;
}

static char *ascii(const uint8_t *p, size_t len) {
    char *out = palloc(len + 1);
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (p[i] >= 0x80 && (p[i] & 0xc0) == 0x80) {
            continue; /* goes with the character before it */
        }
        out[n++] = p[i] >= 0x80 || p[i] == '\0' ? '.' : (char)p[i];
    }
    out[n] = '\0';
    return out;
}

static void set_field(Relation rel, const struct copy_convert_conf *conf,
                      const struct copy_columns *c, int at, struct slice value,
                      struct copy_field *ret) {
    *ret = (struct copy_field){.field = at, .colname = "", .type = "", .col_length = ""};
    ret->value = ascii(value.ptr, value.len);
    ret->is_null = slice_eq(value, conf->null_as);
    if (at < c->natts) {
        char *length = palloc(24);
        copy_type_length(&c->columns[at], length);
        ret->col_length = length;
        ret->type = copy_type_name(&c->columns[at]);
        ret->colname =
            pstrdup(NameStr(TupleDescAttr(RelationGetDescr(rel), c->attnums[at] - 1)->attname));
        ret->is_null |= value.len == 0 && !is_text(c->columns[at].type);
    }
}

void reject_fields(Relation rel, const struct copy_convert_conf *conf, const struct copy_columns *c,
                   const struct copy_bad_rows *all, const struct copy_bad_row *bad,
                   struct copy_reject *ret) {
    struct delimited_field *fields = palloc(sizeof *fields * COPY_MAX_COLUMNS);
    struct delimited *d = palloc(sizeof *d);
    struct delimited_row row;
    const uint8_t *raw = all->raw.ptr;
    uint8_t value[COPY_RAW_MAX];
    uint32_t most = bad->column >= 0 ? (uint32_t)bad->column + 1 : COPY_MAX_COLUMNS;
    uint32_t n = 0;
    delimited_start(d, &conf->split, slice_of(raw + bad->line_at, bad->line_len), conf->scan);
    if (delimited_next(d, fields, COPY_MAX_COLUMNS, &row)) {
        bool record = row.fault != DELIMITED_BAD_JSON && row.fault != DELIMITED_BAD_HEX;
        n = record ? Min(Min(row.field_count, COPY_MAX_COLUMNS), most) : 0;
    }
    ret->fields = palloc0(sizeof *ret->fields * (n + 1));
    for (uint32_t i = 0; i < n; i++) {
        size_t len = delimited_undouble(d, &fields[i], value);
        set_field(rel, conf, c, (int)i, slice_of(value, len), &ret->fields[i]);
        ret->fields[i].is_null |= fields[i].null;
    }
    ret->field_count = (int)n;
    if (bad->column >= 0 && n <= (uint32_t)bad->column) { /* beyond what was kept of the line */
        set_field(rel, conf, c, bad->column, slice_of(raw + bad->field_at, bad->field_len),
                  &ret->fields[n]);
        ret->field_count++;
    }
    pfree(d);
    pfree(fields);
}
