SET default_table_access_method = heap;

CREATE SCHEMA sealift;

REVOKE ALL ON SCHEMA sealift FROM PUBLIC;

CREATE ROLE sealift_gateway LOGIN;

CREATE ROLE sealift_admin NOLOGIN;

CREATE ROLE sealift_standby LOGIN REPLICATION;

CREATE SEQUENCE sealift.query_id AS integer MINVALUE 100 START 100 CACHE 1;

CREATE TABLE sealift.table_attributes (relid oid PRIMARY KEY, attributes jsonb NOT NULL);

CREATE TABLE sealift.load_records (
  query integer NOT NULL, kind "char" NOT NULL, part integer NOT NULL, userid integer NOT NULL, session integer NOT NULL, at timestamp NOT NULL, sealed bytea NOT NULL);

ALTER TABLE sealift.load_records ALTER sealed SET STORAGE EXTERNAL;

CREATE INDEX load_records_at ON sealift.load_records (at);

CREATE FUNCTION sealift.load_lines(query integer, kind "char", part integer, sealed bytea) RETURNS TABLE (
  transaction_id bigint, database_name text, status text, table_id integer, table_name text, start_time timestamp, end_time timestamp, data_source text,
  file_format text, loaded_rows bigint, loaded_bytes bigint, source_file_count integer, source_file_bytes bigint, file_count_scanned integer,
  file_bytes_scanned bigint, error_count bigint, message text) LANGUAGE c STABLE STRICT AS 'sealift', 'sealift_load_lines';

CREATE FUNCTION sealift.load_file_lines(query integer, kind "char", part integer, sealed bytea) RETURNS TABLE (
  filename text, bytes bigint, lines bigint, errors integer, start_time timestamp, end_time timestamp, complete integer, file_format text)
  LANGUAGE c STABLE STRICT AS 'sealift', 'sealift_load_lines';

CREATE FUNCTION sealift.load_error_lines(query integer, kind "char", part integer, sealed bytea) RETURNS TABLE (
  tbl integer, start_time timestamp, filename text, line_number bigint, colname text, type text, col_length text, "position" integer, raw_line text,
  raw_field_value text, err_code integer, err_reason text, transaction_id bigint) LANGUAGE c STABLE STRICT AS 'sealift', 'sealift_load_lines';

CREATE FUNCTION sealift.load_field_lines(query integer, kind "char", part integer, sealed bytea) RETURNS TABLE (
  filename text, line_number bigint, field integer, colname text, value text, is_null integer, type text, col_length text)
  LANGUAGE c STABLE STRICT AS 'sealift', 'sealift_load_lines';

CREATE FUNCTION sealift.load_state() RETURNS TABLE (
  userid integer, session integer, query integer, database_name text, transaction_id bigint, table_id integer, table_name text, start_time timestamp,
  data_source text, file_format text, compressed boolean, files bigint, size bigint, done bigint, fetched bigint, plain bigint, lines bigint, rows bigint,
  errors bigint, current_file text) LANGUAGE c VOLATILE AS 'sealift', 'sealift_load_state';

CREATE VIEW sealift.own_load_records WITH (security_barrier) AS
  SELECT * FROM sealift.load_records
  WHERE pg_has_role(current_user, 'sealift_admin', 'member') OR userid = (SELECT oid::integer FROM pg_catalog.pg_roles WHERE rolname = current_user);

CREATE VIEW sealift.own_load_state WITH (security_barrier) AS
  SELECT *, CASE WHEN size > 0 THEN least(100, fetched * 100 / size) WHEN files > 0 THEN least(100, done * 100 / files) ELSE 0 END::integer AS percent
  FROM sealift.load_state()
  WHERE pg_has_role(current_user, 'sealift_admin', 'member') OR userid = (SELECT oid::integer FROM pg_catalog.pg_roles WHERE rolname = current_user);

CREATE VIEW sealift.loads AS
  SELECT r.userid, r.query, r.session, r.at, l.*, 100 AS percent, ''::text AS current_file
  FROM sealift.own_load_records r CROSS JOIN LATERAL sealift.load_lines(r.query, r.kind, r.part, r.sealed) l WHERE r.kind = 'l'
  UNION ALL
  SELECT r.userid, r.query, r.session, r.at, l.*, 100, ''
  FROM sealift.own_load_records r CROSS JOIN LATERAL sealift.load_lines(r.query, r.kind, r.part, r.sealed) l
  WHERE r.kind = 'b' AND NOT EXISTS (SELECT FROM sealift.load_records ended WHERE ended.query = r.query AND ended.kind = 'l')
    AND pg_xact_status(l.transaction_id::text::xid8) = 'aborted'
  UNION ALL
  SELECT userid, query, session, NULL, transaction_id, database_name, 'running', table_id, table_name, start_time, NULL, data_source, file_format, rows, plain,
    files::integer, size, done::integer, fetched, errors, '', percent, current_file
  FROM sealift.own_load_state WHERE database_name = current_database();

