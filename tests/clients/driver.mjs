// The node driver over TLS: parameters, prepared statements, errors, COPY through the extended protocol. argv: role ARN.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import pg from 'pg';

const ssl = { ca: readFileSync(process.env.PGSSLROOTCERT), servername: 'localhost' };
const client = new pg.Client({ ssl });
const notices = [];
client.on('notice', (n) => notices.push(n));
await client.connect();
assert.equal((await client.query('select $1::int + $2::int as n', [40, 2])).rows[0].n, 42);
await client.query('create table driver (a integer, b varchar(20)) diststyle all');
await client.query('insert into driver values ($1, $2), (3, $3)', [1, "o'neil", 'x']);
assert.deepEqual((await client.query({ name: 'p', text: 'select b from driver where a = $1', values: [1] })).rows, [{ b: "o'neil" }]);
assert.deepEqual((await client.query({ name: 'p', text: 'select b from driver where a = $1', values: [3] })).rows, [{ b: 'x' }]);
await assert.rejects(client.query('select nothing from driver'), { code: '42703' });
await client.query('begin');
await assert.rejects(client.query("copy driver from 's3://b/k' iam_role 'x' nonsense"), { code: '42601' });
await assert.rejects(client.query('select 1'), { code: '25P02' });
await client.query('rollback');
assert.equal((await client.query('select 1 as n')).rows[0].n, 1);
// Named with values: the driver then prepares it, as Redshift's own drivers always do.
const copy = await client.query({ text: `copy flight_data from 's3://parts/p/' iam_role '${process.argv[2]}' gzip delimiter ','`, queryMode: 'extended' });
assert.equal(copy.command, 'COPY');
assert.match(notices.at(-1).message, /Load into table 'flight_data' completed, \d+ record/);
await client.end();
const wrong = new pg.Client({ ssl, password: 'wrong' });
await assert.rejects(wrong.connect(), { code: '28P01' });
console.log('ok');
