/* The statements that clients may run: everything not named here is refused by name. No client is a
 * PostgreSQL superuser, but PostgreSQL lets ordinary users do things that reach files, programs or
 * other servers' roles, or that the warehouse doesn't have. */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "nodes/nodes.h"
#include "nodes/parsenodes.h"
#include "nodes/value.h"
#include "tcop/cmdtag.h"
#include "tcop/utility.h"
#include "utils/builtins.h"

#include "extension/catalog/attributes.h"
#include "extension/guard/guard.h"
#include "extension/guard/literal.h"
#include "lib/base/rc.h"

SL_NORETURN static void refuse(const char *what, const char *hint) {
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("%s is not supported", what),
                    hint != NULL ? errhint("%s", hint) : 0));
    pg_unreachable();
}

SL_NORETURN static void forbid(const char *what) {
    ereport(ERROR,
            (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("permission denied to %s", what)));
    pg_unreachable();
}

/* PostgreSQL's server roles and Sealift's own are nobody's to give or change. */
static void check_role_name(const char *name) {
    if (name != NULL && (strncmp(name, "pg_", 3) == 0 || strncmp(name, "sealift", 7) == 0)) {
        ereport(ERROR,
                (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("role \"%s\" is reserved", name)));
    }
}

static void check_role_specs(const List *roles) {
    ListCell *lc;
    foreach (lc, roles) {
        const RoleSpec *r = lfirst_node(RoleSpec, lc);
        check_role_name(r->roletype == ROLESPEC_CSTRING ? r->rolename : NULL);
    }
}

static void check_role_options(const List *options) {
    ListCell *lc;
    foreach (lc, options) {
        const DefElem *d = lfirst_node(DefElem, lc);
        if ((strcmp(d->defname, "superuser") == 0 || strcmp(d->defname, "isreplication") == 0 ||
             strcmp(d->defname, "bypassrls") == 0) &&
            boolVal(d->arg)) {
            forbid("create or alter a role with SUPERUSER, REPLICATION or BYPASSRLS");
        }
        if (strcmp(d->defname, "addroleto") == 0 || strcmp(d->defname, "rolemembers") == 0 ||
            strcmp(d->defname, "adminmembers") == 0) {
            check_role_specs((const List *)d->arg);
        }
    }
}

static void check_grant_role(const GrantRoleStmt *s) {
    ListCell *lc;
    foreach (lc, s->granted_roles) {
        check_role_name(lfirst_node(AccessPriv, lc)->priv_name);
    }
    check_role_specs(s->grantee_roles);
}

static void check_function(const List *options) {
    ListCell *lc;
    foreach (lc, options) {
        const DefElem *d = lfirst_node(DefElem, lc);
        if (strcmp(d->defname, "language") == 0) {
            const char *language = strVal(d->arg);
            if (pg_strcasecmp(language, "sql") != 0 && pg_strcasecmp(language, "plpgsql") != 0) {
                ereport(ERROR,
                        (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                         errmsg("permission denied for language %s", language),
                         errhint("Functions and procedures are written in SQL or PL/pgSQL.")));
            }
        }
    }
}

static void check_do(const DoStmt *s) {
    check_function(s->args);
}

static void check_table(const RangeVar *relation, const char *access_method,
                        const char *tablespace) {
    if (relation->relpersistence == RELPERSISTENCE_UNLOGGED) {
        refuse("UNLOGGED", "Tables are always written ahead.");
    }
    if (access_method != NULL && strcmp(access_method, "sealed") != 0) {
        refuse("USING (another table access method)", NULL);
    }
    if (tablespace != NULL) {
        refuse("TABLESPACE", NULL);
    }
}

/* PostgreSQL evaluates a bound and keeps its value in pg_class. */
static void check_bound(const PartitionBoundSpec *bound) {
    if (!literal_bound(bound)) {
        refuse("a partition bound that is no literal", NULL);
    }
}

