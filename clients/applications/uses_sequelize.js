// Sequelize over node-postgres, with a pool of its own.

'use strict';

const { Sequelize } = require('sequelize');
const { version } = require('sequelize/package.json');
const { borrowMilliseconds, minimum, serve, size } = require('./serving');

const { PGAPPNAME, PGDATABASE, PGHOST, PGPORT, PGUSER } = process.env;
const sequelize = new Sequelize(PGDATABASE, PGUSER, '', {
  dialect: 'postgres',
  host: PGHOST,
  port: PGPORT,
  logging: false,
  dialectOptions: { application_name: PGAPPNAME },
  pool: {
    min: minimum,
    max: size,
    acquire: borrowMilliseconds,
    // Its own timer closes what is idle for 10 s: off, since this process's clock is not turned.
    idle: 2 ** 31 - 1,
    evict: 500,
  },
});
const { connectionManager } = sequelize;

serve({
  borrow: () => connectionManager.getConnection({ type: 'read' }),
  // A transaction is how Sequelize binds queries to one session; this is what it does inside.
  execute: (session, statement) => sequelize.query(
    statement, { transaction: { connection: session } },
  ),
  giveBack: async (session) => connectionManager.releaseConnection(session),
}, `Sequelize ${version}`);
