/* What a VACUUM statement does around PostgreSQL's, which runs a transaction a table. */
#ifndef SEALIFT_COLUMNAR_VACUUM_H
#define SEALIFT_COLUMNAR_VACUUM_H

void vacuum_begin_statement(void);
/* In the transaction that follows the last table's. */
void vacuum_end_statement(void);

#endif
