/* The keys' own process: finishes a rotation of the cluster key, and sweeps what a crash left. */
#ifndef SEALIFT_KEYS_ROTATE_H
#define SEALIFT_KEYS_ROTATE_H

/* While preloading. */
void rotate_init(void);

#endif
