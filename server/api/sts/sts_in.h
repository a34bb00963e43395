/* Inside of the STS operations. */
#ifndef SL_API_STS_IN_H
#define SL_API_STS_IN_H

#include "lib/codec/xml.h"
#include "server/api/api.h"

enum { STS_DURATION_MIN_S = 900, STS_DURATION_DEFAULT_S = 3600 };

/* A parameter's value; empty when it is not given. */
struct slice sts_param(const struct api_call *c, const char *name);
/* The list NAME.member.1, NAME.member.2, … (with ".SUFFIX" when suffix is not NULL), at most `max`:
 * SL_E_IAM_VALIDATION above. */
struct sl_rc sts_param_list(struct api_call *c, const char *name, const char *suffix, size_t max,
                            const struct slice **ret, size_t *ret_count);
/* Letters, digits and "_+=,.@-", within the lengths; SL_E_IAM_VALIDATION naming the member. */
struct sl_rc sts_word(struct api_call *c, struct slice v, const char *member, size_t min,
                      size_t max);
struct sl_rc sts_duration(struct api_call *c, int64_t max_s, int64_t otherwise_s, int64_t *ret_s);
/* There are no devices: a token code can't be right. */
struct sl_rc sts_refuse_mfa(struct api_call *c);

/* Policy, PolicyArns, Tags and TransitiveTagKeys into `s` (s->account is set), checked but for what
 * needs the database or the caller's right. */
struct sl_rc sts_session_params(struct api_call *c, struct auth_sts *s);
/* After the decision: the policies parse, the managed ones exist in s->account. */
struct sl_rc sts_session_policies(struct api_call *c, const struct auth_sts *s);
/* SL_E_STS_PACKED when policies and tags are too large together. *ret_percent 0: none given. */
struct sl_rc sts_packed(struct api_call *c, const struct auth_sts *s, int *ret_percent);

/* <Credentials>; the answer is wiped. */
void sts_out_credentials(struct api_call *c, const struct auth_session *s);

struct sl_rc sts_assume_role(struct api_call *c);

#endif