static void check_alter_table(const AlterTableStmt *s) {
    ListCell *lc;
    foreach (lc, s->cmds) {
        switch (lfirst_node(AlterTableCmd, lc)->subtype) {
        case AT_SetUnLogged:
            refuse("SET UNLOGGED", NULL);
        case AT_SetAccessMethod:
            refuse("SET ACCESS METHOD", NULL);
        case AT_SetTableSpace:
            refuse("SET TABLESPACE", NULL);
        case AT_GenericOptions:
            refuse("OPTIONS", NULL);
        case AT_AttachPartition:
            check_bound(((const PartitionCmd *)lfirst_node(AlterTableCmd, lc)->def)->bound);
            break;
        case AT_EnableRule:
        case AT_EnableAlwaysRule:
        case AT_EnableReplicaRule:
        case AT_DisableRule:
            refuse("a rule", NULL);
        case AT_EnableRowSecurity:
        case AT_DisableRowSecurity:
        case AT_ForceRowSecurity:
        case AT_NoForceRowSecurity: /* there are no policies; without one it would hide all rows */
            refuse("ROW LEVEL SECURITY", NULL);
        default:
            break;
        }
    }
}

static void check_copy(const CopyStmt *s) {
    if (s->is_program) {
        forbid("COPY to or from an external program");
    }
    if (s->filename != NULL && !copy_statement_is_s3(s)) {
        ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                        errmsg("permission denied to COPY to or from a file of the server"),
                        errhint("COPY loads from 's3://bucket/prefix'.")));
    }
}

static void check_transaction(const TransactionStmt *s) {
    if (s->kind == TRANS_STMT_PREPARE || s->kind == TRANS_STMT_COMMIT_PREPARED ||
        s->kind == TRANS_STMT_ROLLBACK_PREPARED) {
        refuse("two-phase commit", NULL);
    }
}

static void check_grant(const GrantStmt *s) {
    if (s->objtype == OBJECT_LARGEOBJECT) {
        refuse("a large object", NULL);
    }
    if (s->objtype == OBJECT_PARAMETER_ACL || s->objtype == OBJECT_FDW ||
        s->objtype == OBJECT_FOREIGN_SERVER || s->objtype == OBJECT_TABLESPACE) {
        forbid("grant on this kind of object");
    }
    check_role_specs(s->grantees);
}

static void check_database_options(const List *options) {
    ListCell *lc;
    foreach (lc, options) {
        DefElem *d = lfirst_node(DefElem, lc);
        if (strcmp(d->defname, "tablespace") == 0) {
            refuse("TABLESPACE", NULL);
        }
    }
}

static void check_kind(ObjectType kind) {
    switch (kind) {
    case OBJECT_LARGEOBJECT:
        refuse("a large object", NULL);
    case OBJECT_EXTENSION:
    case OBJECT_FDW:
    case OBJECT_FOREIGN_SERVER:
    case OBJECT_EVENT_TRIGGER:
    case OBJECT_PUBLICATION:
    case OBJECT_SUBSCRIPTION:
    case OBJECT_TABLESPACE:
    case OBJECT_ACCESS_METHOD:
    case OBJECT_LANGUAGE:
        forbid("change this kind of object");
    default:
        break;
    }
}

