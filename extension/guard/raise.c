/* sealift.raise: the gateway's way to fail a statement inside the session, so that an open
 * transaction is aborted as by any error. */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(sealift_raise);

static char *text_arg(FunctionCallInfo fcinfo, int n) {
    return PG_ARGISNULL(n) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(n));
}

/* (sqlstate, message, detail, hint, position in characters or 0) */
Datum sealift_raise(PG_FUNCTION_ARGS) {
    const char *state = text_arg(fcinfo, 0), *message = text_arg(fcinfo, 1);
    const char *detail = text_arg(fcinfo, 2), *hint = text_arg(fcinfo, 3);
    int position = PG_ARGISNULL(4) ? 0 : PG_GETARG_INT32(4);
    if (state == NULL || strlen(state) != 5 || message == NULL) {
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("raise wants a SQLSTATE and a message")));
    }
    ereport(ERROR,
            (errcode(MAKE_SQLSTATE(state[0], state[1], state[2], state[3], state[4])),
             errmsg_internal("%s", message), detail != NULL ? errdetail_internal("%s", detail) : 0,
             hint != NULL ? errhint("%s", hint) : 0, position > 0 ? errposition(position) : 0));
    PG_RETURN_VOID();
}
