/* The instance's certificates; see x509.h. Extensions are built as structures, never from text, so
 * that a host name can't smuggle in another one. */
#include "lib/crypto/x509.h"

#include "lib/base/clock.h"
#include "lib/crypto/crypto.h"

#include <arpa/inet.h>
#include <limits.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <time.h>

enum {
    HOSTS_MAX = 64,
    DNS_NAME_MAX = 253,
    COMMON_NAME_MAX = 64, /* ub-common-name of RFC 5280 */
    SERVER_DAYS_MAX = 397,
    CA_DAYS_MAX = 20 * 366,
    BACKDATE_S = 3600, /* for clients whose clock is behind */
    DAY_S = 86400
};

/* Cleanup of OpenSSL's types. */
#define ENDS(type, name, call)                                                                     \
    static void name(type **p) {                                                                   \
        call(*p);                                                                                  \
    }
ENDS(X509, end_x509, X509_free)
ENDS(EVP_PKEY, end_pkey, EVP_PKEY_free)
ENDS(BIO, end_bio, BIO_free_all)
ENDS(GENERAL_NAMES, end_names, GENERAL_NAMES_free)
ENDS(NAME_CONSTRAINTS, end_constraints, NAME_CONSTRAINTS_free)

struct host {
    bool is_ip;
    uint8_t ip[16];
    size_t ip_len;
    struct slice dns;
};

static struct sl_rc host_parse(const char *text, struct host *ret, struct sl_error *err) {
    struct host h = {.dns = slice_cstr(text)};
    if (inet_pton(AF_INET, text, h.ip) == 1) {
        h.is_ip = true;
        h.ip_len = 4;
    } else if (inet_pton(AF_INET6, text, h.ip) == 1) {
        h.is_ip = true;
        h.ip_len = 16;
    } else {
        bool ok = h.dns.len > 0 && h.dns.len <= DNS_NAME_MAX && h.dns.ptr[0] != '.';
        for (size_t i = 0; ok && i < h.dns.len; i++) {
            uint8_t c = h.dns.ptr[i];
            bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
            bool star = c == '*' && i == 0 && h.dns.len > 2 && h.dns.ptr[1] == '.';
            ok = letter || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || star;
        }
        ENSURE(ok, err, SL_E_VALIDATION, "'%.200s' is neither a host name nor an IP address.",
               text);
    }
    *ret = h;
    return SL_OK;
}

static GENERAL_NAME *dns_name(struct slice dns) {
    GENERAL_NAME *g = GENERAL_NAME_new();
    ASN1_IA5STRING *s = ASN1_IA5STRING_new();
    if (g == NULL || s == NULL ||
        ASN1_STRING_set(s, dns.len ? dns.ptr : (const uint8_t *)"", (int)dns.len) != 1) {
        GENERAL_NAME_free(g);
        ASN1_IA5STRING_free(s);
        return NULL;
    }
    GENERAL_NAME_set0_value(g, GEN_DNS, s);
    return g;
}

static GENERAL_NAME *ip_name(const uint8_t *p, size_t len) {
    GENERAL_NAME *g = GENERAL_NAME_new();
    ASN1_OCTET_STRING *s = ASN1_OCTET_STRING_new();
    if (g == NULL || s == NULL || ASN1_OCTET_STRING_set(s, p, (int)len) != 1) {
        GENERAL_NAME_free(g);
        ASN1_OCTET_STRING_free(s);
        return NULL;
    }
    GENERAL_NAME_set0_value(g, GEN_IPADD, s);
    return g;
}

/* Takes `name`, which may be NULL after a failed allocation. */
static bool add_subtree(STACK_OF(GENERAL_SUBTREE) * *list, GENERAL_NAME *name) {
    GENERAL_SUBTREE *sub = GENERAL_SUBTREE_new();
    if (*list == NULL) {
        *list = sk_GENERAL_SUBTREE_new_null();
    }
    if (name == NULL || sub == NULL || *list == NULL) {
        GENERAL_NAME_free(name);
        GENERAL_SUBTREE_free(sub);
        return false;
    }
    GENERAL_NAME_free(sub->base);
    sub->base = name;
    if (sk_GENERAL_SUBTREE_push(*list, sub) <= 0) {
        GENERAL_SUBTREE_free(sub);
        return false;
    }
    return true;
}

