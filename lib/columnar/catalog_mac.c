/* See catalog_mac.h. Fields enter as digests, so the input has a size that is known ahead. */
#include "lib/columnar/catalog_mac.h"

static void put_u32(uint8_t *p, size_t v) {
    sl_assert(v <= UINT32_MAX);
    for (int i = 0; i < 4; i++) {
        p[i] = (uint8_t)(v >> (24 - 8 * i));
    }
}

void catalog_mac(const struct secret *table_key, struct slice kind, const struct slice *fields,
                 size_t field_count, uint8_t ret_mac[CATALOG_MAC_LEN]) {
    sl_assert(field_count <= CATALOG_FIELDS_MAX);
    uint8_t key[SHA256_LEN];
    uint8_t input[(CATALOG_FIELDS_MAX + 1) * (4 + SHA256_LEN)];
    sl_assert(sl_is_ok(kdf_counter_sha256(secret_view(table_key), SLICE_LIT("sealift/catalog/1"),
                                          SLICE_EMPTY, key, sizeof key)));
    for (size_t i = 0; i <= field_count; i++) {
        struct slice field = i == 0 ? kind : fields[i - 1];
        uint8_t *p = input + i * (4 + SHA256_LEN);
        put_u32(p, field.len);
        sha256(field, p + 4);
    }
    hmac_sha256(slice_of(key, sizeof key), slice_of(input, (field_count + 1) * (4 + SHA256_LEN)),
                ret_mac);
    secret_wipe(key, sizeof key);
}

void catalog_sum_add(uint8_t sum[CATALOG_MAC_LEN], const uint8_t mac[CATALOG_MAC_LEN]) {
    unsigned carry = 0;
    for (size_t i = CATALOG_MAC_LEN; i-- > 0;) {
        carry += (unsigned)sum[i] + mac[i];
        sum[i] = (uint8_t)carry;
        carry >>= 8;
    }
}

void catalog_sum_sub(uint8_t sum[CATALOG_MAC_LEN], const uint8_t mac[CATALOG_MAC_LEN]) {
    int borrow = 0;
    for (size_t i = CATALOG_MAC_LEN; i-- > 0;) {
        int v = (int)sum[i] - mac[i] - borrow;
        borrow = v < 0;
        sum[i] = (uint8_t)(v + (borrow ? 256 : 0));
    }
}
