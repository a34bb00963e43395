/* Table attributes; see attributes.h. */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "extension/catalog/attributes.h"

/* Runs one statement as the cluster's owner. */
static void run_as_owner(const char *sql, int nargs, Oid *types, Datum *values) {
    Oid user;
    int sec;
    GetUserIdAndSecContext(&user, &sec);
    SetUserIdAndSecContext(BOOTSTRAP_SUPERUSERID,
                           sec | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
    if (SPI_connect() != SPI_OK_CONNECT) {
        elog(ERROR, "SPI_connect failed");
    }
    int rc = SPI_execute_with_args(sql, nargs, types, values, NULL, false, 0);
    if (rc < 0) {
        elog(ERROR, "SPI: %s", SPI_result_code_string(rc));
    }
    SPI_finish();
    SetUserIdAndSecContext(user, sec); /* on an error the transaction's abort puts it back */
}

bool attributes_relation_exists(RangeVar *relation) {
    return OidIsValid(RangeVarGetRelid(relation, NoLock, true));
}

void attributes_record(RangeVar *relation, const char *json) {
    CommandCounterIncrement();
    Oid relid = RangeVarGetRelid(relation, NoLock, true);
    if (!OidIsValid(relid)) {
        return;
    }
    Oid types[] = {OIDOID, TEXTOID};
    Datum values[] = {ObjectIdGetDatum(relid), CStringGetTextDatum(json)};
    run_as_owner("INSERT INTO sealift.table_attributes (relid, attributes) VALUES ($1, $2::jsonb)"
                 " ON CONFLICT (relid) DO UPDATE SET attributes = excluded.attributes",
                 2, types, values);
}

void attributes_sweep(void) {
    CommandCounterIncrement();
    run_as_owner("DELETE FROM sealift.table_attributes a WHERE NOT EXISTS (SELECT FROM "
                 "pg_catalog.pg_class c WHERE c.oid = a.relid)",
                 0, NULL, NULL);
}