void allow_list_check(const Node *n) {
    if (superuser()) { /* the supervisor's own session */
        return;
    }
    switch (nodeTag(n)) {
    case T_TransactionStmt:
        check_transaction((const TransactionStmt *)n);
        return;
    case T_CopyStmt:
        check_copy((const CopyStmt *)n);
        return;
    case T_CreateStmt: {
        const CreateStmt *s = (const CreateStmt *)n;
        check_table(s->relation, s->accessMethod, s->tablespacename);
        check_bound(s->partbound);
        return;
    }
    case T_CreateTableAsStmt: {
        const IntoClause *into = ((const CreateTableAsStmt *)n)->into;
        check_table(into->rel, into->accessMethod, into->tableSpaceName);
        return;
    }
    case T_AlterTableStmt:
        check_alter_table((const AlterTableStmt *)n);
        return;
    case T_AlterRoleSetStmt:
        check_role_specs(((const AlterRoleSetStmt *)n)->role
                             ? list_make1(((const AlterRoleSetStmt *)n)->role)
                             : NIL);
        return;
    case T_CreateRoleStmt:
        check_role_name(((const CreateRoleStmt *)n)->role);
        check_role_options(((const CreateRoleStmt *)n)->options);
        return;
    case T_AlterRoleStmt:
        check_role_specs(list_make1(((const AlterRoleStmt *)n)->role));
        check_role_options(((const AlterRoleStmt *)n)->options);
        return;
    case T_DropRoleStmt:
        check_role_specs(((const DropRoleStmt *)n)->roles);
        return;
    case T_GrantRoleStmt:
        check_grant_role((const GrantRoleStmt *)n);
        return;
    case T_GrantStmt:
        check_grant((const GrantStmt *)n);
        return;
    case T_CreateFunctionStmt:
        check_function(((const CreateFunctionStmt *)n)->options);
        return;
    case T_AlterFunctionStmt:
        check_function(((const AlterFunctionStmt *)n)->actions);
        return;
    case T_DoStmt:
        check_do((const DoStmt *)n);
        return;
    case T_CreatedbStmt:
        check_database_options(((const CreatedbStmt *)n)->options);
        return;
    case T_AlterDatabaseStmt:
        check_database_options(((const AlterDatabaseStmt *)n)->options);
        return;
    case T_DropStmt:
        check_kind(((const DropStmt *)n)->removeType);
        return;
    case T_RenameStmt:
        check_kind(((const RenameStmt *)n)->renameType);
        if (((const RenameStmt *)n)->renameType == OBJECT_ROLE) {
            check_role_name(((const RenameStmt *)n)->subname);
            check_role_name(((const RenameStmt *)n)->newname);
        }
        return;
    case T_CommentStmt:
        check_kind(((const CommentStmt *)n)->objtype);
        return;
    case T_SecLabelStmt: /* a table's attributes, in a dump */
        if (((const SecLabelStmt *)n)->provider == NULL ||
            strcmp(((const SecLabelStmt *)n)->provider, ATTRIBUTES_PROVIDER) != 0) {
            refuse("SECURITY LABEL", NULL);
        }
        return;
    case T_AlterOwnerStmt:
        check_kind(((const AlterOwnerStmt *)n)->objectType);
        check_role_specs(list_make1(((const AlterOwnerStmt *)n)->newowner));
        return;
    case T_ExplainStmt:
    case T_DeclareCursorStmt:
    case T_ClosePortalStmt:
    case T_FetchStmt:
    case T_PrepareStmt:
    case T_ExecuteStmt:
    case T_DeallocateStmt:
    case T_VariableSetStmt: /* whose a setting is: settings.c */
    case T_AlterDatabaseSetStmt:
    case T_VariableShowStmt:
    case T_DiscardStmt:
    case T_ConstraintsSetStmt:
    case T_LockStmt:
    case T_CallStmt:
    case T_ViewStmt:
    case T_RefreshMatViewStmt:
    case T_CreateSchemaStmt:
    case T_CreateSeqStmt:
    case T_AlterSeqStmt:
    case T_TruncateStmt:
    case T_AlterObjectSchemaStmt:
    case T_AlterDefaultPrivilegesStmt:
    case T_DropOwnedStmt:
    case T_ReassignOwnedStmt:
    case T_DropdbStmt:
    case T_VacuumStmt:
    case T_ClusterStmt:
    case T_ReindexStmt:
    case T_CompositeTypeStmt:
    case T_CreateEnumStmt:
    case T_AlterEnumStmt:
    case T_CreateDomainStmt:
    case T_AlterDomainStmt:
        return;
    case T_IndexStmt: /* said here: CONCURRENTLY would leave an invalid one behind */
        refuse("an index", NULL);
    case T_LoadStmt:
        forbid("LOAD a library");
    case T_AlterSystemStmt:
        forbid("run ALTER SYSTEM");
    case T_CheckPointStmt:
        forbid("run CHECKPOINT");
    case T_CreateExtensionStmt:
    case T_AlterExtensionStmt:
    case T_AlterExtensionContentsStmt:
        forbid("create or alter an extension");
    default:
        refuse(GetCommandTagName(CreateCommandTag((Node *)(uintptr_t)n)), NULL);
    }
}
