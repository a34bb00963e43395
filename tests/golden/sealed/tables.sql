-- Run on sealed tables and on PostgreSQL's own; both must say the same, errors too (tests/scenario/sealed_regress_test.py).

-- types, NULLs, long and empty values
create table types (b boolean, i2 smallint, i4 integer, i8 bigint, f4 real, f8 double precision, n numeric(38,9), n82 numeric(8,2), c char(5), v varchar(20), t varchar(80000),
  d date, tm time, ts timestamp, tz timestamptz, iv interval);
insert into types values (true, 1, 1, 1, 1.5, 1.5, 1.5, 1.5, 'a', 'a', 'a', '2001-02-03', '04:05:06', '2001-02-03 04:05:06', '2001-02-03 04:05:06+00', '1 day 2 hours');
insert into types values (false, -32768, -2147483648, -9223372036854775808, '-Infinity', 'NaN', 'NaN', -999999.99, '', '', '', '4713-01-01 BC', '00:00', '-infinity', 'infinity', '-1 year');
insert into types values (null, 32767, 2147483647, 9223372036854775807, '-0', '1e-300', 12345678901234567890123456789.123456789, 0, 'abcde', 'ünïcödé', repeat('x', 70000), '9999-12-31', '24:00', 'epoch', 'epoch', '0');
insert into types (b) values (null);
insert into types (v) values (repeat('y', 126)::varchar(20)), (repeat('z', 20));
insert into types (v) values ('twenty one characters');
insert into types (i2) values (40000);
insert into types (n82) values (1234567.5);
select b, i2, i4, i8, f4, f8, n, n82, c, v, length(t), md5(t), d, tm, ts, tz at time zone 'UTC', iv from types order by i4 nulls last, v nulls first;
select count(*), count(b), count(t), min(i8), max(i8), min(d), max(ts), sum(n82) from types;
select v from types where v > 'a' order by v;
select * from types where b is null and i4 is null and v is null;
create table wide as select i as a, repeat(chr(97 + i % 26), i * 100) as t from generate_series(1, 200) i;
select sum(length(t)), min(t) = repeat('a', 2600), count(distinct t) from wide;
create table vectors as select '1 2 3'::oidvector as o, '4 5'::int2vector as i union all select null, '6' union all select '', '';
select o, i, o[0], i[1] from vectors order by i;
create type mood as enum ('sad', 'ok', 'happy');
create table moods (m mood);
insert into moods values ('ok'), ('sad'), (null), ('happy');
select m from moods where m > 'sad' order by m;
create domain positive as integer check (value > 0);
create table doms (p positive);
insert into doms values (1), (0);
insert into doms values (2);
select * from doms;

