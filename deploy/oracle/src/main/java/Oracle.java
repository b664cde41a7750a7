import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamWriteConstraints;
import com.fasterxml.jackson.core.json.JsonWriteFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.math.BigDecimal;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Base64;
import java.util.Collection;
import java.util.Comparator;
import java.util.Date;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.StreamSupport;
import org.apache.kafka.common.utils.Utils;
import org.apache.kafka.connect.converters.BooleanConverter;
import org.apache.kafka.connect.converters.ByteArrayConverter;
import org.apache.kafka.connect.converters.DoubleConverter;
import org.apache.kafka.connect.converters.FloatConverter;
import org.apache.kafka.connect.converters.IntegerConverter;
import org.apache.kafka.connect.converters.LongConverter;
import org.apache.kafka.connect.converters.ShortConverter;
import org.apache.kafka.connect.data.Field;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaAndValue;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.data.Values;
import org.apache.kafka.connect.json.JsonConverter;
import org.apache.kafka.connect.storage.Converter;
import org.apache.kafka.connect.storage.StringConverter;

/**
 * Answers what the real Kafka Connect does, so that tests compare with it and not with what somebody remembers.
 *
 * <p>One JSON object per line on standard input, one per line on standard output, in the same order, flushed at once; it ends at the
 * end of the input. Output is ASCII: everything else is escaped. What fails is an answer too, never the end of the process. Topic is
 * "topic"; converters are used as value converters unless "is_key" is true. {@code bytes_b64} is base64 with padding, or null for no
 * bytes (a tombstone). A member "id" in a question comes back in the answer.
 *
 * <pre>
 * {"op":"from_json","schemas_enable":true,"bytes_b64":"..","config":{..}?}   JsonConverter.toConnectData
 *   -> {"schema":SCHEMA,"value":VALUE}
 * {"op":"roundtrip","converter":C,"config":{..}?,"is_key":false?,"bytes_b64":".."}   toConnectData, then fromConnectData of the result
 *   C is json string short integer long float double boolean bytearray
 *   -> {"bytes_b64":".." or null,"schema":SCHEMA,"value":VALUE}
 * {"op":"parse","text":".."}   Values.parseString, then Values.convertToString of the result; text may be null
 *   -> {"schema":SCHEMA,"value":VALUE,"string":".." or null}     (the text "null" has no result in Java; it is answered as a null value)
 * {"op":"murmur2_partition","key_b64":"..","partitions":n}   Utils.toPositive(Utils.murmur2(key)) % n
 *   -> {"partition":p}
 * {"op":"send",..}, {"op":"receive",..}   Kafka's own producer and consumer; see Clients
 * {"op":"pattern",..}   java.util.regex; see Patterns
 * {"op":"date",..}   java.text.SimpleDateFormat; see Dates
 * {"op":"transform",..}   a chain of transforms; see Transforms
 * {"op":"avro_resolve","writer":"..","reader":"..","bytes_b64":".."}   Avro's GenericDatumReader of those two schemas
 *   -> {"bytes_b64":".."}   what it has read, written with the reader's schema
 * {"op":"registry_read",..}, {"op":"registry_write",..}, {"op":"registry_again",..}   converters of others, with a schema registry; see RegistryConverters
 * anything that throws
 *   -> {"error":"DataException","message":".." or null,"causes":["JsonParseException: ..",..]}
 *      and "step":"to_connect" or "from_connect" when a converter threw. The error is the simple name of the class. A question that
 *      is not understood gives "error":"BadQuestion".
 *
 * SCHEMA is null or
 *   {"type":"INT32","optional":false,"name":null,"version":null,"doc":null,"parameters":null,"default":null}
 *   type is Schema.Type's name; parameters is an object sorted by key; default is a VALUE or null for none.
 *   STRUCT has "fields":[{"name":"..","schema":SCHEMA},..] as well, MAP "key" and "value", ARRAY "value".
 *
 * VALUE carries the type that the Java object has, whatever the schema says; every scalar is a string:
 *   {"t":"NULL"}  {"t":"BOOLEAN","v":"true"}  {"t":"STRING","v":".."}  {"t":"BYTES","v":"&lt;base64>"}
 *   {"t":"INT8","v":"5"}  INT16  INT32  INT64 likewise
 *   {"t":"FLOAT32","v":"1.0E10"}  FLOAT64 likewise: Float.toString, Double.toString, thus NaN and -Infinity too
 *   {"t":"DATE","v":"&lt;millis>"} for java.util.Date (the logical types Date, Time and Timestamp)
 *   {"t":"DECIMAL","v":"&lt;unscaled>/&lt;scale>"}
 *   {"t":"LIST","v":[VALUE,..]}
 *   {"t":"MAP","v":[[VALUE,VALUE],..]} sorted by the UTF-8 bytes of the key's VALUE (before escaping to ASCII): Connect promises no order
 *   {"t":"STRUCT","v":[["field",VALUE],..]} in the order of the schema
 *   {"t":"java.some.Class","v":"toString"} for anything else
 * </pre>
 *
 * VALUE and SCHEMA are written without blanks and with their members in the order shown, so texts can be compared.
 */
