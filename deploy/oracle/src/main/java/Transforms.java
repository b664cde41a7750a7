import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Comparator;
import java.util.Date;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.common.config.ConfigException;
import org.apache.kafka.common.config.ConfigValue;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.connect.connector.ConnectRecord;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaAndValue;
import org.apache.kafka.connect.data.SchemaBuilder;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.header.ConnectHeaders;
import org.apache.kafka.connect.header.Header;
import org.apache.kafka.connect.runtime.ConnectorConfig;
import org.apache.kafka.connect.runtime.isolation.Plugins;
import org.apache.kafka.connect.sink.SinkRecord;
import org.apache.kafka.connect.source.SourceRecord;
import org.apache.kafka.connect.transforms.Transformation;
import org.apache.kafka.connect.transforms.predicates.Predicate;

/**
 * What a chain of transforms makes of a record.
 *
 * <pre>
 * {"op":"transform","kind":"source" or "sink","config":{"transforms":"a,b","transforms.a.type":"..",..,"predicates":"..",..},
 *  "record":{"topic":"..","partition":n or null,"offset":n (sink only),"timestamp":n or null,
 *            "key":{"schema":SCHEMA,"value":VALUE},"value":{..},"headers":[["name",{"schema":SCHEMA,"value":VALUE}],..]}}
 *   -> {"invalid":[["key",["error",..]],..],
 *       and one of
 *       "record":{"topic":..,"partition":..,"timestamp":..,"key":..,"value":..,"headers":..}   described as in the question
 *       "dropped":true
 *       "error":"DataException","message":".." or null,"stage":"a","at":"load" or "configure" or "apply"}
 *   "invalid" is what validation says about transforms and predicates: each key that something is wrong with, sorted by key, by
 *   ConnectorConfig.enrich, then ConfigDef.validate; null when that throws. Connect starts no connector then; the rest of the
 *   answer is what its classes do when they are configured all the same, in the order of ConnectorConfig.transformationStages:
 *   the message at "configure" is that of Transformation.configure, which names keys without "transforms.a.". "load" is a class
 *   that is missing or unknown, which only validation has a text for.
 * {"op":"transform","describe":true,"config":{..}}
 *   -> {"transformations":{"org..Cast$Key":KEYS,..},"predicates":{..},"enriched":KEYS}: the keys of each class that there is, and
 *      what ConnectorConfig.enrich makes of transforms, predicates and the config. KEYS is a list with, for each key in the
 *      order of its definition, {"name":..,"type":..,"default":text or null,"required":..,"importance":..,
 *      "validator":text or null,"group":..,"order":..,"width":..,"display_name":..}
 * </pre>
 *
 * SCHEMA and VALUE are Oracle's, and more is understood here: {"t":"BUFFER","v":"&lt;base64>"} is a ByteBuffer; a STRUCT without a
 * schema around it brings its own as "schema"; a field of a struct whose value is NULL is not put, so that a required one can
 * be null. In answers a key or value that is a struct has "own_schema" where the struct's schema is not that of the record; the
 * default, which is of no use to a struct, is left out of it.
 *
 * Maps of the question become a LinkedHashMap. It is of another class than the HashMap that JsonConverter makes, so this class
 * name is replaced in messages; and it keeps its order, which shows where names clash: a transformation that copies a map
 * makes a HashMap, and a later one meets its entries in the order of their hash codes.
 */
final class Transforms {
    private static final String TRANSFORMS = "transforms";
    private static final String PREDICATES = "predicates";
    private static final Plugins PLUGINS = new Plugins(Map.of("plugin.discovery", "service_load"));
    private static final ConfigDef BASE = base();

    private Transforms() {
    }

    static ObjectNode answer(JsonNode question) {
        ClassLoader before = Plugins.compareAndSwapLoaders(PLUGINS.delegatingLoader());
        try {
            Map<String, String> config = new LinkedHashMap<>();
            // Without a connector there are no keys of transforms: the classes are looked for where the connector is.
            config.put("connector.class", "org.apache.kafka.connect.file.FileStreamSourceConnector");
            question.get("config").properties().forEach(e -> config.put(e.getKey(), e.getValue().asText()));
            if (question.path("describe").asBoolean()) {
                return describe(config);
            }
            ObjectNode answer = Oracle.JSON.createObjectNode();
            answer.set("invalid", invalid(config));
            if (question.get("kind").asText().equals("sink")) {
                run(answer, config, sink(question.get("record")));
            } else {
                run(answer, config, source(question.get("record")));
            }
            return answer;
        } finally {
            Plugins.compareAndSwapLoaders(before);
        }
    }

