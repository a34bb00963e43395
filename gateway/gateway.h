/* Entry point of `sealift gateway`; see docs/decisions/1-processes.md for its descriptors. */
#ifndef SL_GATEWAY_H
#define SL_GATEWAY_H

int gateway_main(void);

#endif
