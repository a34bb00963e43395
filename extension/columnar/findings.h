/* Rows (part, problem) of the functions that check: what they found. */
#ifndef SEALIFT_COLUMNAR_FINDINGS_H
#define SEALIFT_COLUMNAR_FINDINGS_H

#include "postgres.h"

#include "fmgr.h"

/* After InitMaterializedSRF. */
void findings_add(FunctionCallInfo fcinfo, const char *part, const char *problem);

#endif
