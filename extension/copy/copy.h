/* COPY from S3 into a table: what a statement asks for, what came of it, and the load itself. Runs
 * in a backend's main thread; the work before the insert is done by threads that know no
 * PostgreSQL. Include after postgres.h. */
#ifndef SEALIFT_COPY_H
#define SEALIFT_COPY_H

#include "access/attnum.h"
#include "utils/relcache.h"

#include "extension/copy/watch.h"
#include "lib/base/slice.h"
#include "lib/codec/copy_convert.h"
#include "lib/codec/transcode.h"
#include "lib/codec/unpack.h"
#include "lib/crypto/secret.h"

enum copy_auth { COPY_AUTH_ROLES, COPY_AUTH_KEYS };

/* Everything here stays the caller's and unchanged during copy_load. Texts are NUL-terminated. */
struct copy_spec {
    const char *bucket;
    const char *prefix; /* key prefix, without the leading slash */

    bool manifest; /* prefix is the key of a manifest */
    /* Columns in the order of the fields. natts = 0: all columns in order, without generated and
     * GENERATED ALWAYS AS IDENTITY ones. */
    const AttrNumber *attnums;
    int natts;

    const struct secret *master_key; /* of client-side encryption; or NULL */
    enum unpack_format compression;  /* of each file */
    enum transcode_from encoding;
    enum delimited_format format;
    bool json_ignorecase;         /* DELIMITED_JSON: case of members' names */
    const char *jsonpaths_bucket; /* DELIMITED_JSON: object with the paths; NULL: 'auto' */
    const char *jsonpaths_key;
    char delimiter;            /* see copy_delimiter */
    char quote;                /* CSV only; see copy_quote */
    bool escape, removequotes; /* DELIMITED_PLAIN only */
    const uint32_t *widths;    /* DELIMITED_FIXED: one a column */
    size_t width_count;
    struct copy_format date_format, time_format;
    const char *null_as; /* NULL: "\N" */
    struct copy_options options;
    int ignoreheader;     /* rows dropped at the start of every file */
    int maxerror;         /* the load fails at this many rejects; 0 and 1: at the first */
    bool ignoreallerrors; /* at none */
    bool noload;          /* rows are read and checked, not inserted */
    bool explicit_ids;    /* GENERATED ALWAYS AS IDENTITY columns are filled from fields */

    const char *region;   /* the bucket's, which is the scope of the signature */
    const char *endpoint; /* https://host:port, path style */
    const char
        *ca_file; /* PEM bundle the endpoint's certificate is checked against; NULL: system's */

    unsigned stall_ms; /* a read is tried anew when nothing came for so long; 0: 60 s */

    enum copy_auth auth;
    const char *const *roles; /* COPY_AUTH_ROLES: "default", an ARN, or a chain of ARNs */
    int role_count;
    const char *db_user;         /* COPY_AUTH_ROLES: who assumes the role */
    const char *kms_socket;      /* COPY_AUTH_ROLES: path of kms's socket */
    const uint8_t *edge_token;   /* COPY_AUTH_ROLES: SEAM_TOKEN_LEN bytes */
    const char *access_key_id;   /* COPY_AUTH_KEYS */
    const struct secret *secret; /* COPY_AUTH_KEYS */
    const struct secret *token;  /* COPY_AUTH_KEYS: session token or NULL */

    struct watch *watch; /* is told of files, bytes and rows; or NULL */
    int running;         /* loads that run, of all sessions: they share processors and memory */
    int query_id;        /* shown in failure details (process  query<id>_…) */
};

/* As given, or the format's. */
static inline char copy_delimiter(const struct copy_spec *spec) {
    return spec->delimiter != 0 ? spec->delimiter : spec->format == DELIMITED_CSV ? ',' : '|';
}
static inline char copy_quote(const struct copy_spec *spec) {
    return spec->quote != 0 ? spec->quote : '"';
}

/* A field of a refused row, up to the bad one: the columns of stl_loaderror_detail. */
struct copy_field {
    int field; /* from 0 */
    const char *colname, *type, *col_length;
    const char *value; /* at most 1024 bytes of ASCII: '.' for each other character */
    bool is_null;
};

/* One refused row: the columns of stl_load_errors. Texts are palloc'ed, valid UTF-8, never NULL. */
struct copy_reject {
    const char *filename;        /* s3://bucket/key */
    int64_t line_number;         /* from 1, header included */
    const char *colname;         /* empty when the row as such is bad */
    const char *type;            /* "int4", "varchar", ... */
    const char *col_length;      /* declared length, "8, 2" for numerics, "0" where there is none */
    int position;                /* byte offset of the field in the line */
    const char *raw_line;        /* at most 1024 bytes */
    const char *raw_field_value; /* at most 1024 bytes */
    int err_code;
    const char *err_reason;    /* at most 100 bytes */
    struct copy_field *fields; /* of the first rows alone */
    int field_count;
};

enum { COPY_REJECTS_KEPT = 100 * 1000 };

struct copy_result {
    int64_t rows;                /* inserted */
    int64_t files;               /* read to the end */
    int64_t bytes;               /* fetched, as stored in S3 */
    struct copy_reject *rejects; /* the first COPY_REJECTS_KEPT of them */
    int reject_count;
    int64_t rejected; /* all */

    /* Set when the load failed: the caller records the rejects and raises the error, which undoes
     * the rows. message is NULL after a success. */
    const char *message;
    const char *detail; /* or NULL */
    char sqlstate[6];
};

/* Loads `rel` (opened and locked RowExclusiveLock by the caller, INSERT on the columns checked).
 * Results live in the current memory context. Failures of the data, of S3 and of the role come back
 * in *ret; errors of the table (wrong kind, row triggers, row-level security, unsupported column
 * types, constraints) and cancels are raised. All threads have ended when it returns or raises. */
void copy_load(Relation rel, const struct copy_spec *spec, struct copy_result *ret);

#endif