-- numbers of a declared scale
create table nums (id integer, a numeric(8,2), b numeric(18,0), c numeric(18,18), d numeric(19,3), e numeric(38,0), f numeric(38,38), g numeric(37,4), h numeric(5,-2), i numeric(3,5), j numeric(1,0));
insert into nums values (1, 12.34, 123456789012345678, 0.123456789012345678, 1234567890123456.789, 12345678901234567890123456789012345678, 0.12345678901234567890123456789012345678, 1e30, 12345, 0.00123, 9);
insert into nums values (2, -12.34, -123456789012345678, -0.123456789012345678, -1234567890123456.789, -12345678901234567890123456789012345678, -0.12345678901234567890123456789012345678, -1e-50, -12345, -0.00123, -9);
insert into nums values (3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), (4, null, null, null, null, null, null, null, null, null, null);
insert into nums values (5, 'NaN', 'NaN', 'NaN', 'NaN', 'NaN', 'NaN', 'NaN', 'NaN', 'NaN', 'NaN');
insert into nums values (6, 999999.99, 999999999999999999, 0.999999999999999999, 9999999999999999.999, 99999999999999999999999999999999999999, 0.99999999999999999999999999999999999999, 1e32, 99949, 0.00999, 1);
insert into nums values (7, 0.01, 10000, 0.000000000000000001, 0.001, 10000, 0.00000000000000000000000000000000000001, -1e32, 100, 0.00001, 2);
insert into nums values (8, 0.015, 0.5, 0.00010, 10000.0001, 100000000, 0.0001, 3.1400, 149, 0.0000149, 2.5);
insert into nums (id, a) values (9, 'Infinity');
insert into nums (id, a) values (9, 1000000);
insert into nums (id, e) values (9, 1e38);
select * from nums order by id;
select id, a * 2, b + 1, c * c, d / 7, e - 1, f + f, round(a, 1), scale(a), scale(c), a::text, a::float8, a::bigint from nums where id in (1, 2, 7, 8) order by id;
select id, a = 'NaN', a > 1e100, hash_numeric(a) = hash_numeric(a::text::numeric), e = e::text::numeric from nums order by id;
select sum(a), min(a), max(a), count(distinct a), sum(e), avg(d) from nums where a <> 'NaN';
select a, count(*) from nums group by a order by a nulls first;
select x.id, y.id from nums x join nums y on x.a = y.a and x.d = y.d order by 1, 2;
update nums set a = a * 1.005 + id where id < 4 returning id, a;
alter table nums alter a type numeric(12,2);
alter table nums alter c type numeric(19,18);
alter table nums alter d type numeric(38,3);
-- without a declared scale, which Redshift's syntax has no name for
do $$ begin execute 'alter table nums alter e type numeric'; end $$;
create table free as select id, a / 3 as n from nums;
insert into free values (20, 1e300), (21, '-Infinity'), (22, 'Infinity'), (23, -1e-300), (24, 0.00);
select id, n from free order by n, id;
insert into nums (id, a, c, d, e) values (10, 9999999999.99, 9.999999999999999999, 12345678901234567890123456789012345.678, 1e60), (11, 'NaN', 'NaN', 'NaN', '-Infinity');
select id, a, scale(a), c, d, e from nums order by id;
update nums set e = 0 where e > 1e40 or e < -1e40;
do $$ begin execute 'alter table nums alter a type numeric'; end $$;
alter table nums alter a type numeric(10,1) using case when a < 1e8 then a end;
alter table nums alter e type numeric(38,0);
alter table nums alter d type numeric(38,2);
select id, a, d, e from nums order by id;
alter table nums alter a type bigint;
alter table nums alter d type varchar(50);
select id, a, d from nums where a is not null order by id;
alter table nums add k numeric(6,3) default 1.5;
insert into nums (id) values (12);
update nums set k = k + 0.25 where id = 12;
select id, k from nums order by id;
create domain price as numeric(9,2);
create domain score as double precision;
create table priced (p price, s score);
insert into priced values (1.005, 1.5), ('NaN', 'NaN'), (null, null);
alter table priced alter p type numeric(9,2), alter s type double precision;
insert into priced values (7, 7);
alter table priced alter p type price, alter s type score;
select * from priced order by p;

-- INSERT
create table ins (a integer, b varchar(10) default 'none', c numeric(6,2) not null default 0);
insert into ins values (1, 'one', 1), (2, default, default);
insert into ins (c, a) values (5, 3);
insert into ins (a, c) values (4, null);
insert into ins select a + 10, b, c from ins;
insert into ins select a + 100, b, c from ins returning a, b;
insert into ins values (99, 'too long for it', 1);
select * from ins order by a;
insert into ins default values returning *;
insert into ins select i, 'x', i from generate_series(1000, 1999) i;
select count(*), sum(a), sum(c) from ins;
alter table ins add constraint small check (a < 100000);
insert into ins values (100000);
insert into ins values (5), (100001), (6);
select count(*) from ins;

