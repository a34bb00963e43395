// One DuckDB file, statements from the standard input (a JSON list); for each a line of JSON: seconds and rows. usage: node duckdb.mjs FILE
import { readFileSync } from 'node:fs';
import { DuckDBInstance } from '@duckdb/node-api';

const instance = await DuckDBInstance.create(process.argv[2]);
const connection = await instance.connect();
for (const sql of JSON.parse(readFileSync(0, 'utf8'))) {
  const begun = process.hrtime.bigint();
  const reader = await connection.runAndReadAll(sql);
  const seconds = Number(process.hrtime.bigint() - begun) / 1e9;
  console.log(JSON.stringify({ seconds, rows: reader.getRowsJson() }));
}
connection.closeSync();
instance.closeSync();
