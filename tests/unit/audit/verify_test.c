/* Every alteration by someone without the audit key is found. */
#include "lib/codec/text.h"
#include "lib/crypto/crypto.h"
#include "tests/unit/audit/log.h"

/* Two closed segments and an open one: records 1-4, 5-8, 9-11, with a header each. */
static struct audit *three_segments(struct log_rig *l) {
    struct audit *a = NULL;
    for (int s = 0; s < 3; s++) {
        a = log_open(l, false);
        for (int i = 0; i < (s < 2 ? 3 : 2); i++) {
            OK(put(a, s * 3 + i, true));
        }
        if (s < 2) {
            audit_close(a);
        }
    }
    return a;
}

static void untouched(void **state) {
    struct log_rig l;
    log_rig_start(&l);
    struct audit *a = three_segments(&l);
    OK(check(&l, true));
    says(&l, "segment 1: records 1 to 4, closed, ok");
    says(&l, "segment 3: records 9 to 11, open, ok");
    says(&l, "verified: 3 segment(s), 11 record(s)");
    OK(check(&l, false));
    says(&l, "heads and sequence only");
    audit_close(a);
    OK(check(&l, true));
    says(&l, "segment 3: records 9 to 11, closed, ok");
    log_rig_stop(&l);
}

static void every_byte(void **state) {
    struct log_rig l;
    static char mem[16384];
    log_rig_start(&l);
    audit_close(three_segments(&l));
    for (uint64_t first = 1; first <= 9; first += 4) {
        size_t n = log_get(&l, first, ".log", mem, sizeof mem);
        assert_true(n > 0);
        for (size_t i = 0; i < n; i += first == 5 ? 1 : 11) {
            char was = mem[i];
            mem[i] ^= was >= 'a' && was <= 'f' && i % 2 == 0 ? 0x20 : 1; /* upper case too */
            log_set(&l, first, ".log", mem, n);
            FAILS(check(&l, true), SL_E_CORRUPT);
            mem[i] = was;
        }
        log_set(&l, first, ".log", mem, n);
        n = log_get(&l, first, ".head", mem, sizeof mem);
        assert_true(n > 0);
        for (size_t i = 0; i + 1 < n;
             i += first == 5 ? 1 : 11) { /* the newline at its end means nothing */
            mem[i] ^= 1;
            log_set(&l, first, ".head", mem, n);
            FAILS(check(&l, i % 2 == 0), SL_E_CORRUPT);
            mem[i] ^= 1;
        }
        log_set(&l, first, ".head", mem, n);
    }
    OK(check(&l, true));
    log_rig_stop(&l);
}

/* The lines of a segment, put together again in another way. */
struct cut {
    const char *name;
    int lines[8]; /* indexes, -1 ends */
    const char *finding;
};

static void lines_moved(void **state) {
    static const struct cut cuts[] = {
        {"as it was", {0, 1, 2, 3, -1}, NULL},
        {"dropped", {0, 1, 3, -1}, "record 7: missing or out of order"},
        {"last dropped", {0, 1, 2, -1}, "names record 8 as the last"},
        {"header dropped", {1, 2, 3, -1}, "record 5: missing"},
        {"reordered", {0, 2, 1, 3, -1}, "record 6: missing or out of order"},
        {"repeated", {0, 1, 1, 2, 3, -1}, "record 7: missing or out of order"},
        {"empty", {-1}, "no records"},
    };
    struct log_rig l;
    static char mem[16384], out[32768];
    log_rig_start(&l);
    audit_close(three_segments(&l));
    log_get(&l, 5, ".log", mem, sizeof mem);
    char *line[8] = {mem};
    for (int i = 1; i < 5; i++) {
        line[i] = strchr(line[i - 1], '\n') + 1;
    }
    for (size_t c = 0; c < sizeof cuts / sizeof cuts[0]; c++) {
        size_t n = 0;
        for (const int *i = cuts[c].lines; *i >= 0; i++) {
            size_t len = (size_t)(line[*i + 1] - line[*i]);
            memcpy(out + n, line[*i], len);
            n += len;
        }
        log_set(&l, 5, ".log", out, n);
        if (cuts[c].finding == NULL) {
            OK(check(&l, true));
            continue;
        }
        FAILS(check(&l, true), SL_E_CORRUPT);
        says(&l, cuts[c].finding);
        FAILS(check(&l, false), SL_E_CORRUPT);
    }
    log_rig_stop(&l);
}

