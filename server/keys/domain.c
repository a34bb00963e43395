/* Root key and domain key files; see domain.h and docs/decisions/2-keyholder-messages.md. A file is
 * written under a temporary name, flushed, and renamed without replacing, so that a crash leaves it
 * whole or absent and an existing key can't be overwritten. */
#include "server/keys/domain.h"

#include "lib/base/buf.h"
#include "lib/crypto/crypto.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC "SLDOMAIN"

enum {
    VERSION = 1,
    ROOT_IN_FILE = 1, /* kind of root */
    SALT_LEN = 32,
    HEAD_LEN = 8 + 1 + 1 + SALT_LEN + GCM_NONCE_LEN,
    DOMAIN_FILE_LEN = HEAD_LEN + DOMAIN_KEY_LEN + GCM_TAG_LEN,
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

static struct sl_rc sync_folder_of(const char *path, struct sl_error *err) {
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t len = slash == NULL ? 0 : slash == path ? 1 : (size_t)(slash - path);
    ENSURE(len < sizeof folder, err, SL_E_LIMIT, "%s: path too long", path);
    memcpy(folder, len ? path : ".", len ? len : 1);
    folder[len ? len : 1] = '\0';
    int fd SL_CLEANUP(end_fd) = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ENSURE(fd >= 0 && fsync(fd) == 0, err, SL_E_IO, "%s: %m", folder);
    return SL_OK;
}

static struct sl_rc write_and_sync(int fd, const char *path, struct slice bytes,
                                   struct sl_error *err) {
    while (bytes.len > 0) {
        ssize_t n = write(fd, bytes.ptr, bytes.len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        ENSURE(n > 0, err, errno == ENOSPC ? SL_E_FULL : SL_E_IO, "%s: %m", path);
        bytes = slice_sub(bytes, (size_t)n, bytes.len);
    }
    ENSURE(fsync(fd) == 0, err, SL_E_IO, "%s: %m", path);
    return SL_OK;
}

static struct sl_rc make_file(const char *path, struct slice bytes, struct sl_error *err) {
    char temp[PATH_MAX];
    int n = snprintf(temp, sizeof temp, "%s.new", path);
    ENSURE(n > 0 && (size_t)n < sizeof temp, err, SL_E_LIMIT, "%s: path too long", path);
    (void)unlink(temp); /* of an earlier crash */
    int fd SL_CLEANUP(end_fd) =
        open(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    ENSURE(fd >= 0, err, SL_E_IO, "%s: %m", temp);
    struct sl_rc rc = write_and_sync(fd, temp, bytes, err);
    if (sl_is_ok(rc) && renameat2(AT_FDCWD, temp, AT_FDCWD, path, RENAME_NOREPLACE) != 0) {
        rc = sl_fail(err, errno == EEXIST ? SL_E_EXISTS : SL_E_IO, "%s: %m", path);
    }
    if (sl_failed(rc)) {
        (void)unlink(temp);
        return rc;
    }
    return sync_folder_of(path, err);
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
        TRY(make_file(path, secret_view(&key), err));
    } else {
        TRY(check_root_mode(fd, path, err));
        TRY(secret_init(&key, ROOT_KEY_LEN));
        TRY(read_exact(fd, path, key.ptr, ROOT_KEY_LEN, err));
    }
    *ret = key;
    key = (struct secret){0};
    return SL_OK;
}

static struct sl_rc wrapping(const struct secret *root, struct slice salt, struct aead **ret) {
    struct secret key SL_CLEANUP(secret_fini) = {0};
    TRY(secret_init(&key, AES256_KEY_LEN));
    TRY(hkdf_sha256(secret_view(root), salt, SLICE_LIT("sealift/domain/1"), key.ptr, key.len));
    return aead_new(secret_view(&key), ret);
}

static void end_aead(struct aead **a) {
    aead_free(*a);
}

static struct sl_rc domain_make(const struct secret *root, const char *path, struct secret *key,
                                struct sl_error *err) {
    uint8_t random[SALT_LEN + GCM_NONCE_LEN];
    crypto_random(random, sizeof random);
    uint8_t file[DOMAIN_FILE_LEN] = MAGIC;
    file[8] = VERSION;
    file[9] = ROOT_IN_FILE;
    memcpy(file + 10, random, sizeof random);
    struct aead *a SL_CLEANUP(end_aead) = NULL;
    TRY(wrapping(root, slice_of(file + 10, SALT_LEN), &a));
    TRY(secret_random(key, DOMAIN_KEY_LEN));
    TRY(aead_seal(a, file + 10 + SALT_LEN, slice_of(file, HEAD_LEN), secret_view(key),
                  file + HEAD_LEN));
    return make_file(path, slice_of(file, sizeof file), err);
}

static struct sl_rc domain_read(const struct secret *root, int fd, const char *path,
                                struct secret *key, struct sl_error *err) {
    uint8_t file[DOMAIN_FILE_LEN];
    TRY(read_exact(fd, path, file, sizeof file, err));
    ENSURE(memcmp(file, MAGIC, 8) == 0, err, SL_E_CORRUPT, "%s: not a domain key file", path);
    ENSURE(file[8] == VERSION, err, SL_E_UNSUPPORTED, "%s: version %u is not known", path, file[8]);
    ENSURE(file[9] == ROOT_IN_FILE, err, SL_E_UNSUPPORTED, "%s: root of kind %u is not supported",
           path, file[9]);
    struct aead *a SL_CLEANUP(end_aead) = NULL;
    TRY(wrapping(root, slice_of(file + 10, SALT_LEN), &a));
    TRY(secret_init(key, DOMAIN_KEY_LEN));
    struct sl_rc rc = aead_open(a, file + 10 + SALT_LEN, slice_of(file, HEAD_LEN),
                                slice_of(file + HEAD_LEN, sizeof file - HEAD_LEN), key->ptr);
    ENSURE(sl_is_ok(rc), err, SL_E_CORRUPT, "%s: the root key does not open it", path);
    return SL_OK;
}

struct sl_rc domain_open(const char *root_file, const char *domain_file, bool create,
                         struct domain *ret, struct sl_error *err) {
    int fd SL_CLEANUP(end_fd) = -1;
    TRY(open_key_file(domain_file, create, &fd, err));
    struct secret root SL_CLEANUP(secret_fini) = {0};
    /* A new root key would not open a domain key that is there already. */
    TRY(root_open(root_file, create && fd < 0, &root, err));
    struct secret key SL_CLEANUP(secret_fini) = {0};
    TRY(fd < 0 ? domain_make(&root, domain_file, &key, err)
               : domain_read(&root, fd, domain_file, &key, err));
    ret->key = key;
    key = (struct secret){0};
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
