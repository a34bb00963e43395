/* Every limit on what comes from outside, by name. Grouped by who enforces it. Units are in the
 * names. */
#ifndef SL_BASE_LIMITS_H
#define SL_BASE_LIMITS_H

/* HTTP */
enum {
    LIMIT_HTTP_HEAD_BYTES = 64 * 1024, /* request line and headers together */
    LIMIT_HTTP_HEADERS = 128,
    LIMIT_HTTP_HEAD_MS = 15 * 1000,  /* first byte to end of head */
    LIMIT_HTTP_STALL_MS = 60 * 1000, /* body: longest time without a byte */
    LIMIT_HTTP_IDLE_MS = 75 * 1000,  /* parked keep-alive connection */
    LIMIT_HTTP_CONNECTIONS = 4096,
    LIMIT_HTTP_QUICK_BYTES = 16 * 1024,  /* body of a request that is served without a worker */
    LIMIT_HTTP_DRAIN_BYTES = 256 * 1024, /* unread body, read away to keep the connection */
    LIMIT_HTTP_DRAIN_MS = 2 * 1000,
    LIMIT_HTTP_FRAMING_BYTES = 16 * 1024, /* chunk extensions or trailers in a row */
    LIMIT_HTTP_MIN_RATE = 1024, /* bytes a second of a body, once it took longer than a stall */
    LIMIT_NET_HANDSHAKE_MS = 10 * 1000, /* TLS handshake, hello */
    LIMIT_TLS_LOOK_MS = 3600 * 1000,    /* between looks for a renewed certificate */
    LIMIT_NET_LINGER_MS = 2 * 1000,
    LIMIT_NET_LINGER_BYTES = 1024 * 1024,
    LIMIT_NET_STOP_MS = 10 * 1000,      /* for requests in progress at a stop */
    LIMIT_API_BODY_BYTES = 1024 * 1024, /* JSON, form and XML request bodies */
    LIMIT_REQUEST_ARENA_BYTES = 8 * 1024 * 1024,
};
#define LIMIT_HTTP_BODY_BYTES (64ULL * 1024 * 1024 * 1024) /* announced; above it 413 */

/* Parsers */
enum {
    LIMIT_JSON_DEPTH = 64,
    LIMIT_XML_DEPTH = 16,
    LIMIT_QUERY_PARAMS = 1024,
    LIMIT_POLICY_BYTES = 32768,
};

/* Identities */
enum {
    LIMIT_LAST_USED = 4096,         /* access keys and roles that are noted between two writes, */
    LIMIT_LAST_USED_MS = 60 * 1000, /* of which there is one in this time */
};

/* Internal messages (lib/ipc) */
enum {
    LIMIT_FRAME_BYTES = 1024 * 1024,
    LIMIT_RPC_MS = 30 * 1000,
};

/* The service's clock, where it may be moved: to the end of the year 2999 */
#define LIMIT_CLOCK_MS 32503679999999LL

/* Root of trust */
enum {
    LIMIT_ROOT_WORD_BYTES = 1024, /* passphrase or PIN */
    ROOT_PASSPHRASE_MIN_BYTES = 8,
    LIMIT_DOMAIN_FILE_BYTES = 4096,
    LIMIT_SCRYPT_BYTES = 256 * 1024 * 1024, /* memory of one derivation */
    SCRYPT_LOG_N_MIN = 17,
};

/* Backup of the key store */
enum {
    LIMIT_BACKUP_HEADER_BYTES = 8 * 1024,
    LIMIT_BACKUP_CLIENT_BYTES = 64 * 1024, /* the credentials file in it */
    LIMIT_BACKUP_ROWS = 500,               /* keys or secrets that one call looks at */
    LIMIT_BACKUP_HEADS = 100 * 1000,       /* of audit segments */
};

/* Audit log */
enum {
    LIMIT_KEPT_VALUES = 1024,           /* made from rows of kms.db, at most, */
    LIMIT_KEPT_VALUE_BYTES = 64 * 1024, /* each of at most so many */
    LIMIT_AUDIT_RECORD_BYTES = 256 * 1024,
    LIMIT_AUDIT_SEGMENT_BYTES = 64 * 1024 * 1024,
    LIMIT_AUDIT_SEGMENT_MS = 24 * 3600 * 1000,
    LIMIT_AUDIT_RESERVE_BYTES = 16 * 1024 * 1024,
    LIMIT_AUDIT_QUEUE = 4096, /* callers waiting at once */
    LIMIT_AUDIT_FLUSH_MS = 50,
    LIMIT_AUDIT_REFUSED_EVERY_MS = 1000, /* records of requests that nobody known has signed */
    LIMIT_AUDIT_REFUSED_BURST = 100,
    LIMIT_LOG_BYTES = 16 * 1024 * 1024, /* a process's log; LIMIT_LOG_KEPT older ones stay */
    LIMIT_LOG_KEPT = 4,
    LIMIT_LOG_LOOK_MS = 1000,
    LIMIT_LOG_RETRY_MS = 60 * 1000,
    LIMIT_AUDIT_LOOKUP_BYTES = 64 * 1024 * 1024, /* of the log, read for one page of LookupEvents */
};

