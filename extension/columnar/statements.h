/* What a statement does around sealed tables: the lock before its snapshot, what is refused, and
 * the writing of its rows when it ends. */
#ifndef SEALIFT_COLUMNAR_STATEMENTS_H
#define SEALIFT_COLUMNAR_STATEMENTS_H

void statements_init(void);

#endif
