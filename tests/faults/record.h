/* The log that the shim writes and that tests read: a page of control, then records, each at the
 * position that it reserved when its operation had completed, so that positions are one order over
 * all processes. tests/faults/replay.py reads the same layout. */
#ifndef SEALIFT_TESTS_FAULTS_RECORD_H
#define SEALIFT_TESTS_FAULTS_RECORD_H

#include <stdatomic.h>
#include <stdint.h>

#define FAULTS_MAGIC 0x3153544c55414653ULL /* "SFAULTS1" */
#define FAULTS_RECORD_MAGIC 0x44524346u    /* "FCRD" */

enum { FAULTS_CONTROL_BYTES = 4096, FAULTS_ALIGN = 8 };

/* Operations. `ino` is the file's, `dir` and `dir2` are those of the folders that hold the names.
 */
enum faults_op {
    FAULTS_OPEN = 1,  /* dir, name, ino; flags: O_CREAT, O_TRUNC */
    FAULTS_WRITE = 2, /* ino, offset, data */
    FAULTS_TRUNC = 3, /* ino, offset: the new size */
    FAULTS_GROW = 4,  /* ino, offset: size at least this */
    FAULTS_RENAME = 5,
    FAULTS_LINK = 6,
    FAULTS_UNLINK = 7,
    FAULTS_MKDIR = 8,
    FAULTS_RMDIR = 9,
    FAULTS_SYNC = 10,    /* ino; start: all before this position is flushed */
    FAULTS_SYNCALL = 11, /* start */
    FAULTS_SYMLINK = 12, /* dir, name, name2: the target */
    FAULTS_CONTENT = 13, /* ino, data: the whole file, written through stdio */
    FAULTS_UNSEEN = 14,  /* ino; writes that can't be recorded (a shared, writable mapping) */
};

struct faults_record {
    uint32_t magic;
    uint32_t op;
    uint64_t size; /* of the record: this, name, name2, data, padding */
    uint64_t ino;
    uint64_t dir;
    uint64_t dir2;
    int64_t offset;
    uint64_t data_len;
    uint64_t start;
    uint64_t time_ns; /* CLOCK_MONOTONIC */
    uint32_t flags;
    uint32_t mode;
    uint32_t uid;
    uint32_t gid;
    uint32_t pid;
    uint16_t name_len;
    uint16_t name2_len;
};

/* Kinds of call that can be made to fail, as bits. */
enum {
    FAULTS_KIND_MALLOC = 1 << 0,
    FAULTS_KIND_WRITE = 1 << 1, /* to regular files */
    FAULTS_KIND_SYNC = 1 << 2,
    FAULTS_KIND_TRUNC = 1 << 3,
    FAULTS_KIND_NAME = 1 << 4, /* rename, link, unlink, mkdir, rmdir */
    FAULTS_KIND_CREATE = 1 << 5,
    FAULTS_KIND_GROW = 1 << 6, /* fallocate */
};

struct faults_control {
    uint64_t magic;
    uint64_t device; /* st_dev of the recorded files */
    _Atomic uint64_t tail;
    uint64_t limit; /* nothing is recorded beyond it */
    _Atomic uint32_t recording;
    _Atomic uint32_t full; /* a record did not fit, or could not be written */
    /* Failures: the countdown'th matching call of the process fails, with `sticky` all after it. */
    _Atomic uint32_t kinds;
    _Atomic uint32_t sticky;
    _Atomic int32_t error;
    char process[20];
    _Atomic int64_t countdown;
    _Atomic uint64_t failed;  /* calls that were made to fail */
    _Atomic uint32_t no_room; /* the disk is full: no file gets a block that it doesn't have */
    _Atomic uint64_t flushed; /* not 0: of the flushes only those of this inode fail */
};

#endif
