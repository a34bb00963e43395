CREATE FUNCTION sealift.text_eq(text, text) RETURNS boolean LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF AS 'sealift', 'sealift_text_eq';

CREATE FUNCTION sealift.text_ne(text, text) RETURNS boolean LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF AS 'sealift', 'sealift_text_ne';

CREATE FUNCTION sealift.text_lt(text, text) RETURNS boolean LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF AS 'sealift', 'sealift_text_lt';

CREATE FUNCTION sealift.text_le(text, text) RETURNS boolean LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF AS 'sealift', 'sealift_text_le';

CREATE FUNCTION sealift.text_gt(text, text) RETURNS boolean LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF AS 'sealift', 'sealift_text_gt';

CREATE FUNCTION sealift.text_ge(text, text) RETURNS boolean LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF AS 'sealift', 'sealift_text_ge';

CREATE FUNCTION sealift.text_cmp(text, text) RETURNS integer LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF AS 'sealift', 'sealift_text_cmp';

CREATE FUNCTION sealift.text_larger(text, text) RETURNS text LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF AS 'sealift', 'sealift_text_larger';

CREATE FUNCTION sealift.text_smaller(text, text) RETURNS text LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF AS 'sealift', 'sealift_text_smaller';

CREATE FUNCTION sealift.text_hash(text) RETURNS integer LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF AS 'sealift', 'sealift_text_hash';

CREATE FUNCTION sealift.text_hash_extended(text, bigint) RETURNS bigint LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF
  AS 'sealift', 'sealift_text_hash_extended';

CREATE FUNCTION sealift.text_sortsupport(internal) RETURNS void LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'sealift', 'sealift_text_sortsupport';

CREATE FUNCTION sealift.varchar_in(cstring, oid, integer) RETURNS varchar LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'sealift', 'sealift_varchar_in';

CREATE FUNCTION sealift.varchar_receive(internal, oid, integer) RETURNS varchar LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'sealift', 'sealift_varchar_receive';

CREATE FUNCTION sealift.varchar_cast(varchar, integer, boolean) RETURNS varchar LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
  SUPPORT pg_catalog.varchar_support AS 'sealift', 'sealift_varchar_cast';

CREATE FUNCTION sealift.bpchar_in(cstring, oid, integer) RETURNS bpchar LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'sealift', 'sealift_bpchar_in';

CREATE FUNCTION sealift.bpchar_receive(internal, oid, integer) RETURNS bpchar LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'sealift', 'sealift_bpchar_receive';

CREATE FUNCTION sealift.bpchar_cast(bpchar, integer, boolean) RETURNS bpchar LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'sealift', 'sealift_bpchar_cast';

UPDATE pg_catalog.pg_operator o SET oprcode = ('sealift.' || m.function)::regproc
  FROM (VALUES ('=', 'text_eq'), ('<>', 'text_ne'), ('<', 'text_lt'), ('<=', 'text_le'), ('>', 'text_gt'), ('>=', 'text_ge')) m(name, function)
  WHERE o.oprname = m.name::name AND o.oprleft = 'text'::regtype AND o.oprright = 'text'::regtype;

UPDATE pg_catalog.pg_amproc p SET amproc = ('sealift.' || m.function)::regproc
  FROM (VALUES ('btree', 1, 'text_cmp'), ('btree', 2, 'text_sortsupport'), ('hash', 1, 'text_hash'), ('hash', 2, 'text_hash_extended')) m(am, number, function),
    pg_catalog.pg_opfamily f, pg_catalog.pg_am a
  WHERE f.oid = p.amprocfamily AND a.oid = f.opfmethod AND a.amname = m.am::name AND f.opfname = 'text_ops' AND p.amprocnum = m.number
    AND p.amproclefttype = 'text'::regtype AND p.amprocrighttype = 'text'::regtype;

DELETE FROM pg_catalog.pg_amproc p USING pg_catalog.pg_opfamily f, pg_catalog.pg_am a
  WHERE f.oid = p.amprocfamily AND a.oid = f.opfmethod AND a.amname = 'btree' AND f.opfname = 'text_ops' AND p.amprocnum = 4
    AND p.amproclefttype = 'text'::regtype AND p.amprocrighttype = 'text'::regtype;

UPDATE pg_catalog.pg_aggregate SET aggtransfn = 'sealift.text_larger'::regproc, aggcombinefn = 'sealift.text_larger'::regproc
  WHERE aggfnoid = 'pg_catalog.max(text)'::regprocedure;

UPDATE pg_catalog.pg_aggregate SET aggtransfn = 'sealift.text_smaller'::regproc, aggcombinefn = 'sealift.text_smaller'::regproc
  WHERE aggfnoid = 'pg_catalog.min(text)'::regprocedure;

UPDATE pg_catalog.pg_type SET typinput = 'sealift.varchar_in'::regproc, typreceive = 'sealift.varchar_receive'::regproc WHERE oid = 'varchar'::regtype;

UPDATE pg_catalog.pg_type SET typinput = 'sealift.bpchar_in'::regproc, typreceive = 'sealift.bpchar_receive'::regproc WHERE oid = 'bpchar'::regtype;

UPDATE pg_catalog.pg_cast SET castfunc = 'sealift.varchar_cast'::regproc::oid WHERE castsource = 'varchar'::regtype AND casttarget = 'varchar'::regtype;

UPDATE pg_catalog.pg_cast SET castfunc = 'sealift.bpchar_cast'::regproc::oid WHERE castsource = 'bpchar'::regtype AND casttarget = 'bpchar'::regtype;