-- UPDATE
create table upd (a integer, b varchar(10), c integer);
insert into upd select i, 'v' || i, i % 10 from generate_series(1, 5000) i;
update upd set b = 'ten' where a = 10 returning *;
update upd set c = c + 1, a = -a where a between 20 and 25 returning a, b, c;
select a, b, c from upd where a < 0 order by a;
update upd u set b = 'j' || o.a from upd o where o.a = u.c and u.a between 1 and 12;
select * from upd where a between 1 and 12 order by a;
update upd set c = (select max(a) from upd) where a = 1;
select * from upd where a = 1;
update upd set (b, c) = (select 'row', 7) where a = 2;
select * from upd where a = 2;
update upd set c = null where a % 2 = 0;
select count(*), count(c), sum(c) from upd;
update upd set a = a;
select count(*), sum(a) from upd;
update upd set b = 'far too long for this' where a = 3;
update upd set a = 1 / (a - 3) where a < 10;
select count(*), sum(a) from upd;
-- a row joined more than once is changed once
create table twice (k integer, w integer);
insert into twice values (1, 1), (1, 1), (2, 2);
update upd set c = twice.w from twice where upd.a = twice.k;
select a, c from upd where a in (1, 2) order by a;

-- DELETE
delete from upd where a = 4000 returning a, b;
delete from upd where a > 4000;
delete from upd using twice where upd.a = twice.k;
delete from upd where a in (select a from upd where a between 100 and 200);
select count(*), sum(a) from upd;
delete from upd where a = 100;
delete from upd;
select count(*) from upd;
insert into upd values (1, 'again', 1);
select * from upd;

-- MERGE
create table target (tid integer, balance integer);
create table source (sid integer, delta integer);
insert into target values (1, 10), (2, 20), (3, 30);
insert into source values (2, 5), (3, -30), (4, 40);
merge into target t using source s on t.tid = s.sid
  when matched and t.balance + s.delta = 0 then delete
  when matched then update set balance = balance + delta
  when not matched then insert values (s.sid, s.delta);
select * from target order by tid;
insert into source values (2, 6);
merge into target t using source s on t.tid = s.sid when matched then update set balance = s.delta;
merge into target t using source s on t.tid = s.sid when matched then do nothing when not matched then insert (tid) values (s.sid);
select * from target order by tid, balance;

-- TRUNCATE, transactions, savepoints
begin;
insert into target values (50, 50);
truncate target;
select count(*) from target;
insert into target values (60, 60);
select * from target;
rollback;
select count(*) from target;
begin;
truncate target;
insert into target values (61, 61);
commit;
select * from target;
begin;
insert into target values (1, 1);
savepoint a;
insert into target values (2, 2);
update target set balance = 100;
savepoint b;
delete from target where tid = 1;
select * from target order by tid;
rollback to b;
select * from target order by tid;
rollback to a;
select * from target order by tid;
release a;
insert into target values (3, 3);
commit;
select * from target order by tid;
begin;
delete from target;
select count(*) from target;
select 1 / 0;
select count(*) from target;
rollback;
select count(*) from target;
begin;
create table made (a integer);
insert into made values (1), (2);
savepoint s;
drop table made;
rollback to s;
select sum(a) from made;
truncate made;
insert into made values (7);
select * from made;
commit;
select * from made;
begin;
drop table made;
rollback;
select * from made;
drop table made;
select * from made;

-- a statement doesn't see itself
create table halloween (a integer);
insert into halloween values (1), (2), (3);
insert into halloween select a + 3 from halloween;
insert into halloween select a + 6 from halloween;
select count(*), sum(a) from halloween;
update halloween set a = a * 2;
select count(*), sum(a) from halloween;
with d as (delete from halloween where a > 10 returning a) select count(*), (select count(*) from halloween) from d;
select count(*) from halloween;
with i as (insert into halloween values (1000) returning a), u as (update halloween set a = a + 1 where a < 6 returning a)
  select (select count(*) from halloween), (select sum(a) from u), (select sum(a) from i);
select count(*), sum(a) from halloween;

-- functions, triggers of none, procedures
create function add_row(x integer) returns integer language plpgsql as $$ begin insert into halloween values (x); return (select count(*) from halloween); end $$;
select add_row(1), add_row(2);
select count(*) from halloween;
create function tries(x integer) returns text language plpgsql as $$
begin
  insert into halloween values (x);
  begin
    insert into halloween values (x + 1);
    update halloween set a = a / 0 where a = x;
    return 'no';
  exception when division_by_zero then
    return 'caught ' || (select count(*) from halloween where a in (x, x + 1));
  end;
