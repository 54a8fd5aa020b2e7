// knex over node-postgres; its pool is tarn.

'use strict';

const knex = require('knex');
const { version } = require('knex/package.json');
const { borrowMilliseconds, minimum, serve, size } = require('./serving');

const database = knex({
  client: 'pg',
  connection: {},
  acquireConnectionTimeout: borrowMilliseconds,
  // Its own timer closes what is idle for 30 s: off, since this process's clock is not turned.
  pool: { min: minimum, max: size, idleTimeoutMillis: 2 ** 31 - 1 },
});

serve({
  borrow: () => database.client.acquireConnection(),
  execute: (session, statement) => database.raw(statement).connection(session),
  giveBack: (session) => database.client.releaseConnection(session),
}, `knex ${version}`);