/* A record with a good form and a made-up MAC, and one whose sequence was written anew. */
static void forged(void **state) {
    struct log_rig l;
    static char mem[16384], out[32768];
    log_rig_start(&l);
    audit_close(three_segments(&l));
    size_t n = log_get(&l, 5, ".log", mem, sizeof mem);
    char *second = strchr(mem, '\n') + 1;
    char *third = strchr(second, '\n') + 1;
    int m = snprintf(out, sizeof out, "%.*s{\"n\":99}\t6\t%064d\n%s", (int)(second - mem), mem, 7,
                     third);
    log_set(&l, 5, ".log", out, (size_t)m);
    FAILS(check(&l, true), SL_E_CORRUPT);
    says(&l, "record 6: altered");
    /* Inserted, with all later numbers moved up. */
    struct buf moved SL_CLEANUP(buf_fini) = BUF_INIT(64 * 1024);
    buf_put(&moved, slice_of(out, (size_t)(strchr(strchr(out, '\n') + 1, '\n') + 1 - out)));
    for (char *s = second; s < mem + n; s = strchr(s, '\n') + 1) {
        struct audit_line line;
        assert_true(audit_line_parse(slice_of(s, (size_t)(strchr(s, '\n') - s)), &line));
        line.seq++;
        audit_line_put(&moved, &line);
    }
    log_set(&l, 5, ".log", (const char *)moved.ptr, moved.len);
    FAILS(check(&l, true), SL_E_CORRUPT);
    says(&l, "record 6: altered");
    says(&l, "names record 8 as the last");
    log_rig_stop(&l);
}

static void remove_file(struct log_rig *l, uint64_t first, const char *suffix) {
    char path[160];
    log_path(l, first, suffix, path);
    assert_int_equal(unlink(path), 0);
}

