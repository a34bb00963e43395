/* DATEFORMAT and TIMEFORMAT of COPY (the Redshift guide, "DATEFORMAT and TIMEFORMAT strings" and
 * "Using automatic recognition"): a format string of dateparts and separators, 'auto', and for
 * times 'epochsecs' and 'epochmillisecs'. */
#ifndef SL_CODEC_COPY_FORMAT_H
#define SL_CODEC_COPY_FORMAT_H

#include "lib/base/rc.h"
#include "lib/base/slice.h"

enum copy_format_kind {
    COPY_FORMAT_DEFAULT, /* YYYY-MM-DD[ HH24:MI:SS[OF]] */
    COPY_FORMAT_STRING,
    COPY_FORMAT_AUTO,
    COPY_FORMAT_EPOCH_S,
    COPY_FORMAT_EPOCH_MS,
};

enum { COPY_FORMAT_PARTS = 32, COPY_FORMAT_CHARS = 63 };

struct copy_format {
    enum copy_format_kind kind;
    uint8_t part_count;
    uint8_t shortest;                 /* bytes of the shortest value */
    uint8_t parts[COPY_FORMAT_PARTS]; /* a datepart, or a separator's ASCII byte */
    char text[COPY_FORMAT_CHARS + 1]; /* as given, for messages */
};

/* What the option's text says. SL_E_PARSE with a detail for what is no format; a date's has a year,
 * a time's no zone. */
struct sl_rc copy_format_date_option(struct slice text, struct copy_format *ret,
                                     struct sl_error *err);
struct sl_rc copy_format_time_option(struct slice text, struct copy_format *ret,
                                     struct sl_error *err);

#endif