GRANT SELECT ON sealift.loads TO sealift_gateway;

GRANT sealift_admin TO sealift_gateway;

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

CREATE FUNCTION sealift.verifier(name text) RETURNS text LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
  AS $$ SELECT rolpassword FROM pg_authid WHERE rolname = $1 AND rolcanlogin AND NOT rolsuper AND (rolvaliduntil IS NULL OR rolvaliduntil > now()) $$;

REVOKE ALL ON FUNCTION sealift.verifier(text) FROM PUBLIC;

CREATE TABLE sealift.master (verifier text NOT NULL);

CREATE FUNCTION sealift.reset() RETURNS void LANGUAGE c VOLATILE AS 'sealift', 'sealift_reset';

REVOKE ALL ON FUNCTION sealift.reset() FROM PUBLIC;

GRANT EXECUTE ON FUNCTION sealift.reset() TO sealift_gateway;

CREATE FUNCTION sealift.rotate_encryption_key() RETURNS void LANGUAGE c VOLATILE AS 'sealift', 'sealift_rotate_encryption_key';

REVOKE ALL ON FUNCTION sealift.rotate_encryption_key() FROM PUBLIC;

GRANT EXECUTE ON FUNCTION sealift.rotate_encryption_key() TO sealift_gateway;

CREATE FUNCTION sealift.check_table(relation oid, OUT part text, OUT problem text) RETURNS SETOF record LANGUAGE c VOLATILE STRICT
  AS 'sealift', 'sealift_check_table';

CREATE FUNCTION sealift.check_orphans(OUT part text, OUT problem text) RETURNS SETOF record LANGUAGE c VOLATILE AS 'sealift', 'sealift_check_orphans';

CREATE FUNCTION sealift.check_keys(OUT part text, OUT problem text) RETURNS SETOF record LANGUAGE c VOLATILE AS 'sealift', 'sealift_check_keys';

CREATE FUNCTION sealift.check_folders(OUT part text, OUT problem text) RETURNS SETOF record LANGUAGE c VOLATILE AS 'sealift', 'sealift_check_folders';

REVOKE ALL ON FUNCTION sealift.check_table(oid), sealift.check_orphans(), sealift.check_keys(), sealift.check_folders() FROM PUBLIC;

GRANT USAGE ON SCHEMA sealift TO sealift_gateway;

GRANT EXECUTE ON FUNCTION sealift.verifier(text) TO sealift_gateway;

SET allow_system_table_mods = on;

CREATE FUNCTION pg_catalog.pg_last_copy_id() RETURNS integer LANGUAGE c VOLATILE AS 'sealift', 'sealift_last_copy_id';

CREATE FUNCTION pg_catalog.pg_last_copy_count() RETURNS bigint LANGUAGE c VOLATILE AS 'sealift', 'sealift_last_copy_count';

CREATE VIEW pg_catalog.stl_load_errors AS
  SELECT r.userid, 0 AS slice, e.tbl, e.start_time AS starttime, r.session, r.query, e.filename::character(256) AS filename, e.line_number,
    e.colname::character(127) AS colname, e.type::character(10) AS type, e.col_length::character(10) AS col_length, e."position",
    e.raw_line::character(1024) AS raw_line, e.raw_field_value::character(1024) AS raw_field_value, e.err_code, e.err_reason::character(100) AS err_reason,
    0 AS is_partial, 0::bigint AS start_offset, 0::bigint AS copy_job_id
  FROM sealift.own_load_records r CROSS JOIN LATERAL sealift.load_error_lines(r.query, r.kind, r.part, r.sealed) e WHERE r.kind = 'e';

CREATE VIEW pg_catalog.stl_loaderror_detail AS
  SELECT r.userid, 0 AS slice, r.session, r.query, v.filename::character(256) AS filename, v.line_number, v.field, v.colname::character(1024) AS colname,
    v.value::character(1024) AS value, v.is_null, v.type::character(10) AS type, v.col_length::character(10) AS col_length
  FROM sealift.own_load_records r CROSS JOIN LATERAL sealift.load_field_lines(r.query, r.kind, r.part, r.sealed) v WHERE r.kind = 'v';

