/* Parts of the access method's callback table, by theme. */
#ifndef SEALIFT_COLUMNAR_TABLE_H
#define SEALIFT_COLUMNAR_TABLE_H

#include "postgres.h"

#include "access/tableam.h"

struct table_scan {
    TableScanDescData base;
    struct reader *reader; /* NULL in ANALYZE */
    double live_per_block; /* in ANALYZE; less than 0 before it is known */
};

/* table_ddl.c: files and storages, VACUUM, ANALYZE, estimates. */
void table_set_new_filenode(Relation rel, const RelFileNode *node, char persistence,
                            TransactionId *freeze, MultiXactId *multi);
void table_truncate(Relation rel);
void table_copy_data(Relation rel, const RelFileNode *node);
void table_rewrite(Relation from, Relation to, Relation index, bool sort, TransactionId horizon,
                   TransactionId *xid_cutoff, MultiXactId *multi_cutoff, double *tuples,
                   double *vacuumed, double *recently_dead);
bool table_analyze_block(TableScanDesc scan, BlockNumber block, BufferAccessStrategy strategy);
bool table_analyze_tuple(TableScanDesc scan, TransactionId horizon, double *live, double *dead,
                         TupleTableSlot *slot);
uint64 table_size(Relation rel, ForkNumber fork);
void table_estimate(Relation rel, int32 *widths, BlockNumber *pages, double *tuples,
                    double *all_visible);
void table_ddl_init(void); /* the hook that sees DROP */

/* vacuum.c */
struct VacuumParams;
void table_vacuum(Relation rel, struct VacuumParams *params, BufferAccessStrategy strategy);

#endif