/* KMS, by its service model */
enum {
    LIMIT_KMS_PLAINTEXT_BYTES = 4096,
    LIMIT_KMS_CIPHERTEXT_BYTES = 6144,
    LIMIT_KMS_CONTEXT_PAIRS = 256,
    LIMIT_KMS_CONTEXT_BYTES = 8192,
    LIMIT_KMS_DATA_KEY_BYTES = 1024,
    LIMIT_KMS_DESCRIPTION_CHARS = 8192,
    LIMIT_KMS_KEYS = 100000,   /* of an account in a region */
    LIMIT_KMS_GRANTS = 50000,  /* per key */
    LIMIT_KMS_GRANT_PAIRS = 8, /* in a constraint */
    LIMIT_KMS_GRANT_VALUE_CHARS = 384,
    LIMIT_KMS_BACKING_KEYS = 512, /* per key: automatic and on-demand rotations over its life */
};

/* S3, by its documentation */
#define LIMIT_S3_PUT_BYTES (5ULL * 1024 * 1024 * 1024)
#define LIMIT_S3_OBJECT_BYTES (50ULL * 1024 * 1024 * 1024 * 1024)
enum {
    LIMIT_S3_PARTS = 10000,
    LIMIT_S3_PART_MIN_BYTES = 5 * 1024 * 1024,
    LIMIT_S3_KEY_BYTES = 1024,
    LIMIT_S3_BUCKET_BYTES = 63,
    LIMIT_S3_USER_META_BYTES = 2048,
    LIMIT_S3_HEADERS_BYTES = 8192, /* content headers and metadata of an object */
    LIMIT_S3_LIST_KEYS = 1000,
    LIMIT_S3_BUCKET_POLICY_BYTES = 20 * 1024,
};

/* SQL */
enum {
    LIMIT_SQL_STATEMENT_BYTES = 16 * 1024 * 1024,
    LIMIT_PG_STARTUP_BYTES = 16 * 1024,
    LIMIT_SQL_SESSIONS = 500,
    LIMIT_SQL_CONNECTIONS = 640, /* sessions, and those that have not logged in yet */
    LIMIT_SQL_LOGIN_MS = 60 * 1000,
    LIMIT_SQL_BACKEND_MS = 30 * 1000, /* a PostgreSQL session's start, a verifier's look-up */
    LIMIT_SQL_RESET_MS = 60 * 1000,   /* emptying an ephemeral warehouse */
    LIMIT_SQL_STOP_MS = 5 * 1000,     /* farewell of the sessions when the gateway stops */
    LIMIT_PG_PARAMETERS = 64,
    LIMIT_PG_AUTH_BYTES = 8 * 1024,
    LIMIT_PG_HELD_BYTES = 64 * 1024, /* backend messages that the gateway reads whole */
    LIMIT_SCRAM_ROUNDS = 1000 * 1000,
};

/* COPY */
enum {
    LIMIT_COPY_ROW_BYTES = 4 * 1024 * 1024,
    LIMIT_COPY_OBJECTS = 1000000,
    LIMIT_COPY_MANIFEST_BYTES = 64 * 1024 * 1024,
    LIMIT_COPY_JSONPATHS_BYTES = 4 * 1024 * 1024,
    LIMIT_COPY_BATCH_BYTES = 64 * 1024 * 1024, /* texts of one batch of rows, padding included */
    LIMIT_ZSTD_WINDOW_LOG = 27,                /* of 2: 128 MiB, what the zstd command takes */
    LIMIT_LZOP_BLOCK_BYTES = 16 * 1024 * 1024, /* lzop writes 256 KiB */
};

/* Sealed tables */
enum {
    LIMIT_SEGMENT_COLUMNS = 1600,
    LIMIT_SEGMENT_HEAP_BYTES = 128 * 1024 * 1024, /* a column's texts, their lengths included */
    LIMIT_DELETES_BYTES = 64 * 1024,              /* a delete vector, sealed */
    LIMIT_SEGMENT_BYTES = 1024 * 1024 * 1024,
};

#endif