CREATE VIEW pg_catalog.stl_load_commits AS
  SELECT r.userid, r.query, 0 AS slice, f.filename::character(256) AS name, f.filename::character(256) AS filename, 0 AS byte_offset,
    least(f.lines, 2147483647)::integer AS lines_scanned, f.errors, f.end_time AS curtime, f.complete AS status,
    CASE f.file_format WHEN 'json' THEN 'JSON' ELSE 'Text' END::character(16) AS file_format, 0 AS is_partial, 0::bigint AS start_offset, 0::bigint AS copy_job_id
  FROM sealift.own_load_records r CROSS JOIN LATERAL sealift.load_file_lines(r.query, r.kind, r.part, r.sealed) f WHERE r.kind = 'f';

CREATE VIEW pg_catalog.stl_file_scan AS
  SELECT r.userid, r.query, 0 AS slice, f.filename::character(90) AS name, f.lines, f.bytes,
    (extract(epoch FROM f.end_time - f.start_time) * 1000000)::bigint AS loadtime, f.start_time AS curtime, 0 AS is_partial, 0::bigint AS start_offset
  FROM sealift.own_load_records r CROSS JOIN LATERAL sealift.load_file_lines(r.query, r.kind, r.part, r.sealed) f WHERE r.kind = 'f';

CREATE VIEW pg_catalog.stv_load_state AS
  SELECT userid, session, query, 0 AS slice, session AS pid, clock_timestamp() AT TIME ZONE 'UTC' AS recordtime,
    CASE WHEN compressed THEN 0 ELSE size END AS bytes_to_load, plain AS bytes_loaded, CASE WHEN compressed THEN size ELSE 0 END AS bytes_to_load_compressed,
    CASE WHEN compressed THEN fetched ELSE 0 END AS bytes_loaded_compressed, least(lines, 2147483647)::integer AS lines, files::integer AS num_files,
    done::integer AS num_files_complete, current_file::character(256) AS current_file, percent AS pct_complete
  FROM sealift.own_load_state;

CREATE VIEW pg_catalog.sys_load_history AS
  SELECT userid AS user_id, query::bigint AS query_id, transaction_id, session AS session_id, database_name, status, table_name, start_time, end_time,
    (extract(epoch FROM coalesce(end_time, clock_timestamp() AT TIME ZONE 'UTC') - start_time) * 1000000)::bigint AS duration, data_source, file_format,
    loaded_rows, loaded_bytes, source_file_count, source_file_bytes, file_count_scanned, file_bytes_scanned, error_count, 0::bigint AS copy_job_id
  FROM sealift.loads;

CREATE VIEW pg_catalog.sys_load_detail AS
  SELECT r.userid AS user_id, r.query AS query_id, f.filename::character(256) AS file_name, least(f.bytes, 2147483647)::integer AS bytes_scanned,
    least(f.lines, 2147483647)::integer AS lines_scanned, f.end_time AS record_time, 1 AS splits_scanned, f.start_time, f.end_time
  FROM sealift.own_load_records r CROSS JOIN LATERAL sealift.load_file_lines(r.query, r.kind, r.part, r.sealed) f WHERE r.kind = 'f';

CREATE VIEW pg_catalog.sys_load_error_detail AS
  SELECT r.userid AS user_id, r.query::bigint AS query_id, e.transaction_id, r.session AS session_id, current_database()::character(64) AS database_name,
    e.tbl AS table_id, e.start_time, e.filename::character(256) AS file_name, e.line_number, e.colname::character(127) AS column_name,
    e.type::character(10) AS column_type, e.col_length::character(10) AS column_length, e."position", e.err_code AS error_code,
    e.err_reason::character(512) AS error_message
  FROM sealift.own_load_records r CROSS JOIN LATERAL sealift.load_error_lines(r.query, r.kind, r.part, r.sealed) e WHERE r.kind = 'e';

GRANT SELECT ON pg_catalog.stl_load_errors, pg_catalog.stl_loaderror_detail, pg_catalog.stl_load_commits, pg_catalog.stl_file_scan, pg_catalog.stv_load_state,
  pg_catalog.sys_load_history, pg_catalog.sys_load_detail, pg_catalog.sys_load_error_detail TO PUBLIC;

CREATE VIEW pg_catalog.svv_table_attributes AS
  SELECT n.nspname AS schema_name, c.relname AS table_name, a.attributes
  FROM sealift.table_attributes a JOIN pg_catalog.pg_class c ON c.oid = a.relid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE has_table_privilege(c.oid, 'SELECT');

GRANT SELECT ON pg_catalog.svv_table_attributes TO PUBLIC;

CREATE FUNCTION sealift.table_figures(relation oid, OUT rows bigint, OUT live bigint, OUT bytes bigint, OUT unsorted double precision, OUT skew double precision,
  OUT used double precision) LANGUAGE c VOLATILE STRICT AS 'sealift', 'sealift_table_figures';

