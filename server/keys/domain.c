/* Root key and domain key files; see domain.h and docs/decisions/7-root-of-trust.md. A file is
 * written under a temporary name, flushed, and renamed (without replacing, but for a change of
 * root), so that a crash leaves the old one or the new one whole. */
#include "server/keys/domain.h"

#include "lib/base/fd.h"
#include "lib/base/folder.h"
#include "lib/base/limits.h"
#include "lib/base/rdr.h"
#include "lib/crypto/crypto.h"
#include "server/keys/token.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC "SLDOMAIN"

enum {
    VERSION = 1,
    SALT_LEN = 32,
    SCRYPT_R = 8,
    SCRYPT_P_MAX = 4,
};

static void end_fd(int *fd) {
    if (*fd >= 0) {
        close(*fd);
    }
}

static struct sl_rc read_exact(int fd, const char *path, uint8_t *out, size_t len,
                               struct sl_error *err) {
    size_t done = 0;
    while (done < len) {
        ssize_t n = read(fd, out + done, len - done);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        ENSURE(n >= 0, err, SL_E_IO, "%s: %m", path);
        ENSURE(n > 0, err, SL_E_CORRUPT, "%s: shorter than %zu bytes", path, len);
        done += (size_t)n;
    }
    uint8_t more;
    ENSURE(read(fd, &more, 1) == 0, err, SL_E_CORRUPT, "%s: longer than %zu bytes", path, len);
    return SL_OK;
}

static struct sl_rc read_all(int fd, const char *path, struct buf *ret, struct sl_error *err) {
    for (;;) {
        uint8_t *p = buf_reserve(ret, 512);
        ENSURE(p != NULL, err, SL_E_CORRUPT, "%s: longer than %d bytes", path,
               LIMIT_DOMAIN_FILE_BYTES - 512);
        ssize_t n = read(fd, p, 512);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        ENSURE(n >= 0, err, SL_E_IO, "%s: %m", path);
        if (n == 0) {
            return SL_OK;
        }
        ret->len += (size_t)n;
    }
}

static struct sl_rc write_and_sync(int fd, const char *path, struct slice bytes,
                                   struct sl_error *err) {
    struct sl_rc rc = fd_write(fd, bytes);
    ENSURE(sl_is_ok(rc), err, rc.code, "%s: %m", path);
    ENSURE(fsync(fd) == 0, err, SL_E_IO, "%s: %m", path);
    return SL_OK;
}

/* Whole or not at all; one that is there is replaced only if `replace`. */
static struct sl_rc write_file(const char *path, struct slice bytes, bool replace,
                               struct sl_error *err) {
    char temp[PATH_MAX];
    int n = snprintf(temp, sizeof temp, "%s.new", path);
    ENSURE(n > 0 && (size_t)n < sizeof temp, err, SL_E_LIMIT, "%s: path too long", path);
    (void)unlink(temp); /* of an earlier crash */
    int fd SL_CLEANUP(end_fd) =
        open(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    ENSURE(fd >= 0, err, SL_E_IO, "%s: %m", temp);
    struct sl_rc rc = write_and_sync(fd, temp, bytes, err);
    if (sl_is_ok(rc) &&
        renameat2(AT_FDCWD, temp, AT_FDCWD, path, replace ? 0 : RENAME_NOREPLACE) != 0) {
        rc = sl_fail(err, errno == EEXIST ? SL_E_EXISTS : SL_E_IO, "%s: %m", path);
    }
    if (sl_failed(rc)) {
        (void)unlink(temp);
        return rc;
    }
    return folder_sync_of(path, err);
}

/* *ret_fd is -1 when the file is missing and may be made. */
static struct sl_rc open_key_file(const char *path, bool may_miss, int *ret_fd,
                                  struct sl_error *err) {
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT && may_miss) {
        *ret_fd = -1;
        return SL_OK;
    }
    ENSURE(fd >= 0, err, errno == ENOENT ? SL_E_NOT_FOUND : SL_E_IO, "%s: %m", path);
    *ret_fd = fd;
    return SL_OK;
}

/* systemd hands a credential to a service of an ordinary user as root's file with an access list,
 * whose mask shows as the group's right to read. */
static struct sl_rc check_root_mode(int fd, const char *path, struct sl_error *err) {
    struct stat st;
    ENSURE(fstat(fd, &st) == 0, err, SL_E_IO, "%s: %m", path);
    ENSURE(S_ISREG(st.st_mode), err, SL_E_ACCESS_DENIED, "%s: not a regular file", path);
    ENSURE(st.st_uid == geteuid() || st.st_uid == 0, err, SL_E_ACCESS_DENIED,
           "%s: belongs to user %u", path, (unsigned)st.st_uid);
    unsigned forbidden = st.st_uid == 0 && geteuid() != 0 ? 037 : 077;
    if ((st.st_mode & forbidden) != 0) {
        struct sl_rc rc = sl_fail(err, SL_E_ACCESS_DENIED, "%s: open to others (mode %04o)", path,
                                  (unsigned)(st.st_mode & 07777));
        sl_hint(err, "chmod 600 %s", path);
        return rc;
    }
    return SL_OK;
}

