SET default_table_access_method = heap;

CREATE SCHEMA sealift;

REVOKE ALL ON SCHEMA sealift FROM PUBLIC;

CREATE ROLE sealift_gateway LOGIN;

CREATE ROLE sealift_admin NOLOGIN;

CREATE SEQUENCE sealift.query_id AS integer MINVALUE 100 START 100 CACHE 1;

CREATE TABLE sealift.table_attributes (relid oid PRIMARY KEY, attributes jsonb NOT NULL);

CREATE TABLE sealift.load_errors (
  userid integer NOT NULL, tbl integer, starttime timestamp NOT NULL, session integer, query integer, filename text, line_number bigint,
  colname text, type text, col_length text, position integer, err_code integer, sealed bytea NOT NULL);

CREATE FUNCTION sealift.load_error_text(sealed bytea, query integer, line_number bigint, which integer) RETURNS text LANGUAGE c STABLE STRICT
  AS 'sealift', 'sealift_load_error_text';

CREATE TABLE sealift.storage (storage uuid CONSTRAINT storage_pkey PRIMARY KEY, rows bigint NOT NULL, changes bigint NOT NULL, sum bytea NOT NULL, mac bytea NOT NULL)
  WITH (fillfactor = 50);

CREATE TABLE sealift.segment (
  storage uuid NOT NULL, segment uuid NOT NULL, first_row bigint NOT NULL, rows integer NOT NULL, columns integer NOT NULL, first_block bigint NOT NULL,
  bytes integer NOT NULL, footer_offset integer NOT NULL, footer_tag bytea NOT NULL, whole bytea, mac bytea NOT NULL) WITH (toast_tuple_target = 8160);

ALTER TABLE sealift.segment ALTER whole SET STORAGE EXTERNAL;

CREATE INDEX segment_storage ON sealift.segment (storage);

CREATE TABLE sealift.segment_deletes (storage uuid NOT NULL, segment uuid NOT NULL, rows integer NOT NULL, sealed bytea NOT NULL, mac bytea NOT NULL)
  WITH (toast_tuple_target = 8160);

ALTER TABLE sealift.segment_deletes ALTER sealed SET STORAGE EXTERNAL;

CREATE INDEX segment_deletes_storage ON sealift.segment_deletes (storage);

CREATE FUNCTION sealift.sealed_handler(internal) RETURNS table_am_handler LANGUAGE c AS 'sealift', 'sealift_sealed_handler';

CREATE ACCESS METHOD sealed TYPE TABLE HANDLER sealift.sealed_handler;

CREATE FUNCTION sealift.verifier(name text) RETURNS text LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
  AS $$ SELECT rolpassword FROM pg_authid WHERE rolname = $1 AND rolcanlogin AND NOT rolsuper AND (rolvaliduntil IS NULL OR rolvaliduntil > now()) $$;

REVOKE ALL ON FUNCTION sealift.verifier(text) FROM PUBLIC;

CREATE TABLE sealift.master (verifier text NOT NULL);

CREATE FUNCTION sealift.reset() RETURNS void LANGUAGE c VOLATILE AS 'sealift', 'sealift_reset';

REVOKE ALL ON FUNCTION sealift.reset() FROM PUBLIC;

GRANT EXECUTE ON FUNCTION sealift.reset() TO sealift_gateway;

CREATE FUNCTION sealift.rotate_encryption_key() RETURNS void LANGUAGE c VOLATILE AS 'sealift', 'sealift_rotate_encryption_key';

REVOKE ALL ON FUNCTION sealift.rotate_encryption_key() FROM PUBLIC;

GRANT EXECUTE ON FUNCTION sealift.rotate_encryption_key() TO sealift_gateway;

GRANT USAGE ON SCHEMA sealift TO sealift_gateway;

GRANT EXECUTE ON FUNCTION sealift.verifier(text) TO sealift_gateway;

SET allow_system_table_mods = on;

CREATE FUNCTION pg_catalog.pg_last_copy_id() RETURNS integer LANGUAGE c VOLATILE AS 'sealift', 'sealift_last_copy_id';

CREATE FUNCTION pg_catalog.pg_last_copy_count() RETURNS bigint LANGUAGE c VOLATILE AS 'sealift', 'sealift_last_copy_count';

CREATE VIEW pg_catalog.stl_load_errors WITH (security_barrier) AS
  SELECT userid, 0 AS slice, tbl, starttime, session, query, filename::character(256) AS filename, line_number,
    colname::character(127) AS colname, type::character(10) AS type, col_length::character(10) AS col_length, position,
    sealift.load_error_text(sealed, query, line_number, 0)::character(1024) AS raw_line,
    sealift.load_error_text(sealed, query, line_number, 1)::character(1024) AS raw_field_value, err_code,
    sealift.load_error_text(sealed, query, line_number, 2)::character(100) AS err_reason, 0 AS is_partial, 0::bigint AS start_offset, (-1)::bigint AS copy_job_id
  FROM sealift.load_errors
  WHERE pg_has_role(current_user, 'sealift_admin', 'member')
    OR userid = (SELECT oid::integer FROM pg_catalog.pg_roles WHERE rolname = current_user);

GRANT SELECT ON pg_catalog.stl_load_errors TO PUBLIC;

CREATE VIEW pg_catalog.svv_table_attributes AS
  SELECT n.nspname AS schema_name, c.relname AS table_name, a.attributes
  FROM sealift.table_attributes a JOIN pg_catalog.pg_class c ON c.oid = a.relid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE has_table_privilege(c.oid, 'SELECT');

GRANT SELECT ON pg_catalog.svv_table_attributes TO PUBLIC;

REVOKE EXECUTE ON FUNCTION pg_catalog.lo_creat(integer), pg_catalog.lo_create(oid), pg_catalog.lo_from_bytea(oid, bytea),
  pg_catalog.lo_get(oid), pg_catalog.lo_get(oid, bigint, integer), pg_catalog.lo_put(oid, bigint, bytea), pg_catalog.lo_open(oid, integer),
  pg_catalog.lo_unlink(oid), pg_catalog.loread(integer, integer), pg_catalog.lowrite(integer, bytea), pg_catalog.lo_lseek(integer, integer, integer),
  pg_catalog.lo_lseek64(integer, bigint, integer), pg_catalog.lo_tell(integer), pg_catalog.lo_tell64(integer), pg_catalog.lo_truncate(integer, integer),
  pg_catalog.lo_truncate64(integer, bigint), pg_catalog.lo_close(integer), pg_catalog.lo_import(text), pg_catalog.lo_import(text, oid),
  pg_catalog.lo_export(oid, text) FROM PUBLIC;

REVOKE EXECUTE ON FUNCTION pg_catalog.pg_notify(text, text), pg_catalog.pg_logical_emit_message(boolean, text, text),
  pg_catalog.pg_logical_emit_message(boolean, text, bytea) FROM PUBLIC;

REVOKE ALL ON DATABASE template1 FROM PUBLIC;

GRANT CREATE ON SCHEMA public TO PUBLIC;
