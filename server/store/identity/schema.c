/* Tables of the identity store. Users, roles and groups are one table: they share names, paths,
 * policies and tags. Names are unique without regard to case, as in IAM. */
#include "server/store/identity/iam.h"

const char identity_schema[] =
    "CREATE TABLE IF NOT EXISTS iam_account ("
    "  id TEXT PRIMARY KEY, created INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS iam_entity ("
    "  id TEXT PRIMARY KEY,"   /* AIDA…, AROA…, AGPA… */
    "  kind INTEGER NOT NULL," /* enum iam_kind */
    "  account TEXT NOT NULL REFERENCES iam_account(id),"
    "  name TEXT NOT NULL COLLATE NOCASE,"
    "  path TEXT NOT NULL,"
    "  created INTEGER NOT NULL," /* epoch seconds */
    "  boundary TEXT NOT NULL DEFAULT '',"
    "  description TEXT NOT NULL DEFAULT '',"
    "  trust TEXT NOT NULL DEFAULT ''," /* roles */
    "  max_session INTEGER NOT NULL DEFAULT 0,"
    "  UNIQUE (account, kind, name)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS iam_member ("
    "  group_id TEXT NOT NULL REFERENCES iam_entity(id),"
    "  user_id TEXT NOT NULL REFERENCES iam_entity(id),"
    "  PRIMARY KEY (user_id, group_id)) WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS iam_member_group ON iam_member (group_id, user_id);"
    "CREATE TABLE IF NOT EXISTS iam_access_key ("
    "  id TEXT PRIMARY KEY,"
    "  user_id TEXT NOT NULL REFERENCES iam_entity(id),"
    "  active INTEGER NOT NULL,"
    "  sealed BLOB NOT NULL," /* by the keyholder, purpose iam-secret */
    "  created INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS iam_access_key_user ON iam_access_key (user_id);"
    "CREATE TABLE IF NOT EXISTS iam_policy ("
    "  arn TEXT PRIMARY KEY,"
    "  id TEXT NOT NULL," /* ANPA… */
    "  account TEXT NOT NULL REFERENCES iam_account(id),"
    "  name TEXT NOT NULL COLLATE NOCASE,"
    "  path TEXT NOT NULL,"
    "  description TEXT NOT NULL,"
    "  created INTEGER NOT NULL,"
    "  updated INTEGER NOT NULL,"
    "  default_version INTEGER NOT NULL,"
    "  next_version INTEGER NOT NULL,"
    "  UNIQUE (account, name)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS iam_policy_version ("
    "  arn TEXT NOT NULL REFERENCES iam_policy(arn),"
    "  number INTEGER NOT NULL,"
    "  document TEXT NOT NULL,"
    "  created INTEGER NOT NULL,"
    "  PRIMARY KEY (arn, number)) WITHOUT ROWID;"
    /* arn names a customer's or a built-in policy, so it is no foreign key. */
    "CREATE TABLE IF NOT EXISTS iam_attached ("
    "  entity_id TEXT NOT NULL REFERENCES iam_entity(id),"
    "  arn TEXT NOT NULL,"
    "  PRIMARY KEY (entity_id, arn)) WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS iam_attached_arn ON iam_attached (arn);"
    "CREATE TABLE IF NOT EXISTS iam_inline ("
    "  entity_id TEXT NOT NULL REFERENCES iam_entity(id),"
    "  name TEXT NOT NULL,"
    "  document TEXT NOT NULL,"
    "  PRIMARY KEY (entity_id, name)) WITHOUT ROWID;"
    /* owner: an entity's id or a policy's ARN. */
    "CREATE TABLE IF NOT EXISTS iam_tag ("
    "  owner TEXT NOT NULL,"
    "  name TEXT NOT NULL COLLATE NOCASE,"
    "  value TEXT NOT NULL,"
    "  PRIMARY KEY (owner, name)) WITHOUT ROWID;";