static struct sl_rc root_open(const char *path, bool create, struct secret *ret,
                              struct sl_error *err) {
    int fd SL_CLEANUP(end_fd) = -1;
    TRY(open_key_file(path, create, &fd, err));
    struct secret key SL_CLEANUP(secret_fini) = {0};
    if (fd < 0) {
        TRY(secret_random(&key, ROOT_KEY_LEN));
        TRY(write_file(path, secret_view(&key), false, err));
    } else {
        TRY(check_root_mode(fd, path, err));
        TRY(secret_init(&key, ROOT_KEY_LEN));
        TRY(read_exact(fd, path, key.ptr, ROOT_KEY_LEN, err));
    }
    *ret = key;
    key = (struct secret){0};
    return SL_OK;
}

/* ---- the file ---- */

static struct sl_rc token_name(struct rdr *r, char *out, size_t size, struct sl_error *err) {
    struct slice s = rdr_vec16(r);
    ENSURE(s.len > 0 && s.len < size && memchr(s.ptr, 0, s.len) == NULL, err, SL_E_CORRUPT,
           "a name in the domain key file is not valid");
    memcpy(out, s.ptr, s.len);
    out[s.len] = '\0';
    return SL_OK;
}

static struct sl_rc parse_parameters(struct rdr *r, struct domain_file *f, struct sl_error *err) {
    if (f->kind == ROOT_TOKEN) {
        TRY(token_name(r, f->token.module, sizeof f->token.module, err));
        TRY(token_name(r, f->token.token, sizeof f->token.token, err));
        TRY(token_name(r, f->token.key, sizeof f->token.key, err));
        ENSURE(f->token.module[0] == '/', err, SL_E_CORRUPT, "the module's path is not absolute");
        return SL_OK;
    }
    f->salt = rdr_bytes(r, SALT_LEN);
    if (f->kind == ROOT_PASSPHRASE) {
        f->log_n = rdr_u8(r);
        f->r = rdr_u8(r);
        f->p = rdr_u8(r);
        ENSURE(r->bad || (f->log_n >= SCRYPT_LOG_N_MIN && f->log_n < 32 && f->r > 0 && f->p > 0 &&
                          f->p <= SCRYPT_P_MAX &&
                          128 * (uint64_t)f->r * (1ULL << f->log_n) < LIMIT_SCRYPT_BYTES),
               err, SL_E_CORRUPT, "the scrypt parameters are out of range");
    }
    return SL_OK;
}

struct sl_rc domain_parse(struct slice bytes, struct domain_file *ret, struct sl_error *err) {
    struct domain_file f = {0};
    struct rdr r = rdr_of(bytes);
    ENSURE(slice_eq_cstr(rdr_bytes(&r, 8), MAGIC), err, SL_E_CORRUPT, "not a domain key file");
    uint8_t version = rdr_u8(&r), kind = rdr_u8(&r);
    ENSURE(r.bad || version == VERSION, err, SL_E_UNSUPPORTED, "version %u is not known", version);
    ENSURE(r.bad || (kind >= ROOT_FILE && kind <= ROOT_TOKEN), err, SL_E_UNSUPPORTED,
           "root of kind %u is not supported", kind);
    f.kind = (enum root_kind)kind;
    TRY(parse_parameters(&r, &f, err));
    f.nonce = rdr_bytes(&r, GCM_NONCE_LEN);
    f.wrapped = rdr_bytes(&r, DOMAIN_KEY_LEN + GCM_TAG_LEN);
    ENSURE(!r.bad, err, SL_E_CORRUPT, "shorter than its parts");
    ENSURE(r.rest.len == 0, err, SL_E_CORRUPT, "longer than its parts");
    f.head = slice_sub(bytes, 0, bytes.len - f.wrapped.len);
    *ret = f;
    return SL_OK;
}

static struct sl_rc wrapping(struct slice root, struct slice salt, struct aead **ret) {
    struct secret key SL_CLEANUP(secret_fini) = {0};
    TRY(secret_init(&key, AES256_KEY_LEN));
    TRY(hkdf_sha256(root, salt, SLICE_LIT("sealift/domain/1"), key.ptr, key.len));
    return aead_new(secret_view(&key), ret);
}

static void end_aead(struct aead **a) {
    aead_free(*a);
}