static void segments_removed(void **state) {
    static const struct {
        uint64_t first;
        const char *suffixes[2];
        const char *finding;
    } cases[] = {
        {1, {".log", ".head"}, "records 1 to 4: missing"},
        {5, {".log", ".head"}, "records 5 to 8: missing"},
        {5, {".log", NULL}, "a head whose segment is missing"},
        {9, {".log", NULL}, "a head whose segment is missing"},
        {5, {".head", NULL}, "no head, though another segment follows"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct log_rig l;
        log_rig_start(&l);
        audit_close(three_segments(&l));
        for (int s = 0; s < 2 && cases[i].suffixes[s] != NULL; s++) {
            remove_file(&l, cases[i].first, cases[i].suffixes[s]);
        }
        FAILS(check(&l, true), SL_E_CORRUPT);
        says(&l, cases[i].finding);
        log_rig_stop(&l);
    }
    struct log_rig l;
    log_rig_start(&l);
    assert_int_equal(mkdir(l.dir, 0700), 0);
    FAILS(check(&l, true), SL_E_CORRUPT);
    says(&l, "no segment");
    log_rig_stop(&l);
}

/* Whole files exchanged or repeated, with their heads and without. */
static void segments_swapped(void **state) {
    static char a[16384], b[16384];
    for (int heads = 0; heads < 2; heads++) {
        for (int repeat = 0; repeat < 2; repeat++) {
            struct log_rig l;
            log_rig_start(&l);
            audit_close(three_segments(&l));
            for (int i = 0; i <= heads; i++) {
                const char *suffix = i == 0 ? ".log" : ".head";
                size_t m = log_get(&l, 1, suffix, a, sizeof a);
                size_t n = log_get(&l, 5, suffix, b, sizeof b);
                log_set(&l, 5, suffix, a, m);
                log_set(&l, repeat ? 13 : 1, suffix, b, n);
            }
            FAILS(check(&l, true), SL_E_CORRUPT);
            FAILS(check(&l, false), SL_E_CORRUPT);
            log_rig_stop(&l);
        }
    }
}

/* A segment's head signed by a key of the forger's own. */
static void foreign_key(void **state) {
    struct log_rig l;
    log_rig_start(&l);
    audit_close(three_segments(&l));
    char mem[2048];
    size_t n = log_get(&l, 5, ".head", mem, sizeof mem);
    struct slice text = slice_sub(slice_of(mem, n), 0, slice_find(slice_of(mem, n), '\t'));
    uint8_t signature[64], key[32];
    OK(ed25519_sign(SLICE_LIT("0123456789abcdef0123456789abcdef"), text, signature, key));
    struct buf line SL_CLEANUP(buf_fini) = BUF_INIT(4096);
    audit_head_line(&line, text, signature, key);
    log_set(&l, 5, ".head", (const char *)line.ptr, line.len);
    FAILS(check(&l, true), SL_E_CORRUPT);
    says(&l, "signed with another key");
    FAILS(check(&l, false), SL_E_CORRUPT);
    log_rig_stop(&l);
}

/* A log of another instance is not this keyholder's, though its heads are in order. */
static void foreign_log(void **state) {
    struct log_rig l, other;
    log_rig_start(&l);
    log_rig_start(&other);
    audit_close(three_segments(&l));
    OK(check(&l, false));
    FAILS(check_with(&l, other.keys.k), SL_E_CORRUPT);
    says(&l, "record 1: altered");
    says(&l, "signed with another key");
    log_rig_stop(&other);
    log_rig_stop(&l);
}

static void head_kept_elsewhere(void **state) {
    struct log_rig l;
    log_rig_start(&l);
    struct audit *a = three_segments(&l);
    struct buf head SL_CLEANUP(buf_fini) = BUF_INIT(4096);
    OK(audit_head(a, &head, NULL));
    OK(put(a, 100, true));
    audit_close(a);
    OK(audit_verify_head(l.dir, buf_slice(&head), note, &l, NULL));
    says(&l, "holds record 11");
    /* The last segment goes back to its header: nothing inside tells, the head does. */
    char mem[4096];
    log_get(&l, 9, ".log", mem, sizeof mem);
    log_set(&l, 9, ".log", mem, (size_t)(strchr(mem, '\n') + 1 - mem));
    remove_file(&l, 9, ".head");
    OK(check(&l, true));
    FAILS(audit_verify_head(l.dir, buf_slice(&head), note, &l, NULL), SL_E_CORRUPT);
    head.ptr[15] ^= 1;
    FAILS(audit_verify_head(l.dir, buf_slice(&head), note, &l, NULL), SL_E_CORRUPT);
    FAILS(audit_verify_head(l.dir, SLICE_LIT("x"), note, &l, NULL), SL_E_CORRUPT);
    log_rig_stop(&l);
}

static void lines_parse(void **state) {
    struct audit_line l;
#define MAC "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
    assert_true(audit_line_parse(SLICE_LIT("{}\t7\t" MAC), &l));
    assert_int_equal(l.seq, 7);
    assert_int_equal(l.mac[31], 0x1f);
    assert_true(slice_eq(l.record, SLICE_LIT("{}")));
    static const char *const bad[] = {
        "",
        "{}",
        "{}\t7",
        "{}\t7\t",
        "{}\t\t" MAC,
        "{}\t-1\t" MAC,
        "\t7\t" MAC,
        "{}\t7\t" MAC "0",
        "{}\t7\tg" MAC,
        "{}\t7\t" MAC "\t",
        "{} 7\t" MAC,
        "{}\t99999999999999999999\t" MAC,
        "{}\t07\t" MAC,
        "{}\t7\t000102030405060708090A0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(audit_line_parse(slice_cstr(bad[i]), &l));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(untouched),        cmocka_unit_test(every_byte),
        cmocka_unit_test(lines_moved),      cmocka_unit_test(forged),
        cmocka_unit_test(segments_removed), cmocka_unit_test(foreign_key),
        cmocka_unit_test(foreign_log),      cmocka_unit_test(head_kept_elsewhere),
        cmocka_unit_test(lines_parse),      cmocka_unit_test(segments_swapped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
