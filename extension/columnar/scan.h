/* The plan node that scans sealed tables: it reads only the columns that the plan needs, and a
 * cursor that goes backwards gets its rows materialised above it. */
#ifndef SEALIFT_COLUMNAR_SCAN_H
#define SEALIFT_COLUMNAR_SCAN_H

void scan_init(void);

#endif
