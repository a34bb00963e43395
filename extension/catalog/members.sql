INSERT INTO pg_catalog.pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
  VALUES (9900, 'sealift', 10, 'sealift'::regnamespace, false, '1');

INSERT INTO pg_catalog.pg_depend (classid, objid, objsubid, refclassid, refobjid, refobjsubid, deptype)
  SELECT o.classid, o.oid, 0, 'pg_extension'::regclass, 9900, 0, 'e'
  FROM (SELECT 'pg_namespace'::regclass, 'sealift'::regnamespace::oid
    UNION ALL SELECT 'pg_class'::regclass, oid FROM pg_catalog.pg_class WHERE oid >= 'sealift'::regnamespace::oid AND relkind IN ('r', 'v', 'S')
      AND relnamespace IN ('sealift'::regnamespace, 'pg_catalog'::regnamespace)
    UNION ALL SELECT 'pg_proc'::regclass, oid FROM pg_catalog.pg_proc WHERE oid >= 'sealift'::regnamespace::oid
    UNION ALL SELECT 'pg_am'::regclass, oid FROM pg_catalog.pg_am WHERE oid >= 'sealift'::regnamespace::oid) o(classid, oid);

DELETE FROM pg_catalog.pg_init_privs WHERE classoid = 'pg_proc'::regclass;

INSERT INTO pg_catalog.pg_init_privs (objoid, classoid, objsubid, privtype, initprivs)
  SELECT oid, 'pg_proc'::regclass, 0, CASE WHEN oid >= 'sealift'::regnamespace::oid THEN 'e' ELSE 'i' END::"char", proacl FROM pg_catalog.pg_proc WHERE proacl IS NOT NULL
  UNION ALL SELECT oid, 'pg_class'::regclass, 0, 'e', relacl FROM pg_catalog.pg_class WHERE oid >= 'sealift'::regnamespace::oid AND relacl IS NOT NULL
  UNION ALL SELECT oid, 'pg_namespace'::regclass, 0, 'e', nspacl FROM pg_catalog.pg_namespace WHERE nspname = 'sealift' AND nspacl IS NOT NULL;