    /** The two keys that list aliases, as a connector has them. */
    private static ConfigDef base() {
        ConfigDef all = ConnectorConfig.configDef();
        return new ConfigDef().define(all.configKeys().get(TRANSFORMS)).define(all.configKeys().get(PREDICATES));
    }

    private static ArrayNode invalid(Map<String, String> config) {
        ArrayNode invalid = Oracle.JSON.createArrayNode();
        ConfigDef definition = ConnectorConfig.enrich(PLUGINS, BASE, config, false);
        List<ConfigValue> values;
        try {
            values = new ArrayList<>(definition.validate(config));
        } catch (RuntimeException e) {
            return null; // no ConfigException: the validator of some key is at fault
        }
        values.sort(Comparator.comparing(ConfigValue::name));
        for (ConfigValue value : values) {
            if (!value.errorMessages().isEmpty()) {
                ArrayNode errors = invalid.addArray().add(value.name()).addArray();
                value.errorMessages().forEach(error -> errors.add(plain(error)));
            }
        }
        return invalid;
    }

    /** As org.apache.kafka.connect.runtime.TransformationStage, whose constructor is not public. */
    private record Stage<R extends ConnectRecord<R>>(String alias, Transformation<R> transformation, Predicate<R> predicate,
            boolean negate) {
        R apply(R record) {
            return predicate == null || negate ^ predicate.test(record) ? transformation.apply(record) : record;
        }
    }

    private static <R extends ConnectRecord<R>> void run(ObjectNode answer, Map<String, String> config, R record) {
        List<Stage<R>> stages = new ArrayList<>();
        String at = "load";
        String alias = null;
        try {
            for (Object named : new LinkedHashSet<>(aliases(config, TRANSFORMS))) {
                alias = (String) named;
                Map<String, Object> own = below(config, TRANSFORMS + "." + alias + ".");
                at = "load";
                Transformation<R> transformation = load(own);
                Object predicateAlias = own.remove("predicate");
                Object negate = own.remove("negate");
                at = "configure";
                transformation.configure(own);
                Predicate<R> predicate = null;
                if (predicateAlias != null) {
                    at = "load";
                    Map<String, Object> its = below(config, PREDICATES + "." + predicateAlias + ".");
                    if (!aliases(config, PREDICATES).contains(predicateAlias)) {
                        // Its keys were never defined, and this is what AbstractConfig says to whoever asks for one.
                        throw new ConfigException("Unknown configuration '" + PREDICATES + "." + predicateAlias + ".type'");
                    }
                    predicate = load(its);
                    at = "configure";
                    predicate.configure(its);
                }
                stages.add(new Stage<>(alias, transformation, predicate, negate != null && Boolean.parseBoolean(negate.toString())));
            }
            at = "apply";
            for (Stage<R> stage : stages) {
                alias = stage.alias;
                record = stage.apply(record);
                if (record == null) {
                    answer.put("dropped", true);
                    return;
                }
            }
        } catch (Exception | StackOverflowError e) {
            answer.put("error", e.getClass().getSimpleName());
            answer.put("message", e.getMessage() == null ? null : plain(e.getMessage()));
            answer.put("stage", alias);
            answer.put("at", at);
            return;
        }
        ObjectNode after = answer.putObject("record");
        after.put("topic", record.topic());
        after.put("partition", record.kafkaPartition());
        after.put("timestamp", record.timestamp());
        after.set("key", described(record.keySchema(), record.key()));
        after.set("value", described(record.valueSchema(), record.value()));
        ArrayNode headers = after.putArray("headers");
        for (Header header : record.headers()) {
            headers.addArray().add(header.key()).add(described(header.schema(), header.value()));
        }
    }

    private static List<?> aliases(Map<String, String> config, String key) {
        return (List<?>) ConfigDef.parseType(key, config.getOrDefault(key, ""), ConfigDef.Type.LIST);
    }