end $$;
select tries(5000);
select count(*) from halloween where a >= 5000;
create procedure steps() language plpgsql as $$
begin
  insert into halloween values (7000);
  commit;
  insert into halloween values (7001);
  rollback;
  insert into halloween values (7002);
end $$;
call steps();
select a from halloween where a >= 7000 order by a;
create function evens() returns setof halloween language sql as $$ select * from halloween where a % 2 = 0 $$;
select count(*) from evens();
do $$ declare r record; n integer := 0; begin
  for r in select a from halloween order by a loop
    update halloween set a = r.a + 1 where a = r.a;
    n := n + 1;
  end loop;
  raise notice '% rows', n;
end $$;

-- cursors
create table cur as select i as a from generate_series(1, 20) i;
begin;
declare c scroll cursor for select a from cur where a > 5 order by a;
fetch 3 from c;
fetch backward 2 from c;
fetch last from c;
fetch absolute 2 from c;
move -1 in c;
fetch next from c;
close c;
declare d cursor for select a from cur;
fetch 2 from d;
delete from cur where a > 3;
insert into cur values (100);
fetch 3 from d;
select count(*) from cur;
commit;
begin;
declare h scroll cursor with hold for select a from cur order by a;
commit;
delete from cur;
fetch all from h;
fetch prior from h;
close h;

-- prepared statements
prepare one (integer) as select a, b from ins where a = $1;
execute one (1);
execute one (3);
prepare chg (integer, varchar) as update ins set b = $2 where a = $1 returning a, b;
execute chg (1, 'uno');
execute chg (3, 'tres');
execute one (3);
deallocate all;

-- ALTER TABLE
create table alt (a integer, b varchar(5));
insert into alt values (1, 'x'), (2, null);
alter table alt add c integer;
alter table alt add d varchar(10) default 'dflt' not null;
alter table alt add e timestamp default '2001-01-01';
select * from alt order by a;
insert into alt values (3, 'y', 3, 'z', null);
update alt set b = 'upd' where a = 1;
select * from alt order by a;
alter table alt alter b type varchar(50);
alter table alt alter a type bigint;
alter table alt alter c type varchar(10) using c || '!';
select * from alt order by a;
alter table alt drop b;
alter table alt add b integer default 9;
insert into alt (a) values (4);
select * from alt order by a;
alter table alt alter c set not null;
update alt set c = 'n' where c is null;
alter table alt alter c set not null;
insert into alt (a, c) values (5, null);
alter table alt rename a to aa;
alter table alt rename to alt2;
select aa, c from alt2 order by aa;
delete from alt2 where b = 9 and aa < 3;
vacuum alt2;
select * from alt2 order by aa;

create function two() returns integer stable language sql as 'select 2';
alter table alt2 add st integer default two() not null, add lit integer default -7 check (lit < 0), add bad text default two()::text || 'x';
insert into alt2 (aa, c) values (7, 'seven');
select aa, st, lit, bad from alt2 order by aa;
alter table alt2 add column if not exists st bigint default two() + 1, add column if not exists fresh bigint default two() + 1;
select aa, st, fresh from alt2 order by aa;
alter table alt2 add wrong integer default aa + two();
alter table alt2 add wrong integer default (select two());
alter table alt2 add wrong integer default max(two());
alter table alt2 add wrong integer default two() / 0;
alter table alt2 add wrong varchar(2) default 'abc' || two();
alter table alt2 add wrong integer default nullif(two(), 2) not null;
alter table alt2 add wrong integer default two() check (wrong > 2);
alter table alt2 add wrong date default two();
alter table if exists nowhere add a integer default two();
alter table nowhere add a integer default two();
alter table alt2 add pos positive default two(), add g integer generated always as (lit * 2) stored, add vol double precision default floor(random());
select aa, pos, g, vol from alt2 order by aa;
create table alt_p (k integer) partition by list (k);
create table alt_p1 partition of alt_p for values in (1);
insert into alt_p values (1);
alter table alt_p add s integer default two();
alter table only alt_p add o integer default two();
insert into alt_p values (1);
select * from alt_p order by s;
select attname, pg_get_expr(adbin, adrelid) from pg_attribute join pg_attrdef on attrelid = adrelid and attnum = adnum where attrelid in ('alt2'::regclass, 'alt_p1'::regclass)
  and attname not in ('b', 'd', 'e') order by 1;

