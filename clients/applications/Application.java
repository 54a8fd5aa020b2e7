import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.sql.Connection;
import java.sql.Statement;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import javax.sql.DataSource;

/** What both of the lab's applications in Java do with their pool; serving.py describes it. */
public final class Application {
    private static final String READ = "SELECT count(*) FROM orders";
    private static final String WRITE =
            "UPDATE orders SET total = total + 1 WHERE id = (SELECT pg_backend_pid() % 1000)";

    private final DataSource pool;
    private final List<Connection> held = Collections.synchronizedList(new ArrayList<>());
    private final List<Thread> workers = new ArrayList<>();
    private volatile boolean isResting;
    private Tally work = new Tally();

    private Application(DataSource pool) {
        this.pool = pool;
    }

    public static void main(String[] arguments) throws Exception {
        String library = arguments[0];
        Application application =
                new Application(library.equals("HikariCP") ? hikari() : dbcp2());
        System.out.println("{\"ready\": \"" + library + " " + arguments[1] + "\"}");
        BufferedReader commands = new BufferedReader(new InputStreamReader(System.in));
        for (String line = commands.readLine(); line != null; line = commands.readLine()) {
            System.out.println(application.carryOut(line.split(" ")).answer());
        }
        Runtime.getRuntime().halt(0);
    }

    private static DataSource hikari() {
        com.zaxxer.hikari.HikariConfig config = new com.zaxxer.hikari.HikariConfig();
        config.setJdbcUrl(url());
        config.setUsername(System.getenv("PGUSER"));
        config.setMaximumPoolSize(number("POOL_SIZE"));
        config.setMinimumIdle(number("POOL_MINIMUM"));
        double seconds = Double.parseDouble(System.getenv("BORROW_SECONDS"));
        config.setConnectionTimeout((long) (1000 * seconds));
        return new com.zaxxer.hikari.HikariDataSource(config);
    }

    private static DataSource dbcp2() throws Exception {
        var pool = new org.apache.commons.dbcp2.BasicDataSource();
        pool.setUrl(url());
        pool.setUsername(System.getenv("PGUSER"));
        pool.setMaxTotal(number("POOL_SIZE"));
        // Its default closes what is given back beyond 8 idle ones.
        pool.setMaxIdle(number("POOL_SIZE"));
        pool.setInitialSize(number("POOL_MINIMUM"));
        pool.setMinIdle(number("POOL_MINIMUM"));
        pool.setMaxWaitMillis((long) (1000 * Double.parseDouble(System.getenv("BORROW_SECONDS"))));
        return pool;
    }

    private static String url() {
        return "jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/"
                + System.getenv("PGDATABASE") + "?ApplicationName=" + System.getenv("PGAPPNAME");
    }

    private static int number(String name) {
        return Integer.parseInt(System.getenv(name));
    }

    private Tally carryOut(String[] command) throws InterruptedException {
        int count = command.length > 1 ? Integer.parseInt(command[1]) : 0;
        switch (command[0]) {
            case "use":
                return use(count);
            case "hold":
                return atOnce(count, () -> hold(true, READ));
            case "begin":
                return atOnce(count, () -> hold(false, WRITE));
            case "release":
                return atOnce(held.size(), () -> giveBack(held.remove(0)));
            case "work":
                work(count, Double.parseDouble(command[2]));
                return new Tally();
            case "rest":
                isResting = true;
                for (Thread worker : workers) {
                    worker.join();
                }
                return work;
            default:
                throw new IllegalArgumentException("unknown command: " + command[0]);
        }
    }

    /** All borrow before any gives back. */
    private Tally use(int count) throws InterruptedException {
        CountDownLatch borrowed = new CountDownLatch(count);
        return atOnce(count, () -> {
            Connection session = null;
            try {
                session = pool.getConnection();
                execute(session, READ);
            } finally {
                borrowed.countDown();
                borrowed.await();
                if (session != null) {
                    session.close();
                }
            }
        });
    }

    private void hold(boolean commits, String statement) throws Exception {
        Connection session = pool.getConnection();
        held.add(session);
        session.setAutoCommit(commits);
        execute(session, statement);
    }

    private static void giveBack(Connection session) throws Exception {
        if (!session.getAutoCommit()) {
            session.rollback();
            session.setAutoCommit(true);
        }
        session.close();
    }

    private void work(int count, double perSecond) {
        isResting = false;
        work = new Tally();
        workers.clear();
        for (int worker = 0; worker < count; worker++) {
            Thread thread = new Thread(() -> {
                while (!isResting) {
                    try {
                        Thread.sleep((long) (1000 * count / perSecond));
                    } catch (InterruptedException interrupted) {
                        return;
                    }
                    work.note(() -> {
                        try (Connection session = pool.getConnection()) {
                            execute(session, READ);
                        }
                    });
                }
            });
            thread.setDaemon(true);
            thread.start();
            workers.add(thread);
        }
    }

    private static void execute(Connection session, String statement) throws Exception {
        try (Statement running = session.createStatement()) {
            running.execute(statement);
        }
    }

    private static Tally atOnce(int count, Use use) throws InterruptedException {
        Tally tally = new Tally();
        List<Thread> threads = new ArrayList<>();
        for (int each = 0; each < count; each++) {
            Thread thread = new Thread(() -> tally.note(use));
            thread.start();
            threads.add(thread);
        }
        for (Thread thread : threads) {
            thread.join();
        }
        return tally;
    }

    private interface Use {
        void run() throws Exception;
    }

    private static final class Tally {
        private int served;
        private int failed;
        private String error;
        private double seconds;

        void note(Use use) {
            long started = System.nanoTime();
            String failure = null;
            try {
                use.run();
            } catch (Exception exception) {
                failure = exception.getClass().getSimpleName() + ": " + exception.getMessage();
            }
            add(failure, Duration.ofNanos(System.nanoTime() - started).toMillis() / 1000.0);
        }

        private synchronized void add(String failure, double took) {
            seconds = Math.max(seconds, took);
            if (failure == null) {
                served++;
            } else {
                failed++;
                error = error == null ? failure : error;
            }
        }

        synchronized String answer() {
            return String.format(
                    java.util.Locale.ROOT,
                    "{\"served\": %d, \"failed\": %d, \"error\": %s, \"seconds\": %.3f}",
                    served, failed, quoted(error), seconds);
        }

        private static String quoted(String text) {
            if (text == null) {
                return "null";
            }
            String line = text.replaceAll("[\\p{Cntrl}\"\\\\]+", " ");
            return "\"" + line.substring(0, Math.min(line.length(), 200)) + "\"";
        }
    }
}
