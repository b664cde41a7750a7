import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Records as Kafka's own clients write and read them.
 *
 * <pre>
 * {"op":"send","config":{"bootstrap.servers":"..",..},"topic":"..","records":[RECORD,..]}   a KafkaProducer sends them
 *   -> {"partitions":[p,..]}     where the broker says that they are
 * {"op":"receive","config":{"bootstrap.servers":"..",..},"topic":"..","count":n}   a KafkaConsumer reads partition 0 from its beginning
 *   -> {"records":[RECORD,..]}   n of them, or what has come within a minute
 *
 * RECORD is {"key_b64":".." or null,"value_b64":".." or null,"timestamp":ms or null,"headers":[["name",".." or null],..]}
 * </pre>
 */
final class Clients {
    private static final Duration PATIENCE = Duration.ofMinutes(1);

    private Clients() {
    }

    static ObjectNode send(JsonNode question) throws InterruptedException, ExecutionException {
        String topic = Oracle.required(question, "topic").asText();
        ObjectNode answer = Oracle.JSON.createObjectNode();
        ArrayNode partitions = answer.putArray("partitions");
        try (var producer = new KafkaProducer<>(config(question), new ByteArraySerializer(), new ByteArraySerializer())) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (JsonNode record : Oracle.required(question, "records")) {
                JsonNode time = record.path("timestamp");
                var one = new ProducerRecord<>(topic, null, time.isNumber() ? time.asLong() : null,
                        bytes(record.path("key_b64")), bytes(record.path("value_b64")));
                for (JsonNode header : record.path("headers")) {
                    one.headers().add(header.get(0).asText(), bytes(header.get(1)));
                }
                sent.add(producer.send(one));
            }
            for (Future<RecordMetadata> record : sent) {
                partitions.add(record.get().partition());
            }
        }
        return answer;
    }

    static ObjectNode receive(JsonNode question) {
        var partition = new TopicPartition(Oracle.required(question, "topic").asText(), 0);
        int count = Oracle.required(question, "count").asInt();
        ObjectNode answer = Oracle.JSON.createObjectNode();
        ArrayNode records = answer.putArray("records");
        try (var consumer = new KafkaConsumer<>(config(question), new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            consumer.assign(List.of(partition));
            consumer.seekToBeginning(List.of(partition));
            long end = System.nanoTime() + PATIENCE.toNanos();
            while (records.size() < count && System.nanoTime() < end) {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(200))) {
                    ObjectNode one = records.addObject();
                    one.put("key_b64", text(record.key()));
                    one.put("value_b64", text(record.value()));
                    one.put("timestamp", record.timestamp());
                    ArrayNode headers = one.putArray("headers");
                    for (Header header : record.headers()) {
                        headers.addArray().add(header.key()).add(text(header.value()));
                    }
                }
            }
        }
        return answer;
    }

    private static Map<String, Object> config(JsonNode question) {
        Map<String, Object> config = new HashMap<>();
        Oracle.required(question, "config").properties().forEach(entry -> config.put(entry.getKey(), entry.getValue().asText()));
        return config;
    }

    private static byte[] bytes(JsonNode text) {
        return text == null || text.isNull() || text.isMissingNode() ? null : Base64.getDecoder().decode(text.asText());
    }

    private static String text(byte[] bytes) {
        return bytes == null ? null : Base64.getEncoder().encodeToString(bytes);
    }
}
