/* See word.h. */
#include "cli/word.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "lib/base/limits.h"
#include "server/keys/domain.h"

/* One line, without its end. */
static struct sl_rc read_line(int fd, const char *name, struct secret *ret, struct sl_error *err) {
    uint8_t line[LIMIT_ROOT_WORD_BYTES + 1];
    size_t n = 0;
    ssize_t got = 0;
    while (n < sizeof line && (got = read(fd, line + n, 1)) == 1 && line[n] != '\n') {
        n++;
    }
    struct sl_rc rc = SL_OK;
    if (got < 0) {
        rc = sl_fail(err, SL_E_IO, "%s: %m", name);
    } else if (n == 0 || n > LIMIT_ROOT_WORD_BYTES) {
        rc = sl_fail(err, SL_E_VALIDATION, "%s: a passphrase or PIN has 1 to %d bytes", name,
                     LIMIT_ROOT_WORD_BYTES);
    } else {
        secret_fini(ret);
        rc = secret_from(ret, slice_of(line, n));
    }
    secret_wipe(line, sizeof line);
    return rc;
}

static struct sl_rc prompt(int tty, const char *text, struct secret *ret, struct sl_error *err) {
    struct termios before;
    ENSURE(tcgetattr(tty, &before) == 0, err, SL_E_IO, "/dev/tty: %m");
    struct termios quiet = before;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    ENSURE(tcsetattr(tty, TCSAFLUSH, &quiet) == 0, err, SL_E_IO, "/dev/tty: %m");
    dprintf(tty, "%s: ", text);
    struct sl_rc rc = read_line(tty, "/dev/tty", ret, err);
    dprintf(tty, "\n");
    tcsetattr(tty, TCSAFLUSH, &before);
    return rc;
}

static struct sl_rc ask(int tty, enum root_kind kind, bool is_new, struct secret *ret,
                        struct sl_error *err) {
    struct secret again = {0};
    if (kind == ROOT_TOKEN) {
        return prompt(tty, "PIN of the token", ret, err);
    }
    TRY(prompt(tty, is_new ? "New passphrase" : "Passphrase", ret, err));
    if (!is_new) {
        return SL_OK;
    }
    struct sl_rc rc = prompt(tty, "The same again", &again, err);
    bool same = sl_is_ok(rc) && secret_equal(secret_view(ret), secret_view(&again));
    secret_fini(&again);
    TRY(rc);
    ENSURE(same, err, SL_E_VALIDATION, "the two passphrases differ");
    return SL_OK;
}

struct sl_rc word_read(const char *file, enum root_kind kind, bool is_new, struct secret *ret,
                       struct sl_error *err) {
    if (file != NULL && strcmp(file, "-") == 0) {
        return read_line(STDIN_FILENO, "standard input", ret, err);
    }
    int fd = open(file != NULL ? file : "/dev/tty", (file != NULL ? O_RDONLY : O_RDWR) | O_CLOEXEC);
    if (fd < 0) {
        ENSURE(file == NULL, err, SL_E_IO, "%s: %m", file);
        sl_hint(err, "give it with a %s option, or run this on a terminal",
                is_new ? "--new-passphrase-file or --passphrase-file" : "--passphrase-file");
        return sl_fail(err, SL_E_VALIDATION, "the root key needs a %s",
                       kind == ROOT_TOKEN ? "PIN" : "passphrase");
    }
    struct sl_rc rc =
        file != NULL ? read_line(fd, file, ret, err) : ask(fd, kind, is_new, ret, err);
    close(fd);
    return rc;
}

struct sl_rc word_root_kind(const struct instance *in, enum root_kind *ret, struct sl_error *err) {
    char path[INSTANCE_PATH_MAX];
    struct domain_file f;
    struct root_place first;
    instance_path(in, "keys/domain", path, sizeof path);
    if (access(path, F_OK) != 0) {
        TRY(root_place_parse(in->root != NULL ? in->root : "file", in->root_key, &first, err));
        *ret = first.kind;
        return SL_OK;
    }
    TRY(domain_kind(path, &f, err));
    *ret = f.kind;
    return SL_OK;
}
