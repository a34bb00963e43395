/* Literals in DDL are schema, and may lie in catalogs in the clear; what an expression returns may
 * be a value of some table. */
#ifndef SEALIFT_GUARD_LITERAL_H
#define SEALIFT_GUARD_LITERAL_H

#include "postgres.h"

#include "nodes/parsenodes.h"

/* A raw expression that is a literal, with casts, signs and a collation. */
bool literal_is(const Node *n);
/* All that a partition's bound names; MINVALUE and MAXVALUE too. NULL has nothing else. */
bool literal_bound(const PartitionBoundSpec *bound);

#endif
