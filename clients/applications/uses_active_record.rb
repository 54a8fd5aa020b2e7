# ActiveRecord's pool; serving.py describes what an application does.

require "active_record"
require "json"

READ = "SELECT count(*) FROM orders"
WRITE = "UPDATE orders SET total = total + 1 WHERE id = (SELECT pg_backend_pid() % 1000)"

ActiveRecord::Base.establish_connection(
  adapter: "postgresql", host: ENV["PGHOST"], port: ENV["PGPORT"], username: ENV["PGUSER"],
  database: ENV["PGDATABASE"],
  pool: Integer(ENV["POOL_SIZE"]), checkout_timeout: Float(ENV["BORROW_SECONDS"]),
  # Its own timer closes what is idle for 5 min: off, since this process's clock is not turned.
  idle_timeout: 0
)
POOL = ActiveRecord::Base.connection_pool
LOCK = Mutex.new
HELD = []

def tally
  { served: 0, failed: 0, error: nil, seconds: 0.0 }
end

def noted(tally)
  started = Process.clock_gettime(Process::CLOCK_MONOTONIC)
  error = nil
  begin
    yield
  rescue StandardError => error
    error = "#{error.class}: #{error.message.split.join(' ')}"[0, 200]
  end
  seconds = Process.clock_gettime(Process::CLOCK_MONOTONIC) - started
  LOCK.synchronize do
    tally[error ? :failed : :served] += 1
    tally[:error] ||= error
    tally[:seconds] = [tally[:seconds], seconds.round(3)].max
  end
end

def at_once(count, &use)
  found = tally
  Array.new(count) { Thread.new { noted(found, &use) } }.each(&:join)
  found
end

# All are borrowed before any is given back.
def use(count)
  missing = count
  all_borrowed = ConditionVariable.new
  at_once(count) do
    session = nil
    begin
      session = POOL.checkout
      session.execute(READ)
    ensure
      LOCK.synchronize do
        missing -= 1
        all_borrowed.broadcast if missing.zero?
        all_borrowed.wait(LOCK) until missing <= 0
      end
      POOL.checkin(session) if session
    end
  end
end

# Each in a thread that stays alive: the pool takes back what a dead thread had borrowed.
def hold(count)
  found = tally
  done = Queue.new
  count.times do
    Thread.new do
      noted(found) do
        session = POOL.checkout
        LOCK.synchronize { HELD << session }
        yield session
      end
      done << true
      sleep
    end
  end
  count.times { done.pop }
  found
end

def work_one(found, pause)
  until $resting
    sleep pause
    noted(found) do
      session = POOL.checkout
      begin
        session.execute(READ)
      ensure
        POOL.checkin(session)
      end
    end
  end
end

def carry_out(command, count, rate)
  case command
  when "use" then use(count)
  when "hold" then hold(count) { |session| session.execute(READ) }
  when "begin"
    hold(count) do |session|
      session.begin_db_transaction
      session.execute(WRITE)
    end
  when "release"
    held = HELD.slice!(0..)
    at_once(held.length) do
      session = LOCK.synchronize { held.pop }
      session.steal! # from the thread that borrowed it
      session.execute("ROLLBACK")
      POOL.checkin(session)
    end
  when "work"
    $resting = false
    $work = tally
    $workers = Array.new(count) { Thread.new { work_one($work, count / rate) } }
    tally
  when "rest"
    $resting = true
    $workers.each(&:join)
    $work
  else raise "unknown command: #{command}"
  end
end

$stdout.sync = true
puts JSON.generate(ready: "ActiveRecord #{ActiveRecord.version}")
while (line = $stdin.gets)
  command, count, rate = line.split
  puts JSON.generate(carry_out(command, count.to_i, rate.to_f))
end
exit!(0)