-- temporary tables, CTAS, materialised views
create temp table tmp as select a, b from ins where a < 200;
select count(*) from tmp;
update tmp set b = 'tmp';
delete from tmp where a > 50;
select count(*), min(b) from tmp;
begin;
create temp table gone (a integer) on commit drop;
insert into gone values (1);
commit;
select * from gone;
create temp table emptied (a integer) on commit delete rows;
begin;
insert into emptied values (1), (2);
select count(*) from emptied;
delete from emptied where a = 1;
commit;
select count(*) from emptied;
begin;
insert into emptied values (3);
savepoint s;
insert into emptied values (4);
rollback to s;
select * from emptied;
commit;
select count(*) from emptied;
create table ctas as select a % 3 as g, count(*) as n from ins group by 1;
select * from ctas order by g;
create materialized view mv as select g, n * 2 as nn from ctas;
select * from mv order by g;
insert into ctas values (77, 1);
select count(*) from mv;
refresh materialized view mv;
select count(*) from mv;
create table like_it (like ins including defaults);
insert into like_it (a) values (1);
select * from like_it;
create table inh (z integer) inherits (like_it);
insert into inh values (2, 'child', 2, 3);
update like_it set b = 'both';
select a, b, c from like_it order by a;
delete from like_it where a = 2;
select count(*) from inh;
create table parts (k integer, v varchar(5)) partition by range (k);
create table parts_low partition of parts for values from (0) to (10);
create table parts_high partition of parts for values from (10) to (20);
insert into parts values (1, 'a'), (11, 'b');
insert into parts values (25, 'c');
update parts set k = 12 where k = 1;
select tableoid::regclass::text, * from parts order by k;
delete from parts where v = 'b';
select * from parts;

-- queries
create table emp (id integer, dept integer, name varchar(20), salary numeric(10,2));
create table dept (id integer, name varchar(20));
insert into emp select i, i % 7, 'emp' || i, (i * 37 % 1000) + 0.5 from generate_series(1, 3000) i;
insert into dept select i, 'dept' || i from generate_series(0, 9) i;
select d.name, count(e.id), sum(e.salary), avg(e.salary) from dept d left join emp e on e.dept = d.id group by d.name order by 1;
select count(*) from emp a join emp b on a.salary = b.salary and a.id < b.id;
select count(*) from emp e where exists (select 1 from dept d where d.id = e.dept and d.name > 'dept3');
select count(*) from dept d where d.id not in (select dept from emp);
select dept, name, salary, rank() over (partition by dept order by salary desc, id) from emp where id <= 30 order by dept, 4, id limit 12;
select dept, id % 2, sum(salary) from emp where dept < 3 group by grouping sets ((dept), (dept, id % 2), ()) order by 1 nulls last, 2 nulls last;
select distinct dept from emp order by 1 desc limit 3 offset 1;
select id from emp where salary > (select avg(salary) from emp) order by salary desc, id limit 5;
with recursive t(n) as (select 1 union all select n + 1 from t where n < 5) select t.n, d.name from t join dept d on d.id = t.n order by 1;
select id from emp where dept = 1 union select id from dept union all select 0 order by 1 limit 5;
select case when salary > 500 then 'high' else 'low' end as band, count(*) from emp group by 1 order by 1;
select e.id, l.name from emp e, lateral (select d.name from dept d where d.id = e.dept limit 1) l where e.id < 4 order by 1;
select string_agg(name, ',' order by id) from emp where id < 6;
select emp from emp where id = 1;
select count(emp.*) from emp;
select tableoid::regclass from emp limit 1;
select id, (select count(*) from dept where dept.id < emp.id) from emp where id < 4 order by 1;
select percentile_cont(0.5) within group (order by salary) from emp;
select a.id, b.id from dept a full join dept b on a.id = b.id + 5 order by 1 nulls last, 2;
