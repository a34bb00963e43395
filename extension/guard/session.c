/* The socket trusts everyone who can open it; this hook lets in only who says the edge token in the
 * startup packet, never as a superuser, or the supervisor's, as the superuser alone. The token and
 * the session key are taken out of the packet before it becomes settings. */
#include "postgres.h"

#include "libpq/auth.h"
#include "libpq/libpq-be.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "utils/acl.h"

#include <unistd.h>

#include "extension/guard/session.h"
#include "lib/codec/text.h"
#include "lib/crypto/crypto.h"
#include "lib/ipc/seam.h"

enum { SESSION_KEY_LEN = AES256_KEY_LEN, SEALED_BYTES_MAX = 64 * 1024 };

static const char sealed_prefix[] = "sealed:1:";

static uint8_t edge_token[SEAM_TOKEN_LEN], superuser_token[SEAM_TOKEN_LEN];
static bool have_token;
static struct secret session_key;
static ClientAuthentication_hook_type next_hook;

const uint8_t *session_edge_token(void) {
    return have_token ? edge_token : NULL;
}

/* Takes `name` and its value out of the startup packet's settings; the value, or NULL. */
static char *take_option(Port *port, const char *name) {
    for (int i = 0; i + 1 < list_length(port->guc_options); i += 2) {
        if (strcmp(list_nth(port->guc_options, i), name) == 0) {
            char *value = list_nth(port->guc_options, i + 1);
            port->guc_options = list_delete_nth_cell(port->guc_options, i);
            port->guc_options = list_delete_nth_cell(port->guc_options, i);
            return value;
        }
    }
    return NULL;
}

/* Hex text into exactly `len` bytes, and the text wiped; false when it is not that. */
static bool take_hex(char *text, uint8_t *out, size_t len) {
    bool ok = false;
    if (text != NULL) {
        struct buf raw = BUF_INIT(256);
        raw.wipe = true;
        ok = sl_is_ok(hex_get(slice_cstr(text), &raw, NULL)) && raw.len == len;
        if (ok) {
            memcpy(out, raw.ptr, len);
        }
        buf_fini(&raw);
        secret_wipe(text, strlen(text));
    }
    return ok;
}

static bool same_token(const uint8_t *said, const uint8_t *token) {
    return have_token &&
           secret_equal(slice_of(said, SEAM_TOKEN_LEN), slice_of(token, SEAM_TOKEN_LEN));
}

static void check_client(Port *port, int status) {
    uint8_t said[SEAM_TOKEN_LEN] = {0}, key[SESSION_KEY_LEN] = {0};
    bool said_one = take_hex(take_option(port, "sealift.token"), said, sizeof said);
    bool superuser_ok = said_one && same_token(said, superuser_token);
    bool token_ok = said_one && same_token(said, edge_token);
    bool key_ok = take_hex(take_option(port, "sealift.session_key"), key, sizeof key);
    if (next_hook != NULL) {
        next_hook(port, status);
    }
    if (status != STATUS_OK) {
        return; /* the caller reports it */
    }
    if (!token_ok && !superuser_ok) {
        ereport(FATAL, (errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
                        errmsg("connections come through the Sealift gateway only")));
    }
    Oid role = get_role_oid(port->user_name, true);
    if (OidIsValid(role) && superuser_arg(role) != superuser_ok) {
        ereport(FATAL, (errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
                        errmsg("role \"%s\" is not open to clients", port->user_name)));
    }
    if (key_ok && sl_failed(secret_from(&session_key, slice_of(key, sizeof key)))) {
        ereport(FATAL, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
    }
    secret_wipe(key, sizeof key);
}

void session_init(void) {
    const char *fd_text = getenv("SEALIFT_TOKENS_FD");
    if (fd_text != NULL) {
        uint8_t raw[4 + 2 * SEAM_TOKEN_LEN];
        int fd = atoi(fd_text);
        /* 4 bytes mask, then the tokens of its bits. */
        have_token = lseek(fd, 0, SEEK_SET) == 0 &&
                     read(fd, raw, sizeof raw) == (ssize_t)sizeof raw &&
                     raw[3] == (1u << SEAM_POSTGRES | 1u << SEAM_SUPERUSER);
        memcpy(edge_token, raw + 4, sizeof edge_token);
        memcpy(superuser_token, raw + 4 + SEAM_TOKEN_LEN, sizeof superuser_token);
        secret_wipe(raw, sizeof raw);
        close(fd);
        unsetenv("SEALIFT_TOKENS_FD");
    }
    next_hook = ClientAuthentication_hook;
    ClientAuthentication_hook = check_client;
}

/* base64url without padding, as the gateway writes it, into bytes. */
static struct sl_rc from_base64url(struct slice text, struct buf *out, struct sl_error *err) {
    struct buf plain = BUF_INIT(SEALED_BYTES_MAX);
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        buf_putc(&plain, c == '-' ? '+' : c == '_' ? '/' : c);
    }
    while (plain.len % 4 != 0 && !plain.failed) {
        buf_putc(&plain, '=');
    }
    struct sl_rc rc = buf_check(&plain, err);
    rc = sl_is_ok(rc) ? base64_get(buf_slice(&plain), out, err) : rc;
    buf_fini(&plain);
    return rc;
}

static struct sl_rc open_sealed(const char *what, struct slice raw, struct secret *ret,
                                struct sl_error *err) {
    ENSURE(raw.len >= GCM_NONCE_LEN + GCM_TAG_LEN, err, SL_E_PARSE,
           "the sealed secret is cut short");
    struct aead *aead;
    TRY(aead_new(secret_view(&session_key), &aead));
    struct slice cipher = slice_sub(raw, GCM_NONCE_LEN, raw.len);
    struct sl_rc rc = secret_init(ret, cipher.len - GCM_TAG_LEN);
    if (sl_is_ok(rc)) {
        rc = aead_open(aead, raw.ptr, slice_cstr(what), cipher, ret->ptr);
        if (sl_failed(rc)) {
            secret_fini(ret);
            rc = sl_fail(err, SL_E_PARSE, "the sealed secret does not belong to this session");
        }
    }
    aead_free(aead);
    return rc;
}

struct sl_rc session_unseal(const char *what, struct slice text, struct secret *ret,
                            struct sl_error *err) {
    ENSURE(session_key.len == SESSION_KEY_LEN, err, SL_E_PARSE, "this session has no key");
    ENSURE(slice_starts(text, slice_cstr(sealed_prefix)), err, SL_E_PARSE, "not a sealed secret");
    struct buf raw = BUF_INIT(SEALED_BYTES_MAX);
    struct sl_rc rc =
        from_base64url(slice_sub(text, sizeof sealed_prefix - 1, text.len), &raw, err);
    rc = sl_is_ok(rc) ? open_sealed(what, buf_slice(&raw), ret, err) : rc;
    buf_fini(&raw);
    return rc;
}
