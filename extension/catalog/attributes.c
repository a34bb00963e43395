/* Table attributes; see attributes.h. */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/seclabel.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "extension/catalog/attributes.h"

/* Runs one statement as the cluster's owner, who must not meet a user's types and functions: those
 * of the session's own schema would come first if it weren't named last. */
static void run_as_owner(const char *sql, int nargs, Oid *types, Datum *values) {
    Oid user;
    int sec;
    GetUserIdAndSecContext(&user, &sec);
    SetUserIdAndSecContext(BOOTSTRAP_SUPERUSERID,
                           sec | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
    int settings = NewGUCNestLevel();
    (void)set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION,
                            GUC_ACTION_SAVE, true, 0, false);
    if (SPI_connect() != SPI_OK_CONNECT) {
        elog(ERROR, "SPI_connect failed");
    }
    int rc = SPI_execute_with_args(sql, nargs, types, values, NULL, false, 0);
    if (rc < 0) {
        elog(ERROR, "SPI: %s", SPI_result_code_string(rc));
    }
    SPI_finish();
    AtEOXact_GUC(true, settings);
    SetUserIdAndSecContext(user, sec); /* on an error the transaction's abort puts it back */
}

bool attributes_relation_exists(RangeVar *relation) {
    return OidIsValid(RangeVarGetRelid(relation, NoLock, true));
}

static void write_row(Oid relid, const char *json, const char *sql) {
    Oid types[] = {OIDOID, TEXTOID};
    Datum values[] = {ObjectIdGetDatum(relid), CStringGetTextDatum(json)};
    run_as_owner(sql, 2, types, values);
}

static void write_label(Oid relid) {
    CommandCounterIncrement();
    ObjectAddress table = {.classId = RelationRelationId, .objectId = relid};
    Relation rel = relation_open(relid, AccessShareLock);
    Jsonb *all = attributes_find(rel);
    relation_close(rel, NoLock);
    if (all != NULL) {
        SetSecurityLabel(&table, ATTRIBUTES_PROVIDER,
                         JsonbToCString(NULL, &all->root, VARSIZE(all)));
        CommandCounterIncrement();
    }
}

static void write_attributes(RangeVar *relation, const char *json, const char *sql) {
    CommandCounterIncrement();
    Oid relid = RangeVarGetRelid(relation, NoLock, true);
    if (!OidIsValid(relid)) {
        return;
    }
    write_row(relid, json, sql);
    write_label(relid);
}

static const char record_sql[] =
    "INSERT INTO sealift.table_attributes (relid, attributes) VALUES ($1,"
    " pg_catalog.jsonb_strip_nulls($2::jsonb)) ON CONFLICT (relid) DO UPDATE SET attributes = "
    "excluded.attributes";

void attributes_record(RangeVar *relation, const char *json) {
    write_attributes(relation, json, record_sql);
}

void attributes_of_label(Oid relid, const char *json) {
    write_row(relid, json, record_sql);
}

void attributes_merge(RangeVar *relation, const char *json) {
    write_attributes(
        relation, json,
        "INSERT INTO sealift.table_attributes AS a (relid, attributes)"
        " VALUES ($1, pg_catalog.jsonb_strip_nulls($2::jsonb))"
        " ON CONFLICT (relid) DO UPDATE SET attributes = pg_catalog.jsonb_strip_nulls(a.attributes"
        " || $2::jsonb || CASE WHEN pg_catalog.jsonb_typeof($2::jsonb->'encode') = 'object' THEN"
        " pg_catalog.jsonb_build_object('encode', coalesce(a.attributes->'encode', '{}') ||"
        " ($2::jsonb->'encode'), 'encodeAuto', NULL) ELSE '{}' END)");
}

static struct attributes_making making;

struct attributes_making attributes_making(struct attributes_making now) {
    struct attributes_making before = making;
    making = now;
    return before;
}

enum { ATTRIBUTES_RELID = 1, ATTRIBUTES_JSON };