public final class Oracle {
    private static final String TOPIC = "topic";
    /** An answer nests deeper than the bytes it describes, so Jackson's limit of 1000 for writing is too low. */
    static final ObjectMapper JSON = new ObjectMapper(JsonFactory.builder()
            .enable(JsonWriteFeature.ESCAPE_NON_ASCII)
            .streamWriteConstraints(StreamWriteConstraints.builder().maxNestingDepth(10_000).build())
            .build());
    /** Configured once: a JsonConverter keeps caches that are costly to build. */
    private static final Map<String, Converter> CONVERTERS = new HashMap<>();

    private Oracle() {
    }

    public static void main(String[] args) throws IOException {
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.US_ASCII);
        System.setOut(System.err); // whatever else prints must not come between the answers
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            out.print(JSON.writeValueAsString(answer(line)));
            out.print('\n');
            out.flush();
        }
    }

    private static ObjectNode answer(String line) {
        ObjectNode answer = JSON.createObjectNode();
        JsonNode question;
        try {
            question = JSON.readTree(line);
        } catch (JsonProcessingException e) {
            return failed(answer, null, new BadQuestion(e.getMessage()));
        }
        if (question.has("id")) {
            answer.set("id", question.get("id"));
        }
        try {
            answer.setAll(switch (question.path("op").asText()) {
                case "from_json" -> fromJson(question);
                case "roundtrip" -> roundtrip(question);
                case "parse" -> parse(question);
                case "murmur2_partition" -> murmur2Partition(question);
                case "send" -> Clients.send(question);
                case "receive" -> Clients.receive(question);
                case "pattern" -> Patterns.answer(question);
                case "date" -> Dates.answer(question);
                case "transform" -> Transforms.answer(question);
                case "avro_resolve" -> AvroResolution.answer(question);
                case "registry_read" -> RegistryConverters.read(question);
                case "registry_again" -> RegistryConverters.again(question);
                case "registry_write" -> RegistryConverters.write(question);
                default -> throw new BadQuestion("no such op: " + question.path("op"));
            });
            return answer;
        } catch (Step e) {
            return failed(answer, e.name, e.getCause());
        } catch (Exception | StackOverflowError e) { // deep nesting overflows Connect's stack: an answer as well
            return failed(answer, null, e);
        }
    }

    private static ObjectNode fromJson(JsonNode question) {
        Map<String, Object> config = config(question);
        config.put("schemas.enable", required(question, "schemas_enable").asBoolean());
        Converter converter = converter("json", config, isKey(question));
        return described(toConnect(converter, bytes(question, "bytes_b64")));
    }

    private static ObjectNode roundtrip(JsonNode question) {
        Converter converter = converter(required(question, "converter").asText(), config(question), isKey(question));
        SchemaAndValue data = toConnect(converter, bytes(question, "bytes_b64"));
        byte[] bytes;
        try {
            bytes = converter.fromConnectData(TOPIC, data.schema(), data.value());
        } catch (Exception | StackOverflowError e) {
            throw new Step("from_connect", e);
        }
        ObjectNode answer = JSON.createObjectNode();
        answer.put("bytes_b64", bytes == null ? null : Base64.getEncoder().encodeToString(bytes));
        answer.setAll(described(data));
        return answer;
    }

    private static ObjectNode parse(JsonNode question) {
        JsonNode text = required(question, "text");
        SchemaAndValue data = Values.parseString(text.isNull() ? null : text.asText());
        ObjectNode answer = described(data);
        answer.put("string", data == null ? null : Values.convertToString(data.schema(), data.value()));
        return answer;
    }

    private static ObjectNode murmur2Partition(JsonNode question) {
        byte[] key = bytes(question, "key_b64");
        int partitions = required(question, "partitions").asInt();
        return JSON.createObjectNode().put("partition", Utils.toPositive(Utils.murmur2(key)) % partitions);
    }

    private static SchemaAndValue toConnect(Converter converter, byte[] bytes) {
        try {
            return converter.toConnectData(TOPIC, bytes);
        } catch (Exception | StackOverflowError e) {
            throw new Step("to_connect", e);
        }
    }

    private static Converter converter(String name, Map<String, Object> config, boolean isKey) {
        return CONVERTERS.computeIfAbsent(name + ' ' + isKey + ' ' + new TreeMap<>(config), unused -> {
            Converter converter = switch (name) {
                case "json" -> new JsonConverter();
                case "string" -> new StringConverter();
                case "short" -> new ShortConverter();
                case "integer" -> new IntegerConverter();
                case "long" -> new LongConverter();
                case "float" -> new FloatConverter();
                case "double" -> new DoubleConverter();
                case "boolean" -> new BooleanConverter();
                case "bytearray" -> new ByteArrayConverter();
                default -> throw new BadQuestion("no such converter: " + name);
            };
            converter.configure(config, isKey);
            return converter;
        });
    }

    static Map<String, Object> config(JsonNode question) {
        Map<String, Object> config = new HashMap<>();
        question.path("config").properties().forEach(e -> config.put(e.getKey(), e.getValue().asText()));
        return config;
    }

    private static boolean isKey(JsonNode question) {
        return question.path("is_key").asBoolean(false);
    }

    static byte[] bytes(JsonNode question, String member) {
        JsonNode text = required(question, member);
        return text.isNull() ? null : Base64.getDecoder().decode(text.asText());
    }

    static JsonNode required(JsonNode question, String member) {
        JsonNode node = question.get(member);
        if (node == null) {
            throw new BadQuestion("no member: " + member);
        }
        return node;
    }

    static ObjectNode described(SchemaAndValue data) {
        ObjectNode node = JSON.createObjectNode();
        node.set("schema", schema(data == null ? null : data.schema()));
        node.set("value", value(data == null ? null : data.value()));
        return node;
    }

    static JsonNode schema(Schema schema) {
        if (schema == null) {
            return JSON.nullNode();
        }
        ObjectNode node = JSON.createObjectNode();
        node.put("type", schema.type().name());
        node.put("optional", schema.isOptional());
        node.put("name", schema.name());
        node.put("version", schema.version());
        node.put("doc", schema.doc());
        node.set("parameters", schema.parameters() == null ? null : JSON.valueToTree(new TreeMap<>(schema.parameters())));
        node.set("default", schema.defaultValue() == null ? null : value(schema.defaultValue()));
        switch (schema.type()) {
            case STRUCT -> {
                ArrayNode fields = node.putArray("fields");
                for (Field field : schema.fields()) {
                    ObjectNode member = fields.addObject();
                    member.put("name", field.name());
                    member.set("schema", schema(field.schema()));
                }
            }
            case MAP -> {
                node.set("key", schema(schema.keySchema()));
                node.set("value", schema(schema.valueSchema()));
            }
            case ARRAY -> node.set("value", schema(schema.valueSchema()));
            default -> { }
        }
        return node;
    }

    static JsonNode value(Object value) {
        if (value == null) {
            return JSON.createObjectNode().put("t", "NULL");
        } else if (value instanceof Boolean) {
            return tagged("BOOLEAN", value.toString());
        } else if (value instanceof Byte) {
            return tagged("INT8", value.toString());
        } else if (value instanceof Short) {
            return tagged("INT16", value.toString());
        } else if (value instanceof Integer) {
            return tagged("INT32", value.toString());
        } else if (value instanceof Long) {
            return tagged("INT64", value.toString());
        } else if (value instanceof Float) {
            return tagged("FLOAT32", value.toString());
        } else if (value instanceof Double) {
            return tagged("FLOAT64", value.toString());
        } else if (value instanceof String) {
            return tagged("STRING", value.toString());
        } else if (value instanceof byte[] bytes) {
            return tagged("BYTES", Base64.getEncoder().encodeToString(bytes));
        } else if (value instanceof ByteBuffer buffer) {
            return tagged("BYTES", Base64.getEncoder().encodeToString(Utils.toArray(buffer.duplicate())));
        } else if (value instanceof Date date) {
            return tagged("DATE", Long.toString(date.getTime()));
        } else if (value instanceof BigDecimal decimal) {
            return tagged("DECIMAL", decimal.unscaledValue() + "/" + decimal.scale());
        } else if (value instanceof Collection<?> list) {
            ArrayNode elements = JSON.createArrayNode();
            list.forEach(element -> elements.add(value(element)));
            return tagged("LIST", elements);
        } else if (value instanceof Map<?, ?> map) {
            return tagged("MAP", entries(map));
        } else if (value instanceof Struct struct) {
            ArrayNode fields = JSON.createArrayNode();
            for (Field field : struct.schema().fields()) {
                // Without the default in place of null: what the struct holds, not what get() would say.
                fields.addArray().add(field.name()).add(value(struct.getWithoutDefault(field.name())));
            }
            return tagged("STRUCT", fields);
        }
        return tagged(value.getClass().getName(), value.toString());
    }

    private static ArrayNode entries(Map<?, ?> map) {
        Comparator<JsonNode> byKey = (a, b) -> Arrays.compareUnsigned(utf8(a.get(0)), utf8(b.get(0)));
        ArrayNode entries = JSON.createArrayNode();
        map.forEach((k, v) -> entries.addArray().add(value(k)).add(value(v)));
        List<JsonNode> sorted = StreamSupport.stream(entries.spliterator(), false).sorted(byKey).toList();
        return JSON.createArrayNode().addAll(sorted);
    }

    private static byte[] utf8(JsonNode node) {
        return node.toString().getBytes(StandardCharsets.UTF_8);
    }

    private static ObjectNode tagged(String type, String value) {
        return JSON.createObjectNode().put("t", type).put("v", value);
    }

    private static ObjectNode tagged(String type, JsonNode value) {
        ObjectNode node = JSON.createObjectNode().put("t", type);
        node.set("v", value);
        return node;
    }

    static ObjectNode failed(ObjectNode answer, String step, Throwable error) {
        answer.put("error", error.getClass().getSimpleName());
        answer.put("message", error.getMessage());
        ArrayNode causes = answer.putArray("causes");
        for (Throwable cause = error.getCause(); cause != null && causes.size() < 10; cause = cause.getCause()) {
            causes.add(cause.getClass().getSimpleName() + ": " + cause.getMessage());
        }
        if (step != null) {
            answer.put("step", step);
        }
        return answer;
    }

    /** The question itself is wrong; nothing of Connect was asked. */
    private static final class BadQuestion extends RuntimeException {
        private static final long serialVersionUID = 1L;

        BadQuestion(String message) {
            super(message);
        }
    }

    /** Which half of a converter threw. */
    private static final class Step extends RuntimeException {
        private static final long serialVersionUID = 1L;
        private final String name;

        Step(String name, Throwable cause) {
            super(cause);
            this.name = name;
        }
    }
}