CREATE VIEW sealift.table_columns AS
  SELECT c.oid AS relid, c.relnamespace, c.relname, t.attnum, t.attname, format_type(t.atttypid, t.atttypmod) AS type, t.attnotnull,
    coalesce(nullif(lower(nullif(a.attributes->'encode'->>t.attname, 'auto')), 'raw'),
      CASE WHEN lower(a.attributes->'encode'->>t.attname) = 'raw' OR k.place IS NOT NULL OR t.atttypid IN ('boolean'::regtype, 'real'::regtype, 'double precision'::regtype)
        THEN 'none' WHEN y.typcategory = 'S' THEN 'lzo' ELSE 'az64' END) AS encoding,
    coalesce(t.attname = a.attributes->>'distkey', false) AS distkey,
    coalesce(CASE WHEN a.attributes->>'sortstyle' = 'interleaved' AND k.place % 2 = 1 THEN -k.place ELSE k.place END, 0)::integer AS sortkey
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute t ON t.attrelid = c.oid AND t.attnum > 0 AND NOT t.attisdropped
    JOIN pg_catalog.pg_type y ON y.oid = t.atttypid LEFT JOIN sealift.table_attributes a ON a.relid = c.oid
    LEFT JOIN LATERAL (SELECT n AS place FROM jsonb_array_elements_text(a.attributes->'sortkey') WITH ORDINALITY e(name, n) WHERE e.name = t.attname) k ON true
  WHERE c.relkind IN ('r', 'm', 'p') AND NOT pg_is_other_temp_schema(c.relnamespace);

CREATE VIEW pg_catalog.pg_table_def AS
  SELECT n.nspname AS schemaname, c.relname AS tablename, c.attname AS "column", c.type, c.encoding::character(32) AS encoding, c.distkey, c.sortkey,
    c.attnotnull AS "notnull"
  FROM sealift.table_columns c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE pg_table_is_visible(c.relid);

GRANT SELECT ON pg_catalog.pg_table_def TO PUBLIC;

CREATE VIEW pg_catalog.svv_table_info AS
  SELECT current_database()::text AS database, n.nspname::text AS schema, c.oid AS table_id, c.relname::text AS "table",
    CASE WHEN a.attributes->'encode' IS NULL THEN 'Y, AUTO(ENCODE)' WHEN s.encoded THEN 'Y' ELSE 'N' END AS encoded,
    CASE a.attributes->>'diststyle' WHEN 'key' THEN 'KEY(' || (a.attributes->>'distkey') || ')' WHEN 'all' THEN 'ALL' WHEN 'even' THEN 'EVEN'
      ELSE 'AUTO(EVEN)' END AS diststyle,
    CASE WHEN s.sortkey_num = 0 AND coalesce(a.attributes->>'sortstyle', 'auto') = 'auto' THEN 'AUTO(SORTKEY)' ELSE s.sortkey1 END AS sortkey1,
    s.max_varchar, s.sortkey1_enc::character(32) AS sortkey1_enc, s.sortkey_num, (f.bytes + 1048575) / 1048576 AS size, f.used::numeric(10,4) AS pct_used,
    0::bigint AS empty, f.unsorted::numeric(5,2) AS unsorted, 0::numeric(5,2) AS stats_off, f.rows::numeric(38,0) AS tbl_rows,
    f.skew::numeric(19,2) AS skew_sortkey1, 1::numeric(19,2) AS skew_rows, f.live::numeric(38,0) AS estimated_visible_rows, NULL::text AS risk_event,
    CASE WHEN f.unsorted = 0 THEN 0 END::numeric(12,2) AS vacuum_sort_benefit, NULL::timestamp AS create_time
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_am m ON m.oid = c.relam AND m.amname = 'sealed'
    LEFT JOIN sealift.table_attributes a ON a.relid = c.oid
    CROSS JOIN LATERAL (SELECT bool_or(t.encoding <> 'none') AS encoded, count(*) FILTER (WHERE t.sortkey <> 0)::integer AS sortkey_num,
        min(t.attname::text) FILTER (WHERE abs(t.sortkey) = 1) AS sortkey1, min(t.encoding) FILTER (WHERE abs(t.sortkey) = 1) AS sortkey1_enc,
        coalesce(max(substring(t.type FROM '^character varying\((\d+)\)')::integer), 0) AS max_varchar
      FROM sealift.table_columns t WHERE t.relid = c.oid) s
    CROSS JOIN LATERAL sealift.table_figures(c.oid) f
  WHERE c.relkind IN ('r', 'm') AND NOT pg_is_other_temp_schema(c.relnamespace) AND f.rows > 0;

GRANT SELECT ON pg_catalog.svv_table_info TO sealift_admin WITH GRANT OPTION;

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