    private static Map<String, Object> below(Map<String, String> config, String prefix) {
        Map<String, Object> own = new LinkedHashMap<>();
        config.forEach((key, value) -> {
            if (key.startsWith(prefix) && key.length() > prefix.length()) {
                own.put(key.substring(prefix.length()), value);
            }
        });
        return own;
    }

    @SuppressWarnings("unchecked")
    private static <T> T load(Map<String, Object> own) throws ReflectiveOperationException {
        Class<?> type = (Class<?>) ConfigDef.parseType("type", own.get("type"), ConfigDef.Type.CLASS);
        return (T) type.getConstructor().newInstance();
    }

    /** A message without what differs from run to run or comes from the class of map that is made of the question. */
    private static String plain(String message) {
        return message.replaceAll("\\[B@[0-9a-f]+", "[B@").replaceAll("InsertionSpec@[0-9a-f]+", "InsertionSpec@").replace("java.util.LinkedHashMap", "java.util.HashMap");
    }

    private static ObjectNode described(Schema schema, Object value) {
        ObjectNode node = Oracle.JSON.createObjectNode();
        node.set("schema", Oracle.schema(schema));
        node.set("value", Oracle.value(value));
        if (value instanceof Struct struct && struct.schema() != schema) {
            ObjectNode own = (ObjectNode) Oracle.schema(struct.schema());
            own.remove("default");
            ObjectNode declared = schema == null ? own.objectNode() : (ObjectNode) Oracle.schema(schema);
            declared.remove("default");
            if (!own.equals(declared)) {
                node.set("own_schema", own);
            }
        }
        return node;
    }

    private static SourceRecord source(JsonNode record) {
        SchemaAndValue key = read(record.get("key"));
        SchemaAndValue value = read(record.get("value"));
        return new SourceRecord(null, null, record.get("topic").asText(), partition(record), key.schema(), key.value(), value.schema(),
            value.value(), timestamp(record), headers(record.get("headers")));
    }

    private static SinkRecord sink(JsonNode record) {
        SchemaAndValue key = read(record.get("key"));
        SchemaAndValue value = read(record.get("value"));
        return new SinkRecord(record.get("topic").asText(), partition(record), key.schema(), key.value(), value.schema(), value.value(),
            record.get("offset").asLong(), timestamp(record), TimestampType.CREATE_TIME, headers(record.get("headers")));
    }

    private static Integer partition(JsonNode record) {
        return record.get("partition").isNull() ? null : record.get("partition").asInt();
    }

    private static Long timestamp(JsonNode record) {
        return record.get("timestamp").isNull() ? null : record.get("timestamp").asLong();
    }

    private static ConnectHeaders headers(JsonNode list) {
        ConnectHeaders headers = new ConnectHeaders();
        for (JsonNode header : list) {
            headers.add(header.get(0).asText(), read(header.get(1)));
        }
        return headers;
    }

    static SchemaAndValue read(JsonNode node) {
        Schema schema = readSchema(node.get("schema"));
        return new SchemaAndValue(schema, readValue(schema, node.get("value")));
    }

    private static Schema readSchema(JsonNode node) {
        if (node.isNull()) {
            return null;
        }
        SchemaBuilder builder = switch (Schema.Type.valueOf(node.get("type").asText())) {
            case MAP -> SchemaBuilder.map(readSchema(node.get("key")), readSchema(node.get("value")));
            case ARRAY -> SchemaBuilder.array(readSchema(node.get("value")));
            default -> new SchemaBuilder(Schema.Type.valueOf(node.get("type").asText()));
        };
        if (node.path("optional").asBoolean()) {
            builder.optional();
        }
        if (node.hasNonNull("name")) {
            builder.name(node.get("name").asText());
        }
        if (node.hasNonNull("version")) {
            builder.version(node.get("version").asInt());
        }
        if (node.hasNonNull("doc")) {
            builder.doc(node.get("doc").asText());
        }
        if (node.hasNonNull("parameters")) {
            Map<String, String> parameters = new TreeMap<>();
            node.get("parameters").properties().forEach(e -> parameters.put(e.getKey(), e.getValue().asText()));
            builder.parameters(parameters);
        }
        for (JsonNode field : node.path("fields")) {
            builder.field(field.get("name").asText(), readSchema(field.get("schema")));
        }
        if (node.hasNonNull("default")) {
            // A struct of the builder itself, as JsonConverter does it: no other one is equal to what is being built.
            builder.defaultValue(readValue(builder, node.get("default")));
        }
        return builder.build();
    }

