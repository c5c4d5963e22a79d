import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.PrintStream;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * Follows the history of a seller's orders: all of it from the store, then live from Kafka, each event once.
 *
 * <p>Told by the environment: JEJAK_URL, JEJAK_KEY, JEJAK_SELLER, KAFKA_BOOTSTRAP_SERVERS. Prints one line of
 * JSON for each event and ends in order at SIGTERM. Needs kafka-clients and Jackson, and nothing of Jejak's own
 * code. docs/consuming.md says why it goes about it in this way.
 */
public final class FollowOrders {
    private static final String TOPIC = "orders.orders.v1";
    private static final int PAGE = 500;
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);

    private final HttpClient http = HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(10)).build();
    private final String url = told("JEJAK_URL");
    private final String key = told("JEJAK_KEY");
    private final String seller = told("JEJAK_SELLER");

    /** The last sequence of every order. A real consumer keeps it in the transaction of its effects. */
    private final Map<String, Long> last = new HashMap<>();
    private final Set<String> foreign = new HashSet<>();
    /** Partitions not joined yet, each with the first event of ours that came from it. */
    private final Map<Integer, Optional<JsonNode>> open = new HashMap<>();
    /** Of every order the last sequence that the store's door has given; needed until all are joined. */
    private final Map<String, Long> given = new HashMap<>();
    private String after = "";

    public static void main(String[] arguments) throws Exception {
        try (KafkaConsumer<String, byte[]> consumer = consumer()) {
            CountDownLatch ended = new CountDownLatch(1);
            Runtime.getRuntime().addShutdownHook(new Thread(() -> {
                consumer.wakeup();
                try {
                    ended.await(10, TimeUnit.SECONDS);
                } catch (InterruptedException interrupted) {
                    Thread.currentThread().interrupt();
                }
            }));
            try {
                new FollowOrders().follow(consumer);
            } catch (WakeupException stopped) {
                // SIGTERM: everything read so far has had its effect.
            } finally {
                ended.countDown();
            }
        }
    }

    private static KafkaConsumer<String, byte[]> consumer() {
        Map<String, Object> settings = Map.of(
                "bootstrap.servers", told("KAFKA_BOOTSTRAP_SERVERS"),
                "enable.auto.commit", false,
                "auto.offset.reset", "none",
                "max.poll.records", PAGE);
        return new KafkaConsumer<>(settings, new StringDeserializer(), new ByteArrayDeserializer());
    }

    private void follow(KafkaConsumer<String, byte[]> consumer) throws IOException, InterruptedException {
        List<TopicPartition> partitions = consumer.partitionsFor(TOPIC).stream()
                .map(each -> new TopicPartition(TOPIC, each.partition())).toList();
        consumer.assign(partitions);
        // First where the topic ends, then the store: what comes between is read twice, never missed.
        consumer.endOffsets(partitions).forEach(consumer::seek);
        partitions.forEach(each -> open.put(each.partition(), Optional.empty()));
        catchUp();
        while (true) {
            for (ConsumerRecord<String, byte[]> each : consumer.poll(Duration.ofMillis(500))) {
                take(each);
            }
            if (!open.isEmpty()) {
                catchUp();
            }
        }
    }

    /** Takes what is new at the store's door. The end is where `next` stays the same; a page may be empty. */
    private void catchUp() throws IOException, InterruptedException {
        while (true) {
            JsonNode page = get("/v1/events?limit=" + PAGE + "&after=" + encoded(after));
            for (JsonNode event : page.get("items")) {
                take(event, "store");
                if (!open.isEmpty()) {
                    given.put(event.get("subject").asText(), event.get("sequence").asLong());
                }
            }
            String next = page.get("next").asText();
            if (next.equals(after)) {
                break;
            }
            after = next;
        }
        // Once the door has given an event that also came from a partition, it has given all before it.
        open.values().removeIf(first -> first.isPresent() && first.get().get("sequence").asLong()
                <= given.getOrDefault(first.get().get("subject").asText(), 0L));
        if (open.isEmpty()) {
            given.clear();
        }
    }

    /** Takes a record of the topic, which holds the orders of every seller. */
    private void take(ConsumerRecord<String, byte[]> record) throws IOException, InterruptedException {
        JsonNode event = event(record);
        String order = event.get("subject").asText();
        if (!last.containsKey(order) && !isOurs(event)) {
            return;
        }
        if (event.get("sequence").asLong() > last.getOrDefault(order, 0L) + 1) {
            // The store's door for one order reads the store itself and is never behind.
            eachOf(order, missed -> take(missed, "store"));
        }
        take(event, "topic");
        open.computeIfPresent(record.partition(), (number, first) -> Optional.of(first.orElse(event)));
    }

    private boolean isOurs(JsonNode event) throws IOException, InterruptedException {
        String order = event.get("subject").asText();
        if (foreign.contains(order)) {
            return false;
        }
        boolean ours = event.get("sequence").asLong() == 1
                ? seller.equals(event.path("data").path("seller").asText())
                : eachOf(order, known -> take(known, "store"));
        if (!ours) {
            foreign.add(order);
        }
        return ours;
    }

    /** Has the event take effect, unless it has had it. */
    private void take(JsonNode event, String via) {
        String order = event.get("subject").asText();
        long sequence = event.get("sequence").asLong();
        long before = last.getOrDefault(order, 0L);
        if (sequence <= before) {
            return;
        }
        if (sequence != before + 1) {
            throw new IllegalStateException("Order " + order + " has event " + sequence + " after " + before + ".");
        }
        ObjectNode line = JSON.createObjectNode().put("order", order).put("sequence", sequence)
                .put("id", event.get("id").asText()).put("type", event.get("type").asText()).put("via", via);
        line.set("data", event.get("data"));
        OUT.println(line);
        last.put(order, sequence);
    }

    /** The CloudEvent that a record is in Kafka's binary mode: attributes in headers, data in the value. */
    private static JsonNode event(ConsumerRecord<String, byte[]> record) throws IOException {
        ObjectNode event = JSON.createObjectNode();
        for (Header header : record.headers()) {
            if (header.key().startsWith("ce_")) {
                event.put(header.key().substring(3), new String(header.value(), StandardCharsets.UTF_8));
            }
        }
        event.set("data", JSON.readTree(record.value()));
        return event;
    }

    /** Gives all events of one order, oldest first; false when it is another seller's. */
    private boolean eachOf(String order, Consumer<JsonNode> taker) throws IOException, InterruptedException {
        String cursor = "";
        while (cursor != null) {
            JsonNode page = get("/v1/orders/" + order + "/events?limit=" + PAGE + "&cursor=" + encoded(cursor));
            if (page == null) {
                return false;
            }
            page.get("items").forEach(taker);
            cursor = page.get("next").isNull() ? null : page.get("next").asText();
        }
        return true;
    }

    /** The answer of a door; null where there is nothing of ours (404). */
    private JsonNode get(String path) throws IOException, InterruptedException {
        HttpRequest request = HttpRequest.newBuilder(URI.create(url + path))
                .header("authorization", "Bearer " + key).timeout(Duration.ofSeconds(30)).build();
        HttpResponse<byte[]> answer = http.send(request, HttpResponse.BodyHandlers.ofByteArray());
        if (answer.statusCode() == 404) {
            return null;
        }
        if (answer.statusCode() != 200) {
            throw new IOException(path + " answered " + answer.statusCode());
        }
        return JSON.readTree(answer.body());
    }

    private static String encoded(String text) {
        return URLEncoder.encode(text, StandardCharsets.UTF_8);
    }

    private static String told(String name) {
        String value = System.getenv(name);
        if (value == null || value.isEmpty()) {
            throw new IllegalArgumentException("The environment does not say " + name + ".");
        }
        return value;
    }
}
