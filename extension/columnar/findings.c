#include "extension/columnar/findings.h"

#include "funcapi.h"
#include "utils/builtins.h"

void findings_add(FunctionCallInfo fcinfo, const char *part, const char *problem) {
    ReturnSetInfo *result = (ReturnSetInfo *)fcinfo->resultinfo;
    Datum values[] = {CStringGetTextDatum(part), CStringGetTextDatum(problem)};
    bool nulls[lengthof(values)] = {0};
    tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}
