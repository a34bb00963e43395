/* MACs over catalog rows and their sum (decision 10): what finds a catalog row that was altered,
 * dropped, added or brought back. */
#ifndef SL_COLUMNAR_CATALOG_MAC_H
#define SL_COLUMNAR_CATALOG_MAC_H

#include "lib/crypto/crypto.h"

enum { CATALOG_MAC_LEN = 32, CATALOG_FIELDS_MAX = 16 };

/* HMAC-SHA256 under a key derived from the table key. `kind` names the catalog table; kind and
 * fields go in each behind its length, so no two rows give the same input. At most
 * CATALOG_FIELDS_MAX fields of less than 4 GiB. */
void catalog_mac(const struct secret *table_key, struct slice kind, const struct slice *fields,
                 size_t field_count, uint8_t ret_mac[CATALOG_MAC_LEN]);

/* Sums modulo 2^256 of big-endian numbers: the sum of no row is all zeros. */
void catalog_sum_add(uint8_t sum[CATALOG_MAC_LEN], const uint8_t mac[CATALOG_MAC_LEN]);
void catalog_sum_sub(uint8_t sum[CATALOG_MAC_LEN], const uint8_t mac[CATALOG_MAC_LEN]);

#endif