/* The root key of kinds that have it in this process. */
static struct sl_rc root_key(const struct domain_file *f, const char *root_file, bool create,
                             const struct secret *word, struct secret *ret, struct sl_error *err) {
    if (f->kind == ROOT_FILE) {
        return root_open(root_file, create, ret, err);
    }
    TRY(secret_init(ret, ROOT_KEY_LEN));
    struct sl_rc rc = scrypt(secret_view(word), f->salt, f->log_n, f->r, f->p, LIMIT_SCRYPT_BYTES,
                             ret->ptr, ret->len);
    ENSURE(sl_is_ok(rc), err, rc.code, "the passphrase can't be used: %s",
           sl_code_info(rc.code)->text);
    return SL_OK;
}

static struct sl_rc put_head(const struct root_place *to, struct buf *out) {
    uint8_t salt[SALT_LEN], nonce[GCM_NONCE_LEN];
    crypto_random(salt, sizeof salt);
    crypto_random(nonce, sizeof nonce);
    buf_puts(out, MAGIC);
    buf_u8(out, VERSION);
    buf_u8(out, (uint8_t)to->kind);
    if (to->kind == ROOT_TOKEN) {
        buf_vec16(out, slice_cstr(to->token.module));
        buf_vec16(out, slice_cstr(to->token.token));
        buf_vec16(out, slice_cstr(to->token.key));
    } else {
        buf_put(out, slice_of(salt, sizeof salt));
    }
    if (to->kind == ROOT_PASSPHRASE) {
        buf_u8(out, SCRYPT_LOG_N_MIN);
        buf_u8(out, SCRYPT_R);
        buf_u8(out, 1);
    }
    buf_put(out, slice_of(nonce, sizeof nonce));
    return buf_check(out, NULL);
}

struct sl_rc domain_wrap(const struct root_place *to, bool create, const struct secret *word,
                         const struct domain *d, struct buf *ret, struct sl_error *err) {
    struct domain_file f = {0};
    uint8_t wrapped[DOMAIN_KEY_LEN + GCM_TAG_LEN] = {0};
    if (root_needs_word(to->kind)) {
        TRY(root_word_check(to->kind, secret_view(word), err));
    }
    TRY(put_head(to, ret));
    size_t head_len = ret->len;
    buf_put(ret, slice_of(wrapped, sizeof wrapped));
    TRY(buf_check(ret, err));
    TRY(domain_parse(buf_slice(ret), &f, err));
    if (to->kind == ROOT_TOKEN) {
        TRY(token_wrap(&to->token, secret_view(word), f.nonce.ptr, f.head, secret_view(&d->key),
                       wrapped, err));
    } else {
        struct secret root SL_CLEANUP(secret_fini) = {0};
        struct aead *a SL_CLEANUP(end_aead) = NULL;
        TRY(root_key(&f, to->file, create, word, &root, err));
        TRY(wrapping(secret_view(&root), f.salt, &a));
        TRY(aead_seal(a, f.nonce.ptr, f.head, secret_view(&d->key), wrapped));
    }
    memcpy(ret->ptr + head_len, wrapped, sizeof wrapped);
    return SL_OK;
}

struct sl_rc domain_unwrap(struct slice bytes, const char *root_file, const struct secret *word,
                           struct domain *ret, struct sl_error *err) {
    struct domain_file f;
    TRY(domain_parse(bytes, &f, err));
    struct secret key SL_CLEANUP(secret_fini) = {0};
    TRY(secret_init(&key, DOMAIN_KEY_LEN));
    if (f.kind == ROOT_TOKEN) {
        TRY(token_unwrap(&f.token, secret_view(word), f.nonce.ptr, f.head, f.wrapped, key.ptr,
                         err));
    } else {
        struct secret root SL_CLEANUP(secret_fini) = {0};
        struct aead *a SL_CLEANUP(end_aead) = NULL;
        TRY(root_key(&f, root_file, false, word, &root, err));
        TRY(wrapping(secret_view(&root), f.salt, &a));
        struct sl_rc rc = aead_open(a, f.nonce.ptr, f.head, f.wrapped, key.ptr);
        ENSURE(sl_is_ok(rc), err, f.kind == ROOT_FILE ? SL_E_CORRUPT : SL_E_ACCESS_DENIED,
               f.kind == ROOT_FILE ? "the root key does not open it"
                                   : "the passphrase does not open it");
    }
    ret->key = key;
    key = (struct secret){0};
    return SL_OK;
}

/* ---- opening ---- */