Jsonb *attributes_find(Relation rel) {
    Jsonb *found = NULL;
    bool null;
    ScanKeyData key;
    Oid schema = get_namespace_oid("sealift", false);
    Relation table = table_open(get_relname_relid("table_attributes", schema), AccessShareLock);
    ScanKeyInit(&key, ATTRIBUTES_RELID, BTEqualStrategyNumber, F_OIDEQ,
                ObjectIdGetDatum(RelationGetRelid(rel)));
    SysScanDesc scan = systable_beginscan(table, get_relname_relid("table_attributes_pkey", schema),
                                          true, NULL, 1, &key);
    HeapTuple tuple = systable_getnext(scan);
    if (HeapTupleIsValid(tuple)) {
        found = DatumGetJsonbPCopy(
            heap_getattr(tuple, ATTRIBUTES_JSON, RelationGetDescr(table), &null));
    } else if (making.relation != NULL && rel->rd_createSubid != InvalidSubTransactionId &&
               strcmp(making.relation->relname, RelationGetRelationName(rel)) == 0) {
        found = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(making.json)));
    }
    systable_endscan(scan);
    table_close(table, AccessShareLock);
    return found;
}

void attributes_rename_column(RangeVar *relation, const char *from, const char *to) {
    CommandCounterIncrement();
    Oid relid = RangeVarGetRelid(relation, NoLock, true);
    if (!OidIsValid(relid)) {
        return;
    }
    Oid types[] = {OIDOID, TEXTOID, TEXTOID};
    Datum values[] = {ObjectIdGetDatum(relid), CStringGetTextDatum(from), CStringGetTextDatum(to)};
    run_as_owner(
        "UPDATE sealift.table_attributes SET attributes = attributes"
        " || CASE WHEN attributes->>'distkey' = $2 THEN pg_catalog.jsonb_build_object('distkey', "
        "$3) ELSE '{}' END"
        " || CASE WHEN attributes->'sortkey' ? $2 THEN pg_catalog.jsonb_build_object('sortkey', "
        "(SELECT"
        " pg_catalog.jsonb_agg(CASE WHEN name = $2 THEN $3 ELSE name END ORDER BY n) FROM"
        " pg_catalog.jsonb_array_elements_text(attributes->'sortkey') WITH ORDINALITY e(name, n))) "
        "ELSE '{}' END"
        " || CASE WHEN attributes->'encode' ? $2 THEN pg_catalog.jsonb_build_object('encode',"
        " (attributes->'encode') - $2 || pg_catalog.jsonb_build_object($3, "
        "attributes->'encode'->$2)) ELSE '{}' END"
        " WHERE relid = $1",
        3, types, values);
    write_label(relid);
}

void attributes_drop_column(RangeVar *relation, const char *name) {
    CommandCounterIncrement();
    Oid relid = RangeVarGetRelid(relation, NoLock, true);
    if (!OidIsValid(relid)) {
        return;
    }
    Oid types[] = {OIDOID, TEXTOID};
    Datum values[] = {ObjectIdGetDatum(relid), CStringGetTextDatum(name)};
    run_as_owner(
        "UPDATE sealift.table_attributes SET attributes = (attributes #- ARRAY['encode', $2])"
        " || CASE WHEN attributes->>'distkey' = $2 THEN '{\"distkey\": null, \"diststyle\": "
        "\"even\"}'"
        " ELSE '{}'::jsonb END"
        " || CASE WHEN attributes->'sortkey' ? $2 THEN jsonb_build_object('sortkey', (SELECT"
        " coalesce(jsonb_agg(e.name ORDER BY e.n) FILTER (WHERE e.n < gone.n), '[]') FROM"
        " jsonb_array_elements_text(attributes->'sortkey') WITH ORDINALITY e(name, n), (SELECT"
        " min(f.n) AS n FROM jsonb_array_elements_text(attributes->'sortkey') WITH ORDINALITY"
        " f(name, n) WHERE f.name = $2) gone)) ELSE '{}' END"
        " WHERE relid = $1",
        2, types, values);
    write_label(relid);
}

void attributes_sweep(void) {
    CommandCounterIncrement();
    run_as_owner("DELETE FROM sealift.table_attributes a WHERE NOT EXISTS (SELECT FROM "
                 "pg_catalog.pg_class c WHERE c.oid = a.relid)",
                 0, NULL, NULL);
}
