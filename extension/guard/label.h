/* SECURITY LABEL FOR sealift ON TABLE t IS '{…}': a table's attributes as pg_dump writes them and a
 * restore reads them. */
#ifndef SEALIFT_GUARD_LABEL_H
#define SEALIFT_GUARD_LABEL_H

/* In the postmaster, while preloading. */
void label_init(void);

#endif