/* Permits the hosts; a kind of name (DNS, IP) with no host is excluded as a whole, since a
 * constraint says nothing about kinds that it does not mention. */
static struct sl_rc constrain(X509 *cert, const struct host *hosts, size_t count,
                              struct sl_error *err) {
    NAME_CONSTRAINTS *nc SL_CLEANUP(end_constraints) = NAME_CONSTRAINTS_new();
    bool ok = nc != NULL;
    bool any_dns = false;
    bool any_ip = false;
    for (size_t i = 0; ok && i < count; i++) {
        const struct host *h = &hosts[i];
        if (h->is_ip) {
            uint8_t net[32];
            memcpy(net, h->ip, h->ip_len);
            memset(net + h->ip_len, 0xff, h->ip_len);
            ok = add_subtree(&nc->permittedSubtrees, ip_name(net, 2 * h->ip_len));
            any_ip = true;
        } else {
            size_t from = h->dns.ptr[0] == '*' ? 2 : 0; /* *.example.org: below example.org */
            ok = add_subtree(&nc->permittedSubtrees, dns_name(slice_sub(h->dns, from, h->dns.len)));
            any_dns = true;
        }
    }
    static const uint8_t zeros[32];
    if (ok && !any_dns) {
        ok = add_subtree(&nc->excludedSubtrees, dns_name(SLICE_EMPTY));
    }
    if (ok && !any_ip) {
        ok = add_subtree(&nc->excludedSubtrees, ip_name(zeros, 8)) &&
             add_subtree(&nc->excludedSubtrees, ip_name(zeros, 32));
    }
    ok = ok && X509_add1_ext_i2d(cert, NID_name_constraints, nc, 1, X509V3_ADD_DEFAULT) == 1;
    ENSURE(ok, err, SL_E_INTERNAL, "The name constraints could not be built.");
    return SL_OK;
}

static struct sl_rc add_san(X509 *cert, const struct host *hosts, size_t count,
                            struct sl_error *err) {
    GENERAL_NAMES *names SL_CLEANUP(end_names) = GENERAL_NAMES_new();
    bool ok = names != NULL;
    for (size_t i = 0; ok && i < count; i++) {
        GENERAL_NAME *g =
            hosts[i].is_ip ? ip_name(hosts[i].ip, hosts[i].ip_len) : dns_name(hosts[i].dns);
        ok = g != NULL && sk_GENERAL_NAME_push(names, g) > 0;
        if (!ok) {
            GENERAL_NAME_free(g);
        }
    }
    ok = ok && X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) == 1;
    ENSURE(ok, err, SL_E_INTERNAL, "The alternative names could not be built.");
    return SL_OK;
}

static bool add_key_usage(X509 *cert, const int *bits, size_t count) {
    ASN1_BIT_STRING *usage = ASN1_BIT_STRING_new();
    bool ok = usage != NULL;
    for (size_t i = 0; ok && i < count; i++) {
        ok = ASN1_BIT_STRING_set_bit(usage, bits[i], 1) == 1;
    }
    ok = ok && X509_add1_ext_i2d(cert, NID_key_usage, usage, 1, X509V3_ADD_DEFAULT) == 1;
    ASN1_BIT_STRING_free(usage);
    return ok;
}

static bool add_basic(X509 *cert, bool is_ca) {
    BASIC_CONSTRAINTS *b = BASIC_CONSTRAINTS_new();
    bool ok = b != NULL;
    if (ok && is_ca) {
        b->ca = 0xff;
        b->pathlen = ASN1_INTEGER_new();
        ok = b->pathlen != NULL && ASN1_INTEGER_set(b->pathlen, 0) == 1;
    }
    ok = ok && X509_add1_ext_i2d(cert, NID_basic_constraints, b, 1, X509V3_ADD_DEFAULT) == 1;
    BASIC_CONSTRAINTS_free(b);
    return ok;
}

