// What each of the lab's applications for Node.js does; serving.py describes it.

'use strict';

const readline = require('node:readline');

const READ = 'SELECT count(*) FROM orders';
const WRITE = 'UPDATE orders SET total = total + 1 WHERE id = (SELECT pg_backend_pid() % 1000)';

// Only the protocol uses standard output: what a library prints goes to standard error.
const print = (answer) => { process.stdout.write(`${JSON.stringify(answer)}\n`); };
console.log = console.error;
console.info = console.error;
console.debug = console.error;

exports.size = Number(process.env.POOL_SIZE);
exports.minimum = Number(process.env.POOL_MINIMUM);
exports.borrowMilliseconds = 1000 * Number(process.env.BORROW_SECONDS);

// `pool` has borrow(), execute(session, statement) and giveBack(session, error), all asynchronous.
exports.serve = async (pool, version) => {
  const held = [];
  let working = [];
  let work = null;
  let isResting = false;

  const noted = async (tally, use) => {
    const started = process.hrtime.bigint();
    try {
      await use();
      tally.served += 1;
    } catch (error) {
      tally.failed += 1;
      tally.error ??= `${error.name}: ${error.message}`.slice(0, 200);
    }
    const seconds = Number(process.hrtime.bigint() - started) / 1e9;
    tally.seconds = Math.max(tally.seconds, Math.round(1000 * seconds) / 1000);
  };

  const atOnce = async (count, use) => {
    const tally = { served: 0, failed: 0, error: null, seconds: 0 };
    await Promise.all(Array.from({ length: count }, () => noted(tally, use)));
    return tally;
  };

  const use = async (count) => {
    let missing = count;
    let everybodyHas;
    const allBorrowed = new Promise((resolve) => { everybodyHas = resolve; });
    const arrive = () => { missing -= 1; if (missing === 0) everybodyHas(); };
    return atOnce(count, async () => {
      let session;
      let error;
      try {
        session = await pool.borrow();
        await pool.execute(session, READ);
      } catch (failure) {
        error = failure;
      }
      arrive();
      await allBorrowed;
      if (session) await pool.giveBack(session, error);
      if (error) throw error;
    });
  };

  const hold = (count, statements) => atOnce(count, async () => {
    const session = await pool.borrow();
    held.push(session);
    for (const statement of statements) await pool.execute(session, statement);
  });

  const workOne = async (tally, pause) => {
    while (!isResting) {
      await new Promise((resolve) => { setTimeout(resolve, pause); });
      await noted(tally, async () => {
        const session = await pool.borrow();
        let error;
        try {
          await pool.execute(session, READ);
        } catch (failure) {
          error = failure;
          throw failure;
        } finally {
          await pool.giveBack(session, error);
        }
      });
    }
  };

  const carryOut = async (command, count, rate) => {
    switch (command) {
      case 'use': return use(count);
      case 'hold': return hold(count, [READ]);
      case 'begin': return hold(count, ['BEGIN', WRITE]);
      case 'release': {
        const sessions = held.splice(0);
        return atOnce(sessions.length, async () => {
          const each = sessions.pop();
          await pool.execute(each, 'ROLLBACK');
          await pool.giveBack(each);
        });
      }
      case 'work':
        isResting = false;
        work = { served: 0, failed: 0, error: null, seconds: 0 };
        working = Array.from({ length: count }, () => workOne(work, 1000 * count / rate));
        return { served: 0, failed: 0, error: null, seconds: 0 };
      case 'rest':
        isResting = true;
        await Promise.all(working);
        return work;
      default:
        throw new Error(`unknown command: ${command}`);
    }
  };

  print({ ready: version });
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [command, count, rate] = line.split(' ');
    print(await carryOut(command, Number(count), Number(rate)));
  }
  process.exit(0);
};