static struct sl_rc domain_make(const struct domain_opening *o, struct domain *d,
                                struct sl_error *err) {
    struct buf file SL_CLEANUP(buf_fini) = BUF_INIT(LIMIT_DOMAIN_FILE_BYTES);
    struct secret word SL_CLEANUP(secret_fini) = {0};
    if (root_needs_word(o->first->kind)) {
        TRY(o->ask(o->user, o->first->kind, NULL, &word, err));
    }
    TRY(secret_random(&d->key, DOMAIN_KEY_LEN));
    TRY(domain_wrap(o->first, true, &word, d, &file, err));
    return write_file(o->domain_file, buf_slice(&file), false, err);
}

/* Asks until a word opens it. */
static struct sl_rc domain_ask(const struct domain_opening *o, enum root_kind kind,
                               struct slice bytes, struct domain *d, struct sl_error *err) {
    struct sl_error why = {0};
    for (;;) {
        struct secret word SL_CLEANUP(secret_fini) = {0};
        TRY(o->ask(o->user, kind, why.code == SL_CODE_OK ? NULL : &why, &word, err));
        sl_error_clear(&why);
        struct sl_rc rc = domain_unwrap(bytes, NULL, &word, d, &why);
        if (sl_is_ok(rc)) {
            return SL_OK;
        }
        sl_ignore(sl_fail(&why, rc.code, "%s", sl_code_info(rc.code)->text));
    }
}

struct sl_rc domain_open(const struct domain_opening *o, struct domain *ret, struct sl_error *err) {
    int fd SL_CLEANUP(end_fd) = -1;
    struct domain d SL_CLEANUP(domain_fini) = {0};
    TRY(open_key_file(o->domain_file, o->create, &fd, err));
    if (fd < 0) {
        TRY(domain_make(o, &d, err));
    } else {
        struct buf file SL_CLEANUP(buf_fini) = BUF_INIT(LIMIT_DOMAIN_FILE_BYTES);
        struct domain_file f;
        struct sl_error why = {0};
        TRY(read_all(fd, o->domain_file, &file, err));
        struct sl_rc rc = domain_parse(buf_slice(&file), &f, &why);
        ENSURE(sl_is_ok(rc), err, rc.code, "%s: %s", o->domain_file, why.detail);
        if (root_needs_word(f.kind)) {
            TRY(domain_ask(o, f.kind, buf_slice(&file), &d, err));
        } else {
            rc = domain_unwrap(buf_slice(&file), o->root_file, NULL, &d, err);
            ENSURE(sl_is_ok(rc), err, rc.code, "%s can't be opened", o->domain_file);
        }
    }
    *ret = d;
    d = (struct domain){0};
    return SL_OK;
}

struct sl_rc domain_move(const struct domain_opening *o, const struct root_place *to,
                         const struct domain *d, struct sl_error *err) {
    struct buf file SL_CLEANUP(buf_fini) = BUF_INIT(LIMIT_DOMAIN_FILE_BYTES);
    struct secret word SL_CLEANUP(secret_fini) = {0};
    struct domain again SL_CLEANUP(domain_fini) = {0};
    if (root_needs_word(to->kind)) {
        TRY(o->ask(o->user, to->kind, NULL, &word, err));
    }
    TRY(domain_wrap(to, true, &word, d, &file, err));
    /* What goes to disk must open: after the rename there is no way back. */
    TRY(domain_unwrap(buf_slice(&file), to->file, &word, &again, err));
    ENSURE(secret_equal(secret_view(&again.key), secret_view(&d->key)), err, SL_E_INTERNAL,
           "the new root does not give the same key back");
    return write_file(o->domain_file, buf_slice(&file), true, err);
}

struct sl_rc domain_kind(const char *path, struct domain_file *ret, struct sl_error *err) {
    int fd SL_CLEANUP(end_fd) = -1;
    struct buf file SL_CLEANUP(buf_fini) = BUF_INIT(LIMIT_DOMAIN_FILE_BYTES);
    TRY(open_key_file(path, false, &fd, err));
    TRY(read_all(fd, path, &file, err));
    TRY(domain_parse(buf_slice(&file), ret, err));
    ret->salt = ret->head = ret->nonce = ret->wrapped = SLICE_EMPTY;
    return SL_OK;
}

void domain_fini(struct domain *d) {
    secret_fini(&d->key);
}

struct sl_rc domain_derive(const struct domain *d, const char *prefix, struct slice name,
                           struct secret *ret) {
    struct buf label SL_CLEANUP(buf_fini) = BUF_INIT(4096);
    buf_puts(&label, prefix);
    buf_put(&label, name);
    TRY(buf_check(&label, NULL));
    struct secret key SL_CLEANUP(secret_fini) = {0};
    TRY(secret_init(&key, 32));
    TRY(kdf_counter_sha256(secret_view(&d->key), buf_slice(&label), SLICE_EMPTY, key.ptr, key.len));
    *ret = key;
    key = (struct secret){0};
    return SL_OK;
}