    private static Object readValue(Schema schema, JsonNode node) {
        JsonNode v = node.get("v");
        return switch (node.get("t").asText()) {
            case "NULL" -> null;
            case "BOOLEAN" -> Boolean.valueOf(v.asText());
            case "STRING" -> v.asText();
            case "BYTES" -> Base64.getDecoder().decode(v.asText());
            case "BUFFER" -> ByteBuffer.wrap(Base64.getDecoder().decode(v.asText()));
            case "INT8" -> Byte.valueOf(v.asText());
            case "INT16" -> Short.valueOf(v.asText());
            case "INT32" -> Integer.valueOf(v.asText());
            case "INT64" -> Long.valueOf(v.asText());
            case "FLOAT32" -> Float.valueOf(v.asText());
            case "FLOAT64" -> Double.valueOf(v.asText());
            case "DATE" -> new Date(Long.parseLong(v.asText()));
            case "DECIMAL" -> {
                String[] parts = v.asText().split("/");
                yield new BigDecimal(new BigInteger(parts[0]), Integer.parseInt(parts[1]));
            }
            case "LIST" -> {
                List<Object> elements = new ArrayList<>();
                Schema element = schema == null ? null : schema.valueSchema();
                v.forEach(each -> elements.add(readValue(element, each)));
                yield elements;
            }
            case "MAP" -> {
                Map<Object, Object> entries = new LinkedHashMap<>();
                Schema key = schema == null ? null : schema.keySchema();
                Schema value = schema == null ? null : schema.valueSchema();
                v.forEach(entry -> entries.put(readValue(key, entry.get(0)), readValue(value, entry.get(1))));
                yield entries;
            }
            case "STRUCT" -> {
                Schema own = node.has("schema") ? readSchema(node.get("schema")) : schema;
                Struct struct = new Struct(own);
                for (JsonNode field : v) {
                    Object value = readValue(own.field(field.get(0).asText()).schema(), field.get(1));
                    if (value != null) {
                        struct.put(field.get(0).asText(), value);
                    }
                }
                yield struct;
            }
            default -> throw new IllegalArgumentException("not a VALUE: " + node);
        };
    }

    private static ObjectNode describe(Map<String, String> config) {
        ObjectNode answer = Oracle.JSON.createObjectNode();
        ObjectNode transformations = answer.putObject("transformations");
        PLUGINS.transformations().forEach(desc -> transformations.set(desc.className(), keys(newInstance(desc.pluginClass()).config())));
        ObjectNode predicates = answer.putObject("predicates");
        PLUGINS.predicates().forEach(desc -> predicates.set(desc.className(), keys(newInstance(desc.pluginClass()).config())));
        answer.set("enriched", keys(ConnectorConfig.enrich(PLUGINS, BASE, config, false)));
        return answer;
    }

    private static <T> T newInstance(Class<T> type) {
        try {
            return type.getConstructor().newInstance();
        } catch (ReflectiveOperationException e) {
            throw new IllegalStateException(e);
        }
    }

    private static ArrayNode keys(ConfigDef definition) {
        ArrayNode keys = Oracle.JSON.createArrayNode();
        for (ConfigDef.ConfigKey key : definition.configKeys().values()) {
            // A validator without a description of its own shows where it lies in memory.
            String validator = String.valueOf(key.validator);
            boolean silent = key.validator == null || validator.contains("@") || validator.contains("$$Lambda");
            keys.addObject()
                .put("name", key.name)
                .put("type", key.type.name())
                .put("default", key.hasDefault() && key.defaultValue != null ? ConfigDef.convertToString(key.defaultValue, key.type) : null)
                .put("required", !key.hasDefault())
                .put("importance", key.importance.name())
                .put("validator", silent ? null : validator)
                .put("group", key.group)
                .put("order", key.orderInGroup)
                .put("width", key.width.name())
                .put("display_name", key.displayName);
        }
        return keys;
    }
}
