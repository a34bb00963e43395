/* PRIMARY KEY, UNIQUE and FOREIGN KEY are information: they never reach PostgreSQL as constraints,
 * but are kept as attributes of their table ("constraints" in sealift.table_attributes, each as its
 * SQL). */
#ifndef SEALIFT_GUARD_KEYS_H
#define SEALIFT_GUARD_KEYS_H

#include "postgres.h"

#include "nodes/parsenodes.h"

/* Takes keys out of a CREATE TABLE that didn't come by the gateway's parser (of EXECUTE in
 * PL/pgSQL, in a function): the attributes with them. */
char *keys_take(CreateStmt *s, char *attributes);
/* CREATE TABLE with these attributes (JSON): the columns of its primary key become NOT NULL. */
void keys_of_create(CreateStmt *s, const char *attributes);

/* Takes keys that ALTER TABLE adds or drops out of the statement, which may be left without a
 * command. What the table's attributes are to be merged with, or NULL when it is about no key. */
char *keys_of_alter(AlterTableStmt *s);
/* The same after a column got another name. */
char *keys_of_rename(const RenameStmt *s);

/* Attributes that ALTER TABLE or a label sets: keys, SORTKEY, DISTKEY and ENCODE name columns of
 * the table, and those of a primary key are NOT NULL. */
void keys_check_attributes(Oid relid, const char *attributes);

#endif
