import java.util.*;
import java.util.concurrent.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.header.internals.*;
import org.apache.kafka.common.serialization.*;

/** Fills the topics of the golden files on a real broker. Timestamps and values are fixed; ids and batch headers come
 *  out the same as long as the broker is new. Run with "first", restart the broker, run with "second". */
public class Golden {
    static final long T = 1_700_000_000_000L, HOUR = 3_600_000L;
    static String servers;

    static KafkaProducer<byte[], byte[]> producer(String... settings) {
        Properties p = new Properties();
        p.put("bootstrap.servers", servers);
        p.put("enable.idempotence", "false");
        p.put("linger.ms", "200");
        p.put("delivery.timeout.ms", "200000");
        for (int i = 0; i < settings.length; i += 2) p.put(settings[i], settings[i + 1]);
        return new KafkaProducer<>(p, new ByteArraySerializer(), new ByteArraySerializer());
    }

    static void send(KafkaProducer<byte[], byte[]> p, String topic, long time, String key, String value) {
        ProducerRecord<byte[], byte[]> r = new ProducerRecord<>(topic, 0, time,
            key == null ? null : key.getBytes(), value == null ? null : value.getBytes());
        p.send(r, (m, e) -> { if (e != null) throw new RuntimeException(e); });
    }

    static void one(KafkaProducer<byte[], byte[]> p, String topic, long time, String key, String value) {
        send(p, topic, time, key, value);
        p.flush();
    }

    static void many(KafkaProducer<byte[], byte[]> p, String topic, long time, int from, int count) {
        for (int i = from; i < from + count; i++)
            send(p, topic, time + (i * 7 % 13) * 1000, i % 3 == 0 ? null : "key" + i, value(i));
        p.flush();
    }

    static String value(int i) {
        return "value " + i + " " + "tailrace ".repeat(i % 5);
    }

    public static void main(String[] args) throws Exception {
        servers = args[0];
        if (args[1].equals("second")) {
            try (var p = producer()) { one(p, "epochs", T + 5, null, "second"); }
            return;
        }
        try (var admin = Admin.create(Map.of("bootstrap.servers", servers))) {
            List<NewTopic> topics = new ArrayList<>();
            String hour = "" + HOUR;
            topics.add(topic("plain", "index.interval.bytes", "512", "segment.ms", hour));
            topics.add(topic("idempotent", "segment.ms", hour));
            topics.add(topic("txn", "segment.ms", hour));
            topics.add(topic("stamped", "message.timestamp.type", "LogAppendTime"));
            topics.add(topic("compacted", "segment.ms", hour, "cleanup.policy", "compact",
                "min.cleanable.dirty.ratio", "0.01", "delete.retention.ms", "1000000000"));
            topics.add(topic("epochs"));
            for (String client : List.of("java", "kcat", "python"))
                for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd"))
                    topics.add(topic(client + "-" + codec));
            admin.createTopics(topics).all().get();
        }
        Thread.sleep(2000);
        plain();
        idempotent();
        txn();
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd"))
            try (var p = producer("compression.type", codec)) {
                many(p, "java-" + codec, T, 0, 40);
                many(p, "java-" + codec, T + 100_000, 40, 10);
            }
        try (var p = producer("compression.type", "lz4")) { many(p, "stamped", T, 0, 20); }
        compacted();
        try (var p = producer()) { one(p, "epochs", T, null, "first"); }
    }

    static NewTopic topic(String name, String... settings) {
        Map<String, String> configs = new HashMap<>(Map.of("retention.ms", "-1"));
        for (int i = 0; i < settings.length; i += 2) configs.put(settings[i], settings[i + 1]);
        return new NewTopic(name, 1, (short) 1).configs(configs);
    }

    static void plain() {
        try (var p = producer("linger.ms", "0")) {
            for (int i = 0; i < 60; i++) {
                ProducerRecord<byte[], byte[]> r = new ProducerRecord<>("plain", 0, T + (i * 7 % 13) * 1000 + i * 100,
                    ("key" + i).getBytes(), value(i).getBytes());
                r.headers().add(new RecordHeader("h", new byte[] {1, 2})).add(new RecordHeader("null", (byte[]) null));
                p.send(r);
                p.flush();
            }
            for (int i = 60; i < 80; i++) one(p, "plain", T + 3 * HOUR + i, null, value(i));
        }
    }

    static void idempotent() {
        String[] on = {"enable.idempotence", "true"};
        try (var a = producer(on); var b = producer(on)) {
            many(a, "idempotent", T, 0, 3);
            many(b, "idempotent", T, 3, 2);
            for (int i = 5; i < 12; i++) one(a, "idempotent", T + i, "k", value(i));
            one(b, "idempotent", T + 3 * HOUR, "k", "behind a roll");
            many(a, "idempotent", T + 3 * HOUR, 12, 4);
        }
    }

    static void txn() {
        try (var a = producer("transactional.id", "a", "enable.idempotence", "true");
             var c = producer("transactional.id", "c", "enable.idempotence", "true");
             var b = producer("enable.idempotence", "true")) {
            a.initTransactions();
            c.initTransactions();
            a.beginTransaction(); many(a, "txn", T, 0, 3); a.commitTransaction();
            a.beginTransaction(); many(a, "txn", T, 3, 2); a.abortTransaction();
            c.beginTransaction(); many(c, "txn", T, 3, 2);
            a.beginTransaction(); many(a, "txn", T, 5, 2);
            one(b, "txn", T + 3 * HOUR, "k", "behind a roll, with two transactions open");
            many(a, "txn", T + 3 * HOUR, 7, 2); a.abortTransaction();
            c.commitTransaction();
        }
    }

    static void compacted() {
        try (var p = producer()) {
            many(p, "compacted", T, 1, 2);
            for (int round = 0; round < 3; round++) {
                for (String key : List.of("a", "b", "c")) send(p, "compacted", T + round, key, key + round);
                p.flush();
            }
            one(p, "compacted", T + 10, "b", null);
            one(p, "compacted", T + 3 * HOUR, "z", "behind a roll");
        }
    }
}
