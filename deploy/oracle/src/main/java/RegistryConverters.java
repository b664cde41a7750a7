import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.Base64;
import java.util.HashMap;
import java.util.Map;
import java.util.TreeMap;
import org.apache.kafka.common.header.internals.RecordHeaders;
import org.apache.kafka.connect.data.SchemaAndValue;
import org.apache.kafka.connect.storage.Converter;

/**
 * Converters that keep their schemas in a registry, by the name of their class: run.sh has Apicurio's on the class path. They are converters of
 * values, and called as a task does it, with headers.
 *
 * <pre>
 * {"op":"registry_read","class":"..","config":{..},"topic":"..","bytes_b64":".."}
 *   -> {"schema":SCHEMA,"value":VALUE}
 * {"op":"registry_write","class":"..","config":{..},"topic":"..","record":{"schema":SCHEMA,"value":VALUE}}
 *   -> {"bytes_b64":"..","schema":SCHEMA,"value":VALUE}   what was written, and what the same converter then reads in it
 * {"op":"registry_again","class":"..","config":{..},"topic":"..","bytes_b64":".."}
 *   -> {"value":VALUE,"bytes_b64":".."}                   what is read, with a schema that may contain itself, and written again
 * </pre>
 *
 * SCHEMA and VALUE are Oracle's. An error has a "step"; one of reading what was written has "bytes_b64" as well.
 */
final class RegistryConverters {
    /** One for each class and config, as they keep what they have asked the registry for. */
    private static final Map<String, Converter> CONVERTERS = new HashMap<>();

    private RegistryConverters() {
    }

    static ObjectNode read(JsonNode question) {
        return read(question, Oracle.bytes(question, "bytes_b64"), Oracle.JSON.createObjectNode());
    }

    static ObjectNode write(JsonNode question) {
        ObjectNode answer = Oracle.JSON.createObjectNode();
        byte[] bytes;
        try {
            SchemaAndValue record = Transforms.read(Oracle.required(question, "record"));
            bytes = converter(question).fromConnectData(topic(question), new RecordHeaders(), record.schema(), record.value());
        } catch (Exception | StackOverflowError e) {
            return Oracle.failed(answer, "from_connect", e);
        }
        answer.put("bytes_b64", bytes == null ? null : Base64.getEncoder().encodeToString(bytes));
        return read(question, bytes, answer);
    }

    static ObjectNode again(JsonNode question) {
        ObjectNode answer = Oracle.JSON.createObjectNode();
        try {
            Converter converter = converter(question);
            byte[] bytes = Oracle.bytes(question, "bytes_b64");
            SchemaAndValue data = converter.toConnectData(topic(question), new RecordHeaders(), bytes);
            answer.set("value", Oracle.value(data.value()));
            bytes = converter.fromConnectData(topic(question), new RecordHeaders(), data.schema(), data.value());
            answer.put("bytes_b64", Base64.getEncoder().encodeToString(bytes));
            return answer;
        } catch (Exception | StackOverflowError e) {
            return Oracle.failed(answer, "again", e);
        }
    }

    private static ObjectNode read(JsonNode question, byte[] bytes, ObjectNode answer) {
        try {
            answer.setAll(Oracle.described(converter(question).toConnectData(topic(question), new RecordHeaders(), bytes)));
            return answer;
        } catch (Exception | StackOverflowError e) {
            return Oracle.failed(answer, "to_connect", e);
        }
    }

    private static String topic(JsonNode question) {
        return Oracle.required(question, "topic").asText();
    }

    private static Converter converter(JsonNode question) {
        String name = Oracle.required(question, "class").asText();
        Map<String, Object> config = Oracle.config(question);
        return CONVERTERS.computeIfAbsent(name + ' ' + new TreeMap<>(config), unused -> {
            try {
                Converter converter = (Converter) Class.forName(name).getConstructor().newInstance();
                converter.configure(config, false);
                return converter;
            } catch (ReflectiveOperationException e) {
                throw new IllegalArgumentException("there is no converter " + name, e);
            }
        });
    }
}