static bool add_server_auth(X509 *cert) {
    EXTENDED_KEY_USAGE *eku = EXTENDED_KEY_USAGE_new();
    bool ok = eku != NULL && sk_ASN1_OBJECT_push(eku, OBJ_nid2obj(NID_server_auth)) > 0 &&
              X509_add1_ext_i2d(cert, NID_ext_key_usage, eku, 0, X509V3_ADD_DEFAULT) == 1;
    EXTENDED_KEY_USAGE_free(eku);
    return ok;
}

/* Subject key id of the certificate, authority key id of its issuer (itself for the CA). */
static bool add_key_ids(X509 *cert, X509 *issuer) {
    uint8_t id[EVP_MAX_MD_SIZE];
    unsigned id_len = 0;
    ASN1_OCTET_STRING *ski = ASN1_OCTET_STRING_new();
    bool ok = ski != NULL && X509_pubkey_digest(cert, EVP_sha1(), id, &id_len) == 1 &&
              ASN1_OCTET_STRING_set(ski, id, (int)id_len) == 1 &&
              X509_add1_ext_i2d(cert, NID_subject_key_identifier, ski, 0, X509V3_ADD_DEFAULT) == 1;
    ASN1_OCTET_STRING_free(ski);
    AUTHORITY_KEYID *aki = AUTHORITY_KEYID_new();
    ok = ok && aki != NULL &&
         (aki->keyid = X509_get_ext_d2i(issuer, NID_subject_key_identifier, NULL, NULL)) != NULL &&
         X509_add1_ext_i2d(cert, NID_authority_key_identifier, aki, 0, X509V3_ADD_DEFAULT) == 1;
    AUTHORITY_KEYID_free(aki);
    return ok;
}

static bool set_serial(X509 *cert) {
    uint8_t raw[16];
    crypto_random(raw, sizeof raw);
    raw[0] = (uint8_t)((raw[0] & 0x7f) | 0x40); /* positive, and of full length */
    BIGNUM *n = BN_bin2bn(raw, sizeof raw, NULL);
    bool ok = n != NULL && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert)) != NULL;
    BN_free(n);
    return ok;
}

/* Version, serial, dates, subject, public key. */
static struct sl_rc start_cert(X509 *cert, const char *common_name, int days, EVP_PKEY *key,
                               struct sl_error *err) {
    time_t from = (time_t)(clock_real_ms() / 1000 - BACKDATE_S);
    X509_NAME *subject = X509_NAME_new();
    bool ok = cert != NULL && subject != NULL && X509_set_version(cert, X509_VERSION_3) == 1 &&
              set_serial(cert) && ASN1_TIME_set(X509_getm_notBefore(cert), from) != NULL &&
              ASN1_TIME_set(X509_getm_notAfter(cert), from + (time_t)days * DAY_S) != NULL &&
              X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                         (const unsigned char *)common_name, -1, -1, 0) == 1 &&
              X509_set_subject_name(cert, subject) == 1 && X509_set_pubkey(cert, key) == 1;
    X509_NAME_free(subject);
    ENSURE(ok, err, SL_E_INTERNAL, "The certificate could not be built.");
    return SL_OK;
}

static struct sl_rc cert_to_pem(X509 *cert, struct buf *out, struct sl_error *err) {
    BIO *bio SL_CLEANUP(end_bio) = BIO_new(BIO_s_mem());
    ENSURE(bio != NULL && PEM_write_bio_X509(bio, cert) == 1, err, SL_E_NOMEM, "Out of memory.");
    char *p = NULL;
    long n = BIO_get_mem_data(bio, &p);
    buf_put(out, slice_of(p, (size_t)n));
    return buf_check(out, err);
}

/* The memory BIO clears what it held when it grows and when it is freed. */
static struct sl_rc key_to_pem(EVP_PKEY *key, struct secret *ret, struct sl_error *err) {
    BIO *bio SL_CLEANUP(end_bio) = BIO_new(BIO_s_mem());
    ENSURE(bio != NULL && PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1, err,
           SL_E_NOMEM, "Out of memory.");
    char *p = NULL;
    long n = BIO_get_mem_data(bio, &p);
    return secret_from(ret, slice_of(p, (size_t)n));
}

