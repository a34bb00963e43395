/* Frames between Sealift's processes: u32 big-endian length of what follows, u8 type, payload. At
 * most LIMIT_FRAME_BYTES. Blocking with a deadline (0: none); buffers that may hold secrets are
 * wiped (buf.wipe). */
#ifndef SL_IPC_FRAME_H
#define SL_IPC_FRAME_H

#include "lib/base/buf.h"

struct sl_rc frame_send(int fd, uint8_t type, struct slice payload, int64_t deadline_mono_ms);
/* Reads one frame; ret_payload is reset first. SL_E_CLOSED at an orderly end before the first byte.
 */
struct sl_rc frame_recv(int fd, uint8_t *ret_type, struct buf *ret_payload,
                        int64_t deadline_mono_ms);
/* The same with one descriptor beside it (SCM_RIGHTS); ret_passed_fd is -1 when none came. */
struct sl_rc frame_send_fd(int fd, uint8_t type, struct slice payload, int passed_fd);
struct sl_rc frame_recv_fd(int fd, uint8_t *ret_type, struct buf *ret_payload, int *ret_passed_fd,
                           int64_t deadline_mono_ms);

/* The same for a peer that sends nothing more before it has heard from us: one system call for a
 * small frame. Blocks without a deadline but SO_RCVTIMEO's (SL_E_TIMEOUT). SL_E_PARSE when more
 * came. ret_passed_fd may be NULL. */
struct sl_rc frame_recv_alone(int fd, uint8_t *ret_type, struct buf *ret_payload,
                              int *ret_passed_fd);
/* Sets that timeout. */
struct sl_rc frame_set_timeout(int fd, int64_t ms);

#endif
