/* See guard.h. A setting has many ways in (SET, set_config, pg_settings, the startup packet, roles,
 * databases, functions), and PostgreSQL asks one question in all of them: whose it is to set. */
#include "postgres.h"

#include "nodes/parsenodes.h"
#include "utils/guc.h"
#include "utils/guc_tables.h"

#include "extension/guard/guard.h"

/* Of those that PostgreSQL leaves to everybody. */
static const char *const closed[] = {"default_table_access_method",
                                     "default_tablespace",
                                     "temp_tablespaces",
                                     "local_preload_libraries",
                                     "debug_print_parse",
                                     "debug_print_plan",
                                     "debug_print_rewritten",
                                     "log_parameter_max_length_on_error"};

void settings_init(void) {
    struct config_generic **all = get_guc_variables();
    size_t found = 0;
    for (int i = 0; i < GetNumConfigOptions(); i++) {
        for (size_t k = 0; k < lengthof(closed); k++) {
            if (strcmp(all[i]->name, closed[k]) == 0) {
                all[i]->context = PGC_SUSET;
                found++;
            }
        }
    }
    if (found != lengthof(closed)) {
        elog(FATAL, "a setting that clients may not change is not known");
    }
}

bool settings_are_so(const VariableSetStmt *s) {
    const A_Const *c = list_length(s->args) == 1 && IsA(linitial(s->args), A_Const)
                           ? linitial_node(A_Const, s->args)
                           : NULL;
    if (c == NULL || c->isnull || !IsA(&c->val, String)) {
        return false;
    }
    return (pg_strcasecmp(s->name, "default_tablespace") == 0 && c->val.sval.sval[0] == '\0') ||
           (pg_strcasecmp(s->name, "default_table_access_method") == 0 &&
            strcmp(c->val.sval.sval, "sealed") == 0);
}