static struct sl_rc parse_hosts(const char *const *texts, size_t count, struct host *out,
                                struct sl_error *err) {
    ENSURE(count >= 1 && count <= HOSTS_MAX, err, SL_E_VALIDATION,
           "A certificate needs between 1 and %d host names.", HOSTS_MAX);
    for (size_t i = 0; i < count; i++) {
        TRY(host_parse(texts[i], &out[i], err));
    }
    return SL_OK;
}

static struct sl_rc finish(X509 *cert, EVP_PKEY *signer, EVP_PKEY *key, struct buf *ret_cert_pem,
                           struct secret *ret_key_pem, struct sl_error *err) {
    ENSURE(X509_sign(cert, signer, EVP_sha256()) > 0, err, SL_E_INTERNAL,
           "The certificate could not be signed.");
    TRY(cert_to_pem(cert, ret_cert_pem, err));
    return key_to_pem(key, ret_key_pem, err);
}

struct sl_rc x509_make_ca(const char *common_name, const char *const *hosts, size_t host_count,
                          int days, struct buf *ret_cert_pem, struct secret *ret_key_pem,
                          struct sl_error *err) {
    struct host parsed[HOSTS_MAX];
    TRY(parse_hosts(hosts, host_count, parsed, err));
    ENSURE(days >= 1 && days <= CA_DAYS_MAX, err, SL_E_VALIDATION,
           "A CA certificate is valid for 1 to %d days.", CA_DAYS_MAX);
    ENSURE(common_name[0] != '\0' && strlen(common_name) <= COMMON_NAME_MAX, err, SL_E_VALIDATION,
           "A common name has 1 to %d bytes.", COMMON_NAME_MAX);
    EVP_PKEY *key SL_CLEANUP(end_pkey) = EVP_EC_gen("P-256");
    ENSURE(key != NULL, err, SL_E_INTERNAL, "The key could not be made.");
    X509 *cert SL_CLEANUP(end_x509) = X509_new();
    TRY(start_cert(cert, common_name, days, key, err));
    static const int usage[] = {5, 6}; /* keyCertSign, cRLSign (RFC 5280, 4.2.1.3) */
    ENSURE(X509_set_issuer_name(cert, X509_get_subject_name(cert)) == 1 && add_basic(cert, true) &&
               add_key_usage(cert, usage, 2) && add_key_ids(cert, cert),
           err, SL_E_INTERNAL, "The certificate could not be built.");
    TRY(constrain(cert, parsed, host_count, err));
    return finish(cert, key, key, ret_cert_pem, ret_key_pem, err);
}

static struct sl_rc read_cert(struct slice pem, X509 **ret, struct sl_error *err) {
    ENSURE(pem.len > 0 && pem.len <= INT_MAX, err, SL_E_PARSE, "The certificate is empty.");
    BIO *bio SL_CLEANUP(end_bio) = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    X509 *cert = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    ENSURE(cert != NULL, err, SL_E_PARSE, "The certificate can't be read.");
    *ret = cert;
    return SL_OK;
}

/* A common name that looks like a host is held against the constraints on DNS names, so an address
 * can't be one. */
static const char *server_name(const char *const *hosts, const struct host *parsed, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (!parsed[i].is_ip && parsed[i].dns.len <= COMMON_NAME_MAX) {
            return hosts[i];
        }
    }
    return "sealift";
}

static int no_passphrase(char *out, int size, int writing, void *user) {
    return -1;
}

