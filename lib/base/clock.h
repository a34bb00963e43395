/* Time. Real time decides about signatures, TLS and audit; the service clock (which an ephemeral
 * instance may move) about deletion windows, rotation and expiry. Monotonic time is for deadlines
 * only. */
#ifndef SL_BASE_CLOCK_H
#define SL_BASE_CLOCK_H

#include "lib/base/slice.h"

int64_t clock_real_ms(void); /* Unix epoch, milliseconds */
int64_t clock_mono_ms(void); /* monotonic, milliseconds */
/* "20261124T033716Z" into out[17]; `s` is epoch seconds. */
void clock_basic(int64_t epoch_s, char out[17]);
/* "2026-11-24T03:37:16Z" into out[21]. */
void clock_iso(int64_t epoch_s, char out[21]);
/* "2026-11-24T03:37:16.123Z" into out[25]; `ms` is epoch milliseconds. */
void clock_iso_ms(int64_t epoch_ms, char out[25]);
/* "Tue, 24 Nov 2026 03:37:16 GMT" (RFC 9110) into out[30]. */
void clock_http(int64_t epoch_s, char out[30]);
/* Parse; false when malformed. Basic form "YYYYMMDDTHHMMSSZ", ISO form as clock_iso (fraction
 * allowed), HTTP date. */
bool clock_parse_basic(struct slice s, int64_t *ret_epoch_s);
bool clock_parse_iso(struct slice s, int64_t *ret_epoch_s);
bool clock_parse_http(struct slice s, int64_t *ret_epoch_s);

#endif
