/* ALTER TABLE ADD COLUMN with a DEFAULT: PostgreSQL evaluates it at once and keeps the value for
 * the rows that are there in pg_attribute, in the clear, unless a volatile function is in it. What
 * a literal says is schema; what an expression returns may be a value of some table. Such a column
 * is added without its default, which then goes into the rows. */
#ifndef SEALIFT_GUARD_ADDED_DEFAULT_H
#define SEALIFT_GUARD_ADDED_DEFAULT_H

#include "postgres.h"

#include "nodes/parsenodes.h"

/* Takes those defaults out of the statement. The statements (AlterTableStmt) to run after it, in
 * that order; NIL if there is none. */
List *added_default_take(AlterTableStmt *s);

#endif
