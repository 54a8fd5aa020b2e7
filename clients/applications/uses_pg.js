// node-postgres' pool. Without ERROR_LISTENER=1 it lacks the listener that its manual asks for, as
// many applications do.

'use strict';

const { Pool } = require('pg');
const { version } = require('pg/package.json');
const { borrowMilliseconds, serve, size } = require('./serving');

const pool = new Pool({
  max: size,
  // Its own timer closes what is idle for 10 s: off, since this process's clock is not turned.
  idleTimeoutMillis: 0,
  connectionTimeoutMillis: borrowMilliseconds,
});
if (process.env.ERROR_LISTENER === '1') pool.on('error', () => {});

serve({
  borrow: () => pool.connect(),
  execute: (session, statement) => session.query(statement),
  giveBack: async (session, error) => session.release(error),
}, `pg ${version}`);