struct sl_rc x509_issue(struct slice ca_cert_pem, const struct secret *ca_key_pem,
                        const char *const *hosts, size_t host_count, int days,
                        struct buf *ret_cert_pem, struct secret *ret_key_pem,
                        struct sl_error *err) {
    struct host parsed[HOSTS_MAX];
    TRY(parse_hosts(hosts, host_count, parsed, err));
    ENSURE(days >= 1 && days <= SERVER_DAYS_MAX, err, SL_E_VALIDATION,
           "A server certificate is valid for 1 to %d days.", SERVER_DAYS_MAX);
    X509 *ca SL_CLEANUP(end_x509) = NULL;
    TRY(read_cert(ca_cert_pem, &ca, err));
    BIO *bio SL_CLEANUP(end_bio) = BIO_new_mem_buf(ca_key_pem->ptr, (int)ca_key_pem->len);
    EVP_PKEY *ca_key SL_CLEANUP(end_pkey) =
        bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
    ENSURE(ca_key != NULL && X509_check_private_key(ca, ca_key) == 1, err, SL_E_PARSE,
           "The CA's key does not belong to its certificate.");
    EVP_PKEY *key SL_CLEANUP(end_pkey) = EVP_EC_gen("P-256");
    ENSURE(key != NULL, err, SL_E_INTERNAL, "The key could not be made.");
    X509 *cert SL_CLEANUP(end_x509) = X509_new();
    TRY(start_cert(cert, server_name(hosts, parsed, host_count), days, key, err));
    static const int usage[] = {0}; /* digitalSignature */
    ENSURE(X509_set_issuer_name(cert, X509_get_subject_name(ca)) == 1 && add_basic(cert, false) &&
               add_key_usage(cert, usage, 1) && add_server_auth(cert) && add_key_ids(cert, ca),
           err, SL_E_INTERNAL, "The certificate could not be built.");
    TRY(add_san(cert, parsed, host_count, err));
    return finish(cert, ca_key, key, ret_cert_pem, ret_key_pem, err);
}

struct sl_rc x509_valid_for(struct slice cert_pem, int64_t now_s, int64_t *ret_s,
                            struct sl_error *err) {
    X509 *cert SL_CLEANUP(end_x509) = NULL;
    TRY(read_cert(cert_pem, &cert, err));
    struct tm tm;
    ENSURE(ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) == 1, err, SL_E_PARSE,
           "The certificate's end can't be read.");
    *ret_s = (int64_t)timegm(&tm) - now_s;
    return SL_OK;
}

static bool names_a_host(X509 *cert) {
    GENERAL_NAMES *names SL_CLEANUP(end_names) =
        X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        if (sk_GENERAL_NAME_value(names, i)->type == GEN_DNS) {
            return true;
        }
    }
    return false;
}

struct sl_rc x509_check_own(struct slice chain_pem, const struct secret *key_pem, int64_t now_s,
                            struct sl_error *err) {
    X509 *cert SL_CLEANUP(end_x509) = NULL;
    time_t now = (time_t)now_s;
    ENSURE(sl_is_ok(read_cert(chain_pem, &cert, NULL)), err, SL_E_VALIDATION,
           "the certificate can't be read: it has to be PEM, the server's first");
    BIO *bio SL_CLEANUP(end_bio) = BIO_new_mem_buf(key_pem->ptr, (int)key_pem->len);
    EVP_PKEY *key SL_CLEANUP(end_pkey) =
        bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
    ENSURE(key != NULL, err, SL_E_VALIDATION,
           "the private key can't be read: it has to be PEM, without a passphrase");
    ENSURE(X509_check_private_key(cert, key) == 1, err, SL_E_VALIDATION,
           "the private key is not the certificate's");
    ENSURE(X509_cmp_time(X509_get0_notAfter(cert), &now) > 0, err, SL_E_VALIDATION,
           "the certificate has expired");
    ENSURE(X509_cmp_time(X509_get0_notBefore(cert), &now) < 0, err, SL_E_VALIDATION,
           "the certificate is not valid yet");
    ENSURE(names_a_host(cert), err, SL_E_VALIDATION,
           "the certificate names no host (subjectAltName), so no client would see it");
    return SL_OK;
}

bool x509_names(struct slice chain_pem, const char *host) {
    X509 *cert SL_CLEANUP(end_x509) = NULL;
    return sl_is_ok(read_cert(chain_pem, &cert, NULL)) &&
           X509_check_host(cert, host, 0, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, NULL) == 1;
}
