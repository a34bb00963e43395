/* The folder of part files; see blob.h. Pins are a short list under one lock: there are at most as
 * many as requests being served. */
#include "server/store/blob/blob_in.h"

#include "lib/base/folder.h"
#include "lib/crypto/crypto.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

struct pin {
    struct pin *next;
    struct blob_id object;
    size_t readers;
    struct blob_id *dropped; /* parts to remove at the last unpin */
    size_t dropped_count;
};

struct blob_store {
    int dir_fd;
    pthread_mutex_t mu;
    struct pin *pins; /* under mu */
};

void blob_id_random(struct blob_id *ret) {
    crypto_random(ret->bytes, sizeof ret->bytes);
}

void blob_path(const struct blob_id *id, char out[BLOB_PATH_BYTES]) {
    static const char digits[] = "0123456789abcdef";
    char *p = out;
    for (size_t i = 0; i < BLOB_ID_LEN; i++) {
        if (i == 0) {
            *p++ = digits[id->bytes[0] >> 4];
            *p++ = digits[id->bytes[0] & 15];
            *p++ = '/';
        }
        *p++ = digits[id->bytes[i] >> 4];
        *p++ = digits[id->bytes[i] & 15];
    }
    *p = '\0';
}

int blob_dir_fd(const struct blob_store *s) {
    return s->dir_fd;
}

static struct sl_rc make_folders(int dir_fd, struct sl_error *err) {
    for (unsigned i = 0; i < 256; i++) {
        char name[3];
        snprintf(name, sizeof name, "%02x", i);
        if (mkdirat(dir_fd, name, 0700) != 0 && errno != EEXIST) {
            return sl_fail(err, errno == ENOSPC ? SL_E_FULL : SL_E_IO, "parts/%s: %s", name,
                           strerror(errno));
        }
    }
    ENSURE(fsync(dir_fd) == 0, err, SL_E_IO, "parts folder: %s", strerror(errno));
    return SL_OK;
}

struct sl_rc blob_store_open(const char *dir, struct blob_store **ret, struct sl_error *err) {
    TRY(folder_make(dir, 0700, err));
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ENSURE(fd >= 0, err, SL_E_IO, "%s: %s", dir, strerror(errno));
    struct sl_rc rc = make_folders(fd, err);
    struct blob_store *s = sl_is_ok(rc) ? calloc(1, sizeof *s) : NULL;
    if (s == NULL) {
        close(fd);
        return sl_failed(rc) ? rc : sl_fail(err, SL_E_NOMEM, "no memory for the part store");
    }
    s->dir_fd = fd;
    pthread_mutex_init(&s->mu, NULL);
    *ret = s;
    return SL_OK;
}

void blob_store_close(struct blob_store *s) {
    if (s == NULL) {
        return;
    }
    close(s->dir_fd);
    pthread_mutex_destroy(&s->mu);
    free(s);
}

static bool parse_name(unsigned folder, const char *name, struct blob_id *ret) {
    if (strlen(name) != 32) {
        return false;
    }
    for (size_t i = 0; i < BLOB_ID_LEN; i++) {
        unsigned v = 0;
        for (size_t j = 0; j < 2; j++) {
            char ch = name[2 * i + j];
            bool digit = ch >= '0' && ch <= '9';
            if (!digit && (ch < 'a' || ch > 'f')) {
                return false;
            }
            v = v << 4 | (unsigned)(digit ? ch - '0' : ch - 'a' + 10);
        }
        ret->bytes[i] = (uint8_t)v;
    }
    return ret->bytes[0] == folder;
}

static struct sl_rc sweep_folder(DIR *d, unsigned folder, int64_t before_s, blob_known_fn known,
                                 void *user, size_t *removed, struct sl_error *err) {
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        struct blob_id id;
        struct stat st;
        if (!parse_name(folder, e->d_name, &id) ||
            fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode) ||
            st.st_mtime >= before_s) {
            continue;
        }
        bool is_known = true;
        TRY(known(&id, user, &is_known));
        if (!is_known) {
            ENSURE(unlinkat(dirfd(d), e->d_name, 0) == 0 || errno == ENOENT, err, SL_E_IO,
                   "parts/%02x/%s: %s", folder, e->d_name, strerror(errno));
            ++*removed;
        }
    }
    return SL_OK;
}

struct sl_rc blob_sweep(struct blob_store *s, int64_t before_s, blob_known_fn known, void *user,
                        size_t *ret_removed, struct sl_error *err) {
    size_t removed = 0;
    struct sl_rc rc = SL_OK;
    for (unsigned i = 0; i < 256 && sl_is_ok(rc); i++) {
        char name[3];
        snprintf(name, sizeof name, "%02x", i);
        int fd = openat(s->dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
        if (d == NULL) {
            rc = sl_fail(err, SL_E_IO, "parts/%s: %s", name, strerror(errno));
            if (fd >= 0) {
                close(fd);
            }
            break;
        }
        rc = sweep_folder(d, i, before_s, known, user, &removed, err);
        closedir(d);
    }
    if (sl_is_ok(rc)) {
        *ret_removed = removed;
    }
    return rc;
}

static void remove_parts(struct blob_store *s, const struct blob_id *parts, size_t count) {
    for (size_t i = 0; i < count; i++) {
        char path[BLOB_PATH_BYTES];
        blob_path(&parts[i], path);
        (void)unlinkat(s->dir_fd, path, 0); /* what stays is swept at the next start */
    }
}

static struct pin **find_pin(struct blob_store *s, const struct blob_id *object) {
    struct pin **p = &s->pins;
    while (*p != NULL && !blob_id_eq(&(*p)->object, object)) {
        p = &(*p)->next;
    }
    return p;
}

struct sl_rc blob_pin(struct blob_store *s, const struct blob_id *object) {
    pthread_mutex_lock(&s->mu);
    struct pin **at = find_pin(s, object);
    if (*at == NULL) {
        *at = calloc(1, sizeof **at);
        if (*at != NULL) {
            (*at)->object = *object;
        }
    }
    if (*at != NULL) {
        (*at)->readers++;
    }
    bool ok = *at != NULL;
    pthread_mutex_unlock(&s->mu);
    return ok ? SL_OK : sl_rc_of(SL_E_NOMEM);
}

void blob_unpin(struct blob_store *s, const struct blob_id *object) {
    struct pin *last = NULL;
    pthread_mutex_lock(&s->mu);
    struct pin **at = find_pin(s, object);
    if (*at != NULL && --(*at)->readers == 0) {
        last = *at;
        *at = last->next;
    }
    pthread_mutex_unlock(&s->mu);
    if (last != NULL) {
        remove_parts(s, last->dropped, last->dropped_count);
        free(last->dropped);
        free(last);
    }
}

void blob_drop(struct blob_store *s, const struct blob_id *object, const struct blob_id *parts,
               size_t count) {
    if (count == 0) {
        return;
    }
    bool later = false;
    pthread_mutex_lock(&s->mu);
    struct pin *p = *find_pin(s, object);
    if (p != NULL) {
        struct blob_id *all = reallocarray(p->dropped, p->dropped_count + count, sizeof *all);
        later = true; /* without memory the files wait for the sweep */
        if (all != NULL) {
            memcpy(all + p->dropped_count, parts, count * sizeof *all);
            p->dropped = all;
            p->dropped_count += count;
        }
    }
    pthread_mutex_unlock(&s->mu);
    if (!later) {
        remove_parts(s, parts, count);
    }
}
