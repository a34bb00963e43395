/* The instance's own certificates: a name-constrained CA and server certificates under it (P-256,
 * SHA-256). */
#ifndef SL_CRYPTO_X509_H
#define SL_CRYPTO_X509_H

#include "lib/base/buf.h"
#include "lib/crypto/secret.h"

/* hosts: DNS names and IP addresses as text; the CA is constrained to them (and their subdomains).
 * PEM out. */
struct sl_rc x509_make_ca(const char *common_name, const char *const *hosts, size_t host_count,
                          int days, struct buf *ret_cert_pem, struct secret *ret_key_pem,
                          struct sl_error *err);
struct sl_rc x509_issue(struct slice ca_cert_pem, const struct secret *ca_key_pem,
                        const char *const *hosts, size_t host_count, int days,
                        struct buf *ret_cert_pem, struct secret *ret_key_pem, struct sl_error *err);
/* Seconds until notAfter (negative when past). */
struct sl_rc x509_valid_for(struct slice cert_pem, int64_t now_s, int64_t *ret_s,
                            struct sl_error *err);

/* A certificate of the administrator's own: the chain begins with the server's certificate, which
 * is valid at now_s, is the key's, and names at least one host. SL_E_VALIDATION says what is wrong.
 */
struct sl_rc x509_check_own(struct slice chain_pem, const struct secret *key_pem, int64_t now_s,
                            struct sl_error *err);
/* Does the chain's first certificate name this host? */
bool x509_names(struct slice chain_pem, const char *host);

#endif
